"""Which stored grey values become black and white: pixels deeper than 8 bits → uint8.

Eight bits are shown as they are. Of 12 or 16 bits somebody must say which values the eight shall
span, and three sayings are honest:

  'file'       what the file itself says: a DICOM's window; without one the whole range of its bits,
               the same for every image.
  'stretch'    each image's own lowest value is black and its highest white. For sets whose images
               use their bits differently, such as PadChest's 16-bit PNGs. What it costs: how bright
               one image is beside another is lost, and a single bright marker darkens the rest.
  'low..high'  these values, the same for every image: '0..4095' for 12 bits stored in 16,
               '-160..240' for soft tissue in Hounsfield units. Comparable between images, where one
               is right.

Whatever is said, and by whom, a picture that shows nothing of what is stored is refused by name:
see `check_shown`.
"""

import dataclasses

import numpy as np

from medjax.config import vocabulary

# Exports of 10- and 12-bit detectors reach 1023 and 4095 of 65535; real images leave less unused.
LEAST_SHOWN = 256 // 8  # greys, of 256
_MIDDLE = (0.005, 0.995)  # A marker or a dead pixel is less than one pixel in a hundred.
_SAMPLE = 2**18  # pixels say how most of them differ
_ADVICE = (
  "set data.intensity to a range such as '0..4095' if one serves all images, or to 'stretch'"
)


@dataclasses.dataclass(frozen=True)
class Spread:
  """How far the pixels of a picture differ.

  Attributes:
    darkest, brightest: of all pixels.
    low, high: of the middle 99 % of them.
  """

  darkest: float
  brightest: float
  low: float
  high: float


def spread(values: np.ndarray, counts: np.ndarray | None = None) -> Spread:
  """Returns the spread of pixels; `counts` are how many have each value, None one each."""
  values = np.ravel(values)
  if counts is None:
    middle = np.quantile(_sample(values), _MIDDLE, method='nearest')
    return Spread(float(values.min()), float(values.max()), *middle.tolist())
  occurring = np.flatnonzero(counts)
  ordered = occurring[np.argsort(values[occurring], kind='stable')]
  up_to = np.cumsum(counts[ordered])
  places = np.searchsorted(up_to, [1, *(share * up_to[-1] for share in _MIDDLE), up_to[-1]])
  darkest, low, high, brightest = values[ordered[places]].astype(float).tolist()
  return Spread(darkest, brightest, low, high)


def counts(positions: np.ndarray, length: int) -> np.ndarray:
  """Returns how many pixels are at each position, i64[length]: of a sample, with both ends."""
  positions = np.ravel(positions)
  result = np.bincount(_sample(positions), minlength=length)
  for end in (positions.min(), positions.max()):
    result[end] = max(result[end], 1)
  return result


def _sample(values: np.ndarray) -> np.ndarray:
  return values[:: values.size // _SAMPLE + 1]


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
    ValueError: with 'file', the image has no range.
  """
  if intensity == 'stretch':
    return darkest, brightest
  ends = vocabulary.intensity_limits(intensity) or whole
  if ends is None:
    raise ValueError(f'its pixels, {darkest:g} to {brightest:g}, are of no known range; {_ADVICE}')
  return ends


def to_uint8(values: np.ndarray, low: float, high: float) -> np.ndarray:
  """Returns uint8 of the same shape: `low` and less is 0, `high` and more is 255, linear
  between.
  """
  scaled = (values.astype(np.float64) - low) * (255 / (high - low) if high > low else 0)
  return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def check_shown(
  stored: Spread,
  shown: Spread,
  by: str,
  *,
  possible: tuple[float, float],
  step: float = 1,
  inverted: bool = False,
  advice: str = _ADVICE,
) -> None:
  """Refuses a picture that is (nearly) black, white or one grey where its stored pixels are not.

  Nothing is refused whose greys are told apart nearly as finely as they are stored, such as any
  picture of 8 bits that is shown as it is, however dark; nor what is constant as stored, such as a
  patch of empty background. Of all others these are refused:

  - black: no pixel reaches an eighth of white. 12 bits in a file of 16 that nobody speaks of (there
    a constant too, unless it is the least value), or a window above all that occurs.
  - one grey: all pixels lie within an eighth of black … white, though, by what the bits can hold or
    what is said to be black and white, they differ at least twice as much as stored. Where the
    whole range of signed pixels is shown, an eighth is enough: below zero lie values that a signed
    type can hold and an image seldom does.
  - cut off: the middle 99 % of the pixels, which differ as stored by an eighth of all that occurs,
    differ as shown by no more than a thirty-second of it. A window beside all but a marker.

  Args:
    stored: the pixels as they are stored, after any rescaling.
    shown: of 0 … 255, before any inversion.
    by: what made the one of the other, in words: 'its window'; '' where all that the bits can hold
      is shown, so that nothing can be cut off.
    possible: what the bits can hold, or is said to be black and white.
    step: what two neighbouring stored values differ by; 0 for floating-point numbers.
    inverted: low values are white.
    advice: what the user can do.

  Raises:
    ValueError: says what is stored, what would be shown, and what to do.
  """
  stored_range = stored.brightest - stored.darkest
  shown_range = shown.brightest - shown.darkest
  most = possible[1] - possible[0]
  is_deep = not step or most / step > 255
  is_constant = stored_range == 0
  if is_constant and (by or not is_deep or stored.darkest == possible[0] or possible[0] < 0):
    return
  if not is_constant and step and stored_range / step <= 2 * shown_range:
    return
  is_flat = shown_range < LEAST_SHOWN
  is_black = shown.brightest < LEAST_SHOWN
  is_one_grey = is_flat and (
    (shown_range + 1) / 256 < stored_range / most / 2 or (not by and possible[0] < 0)
  )
  is_cut_off = bool(by) and (
    stored.high - stored.low >= stored_range / 8 and shown.high - shown.low <= shown_range / 32
  )
  if not (is_black or is_one_grey or is_cut_off):
    return
  low, high = shown.darkest, shown.brightest
  if is_cut_off and not is_flat:
    low, high = shown.low, shown.high
  if inverted:
    low, high = 255 - high, 255 - low
  name = 'black' if high < LEAST_SHOWN else 'white' if low > 255 - LEAST_SHOWN else 'one grey'
  range_words = f' of a possible {possible[0]:g} to {possible[1]:g}' if not by else ''
  raise ValueError(
    f'its pixels are {stored.darkest:g} to {stored.brightest:g}{range_words} and would be almost '
    f'{name}{f" by {by}" if by else ""}, {low:g} to {high:g} of 255; {advice}'
  )
