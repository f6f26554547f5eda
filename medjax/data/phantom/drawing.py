"""What the phantoms' drawings share: soft edges, smooth noise, marks drawn finely, then reduced."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Marks are drawn this many times larger than the image, so that their edges are soft.
FINER = 3


def smooth(z):
  """0 below 0, 1 above 1, and smoothly in between."""
  z = np.clip(z, 0, 1)
  return z * z * (3 - 2 * z)


def texture(rng: np.random.Generator, cells: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
  """Smooth noise, f32[shape], about normal: that many cells, drawn out to `shape`."""
  coarse = Image.fromarray(rng.standard_normal(cells, np.float32))
  return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns x f32[1, size] and y f32[size, 1], from -1 to 1 across the image, y downwards."""
  axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
  return axis[None, :], axis[:, None]


class Marks:
  """A layer, 0 to 1, on which lines and shapes are drawn; lengths are in half frames."""

  def __init__(self, size: int):
    self._scale = FINER * size / 2
    self._image = Image.new('L', (FINER * size, FINER * size))
    self._draw = ImageDraw.Draw(self._image)
    self._size = size

  def lines(self, x: np.ndarray, y: np.ndarray, width: np.ndarray, value: float = 1.0) -> None:
    """Draws K lines through N points each: x and y f32[K, N], width f32[K]."""
    widths = np.maximum(1, np.round(width * self._scale)).astype(int).tolist()
    for points, pixels in zip(self._points(x, y), widths):
      self._draw.line(points, int(255 * value), pixels)

  def shapes(self, x: np.ndarray, y: np.ndarray, value: np.ndarray) -> None:
    """Fills K outlines through N points each, in order: x and y f32[K, N], value f32[K]."""
    for points, ink in zip(self._points(x, y), (255 * value).astype(int).tolist()):
      self._draw.polygon(points, ink)

  def shape(self, x: np.ndarray, y: np.ndarray, value: float = 1.0) -> None:
    """Fills the outline through the points x, y, f32[N]."""
    self._draw.polygon(self._points(x, y), int(255 * value))

  def spot(self, x: float, y: float, radius: float, value: float = 1.0) -> None:
    """Fills a circle."""
    left, top, reach = (x + 1) * self._scale, (y + 1) * self._scale, radius * self._scale
    self._draw.ellipse((left - reach, top - reach, left + reach, top + reach), int(255 * value))

  def layer(self, blur: float = 0.0) -> np.ndarray:
    """Returns f32[size, size] in [0, 1], with soft edges of about `blur`, in half frames."""
    fine = self._image
    if blur:
      fine = fine.filter(ImageFilter.BoxBlur(blur * self._scale))
    reduced = fine.resize((self._size, self._size), Image.Resampling.BOX)
    return np.asarray(reduced, np.float32) / 255

  def _points(self, x: np.ndarray, y: np.ndarray) -> list:
    """Returns [x, y, x, y, …] in the layer's pixels, or a list of them for several lines."""
    pairs = np.stack([x, y], axis=-1)
    return ((pairs + 1) * self._scale).reshape(*x.shape[:-1], 2 * x.shape[-1]).tolist()
