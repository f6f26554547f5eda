"""Tissue is separated from glass."""

import drawn_slides
import numpy as np
import pytest
from skimage.filters import threshold_otsu

from medjax.whole_slides import tissue


@pytest.mark.parametrize('seed', range(8))
def test_otsu_is_that_of_scikit_image(seed):
  rng = np.random.default_rng(seed)
  low, high = sorted(rng.integers(5, 250, 2))
  values = np.concatenate(
    [rng.normal(low, rng.uniform(1, 20), 3000), rng.normal(high, rng.uniform(1, 40), 900)]
  )
  values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
  assert tissue.otsu(np.bincount(values, minlength=256)) == threshold_otsu(values)


def test_otsu_of_one_value_is_that_value():
  assert tissue.otsu(np.bincount([7, 7, 7], minlength=256)) == 7 and tissue.otsu(np.zeros(256)) == 0


def test_drawn_tissue_is_found():
  size = (300, 260)
  where = drawn_slides.disc(size, (140, 120), 80) | drawn_slides.disc(size, (255, 215), 20)
  mask, threshold = tissue.mask(drawn_slides.draw(size, where, np.zeros_like(where)))
  assert (mask & where).sum() / (mask | where).sum() > 0.95
  assert 10 <= threshold <= 50


def test_glass_alone_and_tissue_alone_are_not_split():
  size, nowhere = (200, 200), np.zeros((200, 200), bool)
  assert not tissue.mask(drawn_slides.draw(size, nowhere, nowhere))[0].any()
  assert tissue.mask(drawn_slides.draw(size, ~nowhere, nowhere))[0].mean() > 0.99


def test_what_was_not_scanned_is_no_tissue():
  # Nearly black with JPEG's noise: of high saturation, yet nothing.
  rng = np.random.default_rng(0)
  pixels = drawn_slides.draw(
    (200, 200), drawn_slides.disc((200, 200), (60, 100), 40), np.zeros((200, 200), bool)
  )
  pixels[:, 120:] = rng.integers(0, 6, (200, 80, 3))
  assert not tissue.mask(pixels)[0][:, 123:].any()


def test_shares_of_cells_that_cut_through_pixels():
  mask = np.random.default_rng(0).random((30, 41)) < 0.4
  columns, rows = np.arange(0, 40.1, 1.7), np.arange(0, 30.1, 2.3)
  # Tenths of a pixel, each in one cell.
  fine = np.kron(mask, np.ones((10, 10)))
  expected = [
    [fine[23 * r : 23 * (r + 1), 17 * c : 17 * (c + 1)].mean() for c in range(len(columns) - 1)]
    for r in range(len(rows) - 1)
  ]
  np.testing.assert_allclose(tissue.shares(mask, columns, rows), expected, atol=1e-9)
