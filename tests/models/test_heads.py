"""Heads: what the logits are trained on, and the probabilities they become."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from medjax.errors import InputError
from medjax.models import heads

GRADES = np.eye(5, dtype=np.float32)  # an image of each of five grades


def test_an_ordinal_head_asks_each_question_of_the_images_that_reach_it():
  values, mask = heads.targets('ordinal', GRADES, np.ones_like(GRADES))
  # Shi, Cao and Raschka 2021: task k is trained on the examples of rank k and beyond.
  asked = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
  beyond = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
  np.testing.assert_array_equal(mask, asked)
  np.testing.assert_array_equal(values, beyond)


def test_an_image_of_unknown_grade_trains_no_output():
  values, mask = heads.targets('ordinal', GRADES * 0, np.zeros_like(GRADES))
  assert not values.any() and not mask.any()


def test_ordinal_probabilities_are_those_of_the_chain_rule():
  logits = np.random.default_rng(0).normal(size=(100, 4)) * 3
  conditional = 1 / (1 + np.exp(-logits))
  expected = np.empty((100, 5))
  for grade in range(5):
    reached = conditional[:, :grade].prod(axis=1)
    expected[:, grade] = reached * (1 - conditional[:, grade] if grade < 4 else 1)
  ours = heads.probabilities('ordinal', jnp.asarray(logits, jnp.float32))
  np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)
  np.testing.assert_allclose(ours.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
def test_probabilities_of_extreme_logits_are_a_distribution(head):
  logits = jnp.asarray([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4], [88.0, -88.0, 0.0]])
  ours = np.asarray(heads.probabilities(head, logits))
  assert (ours >= 0).all() and (ours <= 1).all()
  np.testing.assert_allclose(ours.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(('head', 'outputs'), [('sigmoid', 5), ('softmax', 5), ('ordinal', 4)])
def test_outputs(head, outputs):
  assert heads.outputs(head, 5) == outputs
  assert heads.targets(head, GRADES, np.ones_like(GRADES))[0].shape == (5, outputs)


@pytest.mark.parametrize(
  ('values', 'mask', 'says'),
  [
    ([1, 1, 0], [1, 1, 1], 'nevus 1, melanoma 1, keratosis 0'),
    ([0, 0, 0], [1, 1, 1], 'nevus 0, melanoma 0'),
    ([1, 0, 0], [1, 1, 0], 'keratosis unknown'),
    ([0.5, 1, 0], [1, 1, 1], 'nevus 0.5'),
  ],
)
def test_an_image_without_exactly_one_label_is_named(values, mask, says):
  table = pd.DataFrame({'image': ['good.png', 'bad.png']})
  labels = ('nevus', 'melanoma', 'keratosis')
  values = np.array([[0, 1, 0], values], np.float32)
  with pytest.raises(InputError, match=r"'bad.png'.*") as raised:
    heads.check_one_label_each(table, labels, values, np.array([[1, 1, 1], mask], np.float32))
  assert says in str(raised.value)


def test_images_of_one_known_label_or_none_pass():
  table = pd.DataFrame({'image': ['a', 'b']})
  mask = np.array([[1, 1], [0, 0]], np.float32)
  heads.check_one_label_each(table, ('a', 'b'), np.array([[1, 0], [0, 0]], np.float32), mask)
  with pytest.raises(InputError):
    heads.check_one_label_each(table, ('a', 'b'), np.zeros((2, 2), np.float32), mask)
