"""Mixtures of several sets: their shares of an epoch and of its parts, and mistakes in them."""

import numpy as np
import pytest

from medjax.data.sampling import IndexStream
from medjax.errors import InputError

OF = np.array(['a'] * 60 + ['b'] * 25 + ['c'] * 15, object)


def stream(mixture, sets=OF, mode='none', seed=0):
  values = np.zeros((len(sets), 1), np.float32)
  return IndexStream(
    mode, values, np.ones_like(values), seed=seed, sets=sets, mixture=mixture, label=0
  )


@pytest.mark.parametrize(
  'mixture', [{'a': 0.2, 'b': 0.3, 'c': 0.5}, {'a': 1, 'b': 1, 'c': 1}, {'a': 7, 'b': 0, 'c': 2}]
)
def test_each_set_has_its_share_of_every_epoch_and_its_images_take_turns(mixture):
  mixed = stream(mixture)
  seen = np.zeros(100, int)
  assert mixed.epoch_length == 100
  for epoch in range(7):
    order = mixed.epoch(epoch)
    for name, share in mixture.items():
      exact = 100 * share / sum(mixture.values())
      assert abs((OF[order] == name).sum() - exact) < 1
    for index in order:
      seen[index] += 1
      of_set = seen[OF[index] == OF]
      assert of_set.max() - of_set.min() <= 1
  assert (seen[OF == 'b'] == 0).all() == (mixture['b'] == 0)


def test_the_share_holds_in_parts_of_an_epoch_too():
  sets = np.repeat(['a', 'b'], [5000, 5000])
  order = stream({'a': 0.8, 'b': 0.2}, sets).epoch(0)
  for start in range(0, 10_000, 100):
    # 80 expected; drawn independently, three standard deviations would be 12.
    assert abs((sets[order[start : start + 100]] == 'a').sum() - 80) <= 3


def test_a_mixture_is_a_function_of_seed_and_position():
  mixture = {'a': 0.2, 'b': 0.3, 'c': 0.5}
  whole = np.concatenate([stream(mixture).epoch(epoch) for epoch in range(4)])
  again = stream(mixture)
  for number in (9, 2, 0, 5):
    np.testing.assert_array_equal(again.batch(number, 37), whole[number * 37 : (number + 1) * 37])
  other = stream(mixture, seed=1).epoch(0)
  assert (other != whole[:100]).any() and (whole[:100] != whole[100:200]).any()


def test_without_a_mixture_nothing_changes():
  plain = IndexStream('none', np.zeros((100, 1)), np.ones((100, 1)), seed=0)
  np.testing.assert_array_equal(stream({}).epoch(3), plain.epoch(3))


@pytest.mark.parametrize(
  ('mixture', 'settings', 'words'),
  [
    ({'a': 1, 'b': 1}, {}, ["nothing of the set 'c'"]),
    ({'a': 1, 'b': 1, 'cc': 1}, {}, ["is 'cc'", 'allowed: a, b, c']),
    ({'a': 1, 'b': 1, 'c': -1}, {}, ["['c']=-1"]),
    ({'a': 1, 'b': 1, 'c': 'half'}, {}, ["['c']='half'"]),
    ({'a': 0, 'b': 0, 'c': 0}, {}, ['all shares are 0']),
    ({'a': 1}, {'sets': ()}, ["source='several'"]),
    ({'a': 1, 'b': 1, 'c': 1}, {'mode': 'class_aware'}, ["name='none' alone", "'class_aware'"]),
  ],
)
def test_mistakes_in_a_mixture(mixture, settings, words):
  values = np.zeros((100, 1), np.float32)
  given = {'sets': OF, 'mode': 'none'} | settings
  with pytest.raises(InputError) as error:
    IndexStream(
      given['mode'], values, np.ones_like(values), seed=0, sets=given['sets'], mixture=mixture
    )
  assert '\n' not in str(error.value)
  for word in words:
    assert word in str(error.value)
