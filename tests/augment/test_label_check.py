"""Policies that would change a label are found out by what they do, not by their names."""

import jax.numpy as jnp
import pytest

from medjax.augment import policies
from medjax.augment.label_check import check_policy
from medjax.errors import InputError


def my_flip(key, images):
  del key
  return images[:, :, ::-1]


def my_turn(key, images):
  del key
  return jnp.rot90(images, axes=(1, 2))


@pytest.mark.parametrize('policy', [policies.none, policies.plain, policies.chest])
@pytest.mark.parametrize('channels', [1, 3])
def test_what_keeps_a_chest_upright_is_let_through(policy, channels):
  check_policy(policy, 'it', 'chest', channels)


@pytest.mark.parametrize(
  'policy', [policies.retina, policies.skin, policies.histopathology, my_flip, my_turn]
)
def test_what_mirrors_or_turns_a_chest_is_refused(policy):
  with pytest.raises(
    InputError, match=r"config\.augment='it' mirrors or turns .*config\.force_augment"
  ):
    check_policy(policy, 'it', 'chest', 3)


@pytest.mark.parametrize('modality', ['', 'retina', 'skin', 'histopathology'])
def test_elsewhere_orientation_is_no_label(modality):
  check_policy(my_flip, 'it', modality, 3)
