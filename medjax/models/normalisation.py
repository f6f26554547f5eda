"""What a network's weights expect of the values of their images."""

import dataclasses
import statistics

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Normalisation:
  """Shifts and scales the channels of images on the device, before the network.

  Attributes:
    mean: subtracted from the channels in [0, 1]; one value serves all channels.
    std: divided by, likewise.
    image_size: height and width, pixels, of the images that published weights were made with; 0
      where nothing says.
    interpolation: that those images were resized with; '' where nothing says.
  """

  mean: tuple[float, ...]
  std: tuple[float, ...]
  image_size: int = 0
  interpolation: str = ''

  def __call__(self, images: jax.Array) -> jax.Array:
    """f32[B, H, W, C] in [0, 1] → the network's input, f32[B, H, W, C]."""
    return (images - jnp.asarray(self.mean, jnp.float32)) / jnp.asarray(self.std, jnp.float32)


def for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
  """Returns the values of so many channels: for grey images, the average of those for colour."""
  return (statistics.fmean(values),) if len(values) > 1 and channels == 1 else values
