"""What an experiment is, and its repetitions, each of which is measured once and kept."""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from medjax.errors import InputError
from medjax.runtime import files

Values = dict[str, dict[str, float | None]]  # condition → measure → value


@dataclasses.dataclass(frozen=True)
class Measure:
  """What is measured of each condition.

  Attributes:
    name: in the JSON file.
    title: on the page, with its unit.
    better: 'higher', 'lower', 'zero' of an error with a sign, or '' where it is not judged.
  """

  name: str
  title: str
  better: str


@dataclasses.dataclass(frozen=True)
class Plan:
  """How much is done, fixed before anything is measured.

  Attributes:
    levels: what is varied, as the page shows it → its value.
    repetitions: with data and training of their own.
    sizes: numbers that the experiment asks for by name, such as patients and steps.
  """

  levels: Mapping[str, Any]
  repetitions: int
  sizes: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Repetition:
  """One level in one repetition: what a measurement is given.

  Attributes:
    level: its value.
    seed: of data and training; the same at all levels, so that conditions and levels are paired.
    sizes: of the plan.
    folder: for what is needed no longer when it has ended.
    shared: for films that several repetitions use.
  """

  level: Any
  seed: int
  sizes: Mapping[str, int]
  folder: pathlib.Path
  shared: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Experiment:
  """One comparison with a remedy and without it.

  Attributes:
    name: in the JSON file, unique within its problem.
    title: of its drawings.
    level_title: what the levels are, with their unit.
    conditions: the first is without the remedy; the others are compared with it.
    measures: of each condition.
    measure: returns the values of every condition at one level in one repetition; None is a value
      that does not exist.
    full, quick: the plans.
  """

  name: str
  title: str
  level_title: str
  conditions: tuple[str, ...]
  measures: tuple[Measure, ...]
  measure: Callable[[Repetition], Values]
  full: Plan
  quick: Plan

  def plan(self, quick: bool) -> Plan:
    """Returns the plan for minutes, or that for hours."""
    return self.quick if quick else self.full


@dataclasses.dataclass(frozen=True)
class Problem:
  """One of the seven.

  Attributes:
    name: in the JSON file and of --only.
    title: of its part of the page.
    wrong: what goes wrong without the remedy, one sentence.
    remedy: what it is, one sentence.
    limits: when not to use it, or what it does not do, one sentence.
    config: the settings that do it.
    literature: the sources, one line each.
    experiments: that show it.
  """

  name: str
  title: str
  wrong: str
  remedy: str
  limits: str
  config: str
  literature: tuple[str, ...]
  experiments: tuple[Experiment, ...]


@dataclasses.dataclass(frozen=True)
class Measured:
  """The values of one level in one repetition, and the seconds that they took."""

  level: str
  repetition: int
  values: Values
  seconds: float


def missing(
  folder: pathlib.Path, problem: Problem, quick: bool
) -> list[tuple[Experiment, str, int]]:
  """Returns what is not measured yet: experiment, level and repetition."""
  return [
    (experiment, level, repetition)
    for experiment in problem.experiments
    for repetition in range(experiment.plan(quick).repetitions)
    for level in experiment.plan(quick).levels
    if not _path(folder, problem, experiment, quick, level, repetition).exists()
  ]


def measure(
  folder: pathlib.Path,
  problem: Problem,
  experiment: Experiment,
  quick: bool,
  level: str,
  repetition: int,
) -> None:
  """Measures one level in one repetition and keeps the values below `folder`.

  Raises:
    ValueError: the experiment returned other conditions or measures than it names.
  """
  plan = experiment.plan(quick)
  path = _path(folder, problem, experiment, quick, level, repetition)
  scratch = path.with_suffix('.scratch')
  shutil.rmtree(scratch, ignore_errors=True)
  scratch.mkdir(parents=True)
  start = time.monotonic()
  values = experiment.measure(
    Repetition(plan.levels[level], repetition, plan.sizes, scratch, folder / 'films')
  )
  _check(experiment, values)
  measured = Measured(level, repetition, values, round(time.monotonic() - start, 1))
  files.write_whole(path, json.dumps(dataclasses.asdict(measured), indent=1) + '\n')
  shutil.rmtree(scratch, ignore_errors=True)


def measured(
  folder: pathlib.Path, problem: Problem, experiment: Experiment, quick: bool
) -> list[Measured]:
  """Returns what has been measured, by repetition and level.

  Raises:
    InputError: a file is damaged.
  """
  return list(_read(folder, problem, experiment, quick))


def _read(
  folder: pathlib.Path, problem: Problem, experiment: Experiment, quick: bool
) -> Iterator[Measured]:
  plan = experiment.plan(quick)
  for repetition in range(plan.repetitions):
    for level in plan.levels:
      path = _path(folder, problem, experiment, quick, level, repetition)
      if not path.exists():
        continue
      try:
        content = Measured(**json.loads(path.read_text('utf-8')))
        _check(experiment, content.values)
      except (ValueError, TypeError, AttributeError, KeyError):
        raise InputError(f'{path}: damaged; delete it and start again') from None
      yield content


def _check(experiment: Experiment, values: Values) -> None:
  names = [measure.name for measure in experiment.measures]
  if list(values) != list(experiment.conditions) or any(
    list(row) != names for row in values.values()
  ):
    raise ValueError(f'{experiment.name}: {values} are not the values that it names')


def _path(
  folder: pathlib.Path,
  problem: Problem,
  experiment: Experiment,
  quick: bool,
  level: str,
  repetition: int,
) -> pathlib.Path:
  """Values of other sizes, of another level of the same name or other conditions are not found."""
  plan = experiment.plan(quick)
  settings = [dict(plan.sizes), plan.levels[level], experiment.conditions]
  settings += [measure.name for measure in experiment.measures]
  plan_id = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
  position = list(plan.levels).index(level)
  name = f'{experiment.name}_{plan_id}_level{position}_repetition{repetition}.json'
  return folder / 'measured' / problem.name / name
