"""Slides cut by several jobs, a piece of them each, into one folder; the last writes its tables.

What a piece has cut lies where one job would have left it. `shards/0-of-3.json` says that the piece
is finished, and holds the slides that it set aside, with the reason.
"""

import functools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import pandas as pd

from medjax.data.table import read_csv
from medjax.runtime import files, shards
from medjax.runtime import progress as runtime_progress
from medjax.runtime.shards import Shard
from medjax.whole_slides import patch_sets, patches, pyramid
from medjax.whole_slides.patch_sets import Outcome, PatchSet
from medjax.whole_slides.patches import Cutting, Job

Item = TypeVar('Item')


def of_piece(slides: Sequence[Item], shard: Shard | None) -> list[Item]:
  """Returns a piece's slides: spread, because neighbours are of one kind and size; None is all."""
  return list(slides if shard is None else slides[shard.number :: shard.count])


def make(
  table: pd.DataFrame,
  output: pathlib.Path,
  cutting: Cutting,
  shard: Shard | None,
  *,
  stated_mpp: float = 0.0,
  workers: int = 1,
  progress: Callable[[str], None] = lambda line: None,
) -> PatchSet | None:
  """Cuts a piece of the slides, and writes the tables once the last piece is finished.

  Where no piece is asked for and none is there, it cuts all.

  Args:
    table: all slides; see medjax.whole_slides.patch_sets.make for it and the others.
    output, cutting, stated_mpp, workers, progress: as there.
    shard: the piece, every so manieth slide; None puts together those that are there.

  Returns:
    What all pieces hold, None where others are not finished yet.

  Raises:
    InputError: as medjax.whole_slides.patch_sets.make; no piece is asked for, and one is missing.
  """
  pieces = shards.find(_pieces(output), shard)
  if not pieces:
    return patch_sets.make(
      table, output, cutting, stated_mpp=stated_mpp, workers=workers, progress=progress
    )
  patch_sets.check(cutting, stated_mpp)
  pyramid.library()
  jobs = patch_sets.jobs(table)
  if shard:
    _pieces(output).mkdir(parents=True, exist_ok=True)
    refusal = f'{output}: another medjax.slides cuts piece {shard} there; wait for it'
    with files.locked(_lock(output, shard), refusal):
      patch_sets.settle(output, cutting)
      outcomes = patch_sets.cut_all(
        of_piece(jobs, shard), output, cutting, stated_mpp, workers, progress
      )
      set_aside = {slide: reason for slide, reason in outcomes.items() if isinstance(reason, str)}
      files.write_whole(_record(output, shard), json.dumps(set_aside, indent=2) + '\n')
  waiting = f'{output}: another medjax.slides puts the pieces together; waiting for it'
  with files.waited_lock(output / '.lock', functools.partial(runtime_progress.say, waiting)):
    if not _pieces(output).is_dir():
      return _made(output, table)  # Another process was faster.
    outcomes, missing = {}, []
    for one in pieces:
      before = _outcomes(of_piece(jobs, one), output, cutting, stated_mpp, one)
      if before is None:
        missing.append(one)
      else:
        outcomes |= before
    if missing and shard:
      runtime_progress.say(
        f'not yet finished: {shards.in_words(missing)}; the last to finish puts them together'
      )
      return None
    shards.check_finished(output, missing)
    patch_sets.settle(output, cutting)
    made = patch_sets.gather(table, output, cutting, outcomes)
    shards.remove(_pieces(output))
  return made


def _pieces(output: pathlib.Path) -> pathlib.Path:
  return output / 'shards'


def _record(output: pathlib.Path, shard: Shard) -> pathlib.Path:
  return _pieces(output) / f'{shard.name}.json'


def _lock(output: pathlib.Path, shard: Shard) -> pathlib.Path:
  return _pieces(output) / f'.{shard.name}.lock'


def _outcomes(
  jobs: Sequence[Job], output: pathlib.Path, cutting: Cutting, stated_mpp: float, shard: Shard
) -> dict[str, Outcome] | None:
  """Returns the outcomes of a piece, None where it is not finished."""
  if files.is_locked(_lock(output, shard)):
    return None
  record, earlier = _record(output, shard), output / patch_sets.SET_ASIDE
  set_aside: dict[str, str] = {}
  if record.is_file():
    set_aside = files.read_json(record)
  elif earlier.is_file():  # The pieces were put together before.
    rows = read_csv(earlier)
    set_aside = dict(zip(rows['slide'], rows['reason']))
  outcomes: dict[str, Outcome] = {}
  for job in jobs:
    outcome = patches.done(job, output, cutting, stated_mpp) or set_aside.get(job.slide)
    if outcome is None:
      return None
    outcomes[job.slide] = outcome
  return outcomes


def _made(output: pathlib.Path, table: pd.DataFrame) -> PatchSet | None:
  """Returns what a folder holds whose tables are of all these slides, else None."""
  names = (patch_sets.SLIDES, patch_sets.PATCHES, patch_sets.SET_ASIDE)
  if not all((output / name).is_file() for name in names):
    return None
  made = PatchSet(*(read_csv(output / name) for name in names))
  there = {*made.slides['slide'], *made.set_aside['slide']}
  return made if there == set(table['slide']) else None
