"""Outlines as ASAP writes them, and what lies inside."""

import drawn_slides
import numpy as np
import pytest
from skimage.measure import points_in_poly

from medjax.errors import InputError
from medjax.whole_slides import outlines
from medjax.whole_slides.outlines import Outlines

SQUARE = [(10, 10), (90, 10), (90, 90), (10, 90)]


def test_groups_and_order(tmp_path):
  path = drawn_slides.asap(
    tmp_path / 'a.xml',
    [('_0', SQUARE), ('_1', [(0, 0), (5.5, 0), (5.5, 7.25)]), ('_2', SQUARE), ('Tumor', SQUARE),
     ('Exclusion', SQUARE), ('metastases', SQUARE), ('normal', SQUARE), ('None', SQUARE)],
  )  # fmt: skip
  drawn = outlines.read(path)
  assert len(drawn.tumour) == 4 and len(drawn.cut_out) == 3 and len(drawn.ungrouped) == 1
  np.testing.assert_array_equal(drawn.tumour[0], SQUARE)
  np.testing.assert_array_equal(drawn.tumour[1], [(0, 0), (5.5, 0), (5.5, 7.25)])


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('<ASAP_Annotations><Annotations>', ['cannot be read as XML']),
    ('<annotation/>', ["holds 'annotation'", 'ASAP_Annotations']),
    ('GROUP:tumour', ['annotation 1 (Annotation 0)', "PartOfGroup is 'tumour'", "mean 'Tumor'"]),
    ('POINT', ['annotation 1 (Annotation 0)', 'Order, X and Y', "X='ten'"]),
  ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
  path = tmp_path / 'a.xml'
  if text.startswith('GROUP'):
    drawn_slides.asap(path, [(text.partition(':')[2], SQUARE)])
  elif text == 'POINT':
    drawn_slides.asap(path, [('_0', [('ten', 10), (1, 2), (3, 4)])])
  else:
    path.write_text(text)
  with pytest.raises(InputError) as error:
    outlines.read(path)
  for word in ['a.xml', *words]:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('seed', range(6))
def test_inside_is_that_of_scikit_image(seed):
  rng = np.random.default_rng(seed)
  polygons = []
  for _ in range(3):
    points = rng.uniform(0, 100, (rng.integers(3, 40), 2))  # They cross themselves.
    polygons.append(points)
  xs, ys = np.sort(rng.uniform(-5, 105, 60)), rng.uniform(-5, 105, 50)
  grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
  expected = np.any([points_in_poly(grid, polygon) for polygon in polygons], axis=0)
  np.testing.assert_array_equal(outlines.inside(polygons, xs, ys), expected.reshape(50, 60))


def test_rows_through_corners_count_them_once():
  # A diamond, its corners on rows and columns of the raster: |x − 5| + |y − 5| ≤ 3.
  diamond = np.array([(5, 2), (8, 5), (5, 8), (2, 5)], float)
  xs = np.arange(0, 11) + 0.25
  ys = np.arange(0, 11, dtype=float)
  x, y = np.meshgrid(xs, ys)
  np.testing.assert_array_equal(
    outlines.inside([diamond], xs, ys), np.abs(x - 5) + np.abs(y - 5) < 3
  )


def test_what_is_cut_out_is_no_tumour():
  tumour, hole = np.array(SQUARE, float), np.array([(40, 40), (60, 40), (60, 60), (40, 60)], float)
  xs = ys = np.arange(100) + 0.5
  inside = outlines.tumour_inside(Outlines([tumour], [hole]), xs, ys)
  expected = np.zeros((100, 100), bool)
  expected[10:90, 10:90] = True
  expected[40:60, 40:60] = False
  np.testing.assert_array_equal(inside, expected)
  assert not outlines.tumour_inside(Outlines([], [hole]), xs, ys).any()
  unknown = outlines.unknown_inside(Outlines([], [hole], [tumour]), xs, ys)
  np.testing.assert_array_equal(unknown, expected)


def test_a_line_holds_nothing():
  assert not outlines.inside([np.array([(0.0, 0), (9, 9)])], np.arange(9.0), np.arange(9.0)).any()
