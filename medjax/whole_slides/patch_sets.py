"""A folder of patches cut from many slides, several at a time; an interrupted command continues.

patches.csv               the study table: image, patient, slide, x, y, mpp, tissue, tumor, …
slides.csv                one row per slide: its label, resolution, size, how many patches
set_aside.csv             slides that could not be cut, and why
patches.json              how they were cut
slides/NAME.array_record  the images; NAME.csv their places, NAME.json the slide
thumbnails/NAME.png       the slide
grids/NAME.png            the slide with the patches that were kept and the outlines
"""

import concurrent.futures
import dataclasses
import functools
import json
import multiprocessing
import pathlib
import signal
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.table import read_csv
from medjax.errors import InputError, one_line
from medjax.evaluation import wording
from medjax.runtime import files, storage
from medjax.whole_slides import patches, pyramid
from medjax.whole_slides.patches import CutSlide, Cutting, Job

PATCHES, SLIDES, SET_ASIDE, SETTINGS = 'patches.csv', 'slides.csv', 'set_aside.csv', 'patches.json'
# Columns that patches take from their slide.
_INHERITED = ('patient', 'grouped_by', 'official_split', 'site')
Outcome = CutSlide | str  # A slide that was cut, or why it was set aside.


class PatchSet(NamedTuple):
  """What was cut.

  Attributes:
    slides: what slides.csv holds.
    patches: what patches.csv holds.
    set_aside: slide, path and reason of those that could not be cut.
  """

  slides: pd.DataFrame
  patches: pd.DataFrame
  set_aside: pd.DataFrame


def check(cutting: Cutting, stated_mpp: float) -> None:
  """Raises InputError, naming the flag, for settings that no slide could be cut by."""
  for flag, value, fits, rule in (
    ('mpp', cutting.mpp, cutting.mpp > 0, 'positive, µm per pixel'),
    ('patch_size', cutting.patch_size, cutting.patch_size >= 8, '8 pixels or more'),
    ('centre', cutting.centre, 1 <= cutting.centre <= cutting.patch_size, '1 … patch_size pixels'),
    ('tissue', cutting.tissue, 0 < cutting.tissue <= 1, 'a share above 0, at most 1'),
    ('slide_mpp', stated_mpp, stated_mpp >= 0, 'positive, µm per pixel'),
  ):
    if not fits:
      raise InputError(f'--{flag}={value}: must be {rule}')


def make(
  table: pd.DataFrame,
  output: pathlib.Path,
  cutting: Cutting,
  *,
  stated_mpp: float = 0.0,
  workers: int = 1,
  progress: Callable[[str], None] = lambda line: None,
) -> PatchSet:
  """Cuts slides into patches under `output`; those that are done already are left as they are.

  Every slide is cut by a process of its own, so that a file that crashes its reader is set aside
  like any other damaged one.

  Args:
    table: the slides, as medjax.whole_slides.slide_tables describes them.
    output: the folder, made if need be.
    cutting: how.
    stated_mpp: µm per pixel of slides without a resolution, 0 for unknown.
    workers: slides at a time.
    progress: called with a line when a slide is done.

  Raises:
    InputError: the settings make no sense or are not those of what the folder holds, another
      command is at work there, or no slide could be cut.
    OSError: nothing more can be written; what is cut stays.
  """
  check(cutting, stated_mpp)
  pyramid.library()
  output.mkdir(parents=True, exist_ok=True)
  refusal = f'{output}: another medjax.slides is at work there; wait for it'
  with files.locked(output / '.lock', refusal):
    files.remove_temporaries(output)
    settle(output, cutting)
    outcomes = cut_all(jobs(table), output, cutting, stated_mpp, workers, progress)
    return gather(table, output, cutting, outcomes)


def jobs(table: pd.DataFrame) -> list[Job]:
  """Returns the slides of a table in its order."""
  return [
    Job(row.slide, row.path, float(row.tumor), row.outlines, bool(row.wholly))
    for row in table.itertuples()
  ]


