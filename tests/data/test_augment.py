"""Augmentation: what a policy may and may not do, against scipy's own affine transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from medjax.data import augment

KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def images():
  smooth = scipy.ndimage.gaussian_filter(
    np.random.default_rng(0).uniform(size=(6, 32, 32)), (0, 3, 3)
  )
  smooth = (smooth - smooth.min()) / np.ptp(smooth)
  return jnp.asarray(smooth[..., None], jnp.float32)


@pytest.mark.parametrize('name', augment.__all__)
def test_policies_keep_shape_type_and_range_and_are_deterministic(images, name):
  policy = jax.jit(getattr(augment, name))
  once, again, other = policy(KEY, images), policy(KEY, images), policy(jax.random.key(1), images)
  assert once.shape == images.shape and once.dtype == jnp.float32
  assert float(once.min()) >= 0 and float(once.max()) <= 1
  np.testing.assert_array_equal(once, again)
  assert name == 'none' or not np.array_equal(once, other)


def test_none_changes_nothing(images):
  np.testing.assert_array_equal(augment.none(KEY, images), images)


def test_every_image_of_a_batch_gets_its_own_draw(images):
  same = jnp.broadcast_to(images[:1], images.shape)
  once = np.asarray(augment.chest(KEY, same))
  assert len({image.tobytes() for image in once}) == len(images)


def test_chest_never_flips_and_stays_recognisable(images):
  # Over many draws the result must resemble the image more than its mirror image.
  many = jnp.broadcast_to(images[0], (200, 32, 32, 1))
  changed = np.asarray(augment.chest(KEY, many)).reshape(200, -1)
  original = np.asarray(images[0])
  upright = [np.corrcoef(each, original.ravel())[0, 1] for each in changed]
  mirrored = [np.corrcoef(each, original[:, ::-1].ravel())[0, 1] for each in changed]
  assert min(np.array(upright) - np.array(mirrored)) > 0.3
  assert min(upright) > 0.6


def test_affine_agrees_with_scipy(images):
  angle, scale, shift = 0.2, 1.1, np.array([0.05, -0.1])
  ours = augment._affine(images[0], rotation=angle, scale=scale, shift=jnp.asarray(shift))[..., 0]
  inverse = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
  centre = np.array([15.5, 15.5])
  offset = centre - inverse @ (centre + shift * 32)
  theirs = scipy.ndimage.affine_transform(
    images[0, ..., 0], inverse, offset, order=1, mode='nearest'
  )
  np.testing.assert_allclose(ours, theirs, atol=1e-5)
