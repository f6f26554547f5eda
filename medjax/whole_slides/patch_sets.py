"""A folder of patches cut from many slides, several at a time, that is gone on with where it stopped.

patches.csv               the study table: image, patient, slide, x, y, mpp, tissue, tumor, …
slides.csv                one row per slide: its label, resolution, size, how many patches
set_aside.csv             slides that could not be cut, and why
patches.json              how they were cut
slides/NAME.array_record  the images; NAME.csv where they lie, NAME.json what is known of the slide
thumbnails/NAME.png       the slide
grids/NAME.png            the slide with the patches that were kept and the outlines
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import pathlib
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.table import read_csv
from medjax.errors import InputError, one_line
from medjax.runtime import files
from medjax.whole_slides import patches, pyramid
from medjax.whole_slides.patches import Cutting, Job

PATCHES, SLIDES, SET_ASIDE, SETTINGS = 'patches.csv', 'slides.csv', 'set_aside.csv', 'patches.json'
_OF_SLIDES = (
  'patient',
  'grouped_by',
  'official_split',
  'site',
)  # what patches take from their slide


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

  Every slide is cut by a process of its own, so that a file that brings its reader down is set aside
  as any other damaged one.

  Args:
    table: the slides, as medjax.whole_slides.slide_tables describes them.
    output: the folder, made if need be.
    cutting: how.
    stated_mpp: µm per pixel of slides that do not say, 0 if nobody knows.
    workers: slides at a time.
    progress: called with a line when a slide is done.

  Raises:
    InputError: the settings make no sense or are not those of what the folder holds, another command
      is at work there, or no slide could be cut.
  """
  check(cutting, stated_mpp)
  pyramid.library()
  output.mkdir(parents=True, exist_ok=True)
  refusal = f'{output}: another medjax.slides is at work there; wait for it'
  with files.locked(output / '.lock', refusal):
    _settle(output, cutting)
    jobs = [
      Job(each.slide, each.path, float(each.tumor), each.outlines, bool(each.wholly))
      for each in table.itertuples()
    ]
    outcomes = _cut_all(jobs, output, cutting, stated_mpp, workers, progress)
    return _gather(table, output, cutting, outcomes)


def _settle(output: pathlib.Path, cutting: Cutting) -> None:
  """Refuses a folder of other patches, and says in a new one how they will be cut."""
  path = output / SETTINGS
  if path.is_file():
    before, now = files.read_json(path), dataclasses.asdict(cutting)
    for name, value in now.items():
      if before.get(name) != value:
        raise InputError(
          f'{output}: holds patches that were cut with --{name}={before.get(name)}, not {value}; '
          'take another --output'
        )
    return
  files.write_whole(path, json.dumps(dataclasses.asdict(cutting), indent=2) + '\n')


def _cut_all(
  jobs: list[Job],
  output: pathlib.Path,
  cutting: Cutting,
  stated_mpp: float,
  workers: int,
  progress: Callable[[str], None],
) -> dict[str, dict[str, Any] | str]:
  """Returns slide → what is known of it, or why it was set aside."""
  outcomes: dict[str, dict[str, Any] | str] = {}
  running: set[multiprocessing.process.BaseProcess] = set()

  def one(job: Job) -> tuple[Job, dict[str, Any] | str, bool]:
    if (facts := patches.done(job, output, cutting, stated_mpp)) is not None:
      return job, facts, True
    return job, _in_a_process(job, output, cutting, stated_mpp, running), False

  pool = concurrent.futures.ThreadPoolExecutor(max(1, workers))
  try:
    for future in concurrent.futures.as_completed([pool.submit(one, job) for job in jobs]):
      job, outcome, before = future.result()
      outcomes[job.slide] = outcome
      progress(_in_words(job, outcome, before))
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in list(running):
      process.terminate()
  return outcomes


def _in_a_process(
  job: Job, output: pathlib.Path, cutting: Cutting, stated_mpp: float, running: set
) -> dict[str, Any] | str:
  context = multiprocessing.get_context('spawn')
  ours, theirs = context.Pipe(duplex=False)
  process = context.Process(
    target=_work, args=(theirs, job, output, cutting, stated_mpp), daemon=True
  )
  process.start()
  running.add(process)
  theirs.close()
  try:
    outcome = ours.recv()
  except EOFError:
    process.join()
    outcome = f'{job.path}: its reader ended without a word (exit status {process.exitcode})'
  process.join()
  running.discard(process)
  return outcome


