"""Readers in panels, readers of few images, and what is said of errors that nothing tells."""

import numpy as np
import pandas as pd
import pytest

from medjax.data.reference import consensus as reader_consensus
from medjax.data.reference import reader_errors


def test_dawid_skene_without_a_prior_equals_crowd_kit():
  rng = np.random.default_rng(0)
  sensitivity, specificity = (0.95, 0.85, 0.7, 0.6, 0.55), np.array((0.9, 0.97, 0.8, 0.95, 0.7))
  truth = rng.random(3000) < 0.3
  yes = np.where(truth[:, None], sensitivity, 1 - specificity)
  image, reader = np.nonzero(rng.random(yes.shape) < 0.8)
  answer = (rng.random(yes.shape) < yes)[image, reader].astype(int)
  reads = reader_errors.Reads(image, reader, answer, 3000, 5)
  estimate = reader_errors.dawid_skene(reads, np.full(3000, -1), prior=0)
  # crowd-kit 1.4.2: DawidSkene(5000, tol=1e-14).fit(…).priors_
  assert estimate.prevalence[1] == pytest.approx(0.2925875527945761, abs=1e-8)


def test_of_few_images_the_prior_keeps_the_estimate_from_extremes():
  right = {prior: [] for prior in (0, reader_errors.PRIOR)}
  for seed in range(12):
    rng = np.random.default_rng(seed)
    truth = rng.random(100) < 0.02
    said = rng.random((100, 3)) < np.where(truth, 0.9, 0.15)[:, None]
    image, reader = np.indices(said.shape).reshape(2, -1)
    reads = reader_errors.Reads(image, reader, said.astype(int).ravel(), 100, 3)
    for prior, shares in right.items():
      called = reader_errors.dawid_skene(reads, np.full(100, -1), prior).probability[:, 1] > 0.5
      shares.append((called == truth).mean())
  alone, with_prior = right.values()
  assert min(with_prior) > 0.9 > 0.75 > min(alone)
  assert np.mean(with_prior) > np.mean(alone) + 0.02


def panels(seed, images=400):
  """Returns (reads, truth, panel of each image): panels of three see more or less of a finding."""
  rng = np.random.default_rng(seed)
  panel = np.repeat(np.arange(5), images)
  truth = rng.random(len(panel)) < np.array([0.98, 0.95, 0.5, 0.2, 0.1])[panel]
  said = rng.random((len(panel), 3)) < np.where(truth, 0.9, 0.15)[:, None]
  image, place = np.indices(said.shape).reshape(2, -1)
  reader = 3 * panel[image] + place
  return reader_errors.Reads(image, reader, said.astype(int).ravel(), len(panel), 15), truth, panel


@pytest.mark.parametrize('method', [reader_errors.dawid_skene, reader_errors.staple])
def test_panels_that_share_no_image_have_a_prevalence_each(method):
  for seed in range(3):
    reads, truth, panel = panels(seed)
    unknown = np.full(reads.images, -1)
    estimate = method(reads, unknown)
    called = estimate.probability[:, 1] > 0.5
    voted = np.bincount(reads.image, reads.answer) >= 2
    for number in range(5):
      right = (called == truth)[panel == number].mean()
      assert right > (voted == truth)[panel == number].mean() - 0.03
    # As if each had been asked for alone.
    rows = panel[reads.image] == 1
    alone = reader_errors.Reads(
      reads.image[rows] - 400, reads.reader[rows] - 3, reads.answer[rows], 400, 3
    )
    one = method(alone, unknown[:400])
    np.testing.assert_allclose(one.probability, estimate.probability[panel == 1], atol=1e-6)
    np.testing.assert_allclose(one.confusion, estimate.confusion[3:6], atol=1e-3)


def test_readers_whose_errors_nothing_tells_are_named():
  rng = np.random.default_rng(0)
  rows = [(f'a{n}', reader, rng.random() < 0.5) for n in range(60) for reader in 'AB']
  rows += [(f'b{n}', reader, n < 6) for n in range(60) for reader in 'CDE']
  rows += [(f'b{n}', 'F', False) for n in range(55, 60)]
  frame = pd.DataFrame(rows, columns=['image', 'reader', 'x']).astype({'x': np.float32})
  notes = reader_consensus.estimate(frame, method='dawid_skene').notes
  assert (
    'x: the errors of A, B, F are not identified: fewer than 10 of the images that they read have '
    'three readers or a definitive test.'
  ) in notes
  assert 'The sensitivity of C, D, E rests on fewer than 10 images with x.' in notes
  assert 'The sensitivity of F is unknown: they read no image with x.' in notes
  test = pd.DataFrame({'image': [f'a{n}' for n in range(20)], 'x': np.float32(np.arange(20) % 2)})
  notes = reader_consensus.estimate(frame, method='dawid_skene', definitive=test).notes
  assert any('the errors of F are not identified' in note for note in notes)
  assert reader_consensus.estimate(frame).notes == ()
