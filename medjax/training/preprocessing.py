"""What an image goes through before the network, resolved from the config and the weights."""

import dataclasses
import functools
import statistics
from collections.abc import Callable

import jax

from medjax.config import Config
from medjax.errors import InputError
from medjax.models.pretrained.weights import Weights
from medjax.models.published import NETWORKS
from medjax.training import steps

_INTERPOLATION = 'bilinear'  # of images for a network that starts from random parameters
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
class Preprocessing:
  """Attributes:
  image_size: height and width, pixels.
  channels: 1 (grey) or 3 (RGB).
  mean: subtracted from the channels in [0, 1].
  std: divided by.
  interpolation: of the resizing.
  fit: how other shapes become square, see medjax.data.images.decoding.decode.
  intensity: what becomes black and white of deep greys, see medjax.data.images.intensity.
  """

  image_size: int
  channels: int
  mean: tuple[float, ...]
  std: tuple[float, ...]
  interpolation: str
  fit: str = 'pad'
  intensity: str = 'file'

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    return (self.image_size, self.image_size, self.channels)

  @property
  def in_words(self) -> str:
    """How an image file becomes what the program is given."""
    colour = 'grey' if self.channels == 1 else 'RGB'
    black_and_white = _INTENSITIES.get(self.intensity, f'{self.intensity} as black … white')
    return (
      f'{colour} images of {self.image_size} × {self.image_size} pixels, {_FITS[self.fit]}, resized by '
      f'{self.interpolation} interpolation; greys of more than 8 bits {black_and_white}'
    )

  @property
  def normalise(self) -> Callable[[jax.Array], jax.Array]:
    """f32[B, H, W, C] in [0, 1] → the network's input."""
    return functools.partial(steps.normalise, mean=self.mean, std=self.std)


def resolve(config: Config, weights: Weights | None) -> Preprocessing:
  """What the config says, else what the weights were made with, else the network's published size.

  A grey image gets the averages of the weights' means and deviations over their channels, so that what a
  summed stem sees differs a little from a tripled copy normalised channel by channel.

  Raises:
    InputError: no image size anywhere, or weights of which nobody says mean and deviation.
  """
  data, model = config.data, config.model
  size = data.image_size or (weights.image_size if weights else 0)
  if not size:
    if model.name not in NETWORKS:
      raise InputError(
        f'config.data.image_size: give one; {model.name} was published with no size of its own'
      )
    size = NETWORKS[model.name].image_size
  if weights and not weights.mean and not (model.mean and model.std):
    usual = 'ImageNet: 0.485,0.456,0.406 and 0.229,0.224,0.225; for grey images 0.449 and 0.226'
    if model.name == 'inception_v3':
      # Its transform_input turns ImageNet's into these.
      usual = 'torchvision: 0.5 and 0.5, to which it normalises again what is given to it'
    raise InputError(
      f'config.model.pretrained ({weights.origin["from"]}): nothing says how its images were normalised; '
      f'give config.model.mean and config.model.std ({usual}), or put the config.json published with the '
      'weights beside them'
    )
  return Preprocessing(
    image_size=size,
    channels=data.channels,
    mean=model.mean or _for_channels(weights.mean if weights else (), data.channels) or (0.5,),
    std=model.std or _for_channels(weights.std if weights else (), data.channels) or (0.25,),
    interpolation=(weights.interpolation if weights else '') or _INTERPOLATION,
    fit=data.fit,
    intensity=data.intensity,
  )


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
  return (statistics.fmean(values),) if len(values) > 1 and channels == 1 else values
