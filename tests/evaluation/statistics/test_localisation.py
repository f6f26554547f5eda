"""Scores of heat maps against boxes: worked cases, scikit-learn, and chance by simulation."""

import json

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from medjax.evaluation import results_file
from medjax.evaluation.statistics import localisation
from medjax.final_test import overlay as heat_overlay

MEASURES = ('pointing', 'energy', 'overlap')


def box(*sides):
  return np.array([sides], np.float64)


def value(scores, name, part='figure'):
  return getattr(getattr(scores, name), part).value


def test_a_worked_case():
  maps = np.zeros((3, 4, 4), np.float32)
  maps[0, 1, 1], maps[0, 3, 3] = 3, 1  # hottest inside, a quarter of its heat outside
  maps[1, 0, :] = 2  # four hottest, one of them inside
  boxes = [box(0, 0, 2, 2), box(0, 0, 1, 4), box(0, 0, 2, 4)]  # and one map of nothing
  scores = localisation.score(maps, boxes, ['A', 'B', 'C'], replicates=200)
  assert (scores.images, scores.patients, scores.boxes, scores.blank) == (3, 3, 3, 1)
  np.testing.assert_allclose(value(scores, 'pointing'), (1 + 0.25 + 0) / 3, rtol=1e-6)
  np.testing.assert_allclose(value(scores, 'energy'), (0.75 + 0.25 + 0) / 3, rtol=1e-6)
  # Hot are the pixels of half the maximum: 1 of 4 in the first, 4 and 4 of which 1 in the second.
  np.testing.assert_allclose(value(scores, 'overlap'), (1 / 4 + 1 / 7 + 0) / 3, rtol=1e-6)
  for name in MEASURES:
    np.testing.assert_allclose(getattr(scores, name).chance, (4 + 4 + 8) / 16 / 3)
    np.testing.assert_allclose(
      value(scores, name, 'beyond_chance'),
      value(scores, name) - getattr(scores, name).chance,
      atol=1e-6,
    )
  plain = json.loads(json.dumps(results_file.to_plain(scores), allow_nan=False))
  assert results_file.from_plain(plain, localisation.LabelLocalisation) == scores
  # Into the first box the others' maps point with 2 of 4 and not at all, and so on.
  others = ((0.5 + 0) / 2 + (0 + 0) / 2 + (1 + 0.5) / 2) / 3
  np.testing.assert_allclose(scores.pointing.other_patients, others, rtol=1e-6)


def test_several_boxes_of_an_image_are_one_region():
  maps = np.zeros((1, 8, 8), np.float32)
  maps[0, 6, 6] = 1
  both = np.array([[0, 0, 4, 4], [2, 2, 6, 6]], np.float64)
  scores = localisation.score(maps, [both], ['A'])
  assert value(scores, 'pointing') == 1
  assert scores.boxes == 2
  np.testing.assert_allclose(scores.pointing.chance, (16 + 36 - 4) / 64)
  assert scores.pointing.figure.interval is None
  assert scores.pointing.figure.reason == 'fewer than two patients have boxes of it'
  assert scores.pointing.other_patients is None


def test_overlap_equals_scikit_learns_jaccard():
  rng = np.random.default_rng(0)
  maps = rng.random((20, 9, 7)).astype(np.float32)
  corners = rng.integers(0, 4, (20, 2))
  boxes = [box(x, y, *rng.integers(1, 4, 2)) for x, y in corners]
  scores = localisation.score(maps, boxes, [str(n) for n in range(20)], threshold=0.8, replicates=2)
  wanted = []
  for heat_map, ((x, y, wide, high),) in zip(maps, boxes):
    inside = np.zeros((9, 7), bool)
    inside[int(y) : int(y + high), int(x) : int(x + wide)] = True
    wanted.append(jaccard_score(inside.ravel(), (heat_map >= 0.8 * heat_map.max()).ravel()))
  np.testing.assert_allclose(value(scores, 'overlap'), np.mean(wanted), rtol=1e-6)


def test_maps_of_chance_score_chance():
  rng = np.random.default_rng(0)
  maps = rng.random((4000, 10, 10)).astype(np.float32)
  boxes = [box(*rng.integers(0, 5, 2), *rng.integers(1, 6, 2)) for _ in range(4000)]
  scores = localisation.score(maps[:800], boxes[:800], np.arange(800).astype(str), replicates=2)
  for name in ('pointing', 'energy'):
    assert abs(value(scores, name, 'beyond_chance')) < 0.03
    assert abs(getattr(scores, name).other_patients - getattr(scores, name).chance) < 0.02
  even = localisation.score(np.ones((50, 10, 10)), boxes[:50], ['A', 'B'] * 25, replicates=2)
  for name in MEASURES:
    np.testing.assert_allclose(value(even, name), getattr(even, name).chance, rtol=1e-5)


