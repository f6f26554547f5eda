"""Measures what is missing of the problems, and writes their page and JSON."""

import contextlib
import importlib
import pathlib
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import medjax
from medjax.evaluation import results_file
from medjax.remedies import effects, experiment, page
from medjax.remedies.experiment import Experiment, Problem
from medjax.remedies.result import SCHEMA, ExperimentResult, ProblemResult, Remedies
from medjax.runtime import files, progress

JSON, PAGE, LOG = 'remedies.json', 'remedies.html', 'log.txt'


def problem(name: str) -> Problem:
  """Returns the problem of this name."""
  module: Any = importlib.import_module(f'medjax.remedies.{name}')
  return module.PROBLEM


def run(
  folder: pathlib.Path, problems: Sequence[Problem], quick: bool, shown: Sequence[Problem]
) -> Remedies:
  """Measures what is missing and writes remedies.html and remedies.json.

  Args:
    folder: of all that is measured; what is there already is kept.
    problems: to measure.
    quick: the plans for minutes.
    shown: on the page, as far as they are measured.
  """
  folder.mkdir(parents=True, exist_ok=True)
  todo = [(one, *missing) for one in problems for missing in experiment.missing(folder, one, quick)]
  bar = progress.Progress('measurement', 0, len(todo), images=0, quiet=not todo)
  with contextlib.closing(bar):
    for done, (one, measured, level, repetition) in enumerate(todo):
      progress.say(
        f'{one.name}: {measured.title}; {measured.level_title} {level}, '
        f'repetition {repetition + 1} of {measured.plan(quick).repetitions}'
      )
      with _quietly(folder / LOG):
        experiment.measure(folder, one, measured, quick, level, repetition)
      bar.update(done + 1)
      write(folder, quick, shown)
  result = write(folder, quick, shown)
  progress.say(f'page: {folder / PAGE}')
  return result


def write(folder: pathlib.Path, quick: bool, shown: Sequence[Problem]) -> Remedies:
  """Writes remedies.html and remedies.json of what has been measured, and returns it."""
  problems = {}
  for one in shown:
    summary = _summary(folder, one, quick)
    if summary.experiments:
      problems[one.name] = summary
  result = Remedies(SCHEMA, _version(), 'quick' if quick else 'full', problems)
  results_file.save(folder / JSON, result)
  files.write_whole(folder / PAGE, page.render(result))
  return result


def _summary(folder: pathlib.Path, one: Problem, quick: bool) -> ProblemResult:
  results, seconds = {}, 0.0
  for shown in one.experiments:
    measured = experiment.measured(folder, one, shown, quick)
    seconds += sum(row.seconds for row in measured)
    if measured:
      results[shown.name] = _of_experiment(shown, measured, quick)
  return ProblemResult(
    title=one.title,
    wrong=one.wrong,
    remedy=one.remedy,
    limits=one.limits,
    config=one.config,
    literature=list(one.literature),
    experiments=results,
    hours=round(seconds / 3600, 2),
  )


def _of_experiment(
  shown: Experiment, measured: Sequence[experiment.Measured], quick: bool
) -> ExperimentResult:
  plan = shown.plan(quick)
  levels = [level for level in plan.levels if any(row.level == level for row in measured)]
  return ExperimentResult(
    title=shown.title,
    level_title=shown.level_title,
    levels=levels,
    conditions=list(shown.conditions),
    measures={one.name: one.title for one in shown.measures},
    better={one.name: one.better for one in shown.measures},
    measured=len(measured),
    planned=len(plan.levels) * plan.repetitions,
    repetitions=plan.repetitions,
    sizes=dict(plan.sizes),
    cells=effects.cells(shown, levels, measured),
    effects=effects.effects(shown, levels, measured),
  )


@contextlib.contextmanager
def _quietly(log: pathlib.Path) -> Iterator[None]:
  """What trainings say goes to the log."""
  with (
    open(log, 'a', encoding='utf-8') as file,
    contextlib.redirect_stdout(file),
    contextlib.redirect_stderr(file),
    warnings.catch_warnings(),
  ):
    yield


def _version() -> str:
  """Returns medjax's version, and of a clone its commit."""
  folder = pathlib.Path(__file__).parent
  try:
    commit = subprocess.run(
      ['git', 'rev-parse', '--short=12', 'HEAD'],
      cwd=folder,
      capture_output=True,
      text=True,
      check=True,
    ).stdout.strip()
  except (OSError, subprocess.CalledProcessError):
    return medjax.__version__
  return f'{medjax.__version__} ({commit})'
