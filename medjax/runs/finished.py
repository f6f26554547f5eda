"""A run's trained network, opened for use."""

import pathlib
from typing import Any, NamedTuple

from flax import traverse_util

from medjax import config as configs
from medjax.config import Config
from medjax.errors import InputError
from medjax.runs import checkpoints, model_file
from medjax.runs.model_file import Provenance
from medjax.runtime import files
from medjax.training import learner
from medjax.training.learner import Learner


class Trained(NamedTuple):
  """What a work directory holds of a network.

  Attributes:
    config: of the run.
    started: what its network takes in and started from.
    learner: that the config stands for.
    variables: {'params', 'batch_stats'} of the best checkpoint, numpy arrays.
    step: of that checkpoint.
  """

  config: Config
  started: Provenance
  learner: Learner
  variables: dict[str, Any]
  step: int


def open_run(workdir: pathlib.Path) -> Trained:
  """Opens the best checkpoint of a work directory.

  Raises:
    InputError: it is no work directory, nothing is saved there, its network cannot be built, or
      what is saved is of another network or label set.
  """
  config = read_config(workdir)
  started = model_file.read(workdir)
  variables, step = checkpoints.best_variables(workdir)
  learn = learner.build(config, started.image_format, started.normalisation)
  _check_fit(workdir, learn, variables, step)
  return Trained(config, started, learn, variables, step)


def read_config(workdir: pathlib.Path) -> Config:
  """Returns the config of a work directory.

  Raises:
    InputError: it is no work directory, or one of another version of medjax.
  """
  path = workdir / 'config.json'
  try:
    return configs.from_dict(files.read_json(path))
  except (TypeError, AttributeError) as error:
    raise InputError(f'{path}: not a config of this version of medjax ({error})') from None


def _check_fit(workdir: pathlib.Path, learn: Learner, variables: dict[str, Any], step: int) -> None:
  saved, built = (
    {name: leaf.shape for name, leaf in traverse_util.flatten_dict(each, sep='/').items()}
    for each in (variables, learn.shapes)
  )
  for name in sorted(saved.keys() | built.keys()):
    if saved.get(name) != built.get(name):
      raise InputError(
        f'{workdir}: the checkpoint of step {step:,} is not of the network and the '
        f'{len(learn.config.data.labels)} labels of its config.json ({name.partition("/")[2]} is '
        f'{_shape(saved.get(name))} there, {_shape(built.get(name))} here); take a folder as the run left it'
      )


def _shape(shape: tuple[int, ...] | None) -> str:
  return 'missing' if shape is None else str(list(shape))