def test_the_tolerance_widens_boxes_and_chance():
  maps = np.zeros((2, 20, 20), np.float32)
  maps[:, 10, 12] = 1
  boxes = [box(5, 5, 5, 10), box(5, 5, 4, 10)]  # 2 and 3 columns to the left of that pixel
  exact = localisation.score(maps, boxes, ['A', 'B'])
  wide = localisation.score(maps, boxes, ['A', 'B'], tolerance=3)
  assert value(exact, 'pointing') == 0 and value(wide, 'pointing') == 0.5
  np.testing.assert_allclose(wide.pointing.chance, (11 * 16 + 10 * 16) / 400 / 2)
  assert wide.energy == exact.energy and wide.overlap == exact.overlap


def test_a_box_between_the_pixels_middles_covers_one():
  covered = localisation.masks([box(2.6, 1.1, 0.3, 0.2), box(7.9, 7.9, 0.1, 0.1)], (8, 8))
  assert covered.sum(axis=(1, 2)).tolist() == [1, 1]
  assert covered[0, 1, 2] and covered[1, 7, 7]


def test_intervals_resample_patients():
  """All images of a patient alike, their number does not narrow the interval."""
  rng = np.random.default_rng(0)
  hits = rng.random(40) < 0.5

  def interval(images):
    maps = np.zeros((40 * images, 4, 4), np.float32)
    maps[np.repeat(hits, images), 0, 0] = 1
    maps[np.repeat(~hits, images), 3, 3] = 1
    patients = np.repeat([f'{n:02d}' for n in range(40)], images)
    scores = localisation.score(maps, [box(0, 0, 1, 1)] * len(maps), patients)
    return scores.pointing.figure.interval

  once = interval(1)
  assert once == interval(5)
  half = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 40)
  np.testing.assert_allclose(once, [hits.mean() - half, hits.mean() + half], atol=0.03)


@pytest.mark.parametrize(
  ('maps', 'boxes', 'words'),
  [
    (np.full((1, 2, 2), np.nan), [box(0, 0, 1, 1)], 'finite'),
    (-np.ones((1, 2, 2)), [box(0, 0, 1, 1)], 'not negative'),
    (np.ones((1, 2, 2)), [np.zeros((0, 4))], 'every image needs a box'),
    (np.ones((1, 2, 2)), [], 'do not go together'),
  ],
)
def test_what_cannot_be_scored_is_refused(maps, boxes, words):
  with pytest.raises(ValueError, match=words):
    localisation.score(maps, boxes, ['A'])


# ---- drawing
# -------------------------------------------------------------------------------------------


def test_colours_rise_evenly_in_lightness():
  colour = pytest.importorskip('skimage.color')
  lightness = colour.rgb2lab(heat_overlay.coloured(np.linspace(0, 1, 41))[None])[0, :, 0]
  steps = np.diff(lightness)
  assert (steps > 0).all()
  assert steps.max() < 2 * steps.min()
  # For those without red or green cones lightness is what is left, here nearly all of the scale's.
  assert lightness[0] < 20 and lightness[-1] > 88


def test_an_overlay_shows_heat_where_it_is_and_the_image_elsewhere():
  image = np.full((4, 6, 1), 100, np.uint8)
  hot = np.zeros((4, 6), np.float32)
  hot[1, 2], hot[3, 5] = 4, 2
  drawn = heat_overlay.overlay(image, hot)
  assert drawn.shape == (4, 6, 3) and drawn.dtype == np.uint8
  changed = (drawn != 100).any(axis=-1)
  assert changed.sum() == 2 and changed[1, 2] and changed[3, 5]
  # The hottest pixel is bright yellow, seen through a little.
  red, green, blue = drawn[1, 2].astype(int)
  assert red > 180 and green > 180 and blue < 80
  np.testing.assert_array_equal(
    heat_overlay.overlay(image, np.zeros((4, 6))), np.repeat(image, 3, axis=2)
  )
  colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
  np.testing.assert_array_equal(heat_overlay.overlay(colours, np.zeros((4, 6))), colours)
  with pytest.raises(ValueError, match='does not fit'):
    heat_overlay.overlay(image, hot.T)


def test_a_single_hot_pixel_can_be_seen():
  hot = np.zeros((100, 100))
  hot[30, 60] = 1
  changed = (heat_overlay.overlay(np.full((100, 100, 1), 100, np.uint8), hot) != 100).any(axis=-1)
  rows, columns = np.nonzero(changed)
  assert 20 < changed.sum() < 200
  np.testing.assert_allclose([rows.mean(), columns.mean()], [30, 60])
