"""The network of a run with what it has learned: its best checkpoints, stacked."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from medjax.config import Config
from medjax.errors import InputError
from medjax.runs import checkpoints
from medjax.runs.layout import Layout
from medjax.runs.model_file import Provenance
from medjax.training import learner
from medjax.training.learner import Learner
from medjax.training.preprocessing import Normalisation


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
  """A network as it predicts.

  Attributes:
    learner: that the run's config stands for.
    variables: {'params', 'batch_stats'} of its K checkpoints, the best first, stacked: [K, …].
    steps: of these checkpoints.
  """

  learner: Learner
  variables: dict[str, Any]
  steps: tuple[int, ...]

  @property
  def best(self) -> dict[str, Any]:
    """{'params', 'batch_stats'} of the best checkpoint."""
    return jax.tree.map(lambda leaf: leaf[0], self.variables)

  @property
  def sha256(self) -> str:
    """The hash of all variables, see `sha256_of`."""
    return sha256_of(self.variables)


def stacked(variables: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Returns variables of the same shapes as one tree of arrays [K, …]."""
  stack = np.stack if isinstance(jax.tree.leaves(variables)[0], np.ndarray) else jnp.stack
  return jax.tree.map(lambda *leaves: stack(leaves), *variables)


def sha256_of(variables: dict[str, Any]) -> str:
  """Returns the hash of variables: names, types, shapes and values, in the order of the names."""
  digest = hashlib.sha256()
  flat = traverse_util.flatten_dict(variables, sep='/')
  for name in sorted(flat):
    array = np.ascontiguousarray(flat[name])
    digest.update(f'{name} {array.dtype} {list(array.shape)}\n'.encode())
    digest.update(array.tobytes())
  return digest.hexdigest()


def check_weights(layout: Layout, variables: dict[str, Any], expected: str | None) -> None:
  """Raises InputError where stacked variables are not those that frozen.json was chosen for."""
  if expected not in (None, sha256_of(variables)):
    raise InputError(
      f'{layout.checkpoints}: its weights are not those that {layout.frozen} was chosen for (their '
      'SHA-256 differs): they are damaged, or of another run; take a folder as the run left it'
    )


def open_network(layout: Layout, config: Config, started: Provenance) -> TrainedNetwork:
  """Reads as many of the best checkpoints as config.evaluation.checkpoints averages.

  Raises:
    InputError: nothing is saved there, the network cannot be built, or what is saved is of another
      network or label set.
  """
  best = checkpoints.several_best_variables(layout, config.evaluation.checkpoints)
  built = learner.build(config, started.image_format, Normalisation(started.mean, started.std))
  for variables, step in best:
    _check_fit(layout, built, variables, step)
  steps = tuple(step for _, step in best)
  return TrainedNetwork(built, stacked([variables for variables, _ in best]), steps)


def _check_fit(layout: Layout, built: Learner, variables: dict[str, Any], step: int) -> None:
  saved, expected = (
    {name: leaf.shape for name, leaf in traverse_util.flatten_dict(tree, sep='/').items()}
    for tree in (variables, built.shapes)
  )
  for name in sorted(saved.keys() | expected.keys()):
    if saved.get(name) != expected.get(name):
      raise InputError(
        f'{layout.workdir}: the checkpoint of step {step:,} is not of the network and the '
        f'{len(built.config.data.labels)} labels of its config.json ({name.partition("/")[2]} is '
        f'{_shape(saved.get(name))} there, {_shape(expected.get(name))} here); take a folder as '
        'the run left it'
      )


def _shape(shape: tuple[int, ...] | None) -> str:
  return 'missing' if shape is None else str(list(shape))
