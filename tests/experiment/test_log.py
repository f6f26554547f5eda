"""What a run writes while it trains, against TensorBoard's own writer, and on a full disk."""

import io
import struct

import numpy as np
import pytest
import tensorboardX
from PIL import Image
from tensorboardX.proto import event_pb2

from medjax.config import Config, Data, Loss, Model
from medjax.errors import InputError
from medjax.experiment.log import MetricWriter, TrainingLog
from medjax.runs import metrics_file
from medjax.runs.layout import Layout


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
  writer = MetricWriter(Layout(tmp_path), resume_step=3)
  writer.write(4, 'train', {'loss': 0.5, 'auroc': {'Edema': 0.75, 'Mass': None}})
  writer.close()
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


def test_augmented_images_are_drawn_once(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3)).astype(np.uint8)
  drawn = []
  for resumed_at in (0, 3):
    layout = Layout(tmp_path / str(resumed_at))
    layout.workdir.mkdir()
    Image.fromarray(pixels).save(layout.augmented)
    MetricWriter(layout, resume_step=resumed_at).close()
    values = [value for event in events(layout.tensorboard) for value in event.summary.value]
    drawn += [value.image for value in values if value.tag == 'train/augmented']
  (picture,) = drawn
  assert (np.asarray(Image.open(io.BytesIO(picture.encoded_image_string))) == pixels).all()


def test_rows_on_a_full_disk_end_the_run_and_do_not_hang_it(tmp_path, monkeypatch):
  def on_a_full_disk(path):
    return open('/dev/full', 'wb')

  monkeypatch.setattr('tensorboardX.record_writer.open_file', on_a_full_disk)
  writer = MetricWriter(Layout(tmp_path), resume_step=0)
  with pytest.raises(OSError, match='No space left'):
    for step in range(1, 100):  # Ten more than a queue holds that nobody reads.
      writer.write(step, 'train', {'loss': 0.5})
  assert [row['step'] for row in metrics_file.read(Layout(tmp_path))] == [1]


@pytest.mark.parametrize(
  ('step', 'settings', 'words', 'absent'),
  [
    (1, {}, ['step 1: the loss of focal is nan, before anything was learned'], ['learning_rate']),
    (3, {}, ['checkpoints of earlier steps are kept', 'a lower config.optimizer.learning_rate'],
     ['precision', 'look for']),
    (1, {'loss': Loss('my_lab.losses:mine'), 'precision': 'bfloat16'},
     ['the loss of my_lab.losses:mine is nan', 'in config.loss.name=my_lab.losses:mine',
      'try config.precision=float32'], ['learning_rate']),
  ],
)  # fmt: skip
def test_what_is_not_finite_blames_what_can_have_made_it(tmp_path, step, settings, words, absent):
  config = Config(
    Data('phantom', '', ('x',)), Model('resnet18'), **{'loss': Loss('focal'), **settings}
  )
  log = TrainingLog(Layout(tmp_path), config, 0, lambda step: 0.1, [], quiet=True)
  log.steps(step, {'loss': float('nan'), 'gradient_norm': 1.0})
  with pytest.raises(InputError) as error, log.between_steps():
    pass
  assert all(word in str(error.value) for word in words)
  assert not any(word in str(error.value) for word in absent)
