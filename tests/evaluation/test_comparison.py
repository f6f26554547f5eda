"""Two runs on the same images, against statsmodels, scikit-learn and what must be so by design."""

import numpy as np
import pandas as pd
import pytest
from auroc_covariance import auroc_covariance
from compared_runs import LABELS, compare, runs
from scipy import stats
from sklearn import metrics as sklearn_metrics
from statsmodels.stats import multitest

from medjax.errors import InputError
from medjax.evaluation import contrasts
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import delong, intervals, multiplicity


def shuffled(run, seed=1):
  """Returns the same predictions with rows and labels in another order."""
  rng = np.random.default_rng(seed)
  rows, columns = rng.permutation(len(run.images)), rng.permutation(len(run.labels))
  cells = np.ix_(rows, columns)
  return Predictions(
    [run.images[row] for row in rows],
    [run.patients[row] for row in rows],
    [run.labels[column] for column in columns],
    run.probabilities[cells],
    run.truth[cells],
    run.known[cells],
    pd.DataFrame({'view': ['PA'] * len(rows)}),
  )


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('missing', [0, 4])
def test_adjusted_p_values_equal_statsmodels(seed, missing):
  rng = np.random.default_rng(seed)
  p = rng.random(14) ** 3
  p[3] = p[5]
  p[:missing] = np.nan
  p = rng.permutation(p)
  known = ~np.isnan(p)
  for ours, method in ((multiplicity.holm, 'holm'), (multiplicity.benjamini_hochberg, 'fdr_bh')):
    adjusted = ours(p)
    oracle = multitest.multipletests(p[known], method=method)[1]
    assert adjusted[known] == pytest.approx(oracle, abs=1e-15)
    assert np.isnan(adjusted[~known]).all()
  assert len(multiplicity.holm(np.array([]))) == 0


def test_every_number_equals_a_plain_loop_over_resampled_patients():
  one, other = runs()
  compared = compare(one, shuffled(other), replicates=12, seed=3, confidence=0.9)
  unique = np.unique(one.patients)
  counts = intervals.patient_counts(len(unique), 12, 3)
  drawn = {'auroc': np.zeros((12, 3)), 'auprc': np.zeros((12, 3))}
  of_first = {'auroc': np.zeros((12, 3)), 'auprc': np.zeros((12, 3))}
  figures = {
    'auroc': sklearn_metrics.roc_auc_score,
    'auprc': sklearn_metrics.average_precision_score,
  }
  for replicate in range(12):
    rows = np.concatenate(
      [
        np.tile(np.flatnonzero(np.array(one.patients) == p), n)
        for p, n in zip(unique, counts[replicate])
      ]
    )
    for label in range(3):
      known_rows = rows[one.known[rows, label]]
      for name, figure in figures.items():
        values = [
          figure(run.truth[known_rows, label], run.probabilities[known_rows, label])
          for run in (one, other)
        ]
        drawn[name][replicate, label] = values[0] - values[1]
        of_first[name][replicate, label] = values[0]
  for index, label in enumerate(LABELS):
    contrast, known = compared.labels[label], one.known[:, index]
    counted = (contrast.images, contrast.positives)
    assert counted == (known.sum(), one.truth[known, index].sum())
    for name, figure in figures.items():
      values = [figure(r.truth[known, index], r.probabilities[known, index]) for r in (one, other)]
      pair = getattr(contrast, name)
      assert [pair.one.value, pair.other.value] == pytest.approx(values, abs=1e-12)
      difference = pair.difference
      assert difference.value == pytest.approx(values[0] - values[1], abs=1e-12)
      if name == 'auroc':
        continue  # Without resampling, see below.
      bounds = np.quantile(drawn[name][:, index], (0.05, 0.95))
      assert difference.interval == pytest.approx(bounds, abs=1e-12)
      bounds = np.quantile(of_first[name][:, index], (0.05, 0.95))
      assert pair.one.interval == pytest.approx(bounds, abs=1e-12)
    scores = np.stack([run.probabilities[known, index] for run in (one, other)])
    groups = np.array(one.patients)[known]
    test = delong.paired_test(*auroc_covariance(scores, one.truth[known, index], groups))
    assert contrast.delong.z == pytest.approx(test.z, rel=1e-9)
    # Student's t of at least as many degrees as patients of the rarer class, less one.
    fewest = min(contrast.positive_patients, contrast.negative_patients) - 1
    normal, widest = stats.norm.ppf(0.95), stats.t.ppf(0.95, fewest)
    low, high = contrast.delong.interval
    assert low + high == pytest.approx(2 * test.difference)
    assert normal < (high - low) / 2 / test.standard_error <= widest
    assert contrast.auroc.difference.interval == contrast.delong.interval
    for figure, row in zip((contrast.auroc.one, contrast.auroc.other), scores):
      expected = delong.figure(row, one.truth[known, index], groups, 0.9).interval
      assert figure.interval == pytest.approx(expected, rel=1e-12)
  p = [contrast.delong.p for contrast in compared.labels.values()]
  holm = [contrast.p_holm for contrast in compared.labels.values()]
  assert holm == pytest.approx(multitest.multipletests(p, method='holm')[1], abs=1e-12)
  mean = compared.mean
  assert mean.labels == tuple(LABELS)
  values = [contrast.auroc.difference.value for contrast in compared.labels.values()]
  assert mean.auroc.difference.value == pytest.approx(np.mean(values), abs=1e-12)
  bounds = np.quantile(drawn['auprc'].mean(axis=1), (0.05, 0.95))
  assert mean.auprc.difference.interval == pytest.approx(bounds, abs=1e-12)
  assert mean.auroc.difference.interval == mean.delong.interval


