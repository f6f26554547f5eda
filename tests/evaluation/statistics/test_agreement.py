"""Agreement against scikit-learn, statsmodels, the krippendorff package and published tables."""

import json

import krippendorff
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from medjax.errors import InputError
from medjax.evaluation import classes, results_file
from medjax.evaluation.statistics import agreement, intervals

GRADES = ('none', 'mild', 'moderate', 'severe')


def graded(seed=0, images=60, readers=4, grades=4, missing=0.0):
  """Returns answers f64[images, readers] of readers who mostly stay near a common truth."""
  rng = np.random.default_rng(seed)
  truth = rng.integers(0, grades, (images, 1))
  answers = np.clip(truth + rng.integers(-1, 2, (images, readers)), 0, grades - 1).astype(float)
  answers[rng.random(answers.shape) < missing] = np.nan
  return answers


def counts(answers, grades=4):
  return (answers[:, :, None] == np.arange(grades)).sum(axis=1)


def readings(answers, patients=None, label='grade'):
  image, reader = (index.ravel() for index in np.indices(answers.shape))
  frame = pd.DataFrame({'image': [f'i{n:03}' for n in image], 'reader': [f'r{n}' for n in reader]})
  if patients is not None:
    frame['patient'] = [f'p{patients[n]:03}' for n in image]
  return frame.assign(**{label: answers[image, reader].astype(np.float32)})


@pytest.mark.parametrize('empty', ['', ' ', None, np.nan])
def test_an_empty_patient_is_none(empty):
  reads = readings(graded(readers=2, grades=2), np.arange(60), 'Mass')
  reads.loc[[4, 5], 'patient'] = empty
  with pytest.raises(InputError, match='readings: row 6: the patient is empty'):
    agreement.summarise(reads)


@pytest.mark.parametrize(
  ('weights', 'sklearn_weights'), [('none', None), ('linear', 'linear'), ('quadratic', 'quadratic')]
)
def test_cohen_equals_scikit_learns(weights, sklearn_weights):
  for seed in range(5):
    one, other = graded(seed, readers=2).astype(int).T
    ours = agreement.cohen(classes.confusion(one, other, 4), weights)
    assert ours == pytest.approx(cohen_kappa_score(one, other, weights=sklearn_weights), abs=1e-12)
  # Stacked confusions are so many figures.
  stack = np.stack([classes.confusion(*graded(s, readers=2).astype(int).T, 4) for s in range(3)])
  assert agreement.cohen(stack, weights)[2] == agreement.cohen(stack[2], weights)


# Fleiss 1971: 30 patients, of each of whom six psychiatrists named one of five diagnoses; one word
# per patient, how many named each.
PSYCHIATRISTS = """
  00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
  00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""


def test_fleiss_own_example():
  table = np.array([[int(count) for count in word] for word in PSYCHIATRISTS.split()])
  assert table.shape == (30, 5) and (table.sum(axis=1) == 6).all()
  ours = agreement.fleiss(agreement.coincidences(table).sum(axis=0))
  assert ours == pytest.approx(0.430, abs=0.0005)
  assert ours == pytest.approx(inter_rater.fleiss_kappa(table), abs=1e-12)


def test_fleiss_equals_statsmodels():
  for seed in range(5):
    table = counts(graded(seed, readers=5))
    ours = agreement.fleiss(agreement.coincidences(table).sum(axis=0))
    assert ours == pytest.approx(inter_rater.fleiss_kappa(table), abs=1e-12)


# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability: four observers, twelve units.
OBSERVERS = """
  1 2 3 3 2 1 4 1 2 - - -
  1 2 3 3 2 2 4 1 2 5 - 3
  - 3 3 3 2 3 4 2 2 5 1 -
  1 2 3 3 2 4 4 1 2 5 1 -
