"""Splits against brute force, the lecture's example and counts by hand."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from split_studies import LABELS, by_patient, make, one_image_each, patterns_of, positives, study

from medjax.data.split import by_patient as splits
from medjax.errors import InputError

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