def read_settings(folder: pathlib.Path) -> Cutting | None:
  """Returns how the patches of a folder were cut, None where medjax.slides did not cut them.

  Raises:
    InputError: the folder's patches.json is damaged.
  """
  path = folder / SETTINGS
  if not path.is_file():
    return None
  try:
    return Cutting(**files.read_json(path))
  except TypeError:
    raise InputError(f'{path}: not what medjax.slides writes; cut the slides again') from None


def settle(output: pathlib.Path, cutting: Cutting) -> None:
  """Refuses a folder of patches that were cut otherwise; writes patches.json in a new one."""
  before = read_settings(output)
  if before is None:
    content = json.dumps(dataclasses.asdict(cutting), indent=2)
    files.write_whole(output / SETTINGS, content + '\n')
    return
  for field in dataclasses.fields(Cutting):
    old, new = getattr(before, field.name), getattr(cutting, field.name)
    if old != new:
      raise InputError(
        f'{output}: holds patches that were cut with --{field.name}={old}, not {new}; take another '
        '--output'
      )


def cut_all(
  slides: Sequence[Job],
  output: pathlib.Path,
  cutting: Cutting,
  stated_mpp: float,
  workers: int,
  progress: Callable[[str], None],
) -> dict[str, Outcome]:
  """Cuts slides, several at a time, and returns the outcome of each."""
  outcomes: dict[str, Outcome] = {}
  running: set[multiprocessing.process.BaseProcess] = set()

  def cut(job: Job) -> tuple[Job, Outcome, bool]:
    if (before := patches.done(job, output, cutting, stated_mpp)) is not None:
      return job, before, True
    return job, _in_a_process(job, output, cutting, stated_mpp, running), False

  pool = concurrent.futures.ThreadPoolExecutor(max(1, workers))
  try:
    for future in concurrent.futures.as_completed([pool.submit(cut, job) for job in slides]):
      job, outcome, before = future.result()
      outcomes[job.slide] = outcome
      progress(_in_words(job, outcome, before))
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in list(running):
      process.terminate()
  return outcomes


@functools.cache
def _context() -> Any:
  """Returns what starts processes: forks of one that has imported what they need, where it can."""
  if 'forkserver' not in multiprocessing.get_all_start_methods():  # As on Windows.
    return multiprocessing.get_context('spawn')
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(['medjax.whole_slides.patch_sets'])
  return context


def _in_a_process(
  job: Job, output: pathlib.Path, cutting: Cutting, stated_mpp: float, running: set
) -> Outcome:
  context = _context()
  receiver, sender = context.Pipe(duplex=False)
  process = context.Process(
    target=_work, args=(sender, job, output, cutting, stated_mpp), daemon=True
  )
  process.start()
  running.add(process)
  sender.close()
  try:
    outcome = receiver.recv()
  except EOFError:
    process.join()
    outcome = f'{job.path}: its reader crashed (exit status {process.exitcode})'
  process.join()
  running.discard(process)
  if isinstance(outcome, OSError):
    raise outcome
  return outcome


def _work(
  connection: Any, job: Job, output: pathlib.Path, cutting: Cutting, stated_mpp: float
) -> None:
  # The main process gets the interrupt too, and ends this one.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    connection.send(patches.cut(job, output, cutting, stated_mpp))
  except InputError as error:
    connection.send(str(error))
  except Exception as error:  # Whatever else a damaged slide may cause.
    failure = storage.failure(error)
    if failure and failure.errno in storage.OF_WRITING:
      connection.send(failure)  # No slide is to blame, and the next would be set aside too.
    else:
      connection.send(f'{job.path}: {one_line(error)}')


def _in_words(job: Job, outcome: Outcome, before: bool) -> str:
  if isinstance(outcome, str):
    return f'set aside {job.slide}: {outcome}'
  labels = f'{outcome.tumor_patches:,} with tumour'
  if outcome.unknown_patches:
    labels += f', {outcome.unknown_patches:,} unknown'
  if outcome.ungrouped_outlines:
    labels += f' ({wording.count(outcome.ungrouped_outlines, "outline")} without a group)'
  return (
    f'{job.slide}: {outcome.patches:,} patches, {labels}; {outcome.tissue_mm2:,.1f} mm² of tissue'
    f'{", cut before" if before else ""}'
  )


