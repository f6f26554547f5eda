"""Index streams against counts by hand, the lecture's eight patients and plain concatenation."""

import concurrent.futures
import pickle

import numpy as np
import pytest

from medjax.data import sampling
from medjax.data.sampling import IndexStream
from medjax.errors import InputError

# The lecture: P4 and P7 are Mass, the other six Normal.
PATIENTS = np.array([[0, 0, 0, 1, 0, 0, 1, 0]], np.float32).T
MASS = {3, 6}


def epoch_indices(mode, values, mask, *, epoch, seed, **settings):
  return IndexStream(mode, values, mask, seed=seed, **settings).epoch(epoch)


def epoch_length(mode, values, mask, **settings):
  return IndexStream(mode, values, mask, seed=0, **settings).epoch_length


def _known(values):
  return np.ones_like(values)


def _random(seed, images, prevalences, known=1.0):
  rng = np.random.default_rng(seed)
  values = (rng.random((images, len(prevalences))) < prevalences).astype(np.float32)
  mask = (rng.random(values.shape) < known).astype(np.float32)
  return values * mask, mask


def _epochs(mode, values, mask, count, **settings):
  return [epoch_indices(mode, values, mask, epoch=e, seed=0, **settings) for e in range(count)]


@pytest.mark.parametrize(
  'mode, normal, mass',
  [('none', 6, 2), ('balanced', 4, 4), ('oversample', 6, 6), ('undersample', 2, 2)],
)
def test_the_eight_patients(mode, normal, mass):
  for order in _epochs(mode, PATIENTS, _known(PATIENTS), 5):
    assert order.dtype == np.int64
    assert sum(i in MASS for i in order) == mass
    assert sum(i not in MASS for i in order) == normal


def test_balanced_shows_each_mass_twice_and_four_different_normals():
  for order in _epochs('balanced', PATIENTS, _known(PATIENTS), 3):
    counts = np.bincount(order, minlength=8)
    assert counts[3] == counts[6] == 2
    assert counts.max() == 2


def test_none_is_a_fresh_permutation_each_epoch():
  values, mask = _random(0, 100, [0.1])
  first, second = _epochs('none', values, mask, 2)
  np.testing.assert_array_equal(np.sort(first), np.arange(100))
  np.testing.assert_array_equal(np.sort(second), np.arange(100))
  assert (first != second).any() and (first != np.arange(100)).any()


@pytest.mark.parametrize('prevalence', [0.1, 0.9])
def test_oversample_repeats_the_smaller_class_evenly(prevalence):
  values, mask = _random(1, 103, [prevalence], known=0.8)
  known = np.flatnonzero(mask[:, 0])
  positive = set(np.flatnonzero(values[:, 0]))
  larger = max(len(positive), len(known) - len(positive))
  for order in _epochs('oversample', values, mask, 3):
    counts = np.bincount(order, minlength=103)
    of_positive = np.array([counts[i] for i in known if i in positive])
    of_negative = np.array([counts[i] for i in known if i not in positive])
    assert of_positive.sum() == of_negative.sum() == larger
    for of_class in (of_positive, of_negative):
      assert of_class.min() >= 1 and of_class.max() - of_class.min() <= 1
    assert counts[mask[:, 0] == 0].sum() == 0


def test_the_extra_turns_of_oversample_change_hands():
  values = np.array([[1, 1, 1, 0, 0, 0, 0]], np.float32).T
  extra = {
    int(np.bincount(order).argmax()) for order in _epochs('oversample', values, _known(values), 40)
  }
  assert extra == {0, 1, 2}


def test_undersample_draws_a_fresh_subset_of_the_larger_class():
  values, mask = _random(2, 200, [0.1], known=0.9)
  positive = set(np.flatnonzero(values[:, 0]))
  subsets = []
  for order in _epochs('undersample', values, mask, 4):
    assert len(order) == len(set(order)) == 2 * len(positive)
    assert positive <= set(order)
    assert mask[order, 0].all()
    subsets.append(frozenset(order) - positive)
  assert len(set(subsets)) == 4


