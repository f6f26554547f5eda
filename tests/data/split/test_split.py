"""Splits against brute force, the lecture's example and counts by hand."""

import hashlib
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from medjax.data.split import by_patient as splits
from medjax.data.split import split_files
from medjax.errors import InputError

LABELS = ('Mass', 'Edema', 'Hernia')


def study(patients, prevalences=(0.3, 0.15, 0.03), seed=0, known=1.0, official=None):
  """A table of `patients` patients with 1 to 4 images each, its truth and what of it is known."""
  rng = np.random.default_rng(seed)
  owner = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
  table = pd.DataFrame(
    {
      'image': [f'{i:05}.png' for i in rng.permutation(len(owner))],
      'patient': [f'p{i}' for i in owner],
    }
  )
  names = LABELS[: len(prevalences)]
  truth = (rng.random((len(owner), len(names))) < prevalences).astype(np.float32)
  is_known = rng.random(truth.shape) < known
  for column, name in enumerate(names):
    table[name] = np.where(is_known[:, column], truth[:, column], np.nan).astype(np.float32)
  if official is not None:
    table['official_split'] = np.array(official, object)[owner]
  return table, truth * is_known, is_known


def make(made, test=0.2, validation=0.2, test_floor=None, seed=0):
  table, truth, known = made
  return splits.make(
    table,
    truth,
    known,
    LABELS[: truth.shape[1]],
    test=test,
    validation=validation,
    test_floor=test_floor or {},
    seed=seed,
  )


def one_image_each(patterns):
  """A table in which patient i has one image with the i-th of `patterns`, such as '101'."""
  truth = np.array([[int(digit) for digit in pattern] for pattern in patterns], np.float32)
  names = [f'{i:04}' for i in range(len(patterns))]
  table = pd.DataFrame({'image': [f'{name}.png' for name in names], 'patient': names})
  for column in range(truth.shape[1]):
    table[LABELS[column]] = truth[:, column]
  return table, truth, np.ones(truth.shape, bool)


def by_patient(made, split):
  """patient -> (its split, its pattern of positive labels), by looping over the rows."""
  table, truth, known = made
  result = {}
  for row, patient in enumerate(table['patient']):
    name, pattern = result.setdefault(patient, (split[row], np.zeros(truth.shape[1], int)))
    assert name == split[row], 'a patient is on two sides'
    pattern |= (known[row] & (truth[row] == 1)).astype(int)
  return {patient: (name, tuple(pattern)) for patient, (name, pattern) in result.items()}


def patterns_of(made, split, name):
  return [pattern for side, pattern in by_patient(made, split).values() if side == name]


def positives(made, split, name, label):
  column = LABELS.index(label)
  return sum(pattern[column] for pattern in patterns_of(made, split, name))


# The draw.


@pytest.mark.parametrize(
  'test, validation, sizes',
  [
    (0.1, 0.25, (20, 50)),
    ('0.1', '0.25', (20, 50)),
    (7, '11', (7, 11)),
    ('official or 0.5', 'official or 3', (100, 3)),
    (0.333, 0.0001, (67, 1)),
  ],
)
def test_every_image_of_a_patient_is_on_one_side_and_the_sizes_are_in_patients(
  test, validation, sizes
):
  made = study(200)
  split, how = make(made, test, validation)
  sides = [side for side, _ in by_patient(made, split).values()]
  assert (sides.count('test'), sides.count('validation')) == sizes
  assert sides.count('train') == 200 - sum(sizes)
  assert json.loads(json.dumps(how)) == how


def test_row_order_changes_nothing_and_the_seed_does():
  table, truth, known = made = study(150, known=0.8)
  split, how = make(made, test_floor={'Hernia': 0.2})
  order = np.random.default_rng(1).permutation(len(table))
  shuffled = table.iloc[order].reset_index(drop=True), truth[order], known[order]
  again, how_again = make(shuffled, test_floor={'Hernia': 0.2})
  np.testing.assert_array_equal(again, split[order])
  assert how_again == how
  assert (make(made, test_floor={'Hernia': 0.2}, seed=1)[0] != split).any()


def test_every_patient_is_as_likely_to_be_tested():
  made = study(40)
  counts = np.zeros(40)
  for seed in range(400):
    for patient, (side, _) in by_patient(made, make(made, 0.25, 0.25, seed=seed)[0]).items():
      counts[int(patient[1:])] += side == 'test'
  # 100 expected for each, standard deviation 8.7.
  assert np.abs(counts - 100).max() < 5 * 8.7


