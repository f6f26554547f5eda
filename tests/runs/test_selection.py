"""The best checkpoint: at the level that is tested, by labels that can tell."""

import json

import frozen_evaluation
import numpy as np
import pytest
import synthetic_summary
from sklearn.metrics import roc_auc_score

from medjax.config.protocol import Protocol
from medjax.evaluation import frozen, predictions
from medjax.evaluation.predictions import Predictions
from medjax.runs import selection
from medjax.runs.finished import open_run
from medjax.runs.layout import Layout

LABELS = ['common', 'rare']


def validation(log_odds, truth, patients):
  probabilities, bounded = predictions.probabilities_of(log_odds)
  names = [str(row) for row in range(len(truth))]
  known = np.ones(truth.shape, bool)
  return Predictions(
    names, [str(p) for p in patients], LABELS, probabilities, truth, known, log_odds=bounded
  )


def two_checkpoints(seed=0):
  """Returns two checkpoints' predictions of 60 patients with 1 or 9 images, and their truth.

  The first is better on images, since it knows the patients with many; the second on patients.
  'rare' has one positive patient, whom only the first finds.
  """
  rng = np.random.default_rng(seed)
  images = np.where(np.arange(60) % 6 == 0, 9, 1)
  patients = np.repeat(np.arange(60), images)
  of_patient = np.stack((np.arange(60) % 4 < 2, np.arange(60) == 3), axis=1)
  truth = of_patient[patients].astype(np.float32)
  many = (images > 1)[patients]
  parts = []
  for knows, finds in ((many, True), (~many, False)):
    log_odds = rng.normal(size=truth.shape)
    log_odds[:, 0] += np.where(knows, 3, 0.6) * truth[:, 0]
    log_odds[:, 1] += 9 * truth[:, 1] * (1 if finds else -1)
    parts.append(validation(log_odds, truth, patients))
  return parts


def means(parts, **settings):
  protocol = Protocol(**settings)
  choice = selection.chosen_by(parts[0], protocol)
  assert choice == selection.chosen_by(parts[1], protocol)
  return choice, [
    selection.validation_metrics(part, protocol, choice)['auroc_mean'] for part in parts
  ]


def test_a_label_with_one_positive_patient_does_not_decide():
  parts = two_checkpoints()
  choice, (first, second) = means(parts, level='patient')
  assert choice == frozen.ChosenBy('patient', ('common',), 30)
  assert second > first  # With 'rare' the first would be ahead by far.
  words = selection.in_words(choice, tuple(LABELS))
  assert words == (
    'the AUROC of common on validation patients (30 patients of the rarer class at least); too few '
    'patients of a class to decide: rare'
  )


def test_the_level_that_is_tested_chooses():
  parts = two_checkpoints()
  _, of_images = means(parts)
  _, of_patients = means(parts, level='patient', aggregate='max')
  assert of_images[0] > of_images[1] and of_patients[0] < of_patients[1]
  for part, mean in zip(parts, of_patients):
    patients = np.array(part.patients, int)
    highest = [part.probabilities[patients == p, 0].max() for p in range(60)]
    ill = [part.truth[patients == p, 0].max() for p in range(60)]
    assert mean == pytest.approx(roc_auc_score(ill, highest), abs=1e-12)


def test_where_no_label_has_enough_all_with_both_classes_decide():
  parts = [part._replace(truth=part.truth * 0) for part in two_checkpoints()]
  for part in parts:
    part.truth[[0, 9], 0] = 1
  choice, (first, _) = means(parts)
  assert choice.labels == ('common',) and choice.fewest == 2 and first is not None
  nothing = [part._replace(truth=part.truth * 0) for part in parts]
  choice, of_nothing = means(nothing)
  assert choice.labels == () and of_nothing == [None, None]
  assert selection.in_words(choice, tuple(LABELS)).startswith('nothing: no label')


def test_the_interval_of_the_figure_that_chooses_is_that_of_a_test_of_the_same_predictions():
  validation = synthetic_summary.predicted(0, ['Edema', 'Mass'], 300)
  figure = selection.figure(validation, Protocol())
  other = synthetic_summary.predicted(1, ['Edema', 'Mass'], 300)
  tested = frozen_evaluation.evaluate(other, validation, replicates=20)
  assert figure.interval == tested.mean.auroc.interval
  areas = [roc_auc_score(validation.truth[:, i], validation.probabilities[:, i]) for i in (0, 1)]
  assert figure.value == pytest.approx(np.mean(areas), abs=1e-12)
  # 'rare' has one positive patient, so it does not enter; of one class only there is no figure.
  part = two_checkpoints()[0]
  value = selection.figure(part, Protocol()).value
  assert value == pytest.approx(roc_auc_score(part.truth[:, 0], part.log_odds[:, 0]), abs=1e-12)
  nothing = selection.figure(part._replace(truth=part.truth * 0), Protocol())
  assert nothing.value is None and nothing.reason == 'no label has both classes'


def test_a_run_says_which_labels_chose_its_checkpoint(finished):
  run = open_run(finished[0])
  choice = run.frozen.chosen_by
  saved = run.raw_predictions('validation')
  assert choice == selection.chosen_by(saved, run.config.protocol)
  told = run.result.facts['best step chosen by']
  assert told == selection.in_words(choice, run.config.data.labels)
  assert told in run.report.read_text('utf-8')
  rows = map(json.loads, Layout(finished[0]).metrics.read_text().splitlines())
  of_best = next(
    row for row in rows if row['split'] == 'validation' and row['step'] == run.frozen.step
  )
  again = selection.validation_metrics(saved, run.config.protocol, choice)
  assert again == {name: of_best[name] for name in again}
