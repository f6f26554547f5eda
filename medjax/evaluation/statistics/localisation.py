"""Whether heat maps show the place that readers marked: against boxes, and against chance.

- The pointing game (Zhang et al. 2016, arXiv 1608.00507): a map's hottest pixel lies in a box or
  not.
- Its form by energy (Wang et al. 2020, arXiv 1910.01279): the share of a map's heat that lies in
  the boxes.
- Overlap: the intersection of boxes and hot pixels over their union, hot being at least so much of
  the map's maximum.

Chance is what a map that knows nothing scores: one as hot everywhere scores the share of the image
  that
the boxes cover, in all three. Findings are rarely anywhere at all, though; so the maps of other
patients are tried too, on the same boxes: maps that only know where such findings tend to be score
  as much.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from medjax.evaluation.figure import Figure
from medjax.evaluation.statistics import intervals


@dataclasses.dataclass(frozen=True)
class Score:
  """How well heat maps fit boxes, by one measure.

  Attributes:
    figure: the mean over images.
    chance: what a map that is as hot everywhere scores; None without images.
    beyond_chance: the mean of the difference.
    other_patients: what the maps of other patients score on the same boxes; None without any.
  """

  figure: Figure
  chance: float | None
  beyond_chance: Figure
  other_patients: float | None


@dataclasses.dataclass(frozen=True)
class LabelLocalisation:
  """Heat maps of one label against its boxes.

  Attributes:
    images, patients, boxes: how many there are.
    blank: maps that are 0 everywhere.
    tolerance: pixels by which the hottest pixel may miss a box.
    threshold: share of a map's maximum from which on a pixel is hot.
    pointing: the hottest pixel lies in a box.
    energy: share of the heat in the boxes.
    overlap: intersection over union of boxes and hot pixels.
  """

  images: int
  patients: int
  boxes: int
  blank: int
  tolerance: float
  threshold: float
  pointing: Score
  energy: Score
  overlap: Score


@dataclasses.dataclass(frozen=True)
class Localisation:
  """Heat maps of a run against the boxes that readers drew.

  Attributes:
    method: of the heat maps: 'grad_cam', 'grad_cam_plus_plus' or 'integrated_gradients'.
    file: that holds the boxes.
    labels: label → scores, for labels with boxes.
  """

  method: str
  file: str
  labels: dict[str, LabelLocalisation]


def score(
  maps: np.ndarray,
  boxes: Sequence[np.ndarray],
  patients: Sequence[str],
  *,
  tolerance: float = 0.0,
  threshold: float = 0.5,
  replicates: int = 2000,
  seed: int = 0,
) -> LabelLocalisation:
  """Scores the heat maps of one label on images that have boxes of it.

  A map that is 0 everywhere shows nothing and scores 0. Where several pixels are the hottest, the
  share of them that lies in a box counts: what pointing at one of them by lot would score on
    average.

  Args:
    maps: f[N, H, W], not negative.
    boxes: N of f64[M, 4], M at least 1: x, y, width and height in pixels of the map.
    patients: N.
    tolerance: pixels by which the hottest pixel may miss a box; the paper allows 15 in photographs
      of about 500, and chance rises with it.
    threshold: share of a map's maximum from which on a pixel is hot.
    replicates: of the intervals, which resample patients.
    seed: of the replicates.

  Raises:
    ValueError: maps that are negative or not finite, an image without a box, or other shapes.
  """
  maps = np.asarray(maps, np.float32)
  patient = np.asarray(patients)
  if not len(maps) == len(boxes) == len(patients) or maps.ndim != 3:
    raise ValueError(
      f'maps {maps.shape}, {len(boxes)} lists of boxes and {len(patients)} patients do not go '
      'together'
    )
  if not (np.isfinite(maps).all() and (maps >= 0).all()):
    raise ValueError('heat maps must be finite and not negative')
  if not all(len(image_boxes) for image_boxes in boxes):
    raise ValueError('every image needs a box')
  exact = masks(boxes, maps.shape[1:])
  near = masks(boxes, maps.shape[1:], tolerance) if tolerance else exact
  peaks = maps == maps.max(axis=(1, 2), keepdims=True)
  hot = maps >= threshold * maps.max(axis=(1, 2), keepdims=True)
  # Blank maps are hot nowhere.
  peaks, hot = peaks & (maps > 0), hot & (maps > 0)
  others = patient[:, None] != patient[None, :]

  def scored(scores: np.ndarray, inside: np.ndarray) -> Score:
    """Takes f[N, N], every image's boxes by every image's map, and the pixels in the boxes."""
    values, chance = np.diagonal(scores), inside.mean(axis=(1, 2))
    return Score(
      figure=_mean(values, patient, replicates, seed),
      chance=float(chance.mean()) if len(maps) else None,
      beyond_chance=_mean(values - chance, patient, replicates, seed),
      other_patients=float(_of_others(scores, others)) if others.any() else None,
    )

  return LabelLocalisation(
    images=len(maps),
    patients=len(np.unique(patient)),
    boxes=sum(len(image_boxes) for image_boxes in boxes),
    blank=int((maps.max(axis=(1, 2), initial=0) == 0).sum()),
    tolerance=tolerance,
    threshold=threshold,
    pointing=scored(_flat(near) @ _flat(_shares(peaks)).T, near),
    energy=scored(_flat(exact) @ _flat(_shares(maps)).T, exact),
    overlap=scored(_unions(hot, exact), exact),
  )


def masks(
  boxes: Sequence[np.ndarray], shape: tuple[int, int], tolerance: float = 0.0
) -> np.ndarray:
  """Returns the pixels that the boxes cover, bool[N, H, W]: those whose middle lies in one.

  A box too small to hold any pixel's middle covers the pixel that its own middle lies in.

  Args:
    boxes: N of f64[M, 4], x, y, width and height in pixels.
    shape: (H, W).
    tolerance: pixels by which the boxes are widened on all sides.
  """
  height, width = shape
  covered = np.zeros((len(boxes), height, width), bool)
  for mask, image_boxes in zip(covered, boxes):
    for x, y, wide, high in image_boxes:
      rows = _within(y - tolerance, y + high + tolerance, height)
      columns = _within(x - tolerance, x + wide + tolerance, width)
      mask[np.ix_(rows, columns)] = True
  return covered


def _within(first: float, last: float, size: int) -> np.ndarray:
  """Returns the pixels whose middle lies between two places, at least one."""
  middles = np.arange(size) + 0.5
  inside = np.flatnonzero((middles >= first) & (middles < last))
  if len(inside):
    return inside
  return np.array([int(np.clip((first + last) // 2, 0, size - 1))])


def _shares(maps: np.ndarray) -> np.ndarray:
  """Returns maps that sum to 1, or are 0 everywhere, f32[N, H, W]."""
  total = maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
  return (maps / np.where(total > 0, total, 1)).astype(np.float32)


def _flat(maps: np.ndarray) -> np.ndarray:
  return maps.reshape(len(maps), -1).astype(np.float32)


def _unions(hot: np.ndarray, inside: np.ndarray) -> np.ndarray:
  """Intersection over union of every image's boxes and every map's hot pixels, f64[N, N]."""
  intersection = (_flat(inside) @ _flat(hot).T).astype(np.float64)
  either = inside.sum(axis=(1, 2))[:, None] + hot.sum(axis=(1, 2))[None, :] - intersection
  return intersection / either


def _of_others(scores: np.ndarray, others: np.ndarray) -> float:
  """The mean over images, each by the mean over the maps of other patients."""
  counts = others.sum(axis=1)
  means = (scores * others).sum(axis=1)[counts > 0] / counts[counts > 0]
  return means.mean()


def _mean(values: np.ndarray, patients: np.ndarray, replicates: int, seed: int) -> Figure:
  """Returns the mean over images as a figure, its interval by resampling patients."""
  unique, patient = np.unique(patients, return_inverse=True)
  tallies = np.stack(
    [np.bincount(patient, weights, len(unique)) for weights in (values, np.ones(len(values)))],
    axis=1,
  )
  totals = intervals.totals(tallies, replicates=replicates, seed=seed)
  value = float(values.mean()) if len(values) else float('nan')
  reason = '' if len(unique) > 1 else 'fewer than two patients have boxes of it'
  return intervals.figure(value, totals[:, 0] / totals[:, 1], reason)
