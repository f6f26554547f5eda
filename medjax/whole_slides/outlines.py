"""Outlines of tumour drawn on a slide: the XML files of ASAP, as Camelyon publishes them.

Coordinates are pixels of level 0: (0, 0) is the upper left corner of the first pixel. Of
  Camelyon16's
groups `_0`, `_1` and `Tumor` are tumour and `_2` and `Exclusion` are cut out of it; Camelyon17
calls them `metastases` and `normal`. `None` is ASAP's word for an outline without a group: what it
encloses is unknown.
"""

import pathlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medjax.errors import InputError, check_option

TUMOUR = ('_0', '_1', 'Tumor', 'metastases')
CUT_OUT = ('_2', 'Exclusion', 'normal')
UNGROUPED = ('None',)


class Outlines(NamedTuple):
  """Polygons f64[V, 2] of (x, y) in pixels of level 0; each closes itself.

  Attributes:
    tumour: around tumour; they may overlap.
    cut_out: around what is no tumour within these.
    ungrouped: around what is unknown.
  """

  tumour: list[np.ndarray]
  cut_out: list[np.ndarray]
  ungrouped: Sequence[np.ndarray] = ()


def read(path: pathlib.Path) -> Outlines:
  """Reads an ASAP file.

  Raises:
    InputError: no such file, no XML, a group of unknown meaning, or a coordinate that is no number.
  """
  try:
    root = ET.parse(path).getroot()
  except FileNotFoundError:
    raise InputError(f'{path}: no such file') from None
  except (ET.ParseError, UnicodeDecodeError) as error:
    raise InputError(f'{path}: cannot be read as XML ({error})') from None
  if root.tag != 'ASAP_Annotations':
    raise InputError(f"{path}: holds '{root.tag}', not ASAP_Annotations")
  tumour: list[np.ndarray] = []
  cut_out: list[np.ndarray] = []
  ungrouped: list[np.ndarray] = []
  for number, annotation in enumerate(root.findall('./Annotations/Annotation'), start=1):
    where = f'{path}: annotation {number} ({annotation.get("Name", "no name")})'
    group = annotation.get('PartOfGroup', 'None')
    check_option(f'{where}: PartOfGroup', group, TUMOUR + CUT_OUT + UNGROUPED)
    polygon = _polygon(annotation, where)
    if group in TUMOUR:
      tumour.append(polygon)
    else:
      (cut_out if group in CUT_OUT else ungrouped).append(polygon)
  return Outlines(tumour, cut_out, ungrouped)


def _polygon(annotation: ET.Element, where: str) -> np.ndarray:
  points = []
  for coordinate in annotation.findall('./Coordinates/Coordinate'):
    try:
      order, x, y = (float(coordinate.get(name, '')) for name in ('Order', 'X', 'Y'))
    except ValueError:
      given = ', '.join(f'{name}={value!r}' for name, value in coordinate.attrib.items())
      raise InputError(f'{where}: a coordinate without numbers Order, X and Y: {given}') from None
    points.append((order, x, y))
  points.sort(key=lambda point: point[0])
  return np.array([point[1:] for point in points], np.float64).reshape(-1, 2)


def inside(polygons: Sequence[np.ndarray], xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
  """Returns which points of a raster lie in any of the polygons, bool[len(ys), len(xs)].

  The even-odd rule decides in a polygon that crosses itself.

  Args:
    polygons: f64[V, 2] each.
    xs: f64[C], rising.
    ys: f64[R].
  """
  covered = np.zeros((len(ys), len(xs)), bool)
  if not covered.size:
    return covered
  for polygon in polygons:
    if len(polygon) < 3:
      continue
    (x1, y1), (x2, y2) = polygon.T, np.roll(polygon, -1, axis=0).T
    # Most edges of a large outline cross no row, and need not be compared row by row.
    near = (np.minimum(y1, y2) <= ys.max()) & (np.maximum(y1, y2) > ys.min())
    x1, y1, x2, y2 = x1[near], y1[near], x2[near], y2[near]
    for row, y in enumerate(ys):
      # A vertex at exactly y belongs only to the edge above it, so that it is counted once.
      crosses = (y1 <= y) != (y2 <= y)
      ax, ay, bx, by = x1[crosses], y1[crosses], x2[crosses], y2[crosses]
      crossings = np.sort(ax + (y - ay) / (by - ay) * (bx - ax))
      covered[row] |= np.searchsorted(crossings, xs, side='right') % 2 == 1
  return covered


def encloses(polygons: Sequence[np.ndarray]) -> bool:
  """Whether any of the polygons has an inside, unlike ASAP's annotations that are dots or lines."""
  return any(len(polygon) >= 3 for polygon in polygons)


def tumour_inside(outlines: Outlines, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
  """Returns which points of a raster are tumour, bool[len(ys), len(xs)]; see `inside`."""
  return _without_cut_out(outlines, outlines.tumour, xs, ys)


def unknown_inside(outlines: Outlines, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
  """Returns which points of a raster are in outlines without a group, bool[len(ys), len(xs)]."""
  return _without_cut_out(outlines, outlines.ungrouped, xs, ys)


def _without_cut_out(
  outlines: Outlines, polygons: Sequence[np.ndarray], xs: np.ndarray, ys: np.ndarray
) -> np.ndarray:
  covered = inside(polygons, xs, ys)
  if covered.any():
    covered &= ~inside(outlines.cut_out, xs, ys)
  return covered
