"""The prevalence from scores alone: Saerens' EM as published, a direct maximum, and simulation."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from medjax.evaluation.statistics import label_shift


def scores(rng, images, prevalence, start, separation=1.5):
  """Returns p of two normal distributions, exactly calibrated to `start`, and the truth."""
  truth = rng.random(images) < prevalence
  x = rng.normal(separation * truth, 1)
  return special.expit(special.logit(start) + separation * x - separation**2 / 2), truth


def expectation_maximisation(p, start):
  """Saerens et al. 2002, equation 2.9, step by step."""
  share = start
  for _ in range(20_000):
    ill = share / start * p
    posterior = ill / (ill + (1 - share) / (1 - start) * (1 - p))
    moved = posterior.mean()
    if abs(moved - share) < 1e-13:
      break
    share = moved
  return share


def most_likely(p, start):
  found = optimize.minimize_scalar(
    lambda r: -np.log(r * p / start + (1 - r) * (1 - p) / (1 - start)).sum(),
    bounds=(0, 1), method='bounded', options={'xatol': 1e-12},
  )  # fmt: skip
  return found.x


@pytest.mark.parametrize('kind', ['random', 'tied', 'clustered'])
def test_it_is_where_em_ends_and_the_likelihood_is_highest(kind):
  rng = np.random.default_rng(1)
  p, _ = scores(rng, 900, 0.4, 0.15)
  if kind == 'tied':
    p = np.maximum(p.round(1), 0.02)
  if kind == 'clustered':
    p = np.repeat(p[:300], rng.integers(1, 6, 300))
  found = float(label_shift.prevalence(p, np.ones((1, len(p))), 0.15)[0])
  assert found == pytest.approx(expectation_maximisation(p, 0.15), abs=1e-7)
  assert found == pytest.approx(most_likely(p, 0.15), abs=1e-5)


def test_weights_are_images_counted_so_often():
  rng = np.random.default_rng(2)
  p, _ = scores(rng, 200, 0.3, 0.2)
  weights = rng.integers(0, 4, (3, 200)).astype(float)
  found = label_shift.prevalence(p, weights, 0.2)
  alone = [
    label_shift.prevalence(np.repeat(p, row.astype(int)), np.ones((1, int(row.sum()))), 0.2)[0]
    for row in weights
  ]
  np.testing.assert_allclose(found, alone, atol=1e-9)


def test_the_ends_of_the_range_are_no_estimate():
  never = label_shift.figure(np.linspace(0.001, 0.01, 50), np.arange(50), 0.5, replicates=50)
  always = label_shift.figure(np.linspace(0.99, 0.999, 50), np.arange(50), 0.5, replicates=50)
  assert (never.value, always.value) == (0, 1)
  assert never.interval is always.interval is None
  assert never.reason == always.reason == label_shift.OFF_RANGE


def classes(rng, images, shares, start):
  """Returns p of three normal distributions in the plane, calibrated to `start`, and the class."""
  middles = np.array([[0, 0], [1.5, 0], [0.5, 1.8]])
  truth = rng.choice(3, images, p=shares)
  x = middles[truth] + rng.normal(size=(images, 2))
  logs = -0.5 * ((x[:, None] - middles) ** 2).sum(axis=2) + np.log(start)
  return special.softmax(logs, axis=1), truth


def test_of_classes_it_is_where_the_likelihood_is_highest():
  start, shares = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.35, 0.45])
  p, _ = classes(np.random.default_rng(4), 800, shares, start)
  found = label_shift.class_prevalences(p, np.ones((1, 800)), start)[0]
  best = optimize.minimize(
    lambda q: -np.log((p / start) @ q).sum(), start, bounds=[(1e-9, 1)] * 3,
    constraints={'type': 'eq', 'fun': lambda q: q.sum() - 1}, options={'ftol': 1e-14},
  )  # fmt: skip
  assert found == pytest.approx(best.x, abs=1e-4) and found.sum() == pytest.approx(1)
  figures = label_shift.class_figures(p, np.arange(800) // 2, start, replicates=100)
  for figure, share in zip(figures, shares):
    assert figure.interval[0] - 0.02 < share < figure.interval[1] + 0.02
  assert [figure.value for figure in figures] == pytest.approx(list(found))


def test_two_classes_are_one_question():
  p, _ = scores(np.random.default_rng(5), 500, 0.4, 0.15)
  alone = label_shift.prevalence(p, np.ones((1, 500)), 0.15)[0]
  both = label_shift.class_prevalences(
    np.stack([p, 1 - p], axis=1), np.ones((1, 500)), np.array([0.15, 0.85])
  )
  assert both[0] == pytest.approx([alone, 1 - alone], abs=1e-6)


def test_classes_of_which_one_is_never_seen_have_no_estimate_of_it():
  p = np.tile([0.6, 0.399, 0.001], (60, 1)) + np.linspace(0, 0.3, 60)[:, None] * [-1, 1, 0]
  figures = label_shift.class_figures(p, np.arange(60), np.array([0.4, 0.3, 0.3]), replicates=50)
  assert figures[2].value == 0 and figures[2].reason == label_shift.OFF_RANGE


def test_a_class_that_validation_lacks_is_no_start():
  figures = label_shift.class_figures(np.full((4, 3), 1 / 3), np.arange(4), np.array([0.5, 0.5, 0]))
  assert [figure.value for figure in figures] == [None] * 3
  assert figures[0].reason == 'a class has no image on validation'


@pytest.mark.parametrize(
  ('p', 'start', 'said'),
  [
    (np.zeros(0), 0.2, 'no images'),
    (np.full(9, 0.3), 0.2, 'all probabilities are the same'),
    (np.linspace(0.1, 0.9, 9), 0.0, 'is 0 or 1'),
  ],
)
def test_what_it_cannot_be_said_of(p, start, said):
  found = label_shift.figure(p, np.arange(len(p)), start)
  assert found.value is None and said in found.reason


def test_a_shift_is_found_without_any_label():
  # The worked case: trained at 15 %, tested where 45 % have it.
  p, truth = scores(np.random.default_rng(3), 6000, 0.45, 0.15)
  found = label_shift.figure(p, np.arange(len(p)), 0.15, replicates=200)
  assert found.interval[0] < truth.mean() < found.interval[1]
  assert p.mean() < 0.3  # The mean probability, which nobody has corrected, is far off.


@pytest.mark.slow
@pytest.mark.deep
def test_the_interval_covers():
  held = []
  for seed in range(1000):
    rng = np.random.default_rng(seed)
    ill = rng.random(250) < 0.35
    images = rng.integers(1, 4, 250)
    truth, patient = np.repeat(ill, images), np.repeat(np.arange(250), images)
    shared = np.repeat(rng.normal(size=250), images)
    x = 1.5 * truth + np.sqrt(0.5) * (shared + rng.normal(size=len(truth)))
    p = special.expit(special.logit(0.15) + 1.5 * x - 1.5**2 / 2)
    low, high = label_shift.figure(p, patient, 0.15, replicates=300, seed=seed).interval
    held.append(low <= 0.35 <= high)
  spread = stats.binom.std(1000, 0.95) / 1000
  assert 0.93 - spread <= np.mean(held) <= 0.97 + spread, np.mean(held)


@pytest.mark.slow
def test_the_intervals_of_classes_cover():
  start, shares = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.35, 0.45])
  held = []
  for seed in range(500):
    p, _ = classes(np.random.default_rng(seed), 300, shares, start)
    found = label_shift.class_figures(p, np.arange(300), start, replicates=300, seed=seed)
    held.append([low <= q <= high for q, (low, high) in zip(shares, (f.interval for f in found))])
  spread = 2 * stats.binom.std(500, 0.95) / 500
  covered = np.mean(held, axis=0)
  assert (covered > 0.93 - spread).all() and (covered < 0.97 + spread).all(), covered
