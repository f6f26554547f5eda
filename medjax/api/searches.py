"""A search of hyper-parameters, from Python."""

import dataclasses
import inspect
import os
import pathlib
import signal
from collections.abc import Callable, Mapping
from typing import Any

from medjax.api import runs, words
from medjax.api.page import Page
from medjax.api.runs import Run
from medjax.config import Config
from medjax.evaluation.search_result import SearchResult
from medjax.runtime import remote_work

_NAMES = {
  '--workdir=': 'workdir=',
  'another --workdir': 'another workdir',
  '--trials=': 'trials=',
  '--search: ': '',
}


@dataclasses.dataclass(frozen=True)
class Search:
  """A search that has ended.

  Attributes:
    workdir: its folder.
    result: its trials, and which of them was tested.
  """

  workdir: pathlib.Path
  result: SearchResult

  @property
  def best(self) -> Run:
    """The run of the winner, tested."""
    return runs.open_one(self.workdir / 'best')

  @property
  def report(self) -> Page:
    """The path of the page on the trials; a notebook shows it."""
    return Page(self.workdir / 'index.html')


def search_settings(
  config: Config,
  search: str | os.PathLike | Callable[[Any], Mapping[str, Any]],
  workdir: str | os.PathLike,
  trials: int | None = None,
) -> Search:
  """Tries settings, compares them on validation, and tests the best: `python -m medjax.tune`.

  Called again with the same arguments it goes on where it stopped, and returns a search that is
  complete at once.

  Args:
    config: whose fields the trials set.
    search: a Python file that defines search(trial), or such a function: an Optuna trial → field of
      the config → value, such as {'optimizer.learning_rate': trial.suggest_float(…)}.
    workdir: folder for everything that the search leaves.
    trials: how many; by default as many as before, or the file's TRIALS, or 20.

  Raises:
    InputError: a search that names no field or one that is not searched, trials that all fail, or
      anything that `train` raises.
    KeyboardInterrupt: after Ctrl-C or a notebook's interrupt, with everything saved.
    SystemExit: 143 after SIGTERM, with everything saved.
  """
  runs.check_start(config, 'search_settings')
  given = words.text(workdir, 'workdir')

  from medjax.experiment.tuning import search as searching
  from medjax.experiment.tuning import space
  from medjax.runtime import devices

  with (
    words.renamed(_NAMES, folders=[given, config.data.root]),
    remote_work.local(given) as folder,
  ):
    if callable(search):
      proposing = space.Search(search, _name(search), _source(search))
    else:
      proposing = space.load(words.path(search, 'search'))
    devices.keep_compiled_programs()
    devices.initialise()
    try:
      result = searching.search_settings(config, proposing, folder, trials)
    except SystemExit as stop:
      if stop.code != 128 + signal.SIGINT:
        raise
      raise KeyboardInterrupt('saved; the same call goes on from there') from None
  return Search(folder, result)


def _name(function: Callable) -> str:
  return f'search={getattr(function, "__name__", type(function).__name__)}'


def _source(function: Callable) -> str:
  try:
    return inspect.getsource(function)
  except (OSError, TypeError):  # Typed at a prompt, a partial, an object: it has its proposals.
    return ''
