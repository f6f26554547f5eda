"""Train, fine-tune and honestly evaluate medical image classifiers in JAX and Flax."""

__version__ = '0.1.0'
