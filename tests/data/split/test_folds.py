"""Folds by patient: everybody in exactly one, balanced in every label, and what is refused."""

import numpy as np
import pytest
import split_studies

from medjax.config import Split
from medjax.data.split import folds
from medjax.errors import InputError
from medjax.report.sections import proof_words


def counted(made, fold):
  """Returns i64[folds, 1 + L], patients and positive patients of each fold, by loops."""
  by_patient = split_studies.by_patient(made, fold)  # Asserts that a patient is in one fold.
  counts = np.zeros((max(fold) + 1, 1 + made[1].shape[1]), int)
  for number, pattern in by_patient.values():
    counts[number] += (1, *pattern)
  return counts


@pytest.mark.parametrize(('patients', 'number'), [(137, 5), (400, 3), (60, 10)])
def test_folds_are_of_one_size_and_balanced_in_every_label(patients, number):
  spans = []
  for seed in range(20):
    made = split_studies.study(patients, seed=seed)
    counts = counted(made, folds.make(*made, folds=number, seed=seed).fold)
    assert len(counts) == number and counts[:, 0].sum() == patients
    spans.append(np.ptp(counts, axis=0))
  assert np.max(spans, axis=0)[0] <= 1
  # By chance alone the commonest label would differ by 5 and more.
  assert np.mean(spans, axis=0)[1:].max() < 1.6 and np.max(spans) <= 3


def test_row_order_changes_nothing_and_the_seed_does():
  made = split_studies.study(80)
  table, truth, known = made
  one = folds.make(*made, folds=5, seed=0).fold
  order = np.random.default_rng(0).permutation(len(table))
  other = folds.make(
    table.iloc[order].reset_index(drop=True), truth[order], known[order], folds=5, seed=0
  ).fold
  np.testing.assert_array_equal(other, one[order])
  assert (folds.make(*made, folds=5, seed=1).fold != one).any()


def test_each_is_tested_once_and_never_by_a_split_that_trained_on_them():
  made = split_studies.study(90)
  table, truth, known = made
  tested = []
  for fold in range(4):
    settings = Split(validation=0.2, folds=4, fold=fold, seed=3)
    sides, how = folds.split(table, truth, known, split_studies.LABELS, settings)
    names = {side: set(table['patient'][sides == side]) for side in ('train', 'validation', 'test')}
    assert sum(map(len, names.values())) == 90 and len(names['validation']) == 18
    assert how['test'] == {
      'from': 'folds',
      'folds': 4,
      'fold': fold,
      'name': str(fold),
      'notes': [],
    }
    assert how['validation']['from'] == 'drawn'
    tested += sorted(names['test'])
  assert sorted(tested) == sorted(set(table['patient']))


def test_sites_are_folds_and_a_patient_of_two_is_of_the_one_with_most_images():
  table, truth, known = split_studies.one_image_each(['100', '010', '001', '000', '110', '000'])
  table['patient'] = ['a', 'a', 'a', 'b', 'b', 'c']
  table['site'] = ['north', 'south', 'south', 'north', 'north', 'south']
  made = folds.make(table, truth, known, folds='site', seed=0)
  assert made.names == ('north', 'south') and made.fold.tolist() == [1, 1, 1, 0, 0, 1]
  assert made.notes == (
    '1 patient with images of several sites: each is tested with the site that has most of them, '
    'all images together.',
  )


def two_sites():
  """A table of 200 patients of a site with 40% positive, and of 300 of one with 10%."""
  patterns = ['100'] * 80 + ['000'] * 120 + ['100'] * 30 + ['000'] * 270
  table, truth, known = split_studies.one_image_each(patterns)
  table['site'] = ['north'] * 200 + ['south'] * 300
  return table, truth, known


@pytest.mark.parametrize(('fold', 'prevalence', 'patients'), [(0, 0.1, 60), (1, 0.4, 60)])
def test_validation_of_a_site_has_the_prevalence_of_the_others(fold, prevalence, patients):
  table, truth, known = two_sites()
  settings = Split(validation=patients, folds='site', fold=fold)
  sides, how = folds.split(table, truth, known, split_studies.LABELS, settings)
  for part in ('validation', 'train'):
    assert truth[sides == part, 0].mean() == pytest.approx(prevalence, abs=0.01)
  assert (sides == 'validation').sum() == patients
  assert how['validation']['like'] == 'rest' and how['validation']['rationed'] == []
  said = dict(proof_words.rows({'how': how}))['Validation']
  assert 'as frequent as among all who are not tested: Mass' in said and 'test set' not in said


def test_labels_of_the_site_that_is_tested_choose_nothing():
  table, truth, known = two_sites()
  settings = Split(validation=50, folds='site', fold=1)
  other, of_site = truth.copy(), table['site'] == 'south'
  other[of_site] = np.random.default_rng(0).random((of_site.sum(), truth.shape[1])) < 0.5
  unknown = known & ~of_site.to_numpy()[:, None]
  one, *others = (
    folds.split(table, labels, there, split_studies.LABELS, settings)[0]
    for labels, there in ((truth, known), (other, known), (truth, unknown))
  )
  assert all((one == split).all() for split in others)


@pytest.mark.parametrize(
  ('settings', 'site', 'words'),
  [
    ({'folds': 7}, None, 'config.split.folds=7: there are 6 patients'),
    ({'folds': 'site'}, None, "the table has no column 'site'"),
    ({'folds': 'site'}, ['x'] * 6, "all images are of the site 'x'"),
    ({'folds': 'site'}, [*'xxyyx', ''], "column 'site' is empty for 1 image, such as '0005.png'"),
    ({'folds': 'site', 'fold': 2}, [*'xxyyxx'], 'config.split.fold=2: must be from 0 to 1'),
    ({'folds': 3}, None, 'config.split.folds=3: here one of them must be named'),
  ],
)
def test_mistakes_are_one_line(settings, site, words):
  table, truth, known = split_studies.one_image_each(['100'] * 6)
  if site:
    table['site'] = site
  settings = {'fold': -1 if settings == {'folds': 3} else 0} | settings
  with pytest.raises(InputError) as error:
    folds.split(table, truth, known, split_studies.LABELS, Split(validation=1, **settings))
  assert words in str(error.value) and '\n' not in str(error.value)
