"""Trackers are told of a run in its order, and none of them can stop it or hold it up."""

import contextlib
import importlib.util
import io
import pathlib
import struct
import threading
import time

import numpy as np
import pytest
import tensorboardX
from PIL import Image
from tensorboardX.proto import event_pb2

from medjax import config as configs
from medjax.errors import InputError
from medjax.experiment.tracking import trackers
from medjax.experiment.tracking.contract import TrackedFile, TrackedRun
from medjax.experiment.tracking.tensorboard_tracker import TensorBoardTracker
from medjax.experiment.tracking.trackers import Trackers
from medjax.runs.layout import Layout


class Recorder:
  """Notes what it is told."""

  def __init__(self, raises=''):
    self.told, self._raises = [], raises

  def __getattr__(self, name):
    def function(*arguments):
      self.told.append((name, *arguments))
      if name == self._raises:
        raise ConnectionError('the server\nis not there')

    return function


def go_through(told, folder):
  """A run of two rows and a file."""
  told.start(TrackedRun(folder, {'steps': '2'}, 0))
  told.metrics(1, 'train', {'loss': 0.5})
  told.metrics(2, 'validation', {'auroc': {'Edema': np.float32(0.75), 'Mass': None}})
  told.files(2, [TrackedFile(folder / 'there.txt'), TrackedFile(folder / 'not_there.txt')])
  told.end('finished')


def test_what_is_told_and_in_which_order(tmp_path):
  (tmp_path / 'there.txt').touch()
  recorder = Recorder()
  go_through(Trackers({'mine': recorder}), tmp_path)
  assert recorder.told == [
    ('start', TrackedRun(tmp_path, {'steps': '2'}, 0)),
    ('metrics', 1, {'train/loss': 0.5}),
    ('metrics', 2, {'validation/auroc/Edema': 0.75}),
    ('files', 2, [TrackedFile(tmp_path / 'there.txt')]),
    ('end', 'finished'),
  ]


@pytest.mark.parametrize('function', ['start', 'metrics', 'files', 'end'])
def test_one_that_fails_is_warned_of_once_and_others_go_on(tmp_path, capsys, function):
  failing, sound = Recorder(raises=function), Recorder()
  go_through(Trackers({'failing': failing, 'sound': sound}), tmp_path)
  said = capsys.readouterr().out
  assert said.count('\n') == 1
  assert f'warning: tracker failing {function}: ConnectionError: the server is not there' in said
  assert [name for name, *_ in failing.told][-1] == function
  assert len(sound.told) == 5


def test_one_that_does_not_answer_is_not_waited_for(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(trackers, '_PATIENCE', 0.3)
  answered = threading.Event()
  silent = Recorder()
  silent.start = lambda run: answered.wait(20)
  began = time.monotonic()
  go_through(Trackers({'silent': silent}), tmp_path)
  assert time.monotonic() - began < 5
  answered.set()
  assert (
    'tracker silent has not answered for 0 s; the run goes on without' in capsys.readouterr().out
  )


@pytest.mark.parametrize(
  ('raised', 'status'),
  [(None, 'finished'), (SystemExit(143), 'stopped'), (KeyboardInterrupt(), 'stopped'),
   (InputError('x'), 'failed')],
)  # fmt: skip
def test_how_a_run_has_ended(raised, status, monkeypatch):
  recorder = Recorder()
  monkeypatch.setattr(trackers, '_find', lambda name: lambda: recorder)
  ending = pytest.raises(type(raised)) if raised else contextlib.nullcontext()
  with ending, trackers.opened(configs.load('phantom')):
    if raised:
      raise raised
  assert recorder.told == [('end', status)]


@pytest.mark.parametrize(
  ('given', 'words'),
  [("('tensorbord',)", "config.tracking is 'tensorbord'; allowed: tensorboard, mlflow, wandb"),
   ("('mlflow', 'mlflow')", 'config.tracking names one twice')],
)  # fmt: skip
def test_a_wrong_name_is_one_line(given, words):
  with pytest.raises(InputError, match=words.replace('(', r'\(')):
    configs.load('phantom', [f'tracking={given}'])


def test_one_that_is_not_installed_is_refused_before_anything_is_done(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(InputError, match=r"mlflow is not installed; pip install 'medjax\[mlflow\]'"):
    trackers.check(configs.load('phantom', ["tracking=('mlflow',)"]))
  trackers.check(configs.load('phantom', ['tracking=()']))
  with pytest.raises(InputError, match='cannot import nowhere'):
    trackers.check(configs.load('phantom', ["tracking=('nowhere:Mine',)"]))


def test_anybodys_own_is_named_by_import_path():
  config = configs.load('phantom', ["tracking=('test_trackers:Recorder',)"])
  trackers.check(config)
  with trackers.opened(config) as told:
    assert [thread.name for thread in told._threads] == ['test_trackers:Recorder']


def events(folder):
  """Returns the events of the one file in a folder, times left out."""
  [path] = folder.iterdir()
  content, read = path.read_bytes(), []
  while content:
    # A TFRecord: length u64, its checksum u32, the bytes, their checksum u32.
    (length,) = struct.unpack('<Q', content[:8])
    event = event_pb2.Event.FromString(content[12 : 12 + length])
    event.ClearField('wall_time')
    read.append(event)
    content = content[16 + length :]
  return read


def test_the_events_are_those_of_tensorboard_s_writer(tmp_path):
  told = Trackers({'tensorboard': TensorBoardTracker()})
  told.start(TrackedRun(tmp_path, {}, 3))
  told.metrics(4, 'train', {'loss': 0.5, 'auroc': {'Edema': 0.75, 'Mass': None}})
  told.end('finished')
  own = tensorboardX.SummaryWriter(str(tmp_path / 'own'), purge_step=4)
  own.add_scalar('train/loss', 0.5, 4)
  own.add_scalar('train/auroc/Edema', 0.75, 4)
  own.close()
  ours, theirs = events(tmp_path / 'tensorboard'), events(tmp_path / 'own')
  # Theirs says the version twice.
  assert ours == [
    event for event in theirs if event != event_pb2.Event(step=4, file_version='brain.Event:2')
  ]
  assert len(ours) == 4


def test_augmented_images_are_shown_in_tensorboard(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3)).astype(np.uint8)
  Image.fromarray(pixels).save(tmp_path / 'augmented.png')
  told = Trackers({'tensorboard': TensorBoardTracker()})
  told.start(TrackedRun(tmp_path, {}, 0))
  told.files(0, [TrackedFile(tmp_path / 'augmented.png', shows_patients=True)])
  told.end('finished')
  values = [v for event in events(Layout(tmp_path).tensorboard) for v in event.summary.value]
  (picture,) = (value.image for value in values if value.tag == 'train/augmented')
  assert (np.asarray(Image.open(io.BytesIO(picture.encoded_image_string))) == pixels).all()


def test_a_full_disk_ends_tensorboard_and_not_the_run(tmp_path, capsys, monkeypatch):
  full = pathlib.Path('/dev/full')
  monkeypatch.setattr('tensorboardX.record_writer.open_file', lambda path: full.open('wb'))
  told = Trackers({'tensorboard': TensorBoardTracker()})
  told.start(TrackedRun(tmp_path, {}, 0))
  for step in range(1, 100):
    told.metrics(step, 'train', {'loss': 0.5})
  told.end('finished')
  said = capsys.readouterr().out
  assert said.count('warning') == 1 and 'No space left' in said
