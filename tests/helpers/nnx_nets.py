"""The same small network in Flax NNX and in Flax Linen, and networks of NNX with a mistake."""

import flax.linen as nn
import jax.numpy as jnp
from flax import nnx


class Net(nnx.Module):
  """Names that tell stages, BatchNorm, dropout, and a list of blocks."""

  def __init__(self, num_labels, width=8, dropout=0.5, dtype=jnp.float32, *, channels, rngs):
    self.stem = nnx.Conv(channels, width, (3, 3), strides=2, dtype=dtype, rngs=rngs)
    self.stem_norm = nnx.BatchNorm(width, momentum=0.9, dtype=dtype, rngs=rngs)
    self.stage1 = nnx.List([nnx.Linear(width, width, dtype=dtype, rngs=rngs) for _ in range(2)])
    self.stage1_norm = nnx.BatchNorm(width, momentum=0.9, dtype=dtype, rngs=rngs)
    self.stage1_dropout = nnx.Dropout(dropout, rngs=rngs)
    self.head = nnx.Linear(width, num_labels, rngs=rngs)

  def __call__(self, images):
    x = nnx.relu(self.stem_norm(self.stem(images)))
    for block in self.stage1:
      x = nnx.relu(block(x))
    x = self.stage1_norm(x).mean(axis=(1, 2))
    return self.head(self.stage1_dropout(x))


class LinenNet(nn.Module):
  """`Net`, without dropout."""

  num_labels: int
  width: int = 8

  @nn.compact
  def __call__(self, images, train):
    def norm(name):
      return nn.BatchNorm(use_running_average=not train, momentum=0.9, name=name)

    x = nn.relu(norm('stem_norm')(nn.Conv(self.width, (3, 3), strides=2, name='stem')(images)))
    for number in range(2):
      x = nn.relu(nn.Dense(self.width, name=f'stage1_{number}')(x))
    x = norm('stage1_norm')(x).mean(axis=(1, 2))
    return nn.Dense(self.num_labels, name='head')(x)


class WithoutLabels(nnx.Module):
  def __init__(self, outputs, *, rngs):
    self.head = nnx.Linear(1, outputs, rngs=rngs)


class WithoutCall(nnx.Module):
  def __init__(self, num_labels, *, rngs):
    self.head = nnx.Linear(1, num_labels, rngs=rngs)


class Counting(nnx.Module):
  def __init__(self, num_labels, *, rngs):
    self.head = nnx.Linear(1, num_labels, rngs=rngs)
    self.calls = nnx.Cache(jnp.zeros(()))

  def __call__(self, images):
    return self.head(images.mean(axis=(1, 2)))


def not_nnx(num_labels, rngs):
  return LinenNet(num_labels)


def small(num_labels, *, channels, rngs):
  """A function makes the network."""
  return Net(num_labels, width=4, channels=channels, rngs=rngs)
