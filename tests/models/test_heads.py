"""Heads: the log-odds that logits become."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from medjax.models import heads


def test_grades_are_those_of_the_chain_rule():
  logits = np.random.default_rng(0).normal(size=(100, 4)) * 3
  conditional = special.expit(logits)
  expected = np.empty((100, 5))
  for grade in range(5):
    reached = conditional[:, :grade].prod(axis=1)
    expected[:, grade] = reached * (1 - conditional[:, grade] if grade < 4 else 1)
  actual = heads.log_odds('ordinal', jnp.asarray(logits, jnp.float32))
  np.testing.assert_allclose(actual, special.logit(expected), rtol=1e-4, atol=1e-5)


def test_classes_are_those_of_the_softmax():
  logits = np.random.default_rng(0).normal(size=(100, 4)) * 3
  actual = heads.log_odds('softmax', jnp.asarray(logits, jnp.float32))
  expected = special.logit(special.softmax(logits, axis=1))
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_two_classes_are_one_question_even_where_the_network_is_certain():
  logits = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32) * 60
  log_odds = np.asarray(heads.log_odds('softmax', jnp.asarray(logits)))
  np.testing.assert_array_equal(log_odds[:, 0], -log_odds[:, 1])
  np.testing.assert_array_equal(log_odds[:, 0], logits[:, 0] - logits[:, 1])


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
def test_extreme_logits_give_finite_log_odds_of_a_distribution(head):
  logits = jnp.asarray([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4], [88.0, -88.0, 0.0]])
  actual = np.asarray(heads.log_odds(head, logits), np.float64)
  assert np.isfinite(actual).all()
  np.testing.assert_allclose(special.expit(actual).sum(axis=1), 1, rtol=1e-6)
