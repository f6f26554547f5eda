"""The publisher's own split: of one set, of several, and in part."""

import numpy as np
import pandas as pd
import pytest
from split_studies import LABELS, by_patient, make, one_image_each, patterns_of, positives, study

from medjax.data.split import by_patient as splits
from medjax.data.split import split_files
from medjax.errors import InputError

OFFICIAL = ['test'] * 20 + ['validation'] * 30 + [''] * 10 + ['train'] * 140


def test_official_test_and_validation():
  made = study(200, official=OFFICIAL)
  split, how = make(made, 'official', 'official')
  column = made[0]['official_split'].to_numpy()
  np.testing.assert_array_equal(split, np.where(column == '', 'unused', column))
  assert how['test']['from'] == how['validation']['from'] == 'official'
  assert how['unused'] == {'images': int((column == '').sum()), 'patients': 10}


def test_official_test_with_a_validation_set_of_ones_own():
  made = study(200, official=OFFICIAL)
  # The share is of the 190 patients that are not left out.
  split, _ = make(made, 'official or 0.3', 0.2)
  column = made[0]['official_split'].to_numpy()
  np.testing.assert_array_equal(split == 'test', column == 'test')
  np.testing.assert_array_equal(split == 'unused', column == '')
  assert len(patterns_of(made, split, 'validation')) == 38
  assert set(column[split == 'validation']) == {'train', 'validation'}


def test_official_validation_with_a_test_set_of_ones_own():
  made = study(200, official=OFFICIAL)
  split, _ = make(made, 50, 'official')
  column = made[0]['official_split'].to_numpy()
  np.testing.assert_array_equal(split == 'validation', column == 'validation')
  assert len(patterns_of(made, split, 'test')) == 50
  assert set(column[split == 'test']) == {'test', 'train', ''}
  assert 'unused' not in split


def test_the_official_split_is_let_alone_where_it_is_not_asked_for():
  made = study(200, official=OFFICIAL)
  split, _ = make(made)
  np.testing.assert_array_equal(split, make(study(200))[0])


def test_official_or_a_share_where_there_is_no_official_split():
  made = study(100)
  split, how = make(made, 'official or 0.3', 'official or 12')
  assert how['test']['from'] == 'drawn'
  assert len(patterns_of(made, split, 'test')) == 30
  assert len(patterns_of(made, split, 'validation')) == 12


# Several sets: the first has a test set of its own, the second is of training rows, the third has
#   none.
SETS = ['nih'] * 60 + ['train'] * 40 + ['pc'] * 100
PARTS = ['train'] * 30 + ['test'] * 20 + [''] * 10 + ['train'] * 40 + [''] * 100


def of_several():
  made = study(200, official=PARTS)
  datasets = np.array(SETS, object)[made[0]['patient'].str[1:].astype(int)]
  made[0]['dataset'] = datasets
  return made, datasets, made[0]['official_split'].to_numpy()


def test_each_of_several_sets_is_asked_for_its_official_split():
  made, datasets, column = of_several()
  split, how = make(made, 'official or 0.2', 0.1)
  np.testing.assert_array_equal(
    split[datasets == 'nih'] == 'test', column[datasets == 'nih'] == 'test'
  )
  np.testing.assert_array_equal(split == 'unused', (datasets == 'nih') & (column == ''))
  patients = made[0]['patient'].to_numpy()
  # A fifth of the 140 patients whose sets have no test of their own.
  assert len(set(patients[(split == 'test') & (datasets != 'nih')])) == 28
  assert len(set(patients[split == 'validation'])) == 19  # a tenth of the 190 that are used
  assert how['test']['from'] == 'official and drawn' and how['validation']['from'] == 'drawn'
  assert how['test']['sets'] == {'nih': 'official', 'train': 'drawn', 'pc': 'drawn'}
  proof = split_files.proof(made[0], split, *made[1:], LABELS, settings={}, how=how)
  assert any("the publisher's for nih, and drawn for train, pc" in n for n in proof['notes'])
  splits.check_overlap(made[0], split)