def test_a_label_known_on_any_image_makes_the_patient_positive():
  table, truth, known = one_image_each(['1', '0', '0', '0', '0', '0'])
  table['patient'] = ['a', 'a', 'b', 'c', 'd', 'e']
  for seed in range(10):
    split, _ = make((table, truth, known), 1, 1, {'Mass': 1}, seed)
    assert (split[:2] == 'test').all()
  with pytest.raises(InputError, match='0 patients are positive'):
    make((table, truth, np.zeros_like(known)), 1, 1, {'Mass': 1})


# Floors.


@pytest.mark.parametrize('floor, needed', [(0.5, 50), (50, 50), ('0.5', 50), (0.301, 31)])
def test_a_floor_that_chance_does_not_meet_is_met_exactly(floor, needed):
  made = study(500, (0.3, 0.1, 0.05))
  split, how = make(made, 100, 20, {'Hernia': floor})
  assert positives(made, split, 'test', 'Hernia') == needed
  assert len(patterns_of(made, split, 'test')) == 100
  assert how['test']['floor'] == {'Hernia': needed} and how['test']['enriched'] == ['Hernia']


def test_a_floor_that_chance_meets_changes_nothing():
  made = study(500)
  free, _ = make(made, 100, 50)
  floored, how = make(made, 100, 50, {'Mass': 0.2, 'Hernia': 1})
  np.testing.assert_array_equal(floored, free)
  assert how['test']['enriched'] == []


def test_a_share_of_the_test_set_is_not_rounded_past_what_was_asked():
  made = one_image_each(['1'] * 7 + ['0'] * 200)
  split, _ = make(made, 100, 1, {'Mass': 0.07})
  assert positives(made, split, 'test', 'Mass') == 7


def test_enriched_means_beyond_what_chance_gives():
  made = study(500, (0.1,))
  chance = positives(made, make(made, 100, 20)[0], 'test', 'Mass')
  assert make(made, 100, 20, {'Mass': int(chance)})[1]['test']['enriched'] == []
  assert make(made, 100, 20, {'Mass': int(chance) + 1})[1]['test']['enriched'] == ['Mass']


def test_the_rarest_label_comes_first_and_counts_for_the_others():
  made = one_image_each(['101'] * 30 + ['100'] * 70 + ['000'] * 900)
  split, _ = make(made, 50, 50, {'Mass': 20, 'Hernia': 15})
  assert positives(made, split, 'test', 'Hernia') == 15
  assert positives(made, split, 'test', 'Mass') == 20


def test_all_floors_hold_together_by_brute_force():
  rng = np.random.default_rng(0)
  met = refused = 0
  for trial in range(150):
    flags = rng.random((10, 3)) < rng.uniform(0.2, 0.6, 3)
    made = one_image_each([''.join(map(str, row)) for row in flags.astype(int)])
    size = int(rng.integers(2, 6))
    needs = {
      label: int(rng.integers(1, max(1, min(size, have)) + 1))
      for label, have in zip(LABELS, flags.sum(axis=0))
    }
    possible = any(
      all(flags[list(chosen), i].sum() >= need for i, need in enumerate(needs.values()))
      for chosen in itertools.combinations(range(10), size)
    )
    try:
      split, _ = make(made, size, 1, needs, trial)
    except InputError:
      assert not possible
      refused += 1
      continue
    assert len(patterns_of(made, split, 'test')) == size
    assert all(positives(made, split, 'test', label) >= need for label, need in needs.items())
    met += 1
  assert met > 30 and refused > 30


def test_patients_with_several_findings_serve_several_floors():
  made = one_image_each(['100'] * 50 + ['010'] * 50 + ['110'] * 8 + ['000'] * 50)
  for seed in range(5):
    split, _ = make(made, 10, 10, {'Mass': 9, 'Edema': 9}, seed)
    result = patterns_of(made, split, 'test')
    assert len(result) == 10 and result.count((1, 1, 0)) == 8


