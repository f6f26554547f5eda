"""A heat map drawn over its image, in colours that rise evenly in lightness."""

import numpy as np
from scipy import ndimage

# Viridis (van der Walt and Smith 2015, CC0) at ten even steps: perceptually uniform, read alike by
# those who are colour-blind and in a grey print, and of hues that neither films nor tissue nor skin
# have.
COLOURS = np.array(
  [
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37),
  ],
  np.float64,
)  # fmt: skip
_MOST = 0.65  # of the hottest pixel, how much is colour and not image
# Standard deviation in shares of the longer side. Maps by pixel are speckles, which nobody would
# see.
_BLUR = 0.02


def coloured(shares: np.ndarray) -> np.ndarray:
  """Returns the colours of shares f[…] in [0, 1], uint8[…, 3]."""
  places = np.linspace(0, 1, len(COLOURS))
  channels = [np.interp(shares, places, channel) for channel in COLOURS.T]
  return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
  """Draws a heat map over its image: the hotter, the less of the image is seen through it.

  It is blurred for the eye, by 2 % of the longer side; scores are of the map as it is.

  Args:
    image: uint8[H, W, C], C being 1 or 3.
    heat: f[H, W], not negative; its maximum is the last colour. One that is 0 everywhere leaves the
      image as it is.

  Returns:
    uint8[H, W, 3].

  Raises:
    ValueError: the heat map is of another size than the image.
  """
  if heat.shape != image.shape[:2]:
    raise ValueError(f'a heat map {heat.shape} does not fit an image {image.shape}')
  shown = ndimage.gaussian_filter(np.asarray(heat, np.float64), _BLUR * max(heat.shape))
  shares = shown / max(float(shown.max()), np.finfo(np.float32).tiny)
  weight = _MOST * shares[..., None]
  picture = np.broadcast_to(image, (*heat.shape, 3))
  return np.rint((1 - weight) * picture + weight * coloured(shares)).astype(np.uint8)
