"""Where on a slide there is tissue: by Otsu's threshold of the saturation of its colours.

Stained tissue has colour and glass has none (Otsu 1979, "A threshold selection method from
gray-level histograms", IEEE Trans. Syst. Man Cybern. 9:62, on the saturation of HSV, as Wang et al.
2016, "Deep Learning for Identifying Metastatic Breast Cancer", arXiv 1606.05718, found tissue in
Camelyon16).
"""

import numpy as np
from PIL import Image, ImageFilter

MPP = 8.0  # µm per pixel of the mask, about the size of a nucleus: fine enough for most patches
# Otsu's method splits any histogram, even of bare glass or of tissue alone. Slides with both have
# their threshold between these saturations, of 255.
_LEAST, _MOST = 10, 50
# The saturation of nearly black pixels, such as the unscanned parts of some slides, is noise.
_BLACK = 25


def otsu(histogram: np.ndarray) -> int:
  """Returns the threshold t of the largest variance between the classes ≤ t and > t.

  Args:
    histogram: [K], how many pixels have each value; the least of equally good thresholds is taken.
      With a single value present, that value.
  """
  counts = np.asarray(histogram, np.float64)
  present = np.flatnonzero(counts)
  if len(present) < 2:
    return int(present[0]) if len(present) else 0
  values = np.arange(len(counts))
  below, sums = np.cumsum(counts), np.cumsum(counts * values)
  above = below[-1] - below
  with np.errstate(divide='ignore', invalid='ignore'):
    gap = sums / below - (sums[-1] - sums) / above
    between = np.where((below > 0) & (above > 0), below * above * gap**2, 0)
  return int(np.argmax(between))


def mask(pixels: np.ndarray) -> tuple[np.ndarray, int]:
  """Finds tissue in a picture of a whole slide.

  Args:
    pixels: uint8[H, W, 3], RGB.

  Returns:
    bool[H, W], and the saturation of 255 above which a pixel is tissue.
  """
  image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))
  hsv = np.asarray(image.convert('HSV'))
  saturation, lit = hsv[..., 1], hsv[..., 2] > _BLACK
  threshold = otsu(np.bincount(saturation[lit], minlength=256))
  threshold = min(max(threshold, _LEAST), _MOST)
  return (saturation > threshold) & lit, threshold


def shares(mask: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns the share of every cell of a grid that is tissue, f64[R, C], to fractions of a pixel.

  Args:
    mask: bool[H, W].
    columns: f64[C + 1], where the grid's columns begin and end, in pixels of `mask`.
    rows: f64[R + 1].
  """
  total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
  total[1:, 1:] = mask.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
  # Within a pixel the integral of the mask is linear in either direction.
  at_rows = _between(total, rows)
  corners = _between(at_rows.T, columns).T
  areas = np.outer(np.diff(rows), np.diff(columns))
  return np.diff(np.diff(corners, axis=0), axis=1) / areas


def _between(table: np.ndarray, places: np.ndarray) -> np.ndarray:
  places = np.clip(places, 0, len(table) - 1)
  first = np.minimum(places.astype(int), len(table) - 2)
  part = (places - first)[:, None]
  return table[first] * (1 - part) + table[first + 1] * part