def test_a_floor_beyond_the_data_names_the_largest_that_works():
  made = one_image_each(['1'] * 7 + ['0'] * 93)
  with pytest.raises(InputError) as error:
    make(made, 30, 10, {'Mass': 0.5})
  for words in (
    "config.split.test_floor['Mass']=0.5 needs 15",
    '30',
    '7 patients are positive',
    '0.233',
    'floor is 7',
  ):
    assert words in str(error.value)
  for largest in (0.233, 7):
    split, _ = make(made, 30, 10, {'Mass': largest})
    assert positives(made, split, 'test', 'Mass') == 7
  with pytest.raises(InputError):
    make(made, 30, 10, {'Mass': 8})


def test_a_floor_beyond_the_test_set_itself():
  made = one_image_each(['1'] * 70 + ['0'] * 30)
  with pytest.raises(InputError, match='needs 40 positive patients of 30 in the test set'):
    make(made, 30, 10, {'Mass': 40})


def test_floors_that_need_more_patients_than_the_test_set_has():
  made = one_image_each(['100'] * 20 + ['010'] * 20 + ['000'] * 20)
  with pytest.raises(InputError, match=r'floors together take 12 patients.*the test set has 10'):
    make(made, 10, 10, {'Mass': 6, 'Edema': 6})


# Validation.


@pytest.mark.parametrize('size, times', [(40, 1), (80, 2), (20, 0.5)])
def test_validation_repeats_the_patterns_of_the_test_set(size, times):
  made = study(3000, (0.3, 0.2))
  split, how = make(made, 40, size)
  test, validation = (patterns_of(made, split, name) for name in ('test', 'validation'))
  assert len(validation) == size and how['validation']['stand_ins'] == 0
  for pattern in set(test) | set(validation):
    assert abs(validation.count(pattern) - times * test.count(pattern)) < 1


def test_validation_follows_an_enriched_test_set_not_the_source():
  made = study(2000, (0.02,))
  split, _ = make(made, 40, 20, {'Mass': 0.5})
  assert positives(made, split, 'test', 'Mass') == 20
  assert positives(made, split, 'validation', 'Mass') == 10


def test_a_small_validation_set_keeps_the_share_of_rare_combinations():
  # Seven patterns of two patients each: rounded by itself, a share below one half is nothing.
  patterns = [f'{a}{b}{c}' for a, b, c in itertools.product('01', repeat=3)][1:] * 2
  made = one_image_each(['000'] * 18 + patterns + ['000'] * 900 + patterns * 40)
  table = made[0]
  table['official_split'] = ['test'] * 32 + ['train'] * (len(table) - 32)
  for size in range(4, 32):
    split, _ = make(made, 'official', size)
    validation = patterns_of(made, split, 'validation')
    for label in LABELS:
      # A quarter of the test patients have each label.
      assert abs(positives(made, split, 'validation', label) - size / 4) < 1
    assert abs(validation.count((0, 0, 0)) - size * 18 / 32) < 1
    assert all(abs(validation.count(p) - size / 16) < 1 for p in set(validation) - {(0, 0, 0)})


def test_where_a_pattern_runs_out_the_nearest_stands_in():
  made = one_image_each(['111'] * 4 + ['110'] * 10 + ['100'] * 50 + ['000'] * 50)
  # All four of '111' are tested: validation takes '110', one label away, and not '100'.
  made[0]['official_split'] = ['test'] * 4 + ['train'] * 110
  split, how = make(made, 'official', 4)
  assert patterns_of(made, split, 'validation') == [(1, 1, 0)] * 4
  assert how['validation']['stand_ins'] == 4


def test_among_equally_near_patterns_the_labels_that_are_short_come_first():
  made = one_image_each(['110', '000', '000', '000'] + ['100', '010'] * 50 + ['000'] * 50)
  table = made[0]
  table['official_split'] = ['test'] * 4 + ['train'] * 150
  split, _ = make(made, 'official', 16)
  # Four of '110' are wanted and none is left: half of them keep one label, half the other.
  assert positives(made, split, 'validation', 'Mass') == 2
  assert positives(made, split, 'validation', 'Edema') == 2


def test_what_other_patterns_will_bring_is_not_short():
  # '011' and '100' have run out. '111' is as near to '011' as '010' is, but Mass, of which six are
  # still to come with '100', would then be one too many.
  made = one_image_each(
    ['011'] + ['010', '001'] * 9 + ['100'] * 6 + ['111', '010', '001', '000'] * 40
  )
  made[0]['official_split'] = ['test'] * 25 + ['train'] * 160
  split, how = make(made, 'official', 25)
  result = patterns_of(made, split, 'validation')
  assert how['validation']['stand_ins'] == 7
  assert result.count((0, 1, 0)) + result.count((0, 0, 1)) == 19 and result.count((0, 0, 0)) == 6


