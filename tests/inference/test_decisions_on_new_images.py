"""What is decided on new images, and that the written probabilities say the same."""

import dataclasses

import deciding_run
import numpy as np
import pytest
from deciding_run import LABELS
from PIL import Image

from medjax.config.protocol import Protocol
from medjax.data.images.lists import Item
from medjax.errors import InputError
from medjax.evaluation import calibration, classes, frozen, predictions
from medjax.evaluation.frozen import Frozen
from medjax.inference import new_images
from medjax.runs import decisions
from medjax.runs import finished as finished_runs


@pytest.fixture(scope='module')
def run(finished, tmp_path_factory):
  """A finished run of its own, with what validation chose."""
  return deciding_run.copy(finished[0], tmp_path_factory.mktemp('predict') / 'run')


def test_a_probability_at_its_threshold_reads_as_decided(run):
  third = calibration.LabelCalibration(breakpoints=((0, 1 / 3), (1, 1 / 3)))
  level = frozen.FrozenLevel(
    calibration.Calibration('isotonic', 'sigmoid', dict.fromkeys(LABELS, third)),
    dict.fromkeys(LABELS, (frozen.FrozenPoint('youden', 1 / 3, ''),)),
  )
  chosen = Frozen(None, None, head='sigmoid', aggregate='max', levels={'image': level})
  config = finished_runs.open_run(run).config
  decided = decisions.decide(config, chosen, np.full((1, 3), 0.5, np.float32))
  (row,) = new_images._rows([Item('a', 'a', '')], decided, has_patients=False, raw=None)
  assert row[4:7] == ['1'] * 3 and all(float(value) >= 1 / 3 for value in row[1:4])


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
def test_of_classes_and_grades_the_one_decided_for_is_named(run, head):
  config = finished_runs.open_run(run).config
  config.model.head = head
  probabilities = np.random.default_rng(0).dirichlet((1, 1, 1), 20).astype(np.float32)
  validation = predictions.Predictions(
    [str(row) for row in range(20)], [''] * 20, LABELS, probabilities,
    np.eye(3, dtype=np.float32)[np.arange(20) % 3], np.ones((20, 3), bool),
  )  # fmt: skip
  of_level = frozen.freeze(validation, Protocol(head=head))
  chosen = Frozen(None, None, head, 'max', {'image': of_level})
  decided = decisions.decide(config, chosen, probabilities)
  np.testing.assert_allclose(decided.probabilities, probabilities, atol=1e-6)
  names = [LABELS[index] for index in classes.decide(probabilities, head)]
  assert decided.decided == {'decision': names}
  expected = [*(f'prob_{label}' for label in LABELS), 'decision']
  assert decisions.column_names(config, raw=False) == expected
  assert list(decisions.columns(config, decided, probabilities))[:4] == expected


def test_whoever_reads_a_probability_back_decides_alike():
  # Of the lowest three one is positive: isotonic calibration says 1/3, and from there on all are
  # called.
  scores = np.repeat([0.1, 0.5, 0.9], [3, 9, 9])[:, None]
  truth = (np.arange(21) % 3 == 0)[:, None] | (scores > 0.5)
  names = [str(number) for number in range(21)]
  tested = predictions.Predictions(names, names, ['Edema'], scores, truth, np.ones((21, 1), bool))
  chosen = frozen.freeze(
    tested, Protocol(calibration='isotonic', operating_points=('sensitivity=1',))
  )
  calibrated = frozen.calibrated(chosen, tested).probabilities
  item = Item('a.jpg', 'a.jpg', '')
  decided = decisions.Decisions(calibrated, {'decision_Edema': [1] * 21})
  rows = new_images._rows([item] * 21, decided, has_patients=False, raw=None)
  drawn = [row[1] for row in rows]
  read = np.array(drawn, np.float64)[:, None]
  assert calibrated[0, 0] == 1 / 3 and frozen.decide(chosen, ['Edema'], read).all()


def test_a_label_without_a_threshold_has_no_decision(run):
  opened = finished_runs.open_run(run)
  points = opened.frozen.levels['image'].operating_points
  points['Pneumonia'] = (dataclasses.replace(points['Pneumonia'][0], threshold=None),)
  decided = decisions.decide(opened.config, opened.frozen, np.full((1, 3), 0.5, np.float32))
  (row,) = new_images._rows([Item('a', 'a', '')], decided, has_patients=False, raw=None)
  assert row[5] == '' and {row[4], row[6]} <= {'0', '1'}


def test_a_try_that_reads_nothing_leaves_its_name_free(finished, tmp_path):
  run = finished_runs.open_run(deciding_run.copy(finished[0], tmp_path / 'run'))
  for folder in ('films', 'lists'):
    (tmp_path / folder).mkdir()
  Image.fromarray(np.full((40, 40), 90, np.uint8)).save(tmp_path / 'films/new.png')
  source, output = tmp_path / 'lists/list.csv', tmp_path / 'out.csv'
  source.write_text('image\nnew.png\n')
  with pytest.raises(InputError, match=r'new\.png: no such image file; .*--root=FOLDER'):
    new_images.predict_to_csv(run, source, output)
  assert not [path for path in tmp_path.iterdir() if path.name.startswith('out')]
  new_images.predict_to_csv(run, source, output, root=tmp_path / 'films')
  assert len(output.read_text().splitlines()) == 2
