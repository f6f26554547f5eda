"""What a file of pixels becomes before it is a batch: its size, colour, shape and grey values."""

import dataclasses

_FITS = {
  'pad': 'the aspect ratio kept and the rest black',
  'crop': 'the aspect ratio kept and the longer side cut at both ends',
  'stretch': 'the aspect ratio not kept',
}
_INTENSITIES = {
  'file': "by the file's own window, or else the whole range of its bits",
  'stretch': "by each image's own darkest and brightest value",
}


@dataclasses.dataclass(frozen=True)
class ImageFormat:
  """The uint8[size, size, channels] that `decoding.decode` makes of every image.

  Attributes:
    size: height and width, pixels.
    channels: 1 (grey) or 3 (RGB).
    fit: how other shapes become square: 'pad' makes the longer side fill the square and the rest
      black, 'crop' the shorter side and cuts the longer one at both ends, 'stretch' both.
    interpolation: nearest, bilinear, bicubic or lanczos, antialiased but for the first.
    intensity: what becomes black and white of greys of more than 8 bits, see
      medjax.data.images.intensity.
  """

  size: int
  channels: int
  fit: str = 'pad'
  interpolation: str = 'bilinear'
  intensity: str = 'file'

  @property
  def shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    return (self.size, self.size, self.channels)

  @property
  def in_words(self) -> str:
    """How an image file becomes what the network is given."""
    colour = 'grey' if self.channels == 1 else 'RGB'
    black_and_white = _INTENSITIES.get(self.intensity, f'{self.intensity} as black … white')
    return (
      f'{colour} images of {self.size} × {self.size} pixels, {_FITS[self.fit]}, resized by '
      f'{self.interpolation} interpolation; greys of more than 8 bits {black_and_white}'
    )