@pytest.mark.parametrize('images', [60, 61])
def test_balanced_halves_every_epoch_and_cycles_through_each_class(images):
  values, mask = _random(3, images, [0.15], known=0.9)
  orders = _epochs('balanced', values, mask, 12)
  positive = np.flatnonzero(values[:, 0])
  negative = np.flatnonzero((values[:, 0] == 0) & (mask[:, 0] == 1))
  seen = np.zeros(images, int)
  for order in orders:
    assert len(order) == images
    assert abs(np.isin(order, positive).sum() - images / 2) <= 0.5
    for index in order:
      seen[index] += 1
      # Nothing comes again before all others of its class have, across epochs too.
      of_class = positive if values[index, 0] else negative
      assert seen[of_class].max() - seen[of_class].min() <= 1
  assert seen[mask[:, 0] == 0].sum() == 0


def test_class_aware_draws_each_class_equally_often():
  # One class per image, and a common 'none of them': every count can be told by hand.
  values = np.zeros((90, 3), np.float32)
  values[:1, 0] = values[1:6, 1] = values[6:30, 2] = 1
  rows = [np.arange(1), np.arange(1, 6), np.arange(6, 30), np.arange(30, 90)]
  seen = np.zeros(90, int)
  for order in _epochs('class_aware', values, _known(values), 5):
    assert len(order) == 90
    counts = np.array([np.isin(order, of_class).sum() for of_class in rows])
    assert np.abs(counts - 90 / 4).max() < 1
    for index in order:
      seen[index] += 1
      of_class = next(of_class for of_class in rows if index in of_class)
      assert seen[of_class].max() - seen[of_class].min() <= 1
  assert seen.min() >= 1


def test_class_aware_without_positives_of_a_label_or_without_negatives():
  values = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
  order = epoch_indices('class_aware', values, _known(values), epoch=0, seed=0)
  # Two classes only: nobody has the third label and nobody has none.
  assert np.isin(order, [0, 2, 3]).sum() == 2 and (order == 1).sum() == 2


def test_class_aware_reads_the_mask():
  values = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [0, 0]], np.float32)
  mask = np.array([[0, 0], [1, 0], [0, 1], [0, 1], [0, 0]], np.float32)
  orders = np.concatenate(_epochs('class_aware', values, mask, 6))
  # Rows 0 and 4 are unknown throughout; the other three are alone in their class: 10 turns each.
  np.testing.assert_array_equal(np.bincount(orders, minlength=5), [0, 10, 10, 10, 0])


def test_soft_labels_are_positive_above_one_half():
  values = np.array([[0.85], [0.55], [0.5], [0.3], [0.0], [0.1]], np.float32)
  order = epoch_indices('undersample', values, _known(values), epoch=0, seed=0)
  assert len(order) == 4 and {0, 1} <= set(order)


@pytest.mark.parametrize('mode', sampling.MODES)
def test_length_is_constant_and_order_repeatable(mode):
  values, mask = _random(4, 77, [0.2, 0.4], known=0.9)
  length = epoch_length(mode, values, mask, label=1)
  orders = _epochs(mode, values, mask, 4, label=1)
  assert {len(order) for order in orders} == {length}
  again = epoch_indices(mode, values, mask, epoch=2, seed=0, label=1)
  np.testing.assert_array_equal(again, orders[2])
  other_seed = epoch_indices(mode, values, mask, epoch=2, seed=1, label=1)
  assert (other_seed != orders[2]).any() and (orders[1] != orders[2]).any()


def test_the_label_goes_by_name_or_number():
  values, mask = _random(5, 50, [0.2, 0.4])
  by_name = epoch_indices(
    'undersample', values, mask, epoch=0, seed=0, label='Edema', labels=('Mass', 'Edema')
  )
  by_number = epoch_indices('undersample', values, mask, epoch=0, seed=0, label=1)
  np.testing.assert_array_equal(by_name, by_number)
  assert len(by_name) == 2 * values[:, 1].sum()


