"""A run's trained network, opened for use."""

import pathlib
from typing import Any, NamedTuple

from medjax import checkpoints, files, learner, provenance
from medjax import config as configs
from medjax.config import Config
from medjax.errors import InputError
from medjax.learner import Learner
from medjax.provenance import Provenance


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
    InputError: it is no work directory, nothing is saved there, or its network cannot be built.
  """
  path = workdir / 'config.json'
  try:
    config = configs.from_dict(files.read_json(path))
  except (TypeError, AttributeError) as error:
    raise InputError(f'{path}: not a config of this version of medjax ({error})') from None
  started = provenance.read(workdir)
  variables, step = checkpoints.best_variables(workdir)
  return Trained(config, started, learner.build(config, started.preprocessing), variables, step)