def gather(
  table: pd.DataFrame, output: pathlib.Path, cutting: Cutting, outcomes: Mapping[str, Outcome]
) -> PatchSet:
  """Writes and returns the tables of all slides."""
  slide_rows: list[dict[str, Any]] = []
  patch_tables: list[pd.DataFrame] = []
  failures: list[dict[str, str]] = []
  for row in table.to_dict('records'):
    outcome = outcomes[row['slide']]
    if isinstance(outcome, str):
      failures.append({'slide': row['slide'], 'path': row['path'], 'reason': outcome})
      continue
    inherited = {name: row[name] for name in _INHERITED if name in row}
    slide_rows.append(_slide_row(row, outcome, inherited))
    if outcome.patches:
      patch_tables.append(_patch_table(output, cutting, outcome.slide, inherited))
  set_aside = pd.DataFrame(failures, columns=['slide', 'path', 'reason'])
  files.write_whole(output / SET_ASIDE, set_aside.to_csv(index=False))
  if not slide_rows:
    raise InputError(
      f'none of the {len(table):,} slides could be cut ({output / SET_ASIDE}); '
      f'{failures[0]["reason"]}'
    )
  if not patch_tables:
    raise InputError(
      f'no patch of {wording.count(len(slide_rows), "slide")} is tissue to {cutting.tissue:.0%}; '
      f'look at {output / "grids"}, and try a lower --tissue or a smaller --patch_size'
    )
  patch_table = pd.concat(patch_tables, ignore_index=True)
  inherited_names = [name for name in _INHERITED if name in patch_table]
  patch_table = patch_table[
    ['image', *inherited_names, 'slide', 'x', 'y', 'mpp', 'tissue', 'tumor']
  ]
  slide_table = pd.DataFrame(slide_rows)
  files.write_whole(output / SLIDES, slide_table.to_csv(index=False))
  # Last, because training starts from it.
  files.write_whole(output / PATCHES, patch_table.to_csv(index=False))
  return PatchSet(slide_table, patch_table, set_aside)


def _slide_row(
  row: Mapping[Hashable, Any], cut: CutSlide, inherited: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns a row of slides.csv; without a stated label the outlines decide."""
  tumor = row['tumor']
  if np.isnan(tumor) and row['outlines']:
    tumor = np.nan if cut.outlined_tumor is None else float(cut.outlined_tumor)
  return {
    'slide': cut.slide,
    **inherited,
    'tumor': '' if np.isnan(tumor) else f'{tumor:.0f}',
    'mpp_x': cut.mpp_x,
    'mpp_y': cut.mpp_y,
    'width': cut.width,
    'height': cut.height,
    'saturation_threshold': cut.saturation_threshold,
    'tissue_mm2': cut.tissue_mm2,
    'patches': cut.patches,
    'tumor_patches': cut.tumor_patches,
  }


def _patch_table(
  output: pathlib.Path, cutting: Cutting, slide: str, inherited: Mapping[str, Any]
) -> pd.DataFrame:
  """Returns the rows of patches.csv of one slide."""
  table = read_csv(patches.positions_path(output, slide))
  record = patches.record_path(output, slide).relative_to(output).as_posix()
  table.insert(0, 'image', [f'{record}#{number}' for number in range(len(table))])
  table = table.assign(slide=slide, mpp=f'{cutting.mpp:g}', **inherited)
  table['tumor'] = [code.removesuffix('.0') for code in table['tumor']]
  return table


def in_words(made: PatchSet, output: pathlib.Path) -> list[str]:
  """Returns what `make` made, in plain lines."""
  patients = wording.count(made.slides['patient'].nunique(), 'patient')
  if not (made.slides['grouped_by'] == 'patient').all():
    patients += ' (no patients are named, so every slide counts as one)'
  lines = [
    f'{len(made.patches):,} patches of {wording.count(len(made.slides), "slide")} of {patients}'
  ]
  if len(made.set_aside):
    names = ', '.join(made.set_aside['slide'])
    count = wording.count(len(made.set_aside), 'slide')
    lines.append(f'{count} set aside ({output / SET_ASIDE}): {names}')
  return [*lines, f'written: {output / PATCHES}; look at the pictures in {output / "grids"}']