def test_a_floor_counts_the_official_patients_of_several_sets_too():
  made, _, _ = of_several()
  free, _ = make(made, 'official or 0.2', 0.1)
  floor = int(positives(made, free, 'test', 'Hernia')) + 1
  split, how = make(made, 'official or 0.2', 0.1, {'Hernia': floor})
  assert positives(made, split, 'test', 'Hernia') == floor and how['test']['enriched'] == ['Hernia']
  with pytest.raises(InputError, match='of 48 in the test set') as error:
    make(made, 'official or 0.2', 0.1, {'Hernia': 47})
  largest = int(str(error.value).partition('floor is ')[2].split()[0])
  split, _ = make(made, 'official or 0.2', 0.1, {'Hernia': largest})
  assert positives(made, split, 'test', 'Hernia') == largest


def test_official_validation_of_one_set_and_drawn_of_the_others():
  made, datasets, _ = of_several()
  made[0].loc[datasets == 'train', 'official_split'] = np.where(
    made[0]['patient'][datasets == 'train'].str[1:].astype(int) < 70, 'validation', 'train'
  )
  split, how = make(made, 0.1, 'official or 0.2')
  assert how['validation']['sets'] == {'nih': 'drawn', 'train': 'official', 'pc': 'drawn'}
  patients = made[0]['patient'].to_numpy()
  assert len(set(patients[(split == 'validation') & (datasets == 'train')])) == 10
  assert len(set(patients[(split == 'validation') & (datasets != 'train')])) == 32


def test_a_set_without_an_official_split_is_not_dropped_silently():
  made, _, _ = of_several()
  with pytest.raises(InputError, match=r"the set 'pc' has no official split.*'official or 0\.1'"):
    make(made, 'official', 0.1)


def test_a_set_too_small_for_the_count_asked_of_it_is_named():
  made, _, _ = of_several()
  with pytest.raises(InputError, match='ask for 140 of the 140 patients to draw from'):
    make(made, 'official or 140', 10)
  # Validation may be more than that set has: the others give theirs.
  made[0].loc[made[0]['dataset'] == 'pc', 'official_split'] = 'train'
  made[0].loc[made[0]['patient'].isin(['p100', 'p101', 'p102']), 'official_split'] = 'test'
  split, _ = make(made, 'official or 0.2', 100)
  assert len(set(made[0]['patient'][split == 'validation'])) == 100


def test_rows_left_out_officially_count_for_nothing():
  made = study(200, official=OFFICIAL)
  table, truth, known = made
  split, _ = make(made, 'official', 40)
  other = truth.copy()
  other[table['official_split'] == ''] = 1
  np.testing.assert_array_equal(make((table, other, known), 'official', 40)[0], split)


def test_an_image_left_out_officially_does_not_make_its_patient_positive():
  table, truth, known = one_image_each(['0', '1', '0', '0', '0'])
  table['patient'] = ['a', 'a', 'b', 'c', 'd']
  table['official_split'] = ['test', '', 'test', 'train', 'train']
  with pytest.raises(InputError, match='has 0 of 2'):
    make((table, truth, known), 'official', 1, {'Mass': 1})


def test_a_patient_on_two_sides_of_the_official_split():
  made = study(200, official=OFFICIAL)
  table = made[0]
  first = table.index[table['patient'] == 'p3'][0]
  again = table.loc[[first]].assign(image='again.png', official_split='train')
  table = pd.concat([table, again], ignore_index=True)
  made = table, np.vstack([made[1], made[1][:1]]), np.vstack([made[2], made[2][:1]])
  with pytest.raises(InputError, match=r"1 patients .* 'p3' \(test and the rest\)"):
    make(made, 'official', 0.1)
  split, _ = make(made, 0.1, 0.1)
  by_patient(made, split)


def test_an_official_test_set_is_only_checked_against_floors():
  made = one_image_each(['1'] * 5 + ['0'] * 15 + ['1'] * 40 + ['0'] * 40)
  made[0]['official_split'] = ['test'] * 20 + ['train'] * 80
  make(made, 'official', 10, {'Mass': 0.25})
  with pytest.raises(InputError, match=r'needs 6 positive.*has 5 of 20 \(0.25\)'):
    make(made, 'official', 10, {'Mass': 6})


def test_mistakes_in_the_official_column():
  with pytest.raises(InputError, match=r"'valid'.*did you mean 'validation'"):
    make(study(3, official=['train', 'valid', 'test']), 'official', 'official')
  with pytest.raises(InputError, match='no row is left to train on'):
    make(study(2, official=['validation', 'test']), 'official', 'official')
