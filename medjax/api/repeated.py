"""Folds and seeds from Python: their runs, what is said of all of them, and the page."""

import dataclasses
import pathlib

from medjax.api.page import Page
from medjax.api.runs import Run, open_one
from medjax.evaluation.repeated_result import FoldsResult, SeedsResult
from medjax.runs.repeats import Repeats


@dataclasses.dataclass(frozen=True, repr=False)
class _Repeated:
  """Several finished runs, put together.

  Attributes:
    workdir: their work directory.
    runs: each by itself, in order.
  """

  workdir: pathlib.Path
  runs: tuple[Run, ...]

  @property
  def report(self) -> Page:
    """The path of the page; a notebook shows it."""
    return Page(self.workdir / 'report' / 'index.html')

  def __repr__(self) -> str:
    return f"{type(self).__name__}('{self.workdir}')"


@dataclasses.dataclass(frozen=True, repr=False)
class Folds(_Repeated):
  """Folds of a study, everybody tested once: its runs, `result` and `report`.

  Attributes:
    result: of all folds together.
  """

  result: FoldsResult


@dataclasses.dataclass(frozen=True, repr=False)
class Seeds(_Repeated):
  """Networks that differ by their seed alone: their runs, `result` and `report`.

  Attributes:
    result: of all seeds together.
  """

  result: SeedsResult


def open_repeated(repeats: Repeats) -> Folds | Seeds:
  """Opens the finished runs of folds or seeds.

  Raises:
    InputError: not all are finished and put together, or files are not those that the runs wrote.
  """
  from medjax.final_test import repeated

  result = repeated.read(repeats)
  runs = tuple(open_one(repeats.run(number).workdir) for number in range(len(result.networks)))
  if isinstance(result, FoldsResult):
    return Folds(repeats.workdir, runs, result)
  return Seeds(repeats.workdir, runs, result)
