"""Checkpoints of a long run: what a save leaves behind, and what becomes of one that fails."""

import contextlib
import os
import resource
import shutil
import threading

import jax.numpy as jnp
import pytest
from orbax.checkpoint import v1 as ocp

from medjax.runs import checkpoints
from medjax.runs.layout import Layout

STATE = {'params': jnp.arange(3.0)}


def open_files():
  return len(os.listdir('/proc/self/fd'))


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='counts files as Linux lists them')
def test_many_saves_leave_no_file_open_and_no_thread(tmp_path):
  counts = []
  with checkpoints.open_checkpoints(Layout(tmp_path)) as saved:
    for step in range(1, 21):
      saved.save(STATE, step, {'history': []}, None)
      if step in (5, 20):
        saved.wait()
        counts.append((open_files(), threading.active_count()))
  assert counts[0] == counts[1]
  assert Layout(tmp_path).saved_steps() == [20]


@contextlib.contextmanager
def no_room():
  """Files cannot grow, as on a full disk."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_made_is_told_and_no_thread_waits_for_it(tmp_path, monkeypatch):
  make, before = os.mkdir, {*threading.enumerate()}

  def without_room(path, *rest, **settings):
    if 'orbax-checkpoint-tmp' in os.fspath(path):
      raise OSError(28, 'No space left on device', os.fspath(path))
    make(path, *rest, **settings)

  monkeypatch.setattr(os, 'mkdir', without_room)
  with (
    pytest.raises(OSError, match='No space left'),
    checkpoints.open_checkpoints(Layout(tmp_path)) as saved,
  ):
    saved.save(STATE, 1, {'history': []}, None)
    saved.wait()
  # A pool's thread waits for work, and ends with the process; orbax's own wait for a signal.
  waiting = {*threading.enumerate()} - before
  assert [thread.name for thread in waiting if type(thread) is not threading.Thread] == []


@pytest.mark.parametrize('then', ['save', 'wait', 'leave'])
def test_a_save_that_fails_in_the_background_is_told_at_the_next_turn(tmp_path, then):
  layout = Layout(tmp_path)
  with (
    contextlib.ExitStack() as limits,
    pytest.raises(Exception, match='File too large'),
    checkpoints.open_checkpoints(layout) as saved,
  ):
    saved.save(STATE, 1, {'history': []}, None)
    saved.wait()
    limits.enter_context(no_room())
    saved.save(STATE, 2, {'history': []}, None)
    if then == 'save':
      saved.save(STATE, 3, {'history': []}, None)
    elif then == 'wait':
      saved.wait()
  # The one before is whole.
  assert layout.saved_steps() == [1]
  state = ocp.load_checkpointables(layout.checkpoints / '1')['state']
  assert state['params'].tolist() == STATE['params'].tolist()


@pytest.mark.parametrize('gone', ['_CHECKPOINT_METADATA', 'metrics', 'state'])
def test_a_checkpoint_deleted_by_half_goes_with_the_next_save(tmp_path, gone):
  """As a kill leaves it while orbax deletes the one that a newer one replaces."""
  layout = Layout(tmp_path)
  with checkpoints.open_checkpoints(layout) as saved:
    saved.save(STATE, 1, {'history': []}, 0.5)
    saved.wait()
    shutil.copytree(layout.checkpoints / '1', tmp_path / 'replaced')
    saved.save(STATE, 2, {'history': []}, 0.6)
  assert layout.saved_steps() == [2]
  replaced = shutil.copytree(tmp_path / 'replaced', layout.checkpoints / '1')
  path = replaced / gone
  path.unlink() if path.is_file() else shutil.rmtree(path)
  with checkpoints.open_checkpoints(layout) as saved:
    assert saved.latest_step() == 2
    saved.save(STATE, 3, {'history': []}, 0.4)
  assert layout.saved_steps() == [2, 3]