def test_bootstrap_and_delong_say_about_the_same():
  compared = compare(*runs(patients=300), replicates=1000)
  for contrast in (compared.mean, *compared.labels.values()):
    assert contrast.auroc.difference.interval == pytest.approx(contrast.delong.interval, abs=0.012)


def test_the_memory_of_a_block_does_not_change_a_bit(monkeypatch):
  one, other = runs()
  whole = compare(one, other)
  monkeypatch.setattr(intervals, 'BLOCK_BYTES', 8 * len(one.images) * 7)
  assert compare(one, other) == whole


def test_the_other_way_round_everything_changes_sign():
  one, other = runs()
  there, back = compare(one, other), compare(other, one)
  for label in LABELS:
    a, b = (run.labels[label] for run in (there, back))
    assert a.auroc.difference.interval == pytest.approx(
      [-x for x in b.auroc.difference.interval[::-1]], abs=1e-12
    )
    assert a.p_holm == pytest.approx(b.p_holm)
  verdicts = [[run.labels[label].verdict for label in LABELS[1:]] for run in (there, back)]
  assert verdicts == [['superior', 'worse'], ['worse', 'superior']]


def test_equal_runs_are_not_compared_and_said_to_be_copies():
  one, _ = runs()
  compared = compare(one, shuffled(one))
  for contrast in (compared.mean, *compared.labels.values()):
    assert contrast.auroc.difference.value == 0
    # 0 to 0 would be certain, and two runs without an error would be found equal for good.
    assert contrast.auroc.difference.interval is None
    assert contrast.auroc.difference.reason == intervals.AGREE
    assert contrast.delong.p == 1 and contrast.delong.interval is None
    assert (contrast.non_inferior, contrast.different) == (None, None)
    assert contrast.verdict == contrasts.NOT_COMPARED
  assert any('copy of the other' in note for note in compared.notes)


@pytest.mark.parametrize(
  ('interval', 'p', 'margin', 'verdict'),
  [
    ([0.01, 0.05], 0.01, 0.02, (True, True, 'superior')),
    ([0.01, 0.05], 0.08, 0.02, (True, False, 'non-inferior')),  # not after Holm
    ([-0.01, 0.05], 0.2, 0.02, (True, False, 'non-inferior')),
    ([-0.02, 0.05], 0.2, 0.02, (False, False, 'undecided')),  # at the margin is not above it
    ([-0.018, -0.001], 0.03, 0.02, (True, True, 'worse within the margin')),
    ([-0.03, -0.001], 0.03, 0.02, (False, True, 'worse')),
    (None, 0.03, 0.02, (None, None, 'not compared')),
    ([0.01, 0.05], None, 0.02, (None, None, 'not compared')),
  ],
)
def test_verdicts(interval, p, margin, verdict):
  assert contrasts.verdict(interval, p, margin, 0.95) == verdict


