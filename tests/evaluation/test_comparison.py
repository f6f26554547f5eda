"""Two runs on the same images, against statsmodels, scikit-learn and what must be so by design."""

import dataclasses
import html.parser
import json

import numpy as np
import pandas as pd
import pytest
from auroc_covariance import auroc_covariance
from sklearn import metrics as sklearn_metrics
from statsmodels.stats import multitest

from medjax.errors import InputError
from medjax.evaluation import comparison, contrasts, results_file, wording
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import delong, intervals, multiplicity
from medjax.report import comparison_page

LABELS = ['Edema', 'Mass', 'Fracture']


def runs(seed=0, patients=80, gains=(0.0, 0.9, -0.9), unlike=0.5):
  """Returns two runs' predictions; the first knows more of each label, by `gains`."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
  size = (len(patient), len(gains))
  truth = (rng.random(size) < 0.35).astype(np.float32)
  shared = rng.normal(0, 0.5, (patients, len(gains)))[patient] + rng.normal(0.9 * truth, 1)
  known = rng.random(size) < 0.9
  probabilities = [
    1 / (1 + np.exp(-shared - unlike * rng.normal(size=size) - gain * truth))
    for gain in (np.array(gains), 0)
  ]
  return [
    Predictions(
      [f'{index}.png' for index in range(len(patient))],
      [f'p{number}' for number in patient],
      LABELS[: len(gains)],
      run.astype(np.float32).round(2),
      np.where(known, truth, 0),
      known,
    )
    for run in probabilities
  ]


def compare(one, other, **settings):
  compared = comparison.compare(one, other, **{'margin': 0.05, 'replicates': 200} | settings)
  plain = json.loads(json.dumps(results_file.to_plain(compared), allow_nan=False))
  assert results_file.from_plain(plain, contrasts.Comparison) == compared
  return compared


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
  for index, label in enumerate(LABELS):
    contrast, known = compared.labels[label], one.known[:, index]
    counted = (contrast.images, contrast.positives)
    assert counted == (known.sum(), one.truth[known, index].sum())
    for name, figure in figures.items():
      values = [figure(r.truth[known, index], r.probabilities[known, index]) for r in (one, other)]
      pair = getattr(contrast, name)
      assert [pair.one, pair.other] == pytest.approx(values, abs=1e-12)
      difference = pair.difference
      assert difference.value == pytest.approx(values[0] - values[1], abs=1e-12)
      bounds = np.quantile(drawn[name][:, index], (0.05, 0.95))
      assert difference.interval == pytest.approx(bounds, abs=1e-12)
    scores = np.stack([run.probabilities[known, index] for run in (one, other)])
    groups = np.array(one.patients)[known]
    test = delong.paired_test(*auroc_covariance(scores, one.truth[known, index], groups))
    assert contrast.delong.p == pytest.approx(test.p, rel=1e-9)
    assert contrast.delong.interval == pytest.approx(delong.difference_interval(test, 0.9))
  p = [contrast.delong.p for contrast in compared.labels.values()]
  holm = [contrast.p_holm for contrast in compared.labels.values()]
  assert holm == pytest.approx(multitest.multipletests(p, method='holm')[1], abs=1e-12)
  mean = compared.mean
  assert mean.labels == tuple(LABELS)
  values = [contrast.auroc.difference.value for contrast in compared.labels.values()]
  assert mean.auroc.difference.value == pytest.approx(np.mean(values), abs=1e-12)
  bounds = np.quantile(drawn['auroc'].mean(axis=1), (0.05, 0.95))
  assert mean.auroc.difference.interval == pytest.approx(bounds, abs=1e-12)


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


def test_equal_runs_are_non_inferior_and_said_to_be_copies():
  one, _ = runs()
  compared = compare(one, shuffled(one))
  for contrast in (compared.mean, *compared.labels.values()):
    assert contrast.auroc.difference.value == 0
    assert contrast.auroc.difference.interval == (0, 0)
    assert contrast.delong.p == 1 and contrast.delong.interval is None
    assert (contrast.non_inferior, contrast.different, contrast.verdict) == (
      True,
      False,
      'non-inferior',
    )
  assert any('copy of the other' in note for note in compared.notes)
  assert compare(one, one, margin=0).mean.verdict == 'undecided'


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
  assert absent.auroc.one is None and absent.auprc.difference.value is None
  assert absent.delong.reason == absent.auroc.difference.reason == 'no positives'
  assert absent.verdict == single.verdict == 'not compared'
  assert single.auroc.one is not None and single.p_holm is None
  assert single.auroc.difference.reason == 'all positives are of one patient'
  assert compared.mean.labels == ('Edema', 'Fracture')
  reason = 'Fracture: all positives are of one patient'
  assert compared.mean.auroc.difference.reason == reason
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


class Reader(html.parser.HTMLParser):
  """Checks that elements close in order, and gathers text and addresses."""

  def __init__(self):
    super().__init__()
    self.open, self.text, self.tags = [], [], set()

  def handle_starttag(self, name, attributes):
    self.tags.add(name)
    assert not {'src', 'href'} & {key for key, _ in attributes}
    if name != 'meta':
      self.open.append(name)

  def handle_endtag(self, name):
    assert self.open.pop() == name

  def handle_data(self, text):
    self.text.append(text)


def read(page):
  reader = Reader()
  reader.feed(page)
  assert not reader.open and 'script' not in reader.tags
  return ' '.join(' '.join(reader.text).split())


def test_the_page_says_the_answer_first_and_escapes_what_it_is_given():
  one, other = (run._replace(labels=['T1 < 2 & N0', 'Mass', 'Fracture']) for run in runs())
  compared = compare(one, other, between=('runs/<b>new', 'runs/old'))
  page = comparison_page.render(
    compared,
    facts={'Checkpoint': 'step 9'},
    notes=['The runs split their patients differently.'],
    warning='Not a fair test.',
  )
  text = read(page)
  assert '<b>new' not in page and 'runs/<b>new against runs/old' in text
  assert 'T1 < 2 & N0' in text and 'Checkpoint step 9' in text
  order = [
    'Not a fair test.',
    'Difference in mean AUROC of 3 labels',
    '95% interval',
    'split their',
  ]
  places = [text.index(words) for words in order]
  assert places == sorted(places)
  for contrast in (compared.mean, *compared.labels.values()):
    assert wording.signed(contrast.auroc.difference.value, 3) in text


@pytest.mark.parametrize('verdict', comparison_page.WORDS)
def test_the_page_has_a_sentence_for_every_verdict(verdict):
  compared = compare(*runs(gains=(0.5,)), between=('A', 'B'))
  mean = dataclasses.replace(compared.mean, verdict=verdict)
  compared = dataclasses.replace(compared, mean=mean)
  text = read(comparison_page.render(compared))
  assert comparison_page.in_words(compared)[1] in text
  assert ('A is' in text.split('What weakens')[0]) == (verdict not in ('undecided', 'not compared'))
  assert 'Mean of' not in text  # of one label


def test_the_answer_in_words_begins_with_the_numbers():
  one, other = (run._replace(patients=run.images) for run in runs(gains=(0.5,)))
  compared = compare(one, other, between=('A', 'B'))
  first, _, *notes = comparison_page.in_words(compared)
  auroc = compared.mean.auroc

  def signed(value):
    return wording.signed(value, 3)

  value, bounds = auroc.difference.value, auroc.difference.interval
  assert first.startswith(f'AUROC of Edema: A {auroc.one:.3f}, B {auroc.other:.3f}, difference ')
  assert first.endswith(
    f'{signed(value)} (95% interval {signed(bounds[0])} to {signed(bounds[1])})'
  )
  assert notes[0].startswith('note: No patient identifiers')


def test_the_page_without_any_figure():
  one, other = (run._replace(known=np.zeros_like(run.known)) for run in runs())
  text = read(comparison_page.render(compare(one, other, margin=0)))
  assert comparison_page.in_words(compare(one, other))[0] == (
    'No difference in AUROC: no label has both classes'
  )
  assert 'No interval: no label has both classes.' in text and 'No verdict' in text


def test_signs_and_small_p_values():
  assert [wording.signed(x, 3) for x in (0.0121, -0.0004, -0.02, None)] == [
    '+0.012',
    '0.000',
    '−0.020',
    '–',
  ]
  assert comparison_page.p_value(1e-9).startswith('<') and comparison_page.p_value(0.04) == '0.040'


def test_the_page_counts_what_is_tested():
  for unit, words in (('study', 'studies'), ('image', 'images')):
    compared = compare(*runs(), unit=unit)
    text = read(comparison_page.render(compared))
    assert f'{compared.test.images:,} {words} in the test set' in text
