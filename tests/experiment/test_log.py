"""What a run writes while it trains, and what it says of metrics that are not finite."""

import pytest

from medjax.config import Config, Data, Loss, Model
from medjax.errors import InputError
from medjax.experiment.log import MetricWriter, TrainingLog
from medjax.runs import metrics_file
from medjax.runs.layout import Layout


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
  layout = Layout(tmp_path)
  for step in (0, 2):
    writer = MetricWriter(layout, resume_step=step)
    for row in range(step + 1, 5):
      writer.write(row, 'train', {'loss': row + 10 * step})
  rows = metrics_file.read(layout)
  assert [(row['step'], row['loss']) for row in rows] == [(1, 1), (2, 2), (3, 23), (4, 24)]


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
