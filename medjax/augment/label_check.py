"""What the modalities ask of an augmentation policy: that no label changes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from medjax.errors import InputError

# Where the orientation is part of what is labelled, and what another one would mean.
_ORIENTED = {'chest': 'a mirrored chest has its heart on the wrong side (dextrocardia)'}
_TRIES, _SIZE = 64, 32


def check_policy(
  policy: Callable[[jax.Array, jax.Array], jax.Array], name: str, modality: str, channels: int
) -> None:
  """Tries any policy on a picture without symmetries, and refuses one that would change labels.

  A chest may be moved a little but neither mirrored nor turned by a quarter or more: no result may
  be more like one of the picture's other seven symmetries than like the picture itself.

  Args:
    policy: see medjax.augment.policies.
    name: of the policy, for the message.
    modality: see config.Data; nothing is asked of one that is not known.
    channels: 1 or 3.

  Raises:
    InputError: the policy mirrors or turns what must not be.
  """
  if modality not in _ORIENTED:
    return
  picture = _picture(channels)
  batch = jnp.broadcast_to(picture, (_TRIES, *picture.shape))
  tried = np.asarray(jax.jit(policy)(jax.random.key(0), batch))
  turned = int(np.count_nonzero(_likeness(tried, _symmetries(picture)).argmax(axis=1)))
  if turned:
    raise InputError(
      f"config.augment='{name}' mirrors or turns the image ({turned} of {_TRIES} tries), and "
      f"{_ORIENTED[modality]}; with config.data.modality='{modality}' choose '{modality}', or "
      'insist '
      'with config.force_augment=True'
    )


def _picture(channels: int) -> np.ndarray:
  """Returns a smooth picture that resembles none of its mirror images, f32[S, S, C] in [0, 1]."""
  coarse = np.random.default_rng(0).integers(0, 256, (4, 4), np.uint8)
  smooth = Image.fromarray(coarse).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)
  grey = np.asarray(smooth, np.float32)[..., None] / 255
  return np.repeat(grey, channels, axis=-1)


def _symmetries(picture: np.ndarray) -> np.ndarray:
  turns = [np.rot90(picture, times) for times in range(4)]
  return np.stack([*turns, *(turn[:, ::-1] for turn in turns)])


def _likeness(images: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns the correlation of each image with each other one, f32[images, others]."""
  standard = [
    (flat - flat.mean(axis=1, keepdims=True)) / (flat.std(axis=1, keepdims=True) + 1e-6)
    for flat in (pictures.reshape(len(pictures), -1) for pictures in (images, others))
  ]
  return standard[0] @ standard[1].T / standard[0].shape[1]
