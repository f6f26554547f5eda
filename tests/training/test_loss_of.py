"""The loss on validation is that of training, told by what leaves the device."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from medjax import losses
from medjax.config import Config, Data, Loss, Model
from medjax.data import targets
from medjax.models import heads
from medjax.training import objective


@pytest.mark.parametrize(
  ('head', 'name'),
  [
    ('sigmoid', 'weighted_binary_cross_entropy'),
    ('softmax', 'cross_entropy'),
    ('ordinal', 'binary_cross_entropy'),
  ],
)
def test_it_is_the_loss_of_the_logits_themselves(head, name):
  rng, labels = np.random.default_rng(0), ('a', 'b', 'c', 'd')
  logits = rng.normal(0, 3, (50, targets.outputs(head, 4))).astype(np.float32)
  values = (rng.random((50, 4)) < 0.4).astype(np.float32)
  mask = (rng.random((50, 4)) < 0.9).astype(np.float32)
  if head != 'sigmoid':
    values = np.eye(4, dtype=np.float32)[rng.integers(4, size=50)]
    mask = np.repeat(rng.random((50, 1)) < 0.9, 4, axis=1).astype(np.float32)
  config = Config(Data('csv', 'x', labels), Model('resnet_tiny', head=head), loss=Loss(name))
  asked, known = targets.targets(head, values, mask)
  loss = objective.bound_loss(config, asked, known)
  expected = losses.reduce(loss(jnp.asarray(logits), asked), known, jnp.ones(50))
  log_odds = np.asarray(heads.log_odds(head, jnp.asarray(logits)))
  ours = objective.loss_of(config, loss, log_odds, values, mask)
  assert ours == pytest.approx(float(expected), rel=1e-5)


def test_a_loss_that_compares_images_has_none():
  config = Config(Data('csv', 'x', ('a',)), Model('resnet_tiny'), loss=Loss('auc_margin'))
  one = np.ones((4, 1), np.float32)

  def compares(logits, labels, mask):
    return logits.sum(axis=0)

  assert objective.loss_of(config, compares, one, one, one) is None
  huge = dataclasses.replace(config, loss=Loss('binary_cross_entropy'))
  infinite = objective.loss_of(huge, lambda logits, labels: logits * np.inf, one, one, one)
  assert infinite is None  # JSON has no infinity.
