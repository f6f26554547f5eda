"""What a search may set: a function `search(trial)`, and the fields of a config that it names.

What would make validations of two trials incomparable, or touch the test set, is not searched.
"""

import contextlib
import copy
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from medjax import config as configs
from medjax.augment import policies
from medjax.config import Config, fields, shipped
from medjax.data import sampling, targets
from medjax.errors import InputError, check_option, one_line
from medjax.models import building
from medjax.runtime import import_by_name
from medjax.training import objective

TRIALS = 20
EXAMPLE = 'configs/search/phantom.py'
_NAMES_NONE = (
  "search(trial) names no field; return a dict such as {'optimizer.learning_rate': "
  "trial.suggest_float('learning_rate', 1e-5, 1e-3, log=True)}"
)
# A name that ends in a dot stands for all fields of the group.
_SEARCHED = (
  'augment',
  'batch_size',
  'patience',
  'precision',
  'steps',
  'data.fit',
  'data.image_size',
  'data.intensity',
  'data.uncertain',  # Of training alone: evaluation leaves uncertain labels out.
  'loss.',
  'model.',
  'optimizer.',
  'sampling.',
)
_REFUSED = {
  'data.': 'trials are compared on the same images and labels',
  'split.': 'trials are compared on the same patients',
  'evaluation.': 'trials are compared by one protocol, which is that of the test',
  'model.head': 'trials are compared by one protocol, which is that of the test',
  'replicates': 'it changes no training',
  'seed': 'the luckiest of several seeds is no better setting',
  'evaluate_every': 'a trial that is validated more often has more chances',
  'force_augment': 'what validation gains by turned images says nothing of how images are made',
}


@dataclasses.dataclass(frozen=True)
class Search:
  """What proposes settings.

  Attributes:
    function: Optuna's trial → field of the config → value.
    where: what it is called in messages.
    text: its source; a search goes on with the same one alone.
    trials: how many it takes, unless more are asked for.
    pruner: returns the Optuna pruner that ends trials early; None for the default.
  """

  function: Callable[[Any], Mapping[str, Any]]
  where: str
  text: str
  trials: int = TRIALS
  pruner: Callable[[], Any] | None = None

  def propose(self, trial: Any) -> dict[str, Any]:
    """Returns field → value of an Optuna trial, as JSON would give them back.

    Raises:
      InputError: the function fails, or does not return such a dict.
    """
    try:
      values = self.function(trial)
    except Exception as error:  # Whatever anybody's function may raise.
      raise InputError(f'{self.where}: search(trial): {one_line(error)}') from error
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
      raise InputError(
        f'{self.where}: search(trial) returned {type(values).__name__}; it must return a dict from '
        'field to value'
      )
    if not values:
      raise InputError(f'{self.where}: {_NAMES_NONE}')
    try:
      return json.loads(json.dumps(dict(values)))
    except TypeError as error:
      raise InputError(
        f'{self.where}: settings must be plain numbers, text, lists and dicts ({error})'
      ) from None

  def check(self, config: Config, proposed: Sequence[Mapping[str, Any]]) -> None:
    """Raises InputError where one of several proposals could not be trained; computes nothing.

    Of the parts that settings name, such as a network or a loss, it is looked whether they exist.
    """
    for values in proposed:
      changed = self.applied(config, values)
      with _named(self.where):
        _check_names(changed)

  def applied(self, config: Config, values: Mapping[str, Any]) -> Config:
    """Returns a checked copy of a config with the fields set to these values.

    Raises:
      InputError: no such field, one that is not searched, or a setting that no run could use.
    """
    changed = copy.deepcopy(config)
    for name, value in values.items():
      with _named(self.where):
        fields.put(changed, name, value)
        _check_searched(name)
    drawn = ', '.join(f'{name}={value}' for name, value in values.items())
    with _named(f'{self.where}: it can set {drawn}'):
      configs.check(changed)
    return changed


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
  """Says in an InputError where it comes from."""
  try:
    yield
  except InputError as error:
    raise InputError(f'{where}: {error}') from None


def _check_searched(name: str) -> None:
  def is_of(entry: str) -> bool:
    return name == entry or (entry.endswith('.') and name.startswith(entry))

  refusals = [why for entry, why in _REFUSED.items() if is_of(entry)]
  if name == 'model.head' or not any(map(is_of, _SEARCHED)):
    why = refusals[-1] if refusals else 'it changes nothing that validation can measure'
    allowed = ', '.join(f'{entry}*' if entry.endswith('.') else entry for entry in _SEARCHED)
    raise InputError(f'config.{name} is not searched: {why}. What can be: {allowed}')


def _check_names(config: Config) -> None:
  outputs = targets.outputs(config.model.head, len(config.data.labels))
  building.build(config.model.name, outputs, config.model.settings, config.precision)
  import_by_name.find(config.augment, import_by_name.public(policies), 'config.augment')
  check_option('config.sampling.name', config.sampling.name, sampling.MODES)
  both_classes = np.repeat([[0.0], [1.0]], outputs, axis=1).astype(np.float32)
  objective.bound_loss(config, both_classes, np.ones_like(both_classes))


def load(path: pathlib.Path) -> Search:
  """Returns the search of a file that defines `search(trial)`, maybe TRIALS and get_pruner().

  In place of a file, 'chest' is the search of that name that comes with medjax.

  Raises:
    InputError: no such file, or it does not define them.
  """
  path = shipped.find(str(path), '--search', 'search')
  module = configs.read_module(path, '--search', EXAMPLE)
  if not callable(getattr(module, 'search', None)):
    raise InputError(f'{path}: defines no search(trial); {EXAMPLE} is an example')
  trials = getattr(module, 'TRIALS', TRIALS)
  if type(trials) is not int or trials < 1:
    raise InputError(f'{path}: TRIALS={trials!r}: must be a whole number, 1 or more')
  pruner = getattr(module, 'get_pruner', None)
  return Search(module.search, str(path), path.read_text('utf-8'), trials, pruner)
