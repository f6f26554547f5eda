"""Validation repeats the test set, and training keeps what it needs."""

import itertools

import pytest
from split_studies import LABELS, make, one_image_each, patterns_of, positives, study


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