def test_a_stand_in_that_runs_out_too_hands_on_to_the_next():
  made = one_image_each(['111'] * 4 + ['110'] * 2 + ['100', '010'] * 30)
  made[0]['official_split'] = ['test'] * 4 + ['train'] * 62
  split, _ = make(made, 'official', 4)
  result = patterns_of(made, split, 'validation')
  assert result.count((1, 1, 0)) == 2 and len(result) == 4


@pytest.mark.parametrize('left, taken', [(1, 0), (2, 1), (3, 1), (9, 4), (30, 10)])
def test_training_keeps_half_of_the_positives_that_the_test_set_left(left, taken):
  made = one_image_each(['1'] * (10 + left) + ['0'] * 200)
  split, how = make(made, 20, 20, {'Mass': 10})
  assert positives(made, split, 'test', 'Mass') == 10
  assert positives(made, split, 'validation', 'Mass') == taken
  assert positives(made, split, 'train', 'Mass') == left - taken
  assert len(patterns_of(made, split, 'validation')) == 20
  assert how['validation']['rationed'] == (['Mass'] if taken < 10 else [])


def test_rationing_takes_the_same_fraction_of_every_pattern_of_the_label():
  made = one_image_each(
    ['100'] * 20 + ['110'] * 20 + ['100'] * 20 + ['110'] * 20 + ['010'] * 90 + ['000'] * 90
  )
  made[0]['official_split'] = ['test'] * 40 + ['train'] * 220
  split, how = make(made, 'official', 40)
  result = patterns_of(made, split, 'validation')
  assert how['validation']['rationed'] == ['Mass']
  assert result.count((1, 0, 0)) == result.count((1, 1, 0)) == 10
  assert result.count((0, 0, 0)) == result.count((0, 1, 0)) == 10


