"""Folds and seeds: the same run again and again, each in a folder of its own, then all together."""

import dataclasses
import functools
import gc
import pathlib
from typing import NamedTuple

from medjax.config import Config
from medjax.data import fold_study, study
from medjax.errors import InputError
from medjax.experiment import decoded_images, run
from medjax.final_test import repeated as figures
from medjax.runs import repeats as layouts
from medjax.runs import workdir
from medjax.runs.layout import Layout
from medjax.runs.repeats import Repeats
from medjax.runtime import devices, files, progress


class Only(NamedTuple):
  """Which of several runs one process does, so that a cluster can share them.

  Attributes:
    fold: the number of a fold, from 0; None for all.
    seed_index: the number of a seed, from 0; None for all.
  """

  fold: int | None = None
  seed_index: int | None = None


EVERY = Only()


def kind_of(config: Config) -> str:
  """Returns 'fold' or 'seed' where a config asks for several runs, '' where it asks for one."""
  if config.split.folds and config.split.fold < 0:
    return 'fold'
  return 'seed' if config.seeds > 1 else ''


def start(config: Config, folder: pathlib.Path, only: Only = EVERY) -> None:
  """Does the run that a config asks for, or its folds or seeds in turn and all of them together.

  Started again with the same config and folder it goes on where it stopped; runs that are finished
  are passed over.

  Args:
    config: a checked config.
    folder: the work directory.
    only: the one fold or seed that is to be run. The last to finish puts all together.

  Raises:
    InputError: as medjax.experiment.run.run; a fold that could not be tested, or fewer seeds than
      have been started, before any training.
    SystemExit: 143 after SIGTERM and 130 after Ctrl-C, with everything saved.
  """
  kind, number = kind_of(config), _only(config, only)
  folder = folder.absolute()
  if not kind:
    _check_folder(folder, '')
    run.run(config, folder)
    return
  repeats = Repeats(folder, kind)
  _check_folder(folder, kind)
  of_runs = _configs(config, kind)
  if number is not None and number >= len(of_runs):
    flag = '--fold' if kind == 'fold' else '--seed_index'
    raise InputError(f'{flag}={number}: must be from 0 to {len(of_runs) - 1}')
  if kind == 'seed':
    _check_none_left_out(repeats, len(of_runs))
  unfinished = _unfinished(repeats, of_runs)
  _say_what_is_done(config, repeats, of_runs, unfinished)
  asked = unfinished if number is None else [at for at in unfinished if at == number]
  decoded_once = decoded_images.is_asked(config)
  if asked and decoded_once:
    repeats.workdir.mkdir(parents=True, exist_ok=True)
    devices.first_does(
      functools.partial(decoded_images.keep_for_several, config, repeats.prepared, kind)
    )
  for at in asked:
    _say(f'--- {kind} {at} of {len(of_runs)}: {repeats.run(at).workdir}')
    run.run(of_runs[at], repeats.run(at).workdir, repeats.prepared if decoded_once else None)
    gc.collect()  # What one network held on the device is free for the next.
  if left := _unfinished(repeats, of_runs):
    _say(f'not yet finished: {_names(kind, left)}; the last to finish puts all together')
    return
  devices.first_does(functools.partial(_put_together, config, repeats, len(of_runs)))


def _only(config: Config, only: Only) -> int | None:
  """Returns which of the runs is asked for; None for all."""
  kind = kind_of(config)
  given = {'fold': only.fold, 'seed': only.seed_index}
  flags = {'fold': '--fold', 'seed': '--seed_index'}
  settings = {'fold': 'config.split.folds', 'seed': 'config.seeds'}
  for name, number in given.items():
    if number is None:
      continue
    if name != kind:
      raise InputError(
        f'{flags[name]}={number}: there is one run, without {name}s; set {settings[name]}=5 too'
      )
    if number < 0:
      raise InputError(f'{flags[name]}={number}: must be 0 or more; the first {name} is 0')
  return given.get(kind)


def _check_folder(folder: pathlib.Path, kind: str) -> None:
  """Raises InputError where the work directory holds runs of another kind."""
  if Layout(folder).is_run():
    if kind:
      raise InputError(f'--workdir={folder}: holds a single run; take another --workdir')
    return
  there = layouts.find(folder)
  if there is not None and there.kind != kind:
    raise InputError(f'--workdir={folder}: holds {there.kind}s; take another --workdir')


def _check_none_left_out(repeats: Repeats, number: int) -> None:
  """Raises InputError where fewer seeds are asked for than the work directory has or reported.

  Whoever may leave out seeds whose tests were seen chooses on the test set.
  """
  there = max(figures.reported(repeats).seeds, *(at + 1 for at in repeats.started()), 0)
  if there > number:
    raise InputError(
      f'--workdir={repeats.workdir}: holds {there} seeds, and config.seeds={number} would leave '
      f'out some whose tests may have been seen; ask for config.seeds={there}, or take another '
      '--workdir'
    )


def _configs(config: Config, kind: str) -> list[Config]:
  """Returns the config of each run, in their order."""
  if kind == 'seed':
    return [
      dataclasses.replace(config, seed=config.seed + at, seeds=1) for at in range(config.seeds)
    ]
  with progress.waiting(f'drawing the folds of the images in {config.data.root}'):
    return fold_study.configs_of(config, study.read_source(config))


def _unfinished(repeats: Repeats, of_runs: list[Config]) -> list[int]:
  return [
    at
    for at, of_run in enumerate(of_runs)
    if not devices.all_agree(workdir.is_done(of_run, repeats.run(at)))
  ]


def _say(line: str) -> None:
  if devices.is_first():
    progress.say(line)


def _names(kind: str, numbers: list[int]) -> str:
  return f'{kind} {", ".join(map(str, numbers))}' if numbers else 'none'


def _say_what_is_done(
  config: Config, repeats: Repeats, of_runs: list[Config], unfinished: list[int]
) -> None:
  number = len(of_runs)
  if repeats.kind == 'fold':
    by = 'by site' if isinstance(config.split.folds, str) else 'by patient'
    _say(f'{number} folds   {by}, everybody tested once; a run each in {repeats.workdir}/fold*')
    if config.split.test_floor:
      _say(
        'note      config.split.test_floor is not asked of folds: everybody is tested once, so '
        'that together they have the prevalence of the source'
      )
  else:
    seeds = f'{config.seed} to {config.seed + number - 1}'
    _say(f'{number} seeds   {seeds}, one split; a run each in {repeats.workdir}/seed*')
  finished = [at for at in range(number) if at not in unfinished]
  if finished:
    _say(f'finished  {_names(repeats.kind, finished)}')


def _put_together(config: Config, repeats: Repeats, number: int) -> None:
  waiting = f'another process puts the {repeats.kind}s together; waiting for it'
  with files.waited_lock(repeats.lock, functools.partial(progress.say, waiting)):
    if figures.is_whole(repeats, number):
      progress.say(f'these {repeats.kind}s are complete: {repeats.report}')
      return
    files.remove_temporaries(repeats.workdir)
    progress.say(f'putting the {number} {repeats.kind}s together')
    with progress.waiting('computing intervals; fewer config.replicates take less'):
      write = figures.write_folds if repeats.kind == 'fold' else figures.write_seeds
      result = write(config, repeats, number)
  progress.say(figures.answer(result))
  progress.say(f'report: {repeats.report}')
