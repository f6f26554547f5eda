"""Heads: the probabilities that logits become."""

import jax.numpy as jnp
import numpy as np
import pytest

from medjax.models import heads


def test_ordinal_probabilities_are_those_of_the_chain_rule():
  logits = np.random.default_rng(0).normal(size=(100, 4)) * 3
  conditional = 1 / (1 + np.exp(-logits))
  expected = np.empty((100, 5))
  for grade in range(5):
    reached = conditional[:, :grade].prod(axis=1)
    expected[:, grade] = reached * (1 - conditional[:, grade] if grade < 4 else 1)
  actual = heads.probabilities('ordinal', jnp.asarray(logits, jnp.float32))
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)
  np.testing.assert_allclose(actual.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
def test_probabilities_of_extreme_logits_are_a_distribution(head):
  logits = jnp.asarray([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4], [88.0, -88.0, 0.0]])
  actual = np.asarray(heads.probabilities(head, logits))
  assert (actual >= 0).all() and (actual <= 1).all()
  np.testing.assert_allclose(actual.sum(axis=1), 1, rtol=1e-6)