def test_labels_that_cannot_be_compared_say_why():
  one, other = runs(gains=(0, 0, 0))
  truth, known = one.truth.copy(), one.known.copy()
  truth[:, 1] = 0
  truth[:, 2] = (np.array(one.patients) == 'p3') & known[:, 2]
  known[np.array(one.patients) == 'p3', 2] = True
  truth[np.array(one.patients) == 'p3', 2] = 1
  one, other = (run._replace(truth=truth, known=known) for run in (one, other))
  compared = compare(one, other)
  absent, single = (compared.labels[label] for label in LABELS[1:])
  assert absent.auroc.one.value is None and absent.auprc.difference.value is None
  assert absent.delong.reason == absent.auroc.difference.reason == 'no positives'
  assert absent.verdict == single.verdict == 'not compared'
  assert single.auroc.one.value is not None and single.p_holm is None
  assert single.auroc.difference.reason == 'all positives are of one patient'
  # The mean is that of the labels that can have an interval, and keeps its own.
  assert compared.mean.labels == ('Edema',)
  assert compared.mean.auroc.difference == compared.labels['Edema'].auroc.difference
  assert compared.labels['Edema'].p_holm == compared.labels['Edema'].delong.p
  assert any(note.endswith('compare: Mass.') for note in compared.notes)


def test_no_label_no_replicates_one_patient():
  one, other = (run._replace(known=np.zeros_like(run.known)) for run in runs())
  compared = compare(one, other)
  assert compared.mean.auroc.difference.reason == 'no label has both classes'
  assert compare(*runs(), replicates=0).mean.verdict == 'not compared'
  one, other = (run._replace(patients=['p'] * len(run.images)) for run in runs())
  assert 'fewer than two patients' in compare(one, other).mean.auroc.difference.reason
  one, other = (run._replace(patients=run.images) for run in runs())
  assert compare(one, other).notes[0].startswith('No patient identifiers')


def changed(run, **changes):
  return run._replace(**{name: change(getattr(run, name)) for name, change in changes.items()})


def kept(run, rows):
  parts = {
    name: np.asarray(getattr(run, name))[rows] for name in ('probabilities', 'truth', 'known')
  }
  names = {name: [getattr(run, name)[row] for row in rows] for name in ('images', 'patients')}
  return run._replace(**parts, **names)


def flipped(truth):
  truth = truth.copy()
  truth[4:6, 1] = 1 - truth[4:6, 1]
  return truth


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (lambda run: kept(run, range(5, len(run.images))),
     r"^5 images only in the first run's .*: 0.png, 1.png, 2.png, …; compare"),
    (lambda run: changed(run, images=lambda names: ['x.png', *names[1:]]),
     r"^1 image only in the first run's predictions: 0.png; compare"),
    (lambda run: run._replace(labels=['Edema', 'Masses', 'Fracture']),
     r"^label 'Mass' is only in the first run's .*did you mean 'Masses'"),
    (lambda run: changed(run, patients=lambda names: [*names[:-1], 'else']),
     r"is of patient 'p79' in the first run's .* 'else' in the second's"),
    (lambda run: changed(run, truth=flipped, known=lambda k: k | True),
     r"^image '.*', label '.*': the truth is .* in the first run's predictions and .*more"),
  ],
)  # fmt: skip
def test_runs_on_other_images_labels_patients_or_truth_are_refused(change, words):
  one, other = runs()
  with pytest.raises(InputError, match=words) as error:
    compare(one, change(other))
  assert '\n' not in str(error.value)


def test_images_only_in_the_second_and_a_truth_known_to_one():
  one, other = runs()
  with pytest.raises(InputError, match=r"only in the second run's predictions: 0\.png"):
    compare(kept(one, range(1, len(one.images))), other)
  row, label = (int(index[0]) for index in np.nonzero(one.known))
  known = other.known.copy()
  known[row, label] = False
  with pytest.raises(
    InputError, match=f"'{row}.png', label 'Edema': .* and not known in the second"
  ):
    compare(one, other._replace(known=known))


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'margin': -0.1}, 'margin is -0.1'),
    ({'margin': float('nan')}, 'margin is nan'),
    ({'confidence': 95}, 'confidence is 95'),
    ({'replicates': -1}, '-1 replicates'),
  ],
)
def test_settings_that_cannot_be(settings, words):
  with pytest.raises(InputError, match=words):
    compare(*runs(), **settings)
