"""Augmentation policies and their check: `augment.chest(key, images)`."""

from medjax.augment.policies import chest, histopathology, none, plain, retina, skin

__all__ = ['chest', 'histopathology', 'none', 'plain', 'retina', 'skin']
