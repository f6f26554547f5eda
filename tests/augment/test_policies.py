"""Augmentation: what a policy may and may not do, against scipy's own affine transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import skimage.color

from medjax.augment import policies
from medjax.errors import InputError

KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def images():
  smooth = scipy.ndimage.gaussian_filter(
    np.random.default_rng(0).uniform(size=(6, 32, 32)), (0, 3, 3)
  )
  smooth = (smooth - smooth.min()) / np.ptp(smooth)
  return jnp.asarray(smooth[..., None], jnp.float32)


@pytest.fixture(scope='module')
def colours(images):
  """The same in three different channels."""
  return jnp.concatenate([images, images[:, ::-1], 1 - images], axis=-1)


@pytest.mark.parametrize('name', policies.__all__)
@pytest.mark.parametrize('channels', [1, 3])
def test_policies_keep_shape_type_and_range_and_are_deterministic(images, colours, name, channels):
  if (name, channels) == ('histopathology', 1):
    pytest.skip('it works on colour; another test says so')
  images = images if channels == 1 else colours
  policy = jax.jit(getattr(policies, name))
  once, again, other = policy(KEY, images), policy(KEY, images), policy(jax.random.key(1), images)
  assert once.shape == images.shape and once.dtype == jnp.float32
  assert float(once.min()) >= 0 and float(once.max()) <= 1
  np.testing.assert_array_equal(once, again)
  assert name == 'none' or not np.array_equal(once, other)


def test_none_changes_nothing(images):
  np.testing.assert_array_equal(policies.none(KEY, images), images)


@pytest.mark.slow
def test_every_image_of_a_batch_gets_its_own_draw(images):
  same = jnp.broadcast_to(images[:1], images.shape)
  once = np.asarray(jax.jit(policies.chest)(KEY, same))
  assert len({image.tobytes() for image in once}) == len(images)


def test_chest_never_flips_and_stays_recognisable(images):
  # Over many draws the result must resemble the image more than its mirror image.
  many = jnp.broadcast_to(images[0], (200, 32, 32, 1))
  changed = np.asarray(jax.jit(policies.chest)(KEY, many)).reshape(200, -1)
  original = np.asarray(images[0])
  upright = [np.corrcoef(item, original.ravel())[0, 1] for item in changed]
  mirrored = [np.corrcoef(item, original[:, ::-1].ravel())[0, 1] for item in changed]
  assert min(np.array(upright) - np.array(mirrored)) > 0.3
  assert min(upright) > 0.6


@pytest.mark.slow
def test_a_grey_film_in_three_channels_stays_grey_and_its_padding_black(images):
  film = jnp.broadcast_to(0.2 + 0.8 * images, (*images.shape[:-1], 3)).at[:, :8].set(0)
  changed = np.asarray(jax.jit(policies.chest)(KEY, jnp.tile(film, (20, 1, 1, 1))))
  np.testing.assert_array_equal(changed, changed[..., :1].repeat(3, axis=-1))
  # Turned and shifted, three rows of the padding are still beyond the film.
  assert (changed[:, :3] == 0).mean() > 0.9
  assert np.abs(changed[:, 16:].std(axis=(1, 2, 3))).min() > 0.05


@pytest.mark.parametrize('outside', ['nearest', 'reflect'])
def test_affine_agrees_with_scipy(images, outside):
  angle, scale, shift = 0.2, 1.1, np.array([0.05, -0.1])
  actual = policies._affine(
    images[0], rotation=angle, scale=scale, shift=jnp.asarray(shift), outside=outside
  )[..., 0]
  inverse = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
  centre = np.array([15.5, 15.5])
  offset = centre - inverse @ (centre + shift * 32)
  reference = scipy.ndimage.affine_transform(
    images[0, ..., 0], inverse, offset, order=1, mode=outside
  )
  np.testing.assert_allclose(actual, reference, atol=1e-5)


def test_stains_are_those_of_scikit_image(colours):
  actual = policies._stains(colours[0])
  # scikit-image takes logarithms to the base of its darkest value, 1e-6, and cuts negatives off.
  reference = skimage.color.rgb2hed(np.asarray(colours[0])) * -np.log(1e-6)
  np.testing.assert_allclose(np.maximum(actual, 0), reference, atol=1e-4)


def test_tissue_shows_all_eight_symmetries_equally_often_and_keeps_every_pixel(colours):
  many = jnp.broadcast_to(colours[0], (400, *colours.shape[1:]))
  changed = np.asarray(jax.jit(policies.histopathology)(KEY, many))
  original = np.asarray(colours[0])
  turns = [np.rot90(original, times) for times in range(4)]
  symmetries = np.stack([*turns, *(turn[:, ::-1] for turn in turns)])
  distance = np.abs(changed[:, None] - symmetries).mean(axis=(2, 3, 4))
  counts = np.bincount(distance.argmin(axis=1), minlength=8)
  assert scipy.stats.chisquare(counts).pvalue > 0.001
  # The colours change a little. Nothing is interpolated: equal pixels stay equal.
  assert 0.005 < distance.min(axis=1).mean() < 0.05
  levels = jnp.round(colours[:1] * 4) / 4
  kinds = len(np.unique(np.asarray(levels).reshape(-1, 3), axis=0))
  for image in np.asarray(jax.jit(policies.histopathology)(KEY, jnp.repeat(levels, 8, axis=0))):
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= kinds


def test_tissue_needs_colours(images):
  with pytest.raises(InputError, match=r'set config\.data\.channels=3'):
    policies.histopathology(KEY, images)


@pytest.mark.parametrize('name', ['retina', 'skin'])
def test_eyes_and_lesions_are_mirrored_half_of_the_time(colours, name):
  many = jnp.broadcast_to(colours[0], (300, *colours.shape[1:]))
  changed = np.asarray(jax.jit(getattr(policies, name))(KEY, many)).reshape(300, -1)
  original = np.asarray(colours[0])
  angles = range(0, 360, 5) if name == 'skin' else (0, 180)

  def likeness(image):
    turned = [
      scipy.ndimage.rotate(image, angle, reshape=False, order=1, mode='reflect') for angle in angles
    ]
    standard = [(item - item.mean()) / item.std() for item in (turn.ravel() for turn in turned)]
    return (changed @ np.stack(standard).T).max(axis=1)

  mirrored = np.count_nonzero(likeness(original[:, ::-1]) > likeness(original))
  assert 110 < mirrored < 190


@pytest.mark.slow
def test_the_black_around_a_fundus_stays_black_while_its_colours_vary():
  fundus = jnp.zeros((1, 32, 32, 3)).at[:, 8:24, 8:24].set(jnp.array([0.6, 0.3, 0.15]))
  changed = np.asarray(jax.jit(policies.retina)(KEY, jnp.broadcast_to(fundus, (100, 32, 32, 3))))
  assert (changed[:, :3, :3] == 0).all()
  centre = changed[:, 16, 16]
  assert (centre[:, 0] > centre[:, 1]).all() and (centre[:, 1] > centre[:, 2]).all()
  assert (centre.std(axis=0) > 0.02).all()


def test_policies_are_named_by_the_package():
  from medjax import augment

  assert augment.chest is policies.chest
  assert sorted(augment.__all__) == sorted(policies.__all__)