"""


@pytest.mark.parametrize(('level', 'published'), [('nominal', 0.743), ('ordinal', 0.815)])
def test_krippendorffs_own_example(level, published):
  rows = [line.split() for line in OBSERVERS.strip().splitlines()]
  answers = np.array([[np.nan if a == '-' else int(a) - 1 for a in row] for row in rows]).T
  summed = agreement.coincidences(counts(answers, 5)).sum(axis=0)
  assert agreement.krippendorff(summed, level) == pytest.approx(published, abs=0.0005)


@pytest.mark.parametrize('level', ['nominal', 'ordinal'])
def test_alpha_equals_the_package_with_missing_reads(level):
  for seed in range(5):
    answers = graded(seed, missing=0.4)
    summed = agreement.coincidences(counts(answers)).sum(axis=0)
    expected = krippendorff.alpha(answers.T, level_of_measurement=level)
    assert agreement.krippendorff(summed, level) == pytest.approx(expected, abs=1e-12)


def test_intervals_equal_a_plain_loop_over_resampled_patients():
  rng = np.random.default_rng(0)
  patients = np.sort(rng.integers(0, 25, 60))
  answers = graded(3, readers=3)
  summary = agreement.summarise(readings(answers, patients), classes=GRADES, replicates=50, seed=4)
  assert summary.method == 'percentile bootstrap over patients'
  label_summary = summary.labels['grade']
  unique = np.unique(patients)
  drawn = intervals.patient_counts(len(unique), 50, 4)
  expected = {'fleiss': [], 'alpha': [], 'quadratic': []}
  for row in drawn:
    rows = np.concatenate([np.tile(np.flatnonzero(patients == p), n) for p, n in zip(unique, row)])
    sample = answers[rows]
    expected['fleiss'].append(inter_rater.fleiss_kappa(counts(sample)))
    expected['alpha'].append(krippendorff.alpha(sample.T, level_of_measurement='ordinal'))
    expected['quadratic'].append(cohen_kappa_score(*sample[:, [0, 2]].T, weights='quadratic'))
  pair = label_summary.cohen[1]
  assert pair.readers == ('r0', 'r2') and pair.images == 60
  for name, figure in (
    ('fleiss', label_summary.fleiss),
    ('alpha', label_summary.krippendorff.ordinal),
    ('quadratic', pair.quadratic_kappa),
  ):
    limits = np.quantile(expected[name], (0.025, 0.975))
    np.testing.assert_allclose(figure.interval, limits, rtol=0, atol=1e-12)
    assert figure.valid_replicates == 50 and figure.reason == ''


def test_without_patients_images_are_drawn_and_the_summary_says_so():
  answers = np.where(graded(5, readers=3) > 1, 1.0, 0.0)
  alone = agreement.summarise(readings(answers, label='x'), replicates=30)
  summary = agreement.summarise(readings(answers, np.arange(60), 'x'), replicates=30)
  assert alone.method == 'percentile bootstrap over images'
  assert alone.labels == summary.labels
  assert alone.labels['x'].krippendorff.ordinal is None
  plain = json.loads(json.dumps(results_file.to_plain(alone), allow_nan=False))
  assert results_file.from_plain(plain, agreement.Agreement) == alone


def test_pairs_are_those_who_share_images(monkeypatch):
  answers = graded(6, readers=4, missing=0.3)
  answers[:30, 0] = np.nan
  answers[30:, 1] = np.nan
  whole = agreement.summarise(readings(answers), classes=GRADES, replicates=20)
  pairs = whole.labels['grade'].cohen
  assert len(pairs) == 5 and ('r0', 'r1') not in [pair.readers for pair in pairs]
  both = np.isfinite(answers[:, [2, 3]]).all(axis=1)
  agreement_of_pair = next(pair for pair in pairs if pair.readers == ('r2', 'r3'))
  assert agreement_of_pair.images == both.sum()
  assert agreement_of_pair.kappa.value == pytest.approx(
    cohen_kappa_score(*answers[both][:, [2, 3]].T)
  )
  monkeypatch.setattr(agreement, 'PAIRS_AT_ONCE', 2)
  assert agreement.summarise(readings(answers), classes=GRADES, replicates=20) == whole


@pytest.mark.parametrize(
  ('answers', 'fleiss', 'alpha', 'pair'),
  [
    ([[0, 0], [0, 0], [0, 0]], 'all answers are the same', 'all answers are the same', 'the same'),
    ([[0, np.nan], [np.nan, 1]], 'no image has two reads', 'no image has two reads', None),
    ([[0, 1, 1], [1, 1, np.nan], [0, 0, 0]], 'images have 2 to 3 reads', '', ''),
  ],
)
def test_what_does_not_exist_says_why(answers, fleiss, alpha, pair):
  summary = agreement.summarise(readings(np.array(answers, float), label='x'), replicates=20)
  label_summary = summary.labels['x']
  assert label_summary.fleiss.value is None and fleiss in label_summary.fleiss.reason
  nominal = label_summary.krippendorff.nominal
  assert alpha in nominal.reason and (nominal.value is None) == bool(alpha)
  if pair is None:
    assert label_summary.cohen == ()
  else:
    kappa = label_summary.cohen[0].kappa
    assert pair in kappa.reason and (kappa.value is None) == bool(pair)


def test_one_patient_has_figures_but_no_interval():
  summary = agreement.summarise(
    readings(graded(7), np.zeros(60, int)), classes=GRADES, replicates=20
  )
  label_summary = summary.labels['grade']
  for figure in (
    label_summary.fleiss,
    label_summary.krippendorff.ordinal,
    label_summary.cohen[0].kappa,
  ):
    assert figure.value is not None and figure.interval is None and figure.reason
