"""On-device augmentation: one policy per modality, pure, jitted within the training step.

The contract: `policy(key, images f32[B, H, W, C] in [0, 1]) -> f32[B, H, W, C] in [0, 1]`. Every
image gets a key of its own, split from one key per step, so that the result does not depend on how
many devices share the batch. Images are square.
"""

import jax
import jax.numpy as jnp
import numpy as np

from medjax.errors import InputError

__all__ = ['chest', 'histopathology', 'none', 'plain', 'retina', 'skin']

# Optical densities, for red, green and blue, of haematoxylin, eosin and DAB; the third row stands
# for whatever the first two leave unexplained (Ruifrok and Johnston 2001, "Quantification of
# histochemical staining by color deconvolution", Anal Quant Cytol Histol 23).
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_DARKEST = 1e-6  # of light let through; no stain is infinitely dense


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
  Noise of standard deviation up to 0.02: dose; the same in all channels, for a film is grey. What
  is black, as what pads a film to a square, stays black. None of them adds or hides a finding.
  """

  def one(key: jax.Array, image: jax.Array) -> jax.Array:
    rotation, scale, shift, brightness, contrast, level, noise = jax.random.split(key, 7)
    image = _affine(
      image,
      rotation=jnp.deg2rad(_uniform(rotation, 7.0)),
      scale=1.0 + _uniform(scale, 0.1),
      shift=_uniform(shift, 0.05, (2,)),
    )
    exposed = jnp.max(image, axis=-1, keepdims=True) > 0
    mean = jnp.sum(image) / jnp.maximum(jnp.sum(exposed) * image.shape[-1], 1)
    changed = (image - mean) * (1.0 + _uniform(contrast, 0.15)) + mean + _uniform(brightness, 0.08)
    deviation = jax.random.uniform(level, maxval=0.02)
    return exposed * (changed + deviation * jax.random.normal(noise, (*image.shape[:2], 1)))

  return _each(key, images, one)


def retina(key: jax.Array, images: jax.Array) -> jax.Array:
  """What differs between two photographs of one fundus; the grade counts lesions wherever they lie.

  Mirrored left to right: the other eye. Turned by half: the inverted picture that some optics give.
  Rotation up to 15°: how the head is held. Scale up to 10 % and shift up to 5 %: the field and the
  aim of the camera. Brightness up to 15 % and gamma up to 15 %: flash, pupil and lens; the black
  around the fundus stays black. Each colour up to 7 %: the sensor's white balance and the pigment
  of the eye. Not for labels that name a side.
  """

  def one(key: jax.Array, image: jax.Array) -> jax.Array:
    mirror, turn, rotation, scale, shift, exposure = jax.random.split(key, 6)
    image = jnp.where(jax.random.bernoulli(mirror), image[:, ::-1], image)
    image = jnp.where(jax.random.bernoulli(turn), image[::-1, ::-1], image)
    image = _affine(
      image,
      rotation=jnp.deg2rad(_uniform(rotation, 15.0)),
      scale=1.0 + _uniform(scale, 0.1),
      shift=_uniform(shift, 0.05, (2,)),
    )
    return _expose(image, exposure)

  return _each(key, images, one)


def skin(key: jax.Array, images: jax.Array) -> jax.Array:
  """What differs between two photographs of one lesion, which has no up, down, left or right.

  Any rotation and mirrored both ways: how camera and body were turned; beyond the picture's edge
  the skin is continued by reflection. Enlarged by up to a quarter and shifted up to 5 %: distance
  and aim, what lies in the middle staying in the picture. Brightness up to 15 % and gamma up to 15
  %: lamp and exposure. Each colour up to 7 %: the lamp's colour and the complexion, less than what
  distinguishes pigments.
  """

  def one(key: jax.Array, image: jax.Array) -> jax.Array:
    mirror, rotation, scale, shift, exposure = jax.random.split(key, 5)
    # Mirrored one way and turned by any angle is mirrored the other way too.
    image = jnp.where(jax.random.bernoulli(mirror), image[:, ::-1], image)
    image = _affine(
      image,
      rotation=_uniform(rotation, jnp.pi),
      scale=jax.random.uniform(scale, minval=1.0, maxval=1.25),
      shift=_uniform(shift, 0.05, (2,)),
      outside='reflect',
    )
    return _expose(image, exposure)

  return _each(key, images, one)


def histopathology(key: jax.Array, images: jax.Array) -> jax.Array:
  """What differs between two sections of one tissue, which has no up, down, left or right.

  The eight symmetries of the square: how the section lay on the glass; pixels are moved, never
  interpolated, and what lies in the centre stays there, as do size and sharpness of the nuclei, by
  which tumour is recognised. Haematoxylin, eosin and the rest up to 5 % stronger or weaker with an
  offset of up to 0.05 of optical density: the laboratory's stain, its age and the scanner. The
  stains are varied apart from each other, as in Tellez et al. 2018, "Whole-slide mitosis detection
  in H&E breast histology using PHH3 as a reference to train distilled stain-invariant convolutional
  networks" (IEEE TMI 37).

  Raises:
    InputError: the images are grey.
  """
  if images.shape[-1] != 3:
    raise InputError(
      "config.augment='histopathology' varies the colours of stains: set config.data.channels=3"
    )

  def one(key: jax.Array, image: jax.Array) -> jax.Array:
    across, down, transposed, strength, offset = jax.random.split(key, 5)
    image = jnp.where(jax.random.bernoulli(across), image[:, ::-1], image)
    image = jnp.where(jax.random.bernoulli(down), image[::-1], image)
    image = jnp.where(jax.random.bernoulli(transposed), image.swapaxes(0, 1), image)
    stains = _stains(image) * (1.0 + _uniform(strength, 0.05, (3,))) + _uniform(offset, 0.05, (3,))
    return jnp.exp(-stains @ jnp.asarray(_STAINS, image.dtype))

  return _each(key, images, one)


def _stains(image: jax.Array) -> jax.Array:
  """Returns the optical density of each stain (natural logarithm), f32[H, W, 3]."""
  density = -jnp.log(jnp.maximum(image, _DARKEST))
  return density @ jnp.asarray(np.linalg.inv(_STAINS), image.dtype)


def _expose(image: jax.Array, key: jax.Array) -> jax.Array:
  """The same scene in another exposure and white balance; what sends no light stays black."""
  brightness, gamma, colour = jax.random.split(key, 3)
  gain = (1.0 + _uniform(brightness, 0.15)) * (1.0 + _uniform(colour, 0.07, image.shape[-1:]))
  return gain * image ** (1.0 + _uniform(gamma, 0.15))


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
  outside: str = 'nearest',
) -> jax.Array:
  """Rotates (radians) and scales about the centre, then shifts (share of height and width).

  Bilinear; outside the image its 'nearest' edge is repeated, or it is continued by 'reflect'-ion.
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
    return jax.scipy.ndimage.map_coordinates(channel, list(source), order=1, mode=outside)

  return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)