def test_a_validation_set_of_most_patients_takes_its_share_of_positives():
  made = one_image_each(['1'] * 400 + ['0'] * 600)
  split, _ = make(made, 100, 700)
  tested = positives(made, split, 'test', 'Mass')
  expected = min(7 * tested, (400 - tested) * 700 // 900)
  assert positives(made, split, 'validation', 'Mass') == expected


def test_the_last_positive_of_a_label_trains_even_if_all_patients_have_something():
  made = one_image_each(['001'] * 5 + ['100'] * 21 + ['010'] * 22 + ['001'])
  made[0]['official_split'] = ['test'] * 5 + ['train'] * 44
  split, _ = make(made, 'official', 22)
  assert len(patterns_of(made, split, 'validation')) == 22
  assert positives(made, split, 'train', 'Hernia') == 1


def test_a_large_validation_set_of_patients_who_all_have_something():
  made = one_image_each(['100'] * 51 + ['010'] * 51 + ['001'] * 5)
  for seed in range(5):
    split, _ = make(made, 10, 90, seed=seed)
    assert len(patterns_of(made, split, 'validation')) == 90
    assert len(patterns_of(made, split, 'train')) == 7
    for label in LABELS:
      left = 51 if label != 'Hernia' else 5
      if left > positives(made, split, 'test', label):
        assert positives(made, split, 'train', label) >= 1


def test_labels_unknown_throughout_the_test_set_are_not_matched():
  table, _, known = made = one_image_each(['10'] * 100 + ['01'] * 100)
  table['official_split'] = (['test'] * 20 + ['train'] * 80) * 2
  known[table['official_split'] == 'test', 1] = False
  split, how = make(made, 'official', 40)
  # Half of the test patients have Mass; the others would look free of Edema, which nobody knows.
  assert how['validation']['matched'] == ['Mass']
  assert positives(made, split, 'validation', 'Mass') == 20
  assert positives(made, split, 'validation', 'Edema') == 20
  known[table['official_split'] == 'test'] = False
  split, how = make(made, 'official', 40)
  assert how['validation']['matched'] == []
  assert 8 < positives(made, split, 'validation', 'Mass') < 32


# The publisher's own split.

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


# What is wrong with the settings.


@pytest.mark.parametrize(
  'settings, words',
  [
    ({'test': 1.0}, ["config.split.test is '1.0'", 'between 0 and 1']),
    ({'test': 0}, ["config.split.test is '0'"]),
    ({'test': -3}, ["config.split.test is '-3'"]),
    ({'test': 'offical'}, ["config.split.test is 'offical'", "'official or 0.1'"]),
    ({'test': 'official or most'}, ["config.split.test is 'most'"]),
    ({'test': True}, ["config.split.test is 'True'"]),
    ({'validation': '2.5'}, ["config.split.validation is '2.5'"]),
    ({'test': 'official'}, ["config.split.test is 'official'", "'test'", "'official or 0.1'"]),
    ({'validation': 'official'}, ["'validation'", 'config.split.validation=0.1']),
    ({'test_floor': {'Maas': 0.1}}, ["'Maas'", "did you mean 'Mass'"]),
    ({'test_floor': {'Mass': 1.5}}, ["config.split.test_floor['Mass'] is '1.5'"]),
    ({'test': 50, 'validation': 50}, ['ask for 100 of the 100 patients', 'leave none to train']),
    ({'test': 0.5, 'validation': 0.6}, ['ask for 110 of the 100 patients']),
    ({'seed': -1}, ['config.split.seed is -1']),
  ],
)
def test_mistakes_in_settings(settings, words):
  with pytest.raises(InputError) as error:
    make(study(100), **settings)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_one_patient_may_be_all_that_is_left_to_train_on():
  made = study(100)
  split, _ = make(made, 49, 50)
  assert len(patterns_of(made, split, 'train')) == 1


def test_mistakes_in_the_official_column():
  with pytest.raises(InputError, match=r"'valid'.*did you mean 'validation'"):
    make(study(3, official=['train', 'valid', 'test']), 'official', 'official')
  with pytest.raises(InputError, match='no row is left to train on'):
    make(study(2, official=['validation', 'test']), 'official', 'official')


def test_check_overlap_on_the_lecture_s_split_by_image():
  table = pd.DataFrame(
    {
      'image': [f'xray{i}' for i in range(6)],
      'patient': ['20', '20', '20', '32', '32', '17'],
    }
  )
  splits.check_overlap(table, np.array(['train'] * 3 + ['validation', 'validation', 'test']))
  with pytest.raises(InputError, match=r"2 patients .* '20' \(train and validation and test\)"):
    splits.check_overlap(
      table, np.array(['test', 'train', 'validation', 'train', 'validation', 'test'])
    )
  # Unused images of a patient harm nobody.
  splits.check_overlap(table, np.array(['train', 'unused', 'train', 'test', 'test', 'test']))
  with pytest.raises(
    InputError, match="a split is 'val'; allowed: train, validation, test, unused"
  ):
    splits.check_overlap(table, np.array(['train'] * 5 + ['val']))


# The proof, and the files.


@pytest.fixture
def proven():
  table, truth, known = made = study(
    120, known=0.7, official=[''] * 5 + ['test', 'train'] * 57 + ['train']
  )
  split, how = make(made, 'official', 0.1, seed=4)
  settings = {'test': 'official', 'validation': 0.1, 'test_floor': {}, 'seed': 4}
  return (
    made,
    split,
    split_files.proof(table, split, truth, known, LABELS, settings=settings, how=how),
  )


def test_the_proof_counts_what_a_loop_over_the_rows_counts(proven):
  (table, truth, known), split, proof = proven
  for name in splits.SPLITS:
    rows = [row for row in range(len(table)) if split[row] == name]
    result = proof['splits'][name]
    assert result['images'] == len(rows) > 0
    assert result['patients'] == len({table['patient'][row] for row in rows})
    for column, label in enumerate(LABELS):
      sure = [row for row in rows if known[row, column]]
      positive = [row for row in sure if truth[row, column] == 1]
      assert result['labels'][label] == {
        'known': len(sure),
        'positive': len(positive),
        'prevalence': len(positive) / len(sure),
        'positive_patients': len({table['patient'][row] for row in positive}),
      }
  assert proof['seed'] == 4 and proof['settings']['test'] == 'official'
  assert json.loads(json.dumps(proof, allow_nan=False)) == proof


def test_the_overlap_matrix_has_the_patients_of_each_split_on_its_diagonal(proven):
  (table, truth, known), _, proof = proven
  overlap = proof['patient_overlap']
  for a, b in itertools.product(splits.SPLITS, repeat=2):
    assert overlap[a][b] == (proof['splits'][a]['patients'] if a == b else 0)
  by_image = np.array(['train', 'test'])[np.arange(len(table)) % 2]
  leaky = split_files.proof(table, by_image, truth, known, LABELS, settings={}, how={})
  pair = {p for p, s in zip(table['patient'], by_image) if s == 'train'} & {
    p for p, s in zip(table['patient'], by_image) if s == 'test'
  }
  assert leaky['patient_overlap']['train']['test'] == len(pair) > 0


def test_the_proof_lists_labels_of_one_class():
  made = one_image_each(['10'] * 6 + ['00'] * 6)
  table, truth, known = made
  known[6:, 1] = False
  split = np.array(['train'] * 6 + ['test'] * 6)
  proof = split_files.proof(table, split, truth, known, LABELS[:2], settings={}, how={})
  assert proof['labels_without_positives'] == {'train': ['Edema'], 'test': ['Mass', 'Edema']}
  assert proof['labels_without_negatives'] == {'train': ['Mass'], 'test': ['Edema']}
  assert proof['splits']['test']['labels']['Edema']['prevalence'] is None


def test_the_proof_says_what_weakens_the_split():
  made = table, truth, known = one_image_each(['1'] * 14 + ['0'] * 200)

  def notes(table, **settings):
    split, how = make((table, truth, known), 20, 20, **settings)
    return split_files.proof(table, split, truth, known, ['Mass'], settings={}, how=how)['notes']

  assert notes(table) == []
  enriched, rationed = notes(table, test_floor={'Mass': 10})
  assert 'enriched to meet the floor for Mass' in enriched
  assert 'Validation has fewer positives than the test set has of Mass' in rationed
  (unknown,) = notes(made[0].assign(patient=made[0]['image']))
  assert 'every image counts as a patient' in unknown
  some = np.where(np.arange(len(table)) < 14, 'lesion', 'patient')
  (lesions,) = notes(table.assign(grouped_by=some))
  assert 'For 14 images' in lesions and 'every lesion counts as a patient' in lesions


def test_hashes_hold_for_the_content_and_not_for_its_order(proven):
  (table, truth, known), split, proof = proven
  order = np.random.default_rng(0).permutation(len(table))
  columns = ['Hernia', 'image', 'Edema', 'patient', 'Mass']
  shuffled = table[columns].iloc[order].reset_index(drop=True)

  def hashes(table, split):
    again = split_files.proof(table, split, truth, known, LABELS, settings={}, how={})
    return again['table_sha256'], again['split_sha256']

  same = (proof['table_sha256'], proof['split_sha256'])
  assert hashes(shuffled, split[order]) == same
  for column, value in (('Mass', -1), ('Mass', np.nan), ('patient', 'q'), ('image', 'x.png')):
    changed = table.copy()
    assert changed.loc[0, column] != value
    changed.loc[0, column] = value
    assert hashes(changed, split)[0] != same[0]
  other = np.where(split == 'validation', 'unused', split)
  assert hashes(table, other)[0] == same[0] and hashes(table, other)[1] != same[1]


def test_the_table_hash_can_be_recomputed_from_its_description():
  table = pd.DataFrame(
    {
      'image': ['b', 'a', 'ü', 'c'],
      'patient': ['1', '2', '3', '3'],
      'Mass': np.array([1, -1, np.nan, 0], np.float32),
      'Nodule': np.array([1, 1 / 3, 0, 0.5], np.float32),
    }
  )
  known = np.ones((4, 1), bool)
  split = np.array(['train'] * 4)
  proof = split_files.proof(table, split, known * 1.0, known, ['Mass'], settings={}, how={})

  def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()

  columns = {
    'Mass': sha256('"-10n"'),
    'Nodule': sha256('"s1s0 0.333333 0.500000"'),
    'image': sha256('["a", "b", "c", "\\u00fc"]'),
    'patient': sha256('["2", "1", "3", "3"]'),
  }
  assert proof['column_sha256'] == columns
  assert proof['table_sha256'] == sha256(''.join(f'{k} {v}\n' for k, v in columns.items()))


def test_the_csv_is_sorted_by_image_and_quoted_where_it_must_be():
  table = pd.DataFrame({'image': ['b.png', 'a,1.png', 'NA'], 'patient': ['7', '"8"', 'null']})
  text = split_files.to_csv(table, np.array(['test', 'train', 'validation']))
  assert text == 'image,patient,split\nNA,null,validation\n"a,1.png","""8""",train\nb.png,7,test\n'


def test_written_and_read_back_in_another_order(proven, tmp_path):
  (table, _, _), split, proof = proven
  split_files.write(tmp_path / 'new' / 'run', split_files.to_csv(table, split), proof)
  assert sorted(p.name for p in (tmp_path / 'new' / 'run').iterdir()) == ['split.csv', 'split.json']
  content = (tmp_path / 'new' / 'run' / 'split.csv').read_bytes()
  assert hashlib.sha256(content).hexdigest() == proof['split_sha256']
  order = np.random.default_rng(0).permutation(len(table))
  result, found_proof = split_files.read(
    tmp_path / 'new' / 'run', table.iloc[order].reset_index(drop=True)
  )
  np.testing.assert_array_equal(result, split[order])
  assert found_proof == proof


def test_names_that_pandas_would_take_for_missing_survive(tmp_path):
  table = pd.DataFrame({'image': ['NA', 'null', '007', ' x'], 'patient': ['nan', 'nan', '01', '1']})
  known = np.zeros((4, 0), bool)
  split = np.array(['train', 'train', 'test', 'validation'])
  proof = split_files.proof(table, split, known * 1.0, known, [], settings={}, how={})
  split_files.write(tmp_path, split_files.to_csv(table, split), proof)
  np.testing.assert_array_equal(split_files.read(tmp_path, table)[0], split)


def _drop_first(table):
  return table.iloc[1:].reset_index(drop=True)


def _set(column, value):
  def change(table):
    table = table.copy()
    table.loc[0, column] = value
    return table

  return change


@pytest.mark.parametrize(
  'change, words',
  [
    (_drop_first, ['split.csv', "1 of its images are not in the table, such as '{image}'"]),
    (
      _set('image', 'new.png'),
      ['split.csv', "1 images of the table are not in it, such as 'new.png'"],
    ),
    (
      _set('patient', 'x'),
      ['split.csv', "'{image}' is of patient '{patient}', in the table of 'x'"],
    ),
    (_set('Edema', -1), ['split.json', 'other or no values in Edema;']),
    (lambda table: table.drop(columns='Mass'), ['split.json', 'other or no values in Mass;']),
    (lambda table: table.assign(New=1), ['split.json', 'other or no values in New;']),
  ],
)
def test_a_table_other_than_the_one_that_was_split(proven, tmp_path, change, words):
  (table, _, _), split, proof = proven
  split_files.write(tmp_path, split_files.to_csv(table, split), proof)
  with pytest.raises(InputError) as error:
    split_files.read(tmp_path, change(table))
  for word in words:
    assert word.format(**table.loc[0, ['image', 'patient']]) in str(error.value)
  assert str(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_files_changed_missing_or_of_another_kind(proven, tmp_path):
  (table, _, _), split, proof = proven
  with pytest.raises(InputError, match=r'split\.json: no such file'):
    split_files.read(tmp_path, table)
  text = split_files.to_csv(table, split)
  split_files.write(tmp_path, text.replace(',test\n', ',train\n', 1), proof)
  with pytest.raises(InputError, match=r'split\.csv: not the file that split\.json vouches for'):
    split_files.read(tmp_path, table)
  split_files.write(tmp_path, text, proof | {'format': 'medjax split 9'})
  with pytest.raises(InputError, match="the format is 'medjax split 9'"):
    split_files.read(tmp_path, table)
  (tmp_path / 'split.json').write_text('{"format": ')
  with pytest.raises(InputError, match=r'split\.json: not a readable JSON file'):
    split_files.read(tmp_path, table)
  split_files.write(tmp_path, text, proof)
  (tmp_path / 'split.csv').unlink()
  with pytest.raises(InputError, match=r'split\.csv: no such file'):
    split_files.read(tmp_path, table)


def test_a_leaky_split_is_refused_even_if_its_files_agree(tmp_path):
  table, truth, known = study(20)
  by_image = np.array(['train', 'test'])[np.arange(len(table)) % 2]
  proof = split_files.proof(table, by_image, truth, known, LABELS, settings={}, how={})
  split_files.write(tmp_path, split_files.to_csv(table, by_image), proof)
  with pytest.raises(InputError, match='more than one side'):
    split_files.read(tmp_path, table)
