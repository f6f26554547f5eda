"""Gated attention pooling is the paper's formula, whatever the order and the padding."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from medjax import config as configs
from medjax import models
from medjax.data.split import by_patient
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.evaluation import predictions
from medjax.evaluation.predictions import Predictions
from medjax.models import layers
from medjax.whole_slides import bags, pooling, results, slides_by_attention
from medjax.whole_slides.attention_pooling import AttentionPooling
from medjax.whole_slides.bags import Bags

WIDTH, FEATURES = 5, 7


@pytest.fixture(scope='module')
def network():
  model = AttentionPooling(num_labels=2, width=WIDTH)
  variables = model.init(jax.random.key(0), jnp.zeros((1, 3, FEATURES)), jnp.ones((1, 3), bool))
  # Larger than at the start, so that attention is far from even.
  return model, jax.tree.map(lambda leaf: 3 * leaf + 0.1, variables)


def formula(params, h):
  """Ilse, Tomczak and Welling 2018, of one bag h[N, D], in float64."""
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
  scores = np.array(
    [
      (np.tanh(p['V']['kernel'].T @ patch) / (1 + np.exp(-(p['U']['kernel'].T @ patch))))
      @ p['w']['kernel'][:, 0]
      for patch in h
    ]
  )
  a = np.exp(scores) / np.exp(scores).sum()
  z = sum(weight * patch for weight, patch in zip(a, h))
  return z @ p['head']['kernel'] + p['head']['bias'], a


@pytest.mark.parametrize('patches', [1, 2, 40])
def test_it_is_the_formula(network, patches):
  model, variables = network
  h = np.random.default_rng(patches).normal(size=(patches, FEATURES))
  logits, attention = model.apply(variables, jnp.asarray(h[None]), jnp.ones((1, patches), bool))
  expected, weights = formula(variables['params'], h)
  np.testing.assert_allclose(logits[0], expected, rtol=2e-5, atol=1e-5)
  np.testing.assert_allclose(attention[0], weights, rtol=2e-5, atol=1e-6)


def test_the_order_of_patches_does_not_matter(network):
  model, variables = network
  rng = np.random.default_rng(0)
  h, order = rng.normal(size=(1, 30, FEATURES)), rng.permutation(30)
  mask = jnp.ones((1, 30), bool)
  logits, attention = model.apply(variables, h, mask)
  other, shuffled = model.apply(variables, h[:, order], mask)
  np.testing.assert_allclose(logits, other, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(attention[:, order], shuffled, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('padding', [0.0, 1e4, np.inf, np.nan])
def test_padding_changes_nothing(network, padding):
  model, variables = network
  rng = np.random.default_rng(1)
  bag_list = [rng.normal(size=(count, FEATURES)) for count in (3, 8)]
  h = np.full((2, 8, FEATURES), padding)
  mask = np.zeros((2, 8), bool)
  for row, bag in enumerate(bag_list):
    h[row, : len(bag)], mask[row, : len(bag)] = bag, True

  def loss(variables):
    return jnp.sum(model.apply(variables, h, mask)[0] ** 2)

  logits, attention = model.apply(variables, h, mask)
  for row, bag in enumerate(bag_list):
    alone, weights = model.apply(variables, bag[None], np.ones((1, len(bag)), bool))
    np.testing.assert_allclose(logits[row], alone[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(attention[row, : len(bag)], weights[0], rtol=1e-5, atol=1e-7)
  assert not attention[0, 3:].any()
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(variables)))


def a_few_bags(rng, slides):
  """Slides of 5 to 60 patches; in positive ones every tenth patch, at least one, is odd."""
  features, truth = [], []
  for _ in range(slides):
    positive = rng.random() < 0.5
    bag = rng.normal(size=(rng.integers(5, 60), FEATURES)).astype(np.float32)
    if positive:
      bag[: max(1, len(bag) // 10), 2] += 6
    features.append(rng.permutation(bag))
    truth.append([positive])
  truth = np.array(truth, np.float32)
  return Bags([f's{row}' for row in range(slides)], features, truth, np.ones(truth.shape, bool))


# With a random head, attention got the sign wrong.
@pytest.mark.slow
@pytest.mark.parametrize('seed', [0, 3])
def test_it_learns_which_patches_decide(seed):
  rng = np.random.default_rng(0)
  train, validation, test = (a_few_bags(rng, slides) for slides in (30, 15, 60))
  trained = pooling.train(train, validation, epochs=8, learning_rate=5e-3, seed=seed)
  assert [row.epoch for row in trained.history] == list(range(1, 9))
  best = max(row.validation_auroc for row in trained.history)
  assert trained.best == trained.history[trained.best.epoch - 1]
  assert trained.best.validation_auroc == best
  log_odds, attention = pooling.predict(trained, test)
  assert ((log_odds > 0) == test.truth).mean() > 0.9
  for features, weights, truth in zip(test.features, attention, test.truth):
    assert weights.shape == (len(features),) and abs(weights.sum() - 1) < 1e-5
    if truth[0]:
      assert features[np.argmax(weights), 2] > 3  # One of the odd ones.


def test_slides_of_unknown_truth_teach_nothing():
  rng = np.random.default_rng(0)
  train, validation = a_few_bags(rng, 8), a_few_bags(rng, 8)
  settings = {'epochs': 2, 'learning_rate': 1e-3, 'seed': 0}
  known = np.ones((8, 1), bool)
  known[5:] = False
  expected = pooling.train(Bags(*(field[:5] for field in train)), validation, **settings)
  ours = pooling.train(train._replace(known=known), validation, **settings)
  jax.tree.map(np.testing.assert_array_equal, ours.variables, expected.variables)
  with pytest.raises(InputError, match='no train slide has a known label'):
    pooling.train(train._replace(known=np.zeros_like(known)), validation, **settings)


def test_features_are_what_the_head_sees():
  class Network(nn.Module):
    @nn.compact
    def __call__(self, images, train):
      x = nn.relu(nn.Conv(4, (3, 3), strides=2, name='stem')(images))
      return layers.linear_head(layers.global_average(x), 3, dropout=0.5, train=train)

  images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
  variables = Network().init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)
  features = jax.jit(lambda x: bags.features(Network(), lambda x: x - 0.5, variables, x))(images)
  logits = Network().apply(variables, images / 255.0 - 0.5, train=False)
  head = variables['params']['head']
  assert features.shape == (2, 4)
  np.testing.assert_allclose(features @ head['kernel'] + head['bias'], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'resnet18',
    'densenet121',
    'inception_v3',
    'efficientnet_b0',
    'convnext_tiny',
    'vit_small_patch16',
  ],
)
def test_every_family_has_features(name):
  network = getattr(models, name)(num_labels=2)
  side = 299 if name == 'inception_v3' else 224
  images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.uint8)
  pixels = jnp.zeros((1, side, side, 3))
  variables = jax.eval_shape(lambda: network.init(jax.random.key(0), pixels, train=False))
  features = jax.eval_shape(
    lambda v, i: bags.features(network, lambda x: x, v, i), variables, images
  )
  assert features.shape == (2, variables['params']['head']['kernel'].shape[0])


def test_a_network_without_a_head_is_named():
  class Bare(nn.Module):
    @nn.compact
    def __call__(self, images, train):
      return nn.Dense(1)(images.mean(axis=(1, 2)))

  images = np.zeros((1, 8, 8, 3), np.uint8)
  variables = Bare().init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)
  with pytest.raises(InputError, match="Bare: has no dense layer named 'head'"):
    bags.features(Bare(), lambda x: x, variables, images)


def test_slides_of_a_split_with_a_floor_weigh_as_their_patients_do():
  # Four patches of each slide and two slides of each patient, of whom one in twenty is ill.
  rng, patients = np.random.default_rng(0), 3_000
  ill = rng.random(patients) < 0.05
  slides = np.repeat(np.arange(2 * patients), 4)
  of_patient = [f'p{slide // 2}' for slide in slides]
  table = pd.DataFrame({'image': [f'{row}.png' for row in range(len(slides))]})
  table['patient'] = of_patient
  truth = ill[slides // 2][:, None].astype(np.float32)
  known = np.ones(truth.shape, bool)
  split, how = by_patient.make(
    table, truth, known, ['tumor'], test=100, validation=100, test_floor={'tumor': 0.2}, seed=0
  )
  data = Study(table, truth, known, truth, known, split, {'how': how})
  slide_of = dict(zip(table['image'], map(str, slides)))
  parts = {}
  for part in ('validation', 'test'):
    names = sorted({slide_of[image] for image in table['image'][split == part]})
    weights = slides_by_attention.source_weights_of(data, ['tumor'], slide_of, part, names)
    of_slide = ill[[int(name) // 2 for name in names]][:, None]
    assert of_slide.mean() == pytest.approx(0.2, abs=0.01)
    assert np.average(of_slide[:, 0], weights=weights) == pytest.approx(ill.mean(), rel=1e-6)
    scores, log_odds = predictions.probabilities_of(rng.normal(2 * of_slide - 1))
    parts[part] = Predictions(
      names, [f'p{int(name) // 2}' for name in names], ['tumor'], scores,
      of_slide.astype(np.float32), np.ones(of_slide.shape, bool), log_odds=log_odds,
      weights=weights,
    )  # fmt: skip
  config = configs.load('configs/phantom.py', ['replicates=0'])
  answer = results.evaluate(parts, config, 'attention', 'patches')
  for result in (answer.slides, answer.patients):
    at = result.labels['tumor'].decision.at_prevalence
    assert at.prevalence == pytest.approx(ill.mean(), rel=1e-6)
    assert any(note.startswith('A floor enriched the split') for note in result.notes)
  plain = Study(table, truth, known, truth, known, split, {'how': {}})
  assert slides_by_attention.source_weights_of(plain, ['tumor'], slide_of, 'test', names) is None
