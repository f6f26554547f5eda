"""Which stored grey values become black and white: pixels deeper than 8 bits → uint8.

Eight bits are shown as they are. Of 12 or 16 bits somebody must say which values the eight shall
span, and three sayings are honest:

  'file'       what the file itself says: a DICOM's window; without one the whole range of its bits,
               the same for every image. An image that hardly uses it would come out black, and is
               refused by name.
  'stretch'    each image's own lowest value is black and its highest white. For sets whose images
               use their bits differently, such as PadChest's 16-bit PNGs. What it costs: how bright
               one image is beside another is lost, and a single bright marker darkens the rest.
  'low..high'  these values, the same for every image: '0..4095' for 12 bits stored in 16,
               '-160..240' for soft tissue in Hounsfield units. Comparable between images, where one
               is right.
"""

import numpy as np

from medjax.config import vocabulary

# Exports of 10- and 12-bit detectors reach 1023 and 4095 of 65535; real images leave less unused.
_LEAST_SHARE = 1 / 8


def span(
  intensity: str, darkest: float, brightest: float, whole: tuple[float, float] | None
) -> tuple[float, float]:
  """Returns the values that become black and white.

  Args:
    intensity: see this module's docstring.
    darkest: the lowest value in the image.
    brightest: the highest.
    whole: the range of the image's bits, None where they have none of their own.

  Raises:
    ValueError: with 'file', the image hardly uses its range or has none.
  """
  if intensity == 'stretch':
    return darkest, brightest
  limits = vocabulary.intensity_limits(intensity)
  if limits is not None:
    return limits
  advice = (
    "set data.intensity to a range such as '0..4095' if one serves all images, or to 'stretch'"
  )
  if whole is None:
    raise ValueError(f'its pixels, {darkest:g} to {brightest:g}, are of no known range; {advice}')
  least, most = whole
  # Below zero lie values that a signed type can hold and an image seldom does.
  reach = brightest - (darkest if least < 0 else least)
  if reach < _LEAST_SHARE * (most - least):
    raise ValueError(
      f'its pixels are {darkest:g} to {brightest:g} of a possible {least:g} to {most:g} and would '
      f'show almost nothing; {advice}'
    )
  return whole


def to_uint8(values: np.ndarray, low: float, high: float) -> np.ndarray:
  """Returns uint8 of the same shape: `low` and less is 0, `high` and more is 255, linear
  between.
  """
  scaled = (values.astype(np.float64) - low) * (255 / (high - low) if high > low else 0)
  return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
