"""Checkpoints of a long run: what a save leaves behind, and what becomes of one that fails."""

import contextlib
import os
import resource
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


@pytest.mark.parametrize('then', ['save', 'wait', 'leave'])
def test_a_save_that_fails_in_the_background_is_told_at_the_next_turn(tmp_path, then):
  layout = Layout(tmp_path)
  with (
    contextlib.ExitStack() as limits,
    pytest.raises(Exception, match='File too large') as told,
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
  assert '2.orbax-checkpoint-tmp' in str(told.value)
  # The one before is whole.
  assert layout.saved_steps() == [1]
  state = ocp.load_checkpointables(layout.checkpoints / '1')['state']
  assert state['params'].tolist() == STATE['params'].tolist()
