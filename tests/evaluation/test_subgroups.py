"""Figures of subgroups and their gaps, against pandas, scikit-learn and a plain bootstrap."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from drawn_subgroups import LABELS, THRESHOLDS, by_value, drawn
from sklearn import metrics as sklearn

from medjax.evaluation import levels, results_file, subgroup_notes, subgroups, value_groups
from medjax.evaluation.figure import Figure
from medjax.evaluation.statistics import intervals, proportions


def plain(scores, truth, threshold):
  """Every figure of scikit-learn, NaN where it has none."""
  if len(set(truth)) < 2:
    return dict.fromkeys(subgroups.NEEDS, np.nan)
  called = scores >= threshold
  return {
    'auroc': sklearn.roc_auc_score(truth, scores),
    'auprc': sklearn.average_precision_score(truth, scores),
    'sensitivity': sklearn.recall_score(truth, called),
    'specificity': sklearn.recall_score(truth, called, pos_label=0),
    'ppv': sklearn.precision_score(truth, called, zero_division=np.nan),
    'npv': sklearn.precision_score(truth, called, pos_label=0, zero_division=np.nan),
    'brier': sklearn.brier_score_loss(truth, scores),
  }


def test_figures_and_counts_are_those_of_each_subset():
  test = drawn()
  by_column, _ = subgroups.summarise(test, THRESHOLDS, ['sex', 'age', 'view', 'set'], replicates=0)
  assert list(by_column) == ['sex', 'age', 'view']  # one set has nothing beside it
  reported = 0
  for column in by_column:
    values = value_groups.of_values(column, test.about[column])
    frame = pd.DataFrame({'value': values, 'patient': test.patients}).groupby('value')
    assert {group.value for group in by_column[column]} == set(values)
    for value, group in by_value(by_column, column).items():
      rows = np.array(values) == value
      assert group.images == frame.size()[value] == rows.sum()
      assert group.patients == frame['patient'].nunique()[value]
      areas = []
      for index, label in enumerate(LABELS):
        label_figures, kept = group.labels[label], rows & test.known[:, index]
        scores, truth = test.probabilities[kept, index].astype(float), test.truth[kept, index]
        assert (label_figures.images, label_figures.positives) == (kept.sum(), truth.sum())
        assert label_figures.negatives == (1 - truth).sum()
        assert label_figures.prevalence == pytest.approx(truth.mean())
        patients = np.array(test.patients)[kept]
        assert label_figures.positive_patients == len(set(patients[truth == 1]))
        assert label_figures.negative_patients == len(set(patients[truth == 0]))
        for name, expected in plain(scores, truth, THRESHOLDS[label]).items():
          if getattr(label_figures, name).value is None:
            assert re.match('too few', getattr(label_figures, name).reason)
            continue
          reported += 1
          assert getattr(label_figures, name).value == pytest.approx(expected, abs=1e-9), (
            value,
            name,
          )
          if name == 'auroc':
            areas.append(expected)
      if areas:
        assert group.mean_auroc.value == pytest.approx(np.mean(areas), abs=1e-9)
  assert reported > 80


def test_rates_have_wilsons_interval_over_patients():
  test = drawn(80, 240)
  by_column, _ = subgroups.summarise(
    test, THRESHOLDS, ['view'], replicates=8, seed=3, confidence=0.9
  )
  for value, group in by_value(by_column, 'view').items():
    rows = test.about['view'] == (value if value != 'not recorded' else '')
    for index, label in enumerate(LABELS):
      frame = pd.DataFrame(
        {'patient': test.patients, 'known': test.known[:, index], 'true': test.truth[:, index]}
      ).assign(called=test.probabilities[:, index].astype(float) >= THRESHOLDS[label])
      positive = frame[rows & frame['known'] & (frame['true'] == 1)].groupby('patient')['called']
      figure = group.labels[label].sensitivity
      if figure.interval:
        assert figure.interval == proportions.wilson(positive.sum(), positive.size(), 0.9)


def test_intervals_are_those_of_a_plain_bootstrap_over_patients():
  # A patient has images of several views: a draw of the patient counts for all of them at once.
  test, replicates = drawn(80, 240), 8
  by_column, _ = subgroups.summarise(
    test, THRESHOLDS, ['view'], replicates=replicates, seed=3, confidence=0.9
  )
  groups = by_value(by_column, 'view')
  del groups['not recorded']
  names, patient = np.unique(test.patients, return_inverse=True)
  counts = intervals.patient_counts(len(names), replicates, 3)
  drawn_figures = []
  for row in counts:
    of_row = {}
    for value in groups:
      rows = np.flatnonzero(test.about['view'] == value)
      rows = np.repeat(rows, row[patient[rows]])
      for index, label in enumerate(LABELS):
        kept = rows[test.known[rows, index]]
        scores, truth = test.probabilities[kept, index].astype(float), test.truth[kept, index]
        of_row[value, label] = plain(scores, truth, THRESHOLDS[label])
    drawn_figures.append(of_row)
  compared = 0
  for value, group in groups.items():
    for label in LABELS:
      for name in subgroups.NEEDS:
        drawn_values = [row[value, label][name] for row in drawn_figures]
        reference_values = [row['PA', label][name] for row in drawn_figures]
        other = name in ('auroc', 'sensitivity', 'specificity', 'ppv', 'npv')  # Not resampled.
        mine = [] if other else [(getattr(group.labels[label], name), drawn_values)]
        if value != 'PA' and name in subgroups.GAPS and name != 'auroc':
          gap = np.subtract(drawn_values, reference_values)
          mine.append((getattr(group.labels[label].gaps, name), gap))
        for figure, expected in mine:
          if figure.interval:
            compared += 1
            assert not np.isnan(expected).any()
            np.testing.assert_allclose(
              figure.interval, np.quantile(expected, (0.05, 0.95)), atol=1e-9
            )
  assert compared == 20
  assert groups['PA'].reference and groups['PA'].mean_gap is None
  assert groups['PA'].labels['Edema'].gaps is None


def test_intervals_of_aurocs_and_gaps_are_as_wide_as_a_jackknife_over_patients_says():
  # The views share patients, which the gap has to know.
  test = drawn(80, 400)
  by_column, _ = subgroups.summarise(test, THRESHOLDS, ['view'], replicates=20, confidence=0.9)
  groups = by_value(by_column, 'view')
  patients = np.asarray(test.patients)

  def aurocs(kept):
    values = []
    for value in ('AP', 'PA'):
      for index, _ in enumerate(LABELS):
        rows = kept & (np.asarray(test.about['view']) == value) & test.known[:, index]
        values.append(
          sklearn.roc_auc_score(test.truth[rows, index], test.probabilities[rows, index])
        )
    ap, pa = np.reshape(values, (2, -1))
    return np.array([*ap, *pa, *(ap - pa), ap.mean(), (ap - pa).mean()])

  left_out = np.array([aurocs(patients != name) for name in np.unique(patients)])
  errors = np.sqrt((len(left_out) - 1) * left_out.var(axis=0))
  intervals_of = [
    *(groups[value].labels[label].auroc.interval for value in ('AP', 'PA') for label in LABELS),
    *(groups['AP'].labels[label].gaps.auroc.interval for label in LABELS),
    groups['AP'].mean_auroc.interval,
    groups['AP'].mean_gap.interval,
  ]
  half = np.diff(np.array(intervals_of)).ravel() / 2 / 1.645
  np.testing.assert_allclose(half, errors, rtol=0.12)


def test_a_gap_is_the_value_less_the_reference():
  by_column, _ = subgroups.summarise(drawn(), THRESHOLDS, ['sex'], replicates=20)
  groups = by_value(by_column, 'sex')
  assert groups['M'].reference and not groups['F'].reference  # more patients are M
  for label in LABELS:
    for name in subgroups.GAPS:
      one, other = (getattr(groups[value].labels[label], name).value for value in 'FM')
      gap = getattr(groups['F'].labels[label].gaps, name)
      assert gap.value == pytest.approx(one - other, abs=1e-12)
      assert gap.interval[0] <= gap.value <= gap.interval[1]


def test_the_seed_alone_decides_what_is_drawn():
  test = drawn(30, 60)
  once, again = (
    subgroups.summarise(test, THRESHOLDS, ['sex'], replicates=30, seed=5)[0] for _ in range(2)
  )
  other = subgroups.summarise(test, THRESHOLDS, ['sex', 'view'], replicates=30, seed=5)[0]
  assert once == again and once['sex'] == other['sex']
  assert once != subgroups.summarise(test, THRESHOLDS, ['sex'], replicates=30, seed=6)[0]


def test_a_planted_gap_is_found_and_said():
  test = drawn(600, 1500, gap=1.0, seed=1)
  by_column, said = subgroups.summarise(test, THRESHOLDS, ['sex', 'view'], replicates=200)
  gap = by_value(by_column, 'sex')['F'].mean_gap
  assert gap.interval[1] < -0.1
  assert any(
    re.match(r'Mean AUROC differs by sex: −0\.\d+ \(−0\.\d+ to −0\.\d+\) for F against M\.', line)
    for line in said
  )
  compared = list(subgroup_notes.comparisons(by_column))
  # 1 and 3 values beside the reference, each with the mean and three figures of two labels.
  assert len(compared) == (1 + 3) * (1 + 3 * 2)
  apart = sum(subgroup_notes.excludes_zero(comparison.gap) for comparison in compared)
  assert said[-1].startswith(f'Of 28 comparisons between subgroups, {apart} have an interval')
  assert 'about 1.4 would by chance' in said[-1]
  assert len([line for line in said if 'differs by' in line]) == min(apart, subgroup_notes.SAID)


def test_without_gaps_as_many_stand_out_as_chance_has_it():
  apart = compared = 0
  for seed in range(30):
    test = drawn(120, 240, seed=seed, labels=['Mass'])
    by_column, _ = subgroups.summarise(test, {'Mass': 0.45}, ['sex'], replicates=200, seed=seed)
    gaps = [comparison.gap for comparison in subgroup_notes.comparisons(by_column)]
    apart, compared = apart + sum(map(subgroup_notes.excludes_zero, gaps)), compared + len(gaps)
  assert compared == 90 and apart / compared < 0.15  # 5 % expected; the three are not independent


@pytest.mark.parametrize(
  ('column', 'values', 'expected'),
  [
    (
      'age',
      ['0', '17', '17.9', '18', '39', '40', '59', '60', '79', '80', '120', '121', '414', '-1', ''],
      ['0-17', '0-17', '0-17', '18-39', '18-39', '40-59', '40-59', '60-79', '60-79', '80+', '80+']
      + ['not recorded'] * 4,
    ),
    ('age', ['58.0', ' 7 ', '80+', '18-39'], ['40-59', '0-17', '80+', '18-39']),  # bands already
    ('sex', ['F', 'M', '', 'F '], ['F', 'M', 'not recorded', 'F']),
    ('grade', list('0123012'), list('0123012')),  # few numbers are values
    ('site', [str(n) for n in range(20)], [str(n) for n in range(20)]),  # names, not numbers
    ('kvp', ['x', *map(str, range(20))], ['x', *map(str, range(20))]),  # not all of them numbers
    (
      'kvp',
      [str(n) for n in range(60, 100)] + [''],
      ['60 to 69'] * 10
      + ['70 to 79'] * 10
      + ['80 to 89'] * 10
      + ['90 to 99'] * 10
      + ['not recorded'],
    ),
    ('kvp', ['0'] * 60 + [str(n) for n in range(20)], None),
    ('age', [], []),
  ],
)
def test_bands(column, values, expected):
  bands = value_groups.of_values(column, values)
  if expected is None:  # most are one number, so that quartiles coincide
    assert bands[:61] == ['0'] * 61 and set(bands[61:]) == {'1 to 19'}
  else:
    assert bands == expected


def test_quartile_bands_hold_a_quarter_of_the_images_and_come_in_their_order():
  test = drawn()
  dose = np.random.default_rng(0).lognormal(2, 1, 400)
  about = test.about.assign(dose=[f'{value_text:.3f}' for value_text in dose])
  by_column, _ = subgroups.summarise(test._replace(about=about), THRESHOLDS, ['dose'], replicates=0)
  assert [group.images for group in by_column['dose']] == [100] * 4
  lows = [float(group.value.split(' to ')[0]) for group in by_column['dose']]
  assert lows == sorted(lows)


def test_many_values_keep_the_largest_and_say_so():
  test = drawn(300, 600)
  number = np.minimum(np.random.default_rng(0).geometric(0.12, 600), 30)
  about = test.about.assign(site=[f'{value_text} hospital' for value_text in number])
  about.loc[:9, 'site'] = ''
  by_column, said = subgroups.summarise(
    test._replace(about=about), THRESHOLDS, ['site'], replicates=0
  )
  groups = by_column['site']
  sizes = about.assign(patient=test.patients).groupby('site')['patient'].nunique().drop('')
  sizes = sizes.sort_values(ascending=False)
  reported = [group for group in groups if group.value not in ('other', 'not recorded')]
  assert [group.value for group in groups[-2:]] == ['other', 'not recorded'] and len(reported) == 12
  assert min(group.patients for group in reported) >= sizes.iloc[12:].max()
  other = groups[-2]
  assert other.merged == len(sizes) - 12 and not other.reference
  assert sum(group.images for group in groups) == 600
  assert said == [
    f'Site has {len(sizes)} values; the {len(sizes) - 12} with the fewest patients are reported '
    "together as 'other'."
  ]
  # Thirteen are no more lines than twelve and 'other'.
  about['site'] = [str(value_text) for value_text in np.arange(600) % 13]
  by_column, said = subgroups.summarise(
    test._replace(about=about), THRESHOLDS, ['site'], replicates=0
  )
  assert len(by_column['site']) == 13 and not said


def test_too_few_patients_say_so_in_place_of_a_figure():
  test = drawn(200, 200)
  sex = np.array(['M'] * 188 + ['F'] * 12)
  truth, known = test.truth.copy(), np.ones((200, 2), bool)
  truth[188:, 0], truth[188:, 1] = [1] * 3 + [0] * 9, 0  # 3 and 9, and none and 12
  test = test._replace(about=pd.DataFrame({'sex': sex}), truth=truth, known=known)
  by_column, said = subgroups.summarise(
    test, {'Edema': 0.5, LABELS[1]: None}, ['sex'], replicates=50
  )
  groups = by_value(by_column, 'sex')
  edema, mass = (groups['F'].labels[label] for label in LABELS)
  assert edema.auroc == Figure(None, reason='too few positives: 3 patients')
  for name in ('sensitivity', 'ppv', 'npv', 'auprc'):
    assert getattr(edema, name).value is None and getattr(edema, name).reason.endswith(
      ': 3 patients'
    )
  assert edema.specificity.reason == 'too few negatives: 9 patients'
  assert edema.brier.value is not None
  assert mass.auroc.reason == 'no positives'
  assert mass.specificity.reason == 'no operating point'
  assert groups['M'].labels[LABELS[1]].sensitivity.reason == 'no operating point'
  assert groups['M'].labels[LABELS[1]].auroc.interval
  assert groups['F'].mean_auroc.value is None and groups['F'].mean_labels == ()
  assert 'no label has enough patients' in groups['F'].mean_auroc.reason
  assert edema.gaps.auroc.reason == 'too few positives: 3 patients'
  assert not said  # nothing could be compared
  # Where it is the reference that has too few, the gap names it.
  truth[:188, 0] = 0
  truth[188:, 0] = [1] * 2 + [0] * 10
  by_column, _ = subgroups.summarise(test._replace(truth=truth), THRESHOLDS, ['sex'], replicates=50)
  gap = by_value(by_column, 'sex')['F'].labels['Edema'].gaps
  assert gap.specificity.interval and gap.sensitivity.value is None


def test_a_gap_names_a_reference_that_has_too_few():
  test = drawn(200, 200)
  sex = np.array(['M'] * 140 + ['F'] * 60)
  truth = test.truth.copy()
  truth[:140, 0] = 0
  by_column, _ = subgroups.summarise(
    test._replace(about=pd.DataFrame({'sex': sex}), truth=truth), THRESHOLDS, ['sex'], replicates=50
  )
  group = by_value(by_column, 'sex')['F']
  assert group.labels['Edema'].gaps.auroc.reason == 'M: no positives'
  # The mean is of both labels, its gap of the one that the reference has too.
  assert group.mean_labels == tuple(LABELS) and group.gap_labels == (LABELS[1],)
  assert group.mean_gap.value == group.labels[LABELS[1]].gaps.auroc.value


def test_nothing_called_positive_has_no_precision():
  by_column, _ = subgroups.summarise(drawn(), dict.fromkeys(LABELS, 2.0), ['sex'], replicates=20)
  label_figures = by_column['sex'][0].labels['Edema']
  assert label_figures.ppv.value is None and label_figures.ppv.reason == 'none was called positive'
  assert (label_figures.sensitivity.value, label_figures.specificity.value) == (0, 1)
  assert label_figures.npv.value == pytest.approx(1 - label_figures.prevalence)


def test_a_column_without_values_is_ignored():
  test = drawn()
  assert subgroups.summarise(test, THRESHOLDS, ['scanner', 'set'], replicates=5) == ({}, [])
  assert subgroups.summarise(test._replace(about=None), THRESHOLDS, ['sex']) == ({}, [])
  blank = test._replace(about=test.about.assign(sex=''))
  assert subgroups.summarise(blank, THRESHOLDS, ['sex'], replicates=5) == ({}, [])


def test_missing_values_and_other_indices_of_the_table_do_no_harm():
  # As it comes from a study table: rows of it, numbers, NaN where nothing is recorded.
  test = drawn()
  about = test.about.assign(age=test.about['age'].astype(float))
  about.loc[:9, 'age'] = np.nan
  about.index = np.arange(400)[::-1] * 7
  by_column, _ = subgroups.summarise(test._replace(about=about), THRESHOLDS, ['age'], replicates=0)
  assert by_column['age'][-1].value == 'not recorded' and by_column['age'][-1].images == 10
  assert [group.value for group in by_column['age'][:-1]] == [
    '0-17',
    '18-39',
    '40-59',
    '60-79',
    '80+',
  ]


def test_it_is_json_and_draws_no_replicates_if_asked():
  by_column, said = subgroups.summarise(drawn(), THRESHOLDS, ['sex'], replicates=0)
  json.dumps(results_file.to_plain(by_column), allow_nan=False)
  assert not said
  gap = by_value(by_column, 'sex')['F'].mean_gap
  assert gap.value is not None and gap.reason == 'no replicates were drawn'


def test_at_the_level_of_patients_views_that_differ_are_not_recorded():
  test = levels.to_level(drawn(), 'patient')
  by_column, _ = subgroups.summarise(test, THRESHOLDS, ['sex', 'view'], replicates=0)
  assert sum(group.images for group in by_column['view']) == 150
  assert by_column['view'][-1].value == 'not recorded' and by_column['view'][-1].images > 50