@pytest.mark.parametrize('label', [None, '', 0, 'Mass'])
def test_the_only_label_need_not_be_named(label):
  order = epoch_indices(
    'undersample', PATIENTS, _known(PATIENTS), epoch=0, seed=0, label=label, labels=('Mass',)
  )
  assert set(order) >= MASS and len(order) == 4


@pytest.mark.parametrize('mode', sampling.MODES)
def test_the_stream_is_the_concatenation_of_epochs(mode):
  values, mask = _random(6, 23, [0.3, 0.4])
  whole = np.concatenate(_epochs(mode, values, mask, 40, label=0))
  stream = IndexStream(mode, values, mask, seed=0, label=0)
  for size in (1, 7, stream.epoch_length, 3 * stream.epoch_length + 2):
    numbers = np.random.default_rng(size).permutation(len(whole) // size)[:40]
    for number in numbers:
      batch = stream.batch(int(number), size)
      assert batch.dtype == np.int64
      np.testing.assert_array_equal(batch, whole[number * size : (number + 1) * size])


def test_a_batch_may_be_written_to_without_changing_the_stream():
  stream = IndexStream('none', PATIENTS, _known(PATIENTS), seed=0)
  before = stream.batch(0, 8).copy()
  stream.batch(0, 8)[:] = 0
  np.testing.assert_array_equal(stream.batch(0, 8), before)


def test_pickled_and_shared_by_threads():
  values, mask = _random(7, 50, [0.3, 0.1])
  stream = IndexStream('class_aware', values, mask, seed=3)
  expected = [stream.batch(number, 8) for number in range(200)]
  copy = pickle.loads(pickle.dumps(stream))
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    result = list(pool.map(lambda number: copy.batch(number, 8), range(200)))
  np.testing.assert_array_equal(result, expected)


def test_a_class_of_one_among_many_images_is_quick_to_shuffle():
  values = np.zeros((100_000, 1), np.float32)
  values[77] = 1
  order = epoch_indices('balanced', values, _known(values), epoch=0, seed=0)
  assert (order == 77).sum() == 50_000
  assert len(set(order)) == 50_001


@pytest.mark.parametrize(
  'mode, settings, words',
  [
    ('balance', {}, ["config.sampling.name is 'balance'", "did you mean 'balanced'"]),
    ('balanced', {'labels': ('Mass', 'Edema')}, ['config.sampling.label', 'one of Mass, Edema']),
    ('oversample', {'label': ''}, ['config.sampling.label']),
    ('balanced', {'label': 'Edem', 'labels': ('Mass', 'Edema')}, ["did you mean 'Edema'"]),
    ('balanced', {'label': 2}, ['column 2', 'there are 2']),
    ('balanced', {'label': 'Edema', 'labels': ('Mass', 'Edema')}, ['positive', "'Edema'"]),
    ('none', {'seed': -1}, ['seed is -1']),
  ],
)
def test_mistakes(mode, settings, words):
  values = np.array([[1, 0], [0, 0]], np.float32)
  with pytest.raises(InputError) as error:
    epoch_indices(mode, values, _known(values), **({'epoch': 0, 'seed': 0} | settings))
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('mode', sampling.ONE_LABEL_MODES)
def test_a_class_that_is_masked_away_is_named(mode):
  values = np.array([[1], [1], [0]], np.float32)
  mask = np.array([[1], [1], [0]], np.float32)
  with pytest.raises(InputError, match='no training image is negative for label number 0'):
    epoch_length(mode, values, mask)


def test_nothing_to_sample_from():
  nothing = np.zeros((0, 1), np.float32)
  with pytest.raises(InputError, match='no training images'):
    epoch_length('none', nothing, nothing)
  unknown = np.zeros((3, 2), np.float32)
  with pytest.raises(InputError, match='no training image has a known label'):
    epoch_length('class_aware', unknown, unknown)