def _work(
  connection: Any, job: Job, output: pathlib.Path, cutting: Cutting, stated_mpp: float
) -> None:
  signal.signal(
    signal.SIGINT, signal.SIG_IGN
  )  # The main process, which gets it too, ends this one.
  try:
    connection.send(patches.cut(job, output, cutting, stated_mpp))
  except InputError as error:
    connection.send(str(error))
  except Exception as error:  # Whatever else a damaged slide may cause.
    connection.send(f'{job.path}: {one_line(error)}')


def _in_words(job: Job, outcome: dict[str, Any] | str, before: bool) -> str:
  if isinstance(outcome, str):
    return f'set aside {job.slide}: {outcome}'
  known = f'{outcome["tumor_patches"]:,} with tumour'
  if outcome['unknown_patches']:
    known += f', {outcome["unknown_patches"]:,} unknown'
  if outcome['ungrouped_outlines']:
    known += f' ({outcome["ungrouped_outlines"]:,} outlined in no group)'
  when = ', cut before' if before else ''
  return (
    f'{job.slide}: {outcome["patches"]:,} patches, {known}; {outcome["tissue_mm2"]:,.1f} mm² of '
    f'tissue{when}'
  )


def _gather(
  table: pd.DataFrame, output: pathlib.Path, cutting: Cutting, outcomes: dict[str, Any]
) -> PatchSet:
  """Writes and returns the tables of all slides."""
  of_slides, of_patches, aside = [], [], []
  for row in table.to_dict('records'):
    outcome = outcomes[row['slide']]
    if isinstance(outcome, str):
      aside.append({'slide': row['slide'], 'path': row['path'], 'reason': outcome})
      continue
    carried = {name: row[name] for name in _OF_SLIDES if name in row}
    tumor = row['tumor']
    if np.isnan(tumor) and row['outlines']:
      tumor = {True: 1.0, False: 0.0, None: np.nan}[outcome['outlined_tumor']]
    facts = {
      name: outcome[name]
      for name in (
        'mpp_x', 'mpp_y', 'width', 'height', 'saturation_threshold', 'tissue_mm2', 'patches',
        'tumor_patches',
      )
    }  # fmt: skip
    of_slides.append({'slide': row['slide'], **carried, 'tumor': _code(tumor), **facts})
    each = read_csv(patches.positions_path(output, row['slide'])) if outcome['patches'] else None
    if each is not None:
      record = patches.record_path(output, row['slide']).relative_to(output).as_posix()
      each.insert(0, 'image', [f'{record}#{number}' for number in range(len(each))])
      each = each.assign(slide=row['slide'], mpp=f'{cutting.mpp:g}', **carried)
      each['tumor'] = [code.removesuffix('.0') for code in each['tumor']]
      of_patches.append(each)
  set_aside = pd.DataFrame(aside, columns=['slide', 'path', 'reason'])
  files.write_whole(output / SET_ASIDE, set_aside.to_csv(index=False))
  if not of_slides:
    raise InputError(
      f'none of the {len(table):,} slides could be cut ({output / SET_ASIDE}); {aside[0]["reason"]}'
    )
  if not of_patches:
    raise InputError(
      f'no patch of {len(of_slides):,} slides is tissue to {cutting.tissue:.0%}; look at '
      f'{output / "grids"}, and try a lower --tissue or a smaller --patch_size'
    )
  patch_table = pd.concat(of_patches, ignore_index=True)
  first = ['image', *(name for name in _OF_SLIDES if name in patch_table), 'slide']
  rest = ['x', 'y', 'mpp', 'tissue', 'tumor']
  patch_table = patch_table[[*first, *rest]]
  slide_table = pd.DataFrame(of_slides)
  files.write_whole(output / SLIDES, slide_table.to_csv(index=False))
  # Last, because training starts from it.
  files.write_whole(output / PATCHES, patch_table.to_csv(index=False))
  return PatchSet(slide_table, patch_table, set_aside)


def _code(value: float) -> str:
  return '' if np.isnan(value) else f'{value:.0f}'
