"""On-device augmentation: one policy per modality, pure, jitted within the training step.

The contract: `policy(key, images f32[B, H, W, C] in [0, 1]) -> f32[B, H, W, C] in [0, 1]`. Every
image gets a key of its own, split from one key per step, so that the result does not depend on how
many devices share the batch. This is the one module of medjax.data that imports jax; worker
processes never import it.
"""

import jax
import jax.numpy as jnp

__all__ = ['chest', 'none', 'plain']


def none(key: jax.Array, images: jax.Array) -> jax.Array:
  """The images as they are."""
  del key
  return images


def plain(key: jax.Array, images: jax.Array) -> jax.Array:
  """Shifts up to 5 %: a framing that differs in every modality and changes no label."""
  return _each(key, images, lambda key, image: _affine(image, shift=_uniform(key, 0.05, (2,))))


def chest(key: jax.Array, images: jax.Array) -> jax.Array:
  """What differs between two films of one chest; never a flip, which makes a dextrocardia.

  Rotation up to 7°: how straight the patient stands. Scale up to 10 %: distance and build. Shift up
  to 5 %: centring. Brightness up to 0.08 and contrast up to 15 %: exposure and the scanner's curve.
  Noise of standard deviation up to 0.02: dose. None of them adds or hides a finding.
  """

  def one(key: jax.Array, image: jax.Array) -> jax.Array:
    rotation, scale, shift, brightness, contrast, level, noise = jax.random.split(key, 7)
    image = _affine(
      image,
      rotation=jnp.deg2rad(_uniform(rotation, 7.0)),
      scale=1.0 + _uniform(scale, 0.1),
      shift=_uniform(shift, 0.05, (2,)),
    )
    mean = jnp.mean(image)
    image = (image - mean) * (1.0 + _uniform(contrast, 0.15)) + mean + _uniform(brightness, 0.08)
    deviation = jax.random.uniform(level, maxval=0.02)
    return image + deviation * jax.random.normal(noise, image.shape)

  return _each(key, images, one)


def _each(key: jax.Array, images: jax.Array, one) -> jax.Array:
  keys = jax.random.split(key, images.shape[0])
  return jnp.clip(jax.vmap(one)(keys, images), 0.0, 1.0)


def _uniform(key: jax.Array, half_width: float, shape: tuple[int, ...] = ()) -> jax.Array:
  return jax.random.uniform(key, shape, minval=-half_width, maxval=half_width)


def _affine(
  image: jax.Array,
  *,
  rotation: jax.Array | float = 0.0,
  scale: jax.Array | float = 1.0,
  shift: jax.Array | None = None,
) -> jax.Array:
  """Rotates (radians) and scales about the centre, then shifts (share of height and width).

  Bilinear; outside the image its nearest edge is repeated.
  """
  height, width, _ = image.shape
  centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
  offset = jnp.zeros(2) if shift is None else shift * jnp.array([height, width])
  cosine, sine = jnp.cos(rotation), jnp.sin(rotation)
  inverse = jnp.array([[cosine, sine], [-sine, cosine]]) / scale
  grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing='ij'))
  target = grid.reshape(2, -1) - (centre + offset)[:, None]
  source = (inverse @ target + centre[:, None]).reshape(2, height, width)

  def sample(channel: jax.Array) -> jax.Array:
    return jax.scipy.ndimage.map_coordinates(channel, source, order=1, mode='nearest')

  return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)
