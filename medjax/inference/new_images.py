"""Predicts any number of images with a finished run, into a file that grows by whole rows."""

import collections
import concurrent.futures
import contextlib
import hashlib
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from medjax.config import Config
from medjax.data.images import decoding, lists
from medjax.data.images.lists import ImageList, Item
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import seen_before
from medjax.data.split import split_files
from medjax.errors import InputError, one_line
from medjax.evaluation import classes, frozen
from medjax.evaluation.predictions import PROBABILITY, Predictions
from medjax.inference import heat_files, result_file
from medjax.inference.result_file import Results
from medjax.runs import averaging, finished
from medjax.runs.averaging import Run
from medjax.runtime import devices, files, progress

DECISION, RAW = 'decision_', 'raw_'
_LEVEL = 'image'  # A file of images has no studies.
# Decoding lets go of Python's lock; beyond some threads they only wait for each other.
_THREADS = min(16, len(os.sched_getaffinity(0)))


class Opened(NamedTuple):
  """A finished run, ready to predict.

  Attributes:
    config: of the run.
    runs: the run itself, then its members.
    folders: their work directories.
    frozen: what validation chose, from medjax.evaluation.frozen.
  """

  config: Config
  runs: list[Run]
  folders: list[pathlib.Path]
  frozen: dict[str, Any]


class _Read(NamedTuple):
  """An image read, or not: one array uint8[H, W, C] for each preprocessing, or the reason."""

  item: Item
  arrays: tuple[np.ndarray, ...]
  reason: str


def predict(
  workdir: pathlib.Path,
  source: pathlib.Path,
  output: pathlib.Path,
  *,
  root: pathlib.Path | None = None,
  raw: bool = False,
  allow_training_images: bool = False,
  heat_maps: pathlib.Path | None = None,
  heat_map_labels: Sequence[str] = (),
) -> None:
  """Writes the predictions of all images, or goes on with it, and says what became of them.

  Images are taken in the order of the list, in batches that depend on the list alone, so that a file
  that was interrupted ends in the same bytes.

  Args:
    workdir: of a finished run.
    source: a folder of images, or a CSV that names them.
    output: the CSV; see medjax.inference.result_file for what stands beside it.
    root: what the paths of a CSV are relative to; None is its own folder.
    raw: adds the probabilities before calibration.
    allow_training_images: predicts what the model has seen, too.
    heat_maps: a folder for heat maps drawn over the images; None draws none.
    heat_map_labels: what is drawn; none is each image's most probable label.

  Raises:
    InputError: the run is not finished or not whole; there are no images, or images that trained it;
      the output cannot be written, or was begun with other settings.
  """
  opened = open_run(workdir)
  listed = _listed(source, root)
  seen = _check_unseen(opened, listed, allow_training_images)
  mesh = devices.data_mesh()
  batch_size = -(-opened.config.batch_size // mesh.size) * mesh.size
  settings = {
    'workdir': str(workdir.resolve()),
    'members': [str(member.resolve()) for member in opened.folders[1:]],
    'steps': [list(run.steps) for run in opened.runs],
    'frozen_sha256': hashlib.sha256((workdir / frozen.NAME).read_bytes()).hexdigest(),
    'averaged': averaging.in_words(opened.config, len(opened.runs[0].steps)),
    'source': str(source.resolve()),
    'root': str(root.resolve()) if root else None,
    'images': listed.count,
    'images_sha256': listed.sha256,
    'batch_size': batch_size,
    'raw': raw,
    'heat_maps': str(heat_maps.resolve()) if heat_maps else None,
    'heat_map_labels': list(heat_map_labels),
    'training_images': seen,
  }
  draw = None
  if heat_maps:
    heat_files.check_folder(heat_maps, source)
    draw = heat_files.drawer(opened.runs[0], heat_maps, heat_map_labels, mesh)
  columns = _columns(opened.config, listed.has_patients, raw)
  names = (result_file.printable(item.image) for item in lists.items(listed))
  with result_file.opened(output, settings, columns, names) as results:
    if results.done:
      progress.say(f'going on after {results.done:,} of {listed.count:,} images')
    rows = _write(results, opened, listed, batch_size, mesh, raw, draw)
  if not rows:
    raise InputError(
      f'{source}: none of its {listed.count:,} images can be read; {result_file.broken_path(output)} '
      'says why'
    )
  progress.say(_answer(output, rows, listed))


def _write(
  results: Results,
  opened: Opened,
  listed: ImageList,
  batch_size: int,
  mesh: Mesh,
  raw: bool,
  draw: Callable[[list[Item], np.ndarray, np.ndarray], None] | None,
) -> int:
  """Predicts what is still to be done, a batch at a time; returns how many images are good."""
  rows, image_formats = results.rows, _image_formats(opened.runs)
  start, total = results.done // batch_size, -(-listed.count // batch_size)
  batches = _batches(listed, batch_size, results.done, image_formats)
  bar = progress.Progress('batch', start, total, images=batch_size)
  with contextlib.closing(batches), contextlib.closing(bar):
    for number, (batch, probabilities) in enumerate(
      _predicted(opened.runs, batches, batch_size, mesh), start=start
    ):
      # The first batch of a run that goes on may be half done; it is predicted whole, as it was.
      skipped = max(results.done - number * batch_size, 0)
      kept = [row for row in range(skipped, len(batch)) if not batch[row].reason]
      items, before = [batch[row].item for row in kept], probabilities[kept]
      after, decisions = decide(opened, [item.image for item in items], before)
      if draw and kept:
        # The run's own preprocessing is the first.
        reads = [batch[row] for row in kept]
        draw(items, _stacked(reads, 0, image_formats[0], batch_size), after)
      good = [
        _row(item, *of_item, listed.has_patients, given if raw else None)
        for item, *of_item, given in zip(items, after, decisions, before)
      ]
      # Last, because a row says that everything else of its image is there.
      result_file.append(
        results.broken, [_broken_row(read) for read in batch[skipped:] if read.reason]
      )
      result_file.append(results.good, good)
      rows += len(kept)
      bar.update(number + 1)
  return rows


def open_run(workdir: pathlib.Path) -> Opened:
  """Opens a finished run, its members, and what validation chose.

  Raises:
    InputError: the run is not finished, not whole, or its parts do not belong together.
  """
  config = finished.read_config(workdir)
  chosen = frozen.read(workdir, config.data.labels)
  split = files.read_json(workdir / split_files.PROOF_NAME).get('split_sha256')
  runs = [averaging.open_run(workdir), *averaging.open_members(config, workdir, split)]
  for what, then, now in (
    ('step', chosen['step'], runs[0].steps[0]),
    ('split_sha256', chosen['split_sha256'], split),
    ('head', chosen['head'], config.model.head),
  ):
    # A run without any validated checkpoint froze no step.
    if then is not None and then != now:
      raise InputError(
        f"{workdir / frozen.NAME}: was made for {what} {then!r}, and the run's is {now!r}: not of this "
        'checkpoint; take a folder as the run left it'
      )
  folders = [workdir, *map(pathlib.Path, config.evaluation.members)]
  return Opened(config, runs, folders, chosen)


def _listed(source: pathlib.Path, root: pathlib.Path | None) -> ImageList:
  if source.is_dir():
    if root is not None:
      raise InputError(f'--root={root}: is for a CSV; --images={source} is a folder')
    return lists.of_folder(source)
  if not source.exists():
    raise InputError(f'--images={source}: no such folder or CSV')
  return lists.of_csv(source, root)


def _check_unseen(opened: Opened, listed: ImageList, allowed: bool) -> int:
  """Returns how many images the model has seen, at least; raises InputError unless that is allowed."""
  seen = seen_before.seen_by_any(opened.folders)
  count, words = seen_before.find_seen(lists.items(listed), seen)
  if not count:
    return 0
  # Of possible copies a sample is looked at.
  of = f'at least {count:,} of the {listed.count:,} images trained or chose this model'
  if not allowed:
    raise InputError(
      f'{words} ({of}): what it says of them says nothing of new patients; leave them out, or insist '
      'with --allow_training_images'
    )
  progress.say(f'note: {of}, such as: {words}; what it says of them says nothing of new patients')
  return count


def _columns(config: Config, has_patients: bool, raw: bool) -> list[str]:
  labels = config.data.labels
  exclusive = config.model.head != 'sigmoid'
  return [
    'image',
    *(['patient'] if has_patients else []),
    *(PROBABILITY + label for label in labels),
    *(['decision'] if exclusive else [DECISION + label for label in labels]),
    *(RAW + label for label in labels if raw),
  ]


def _image_formats(runs: Sequence[Run]) -> list[ImageFormat]:
  """Returns each format that these runs read images in, once."""
  return list(dict.fromkeys(run.learner.image_format for run in runs))


def _batches(
  listed: ImageList, batch_size: int, done: int, image_formats: Sequence[ImageFormat]
) -> Iterator[list[_Read]]:
  """Yields the list's batches from the one that holds the first image not done, decoded ahead."""
  items = itertools.islice(
    lists.items(listed),
    done // batch_size * batch_size if done < listed.count else done,
    None,
  )
  with contextlib.closing(_ahead(items, image_formats, 2 * batch_size + _THREADS)) as reads:
    while batch := list(itertools.islice(reads, batch_size)):
      yield batch


def _ahead(
  items: Iterable[Item], image_formats: Sequence[ImageFormat], most: int
) -> Iterator[_Read]:
  """Yields images in order while at most so many of the next ones are being read."""
  pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
  waiting = collections.deque()
  try:
    for item in items:
      waiting.append(pool.submit(_read, item, image_formats))
      if len(waiting) == most:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()
  finally:
    pool.shutdown(cancel_futures=True)


def _read(item: Item, image_formats: Sequence[ImageFormat]) -> _Read:
  try:
    return _Read(
      item,
      tuple(decoding.decode(item.path, image_format) for image_format in image_formats),
      '',
    )
  except InputError as error:
    return _Read(item, (), str(error))
  except Exception as error:  # Whatever it is, it must not end a job of days.
    return _Read(item, (), f'{item.path}: cannot be read as an image ({one_line(error)})')


def _predicted(
  runs: Sequence[Run], batches: Iterable[list[_Read]], batch_size: int, mesh: Mesh
) -> Iterator[tuple[list[_Read], np.ndarray]]:
  """Yields each batch with its probabilities f32[B, L], the averages of all runs."""
  replicated = devices.replicated(mesh)
  image_formats = _image_formats(runs)
  steps = [
    (
      image_formats.index(run.learner.image_format),
      jax.jit(averaging.step(run.learner), out_shardings=replicated),
      jax.device_put(run.variables, replicated),
    )
    for run in runs
  ]

  def dispatch(batch: list[_Read]) -> list[jax.Array]:
    arrays = [
      devices.put_batch({'image': _stacked(batch, place, each, batch_size)}, mesh)['image']
      for place, each in enumerate(image_formats)
    ]
    return [step(variables, arrays[place]) for place, step, variables in steps]

  def fetch(batch: list[_Read], results: list[jax.Array]) -> tuple[list[_Read], np.ndarray]:
    probabilities = averaging.mean([np.asarray(result) for result in results])
    if not np.isfinite(probabilities).all():
      raise InputError('the predicted probabilities are not finite: the parameters have diverged')
    return batch, probabilities

  pending = None
  for batch in batches:
    results = dispatch(batch)
    if pending is not None:
      yield fetch(*pending)
    pending = batch, results  # Read one batch later, so that the device is never idle for the host.
  if pending is not None:
    yield fetch(*pending)


def _stacked(
  batch: list[_Read], place: int, image_format: ImageFormat, batch_size: int
) -> np.ndarray:
  """Returns uint8[batch_size, H, W, C]; black where an image could not be read, and as padding."""
  stack = np.zeros((batch_size, *image_format.shape), np.uint8)
  for row, read in enumerate(batch):
    if not read.reason:
      stack[row] = read.arrays[place]
  return stack


def _row(
  item: Item,
  probabilities: np.ndarray,
  decisions: Sequence[str],
  has_patients: bool,
  raw: np.ndarray | None,
) -> list[str]:
  return [
    result_file.printable(item.image),
    *([result_file.printable(item.patient)] if has_patients else []),
    # In full: rounded, one that is at its threshold would fall below it.
    *(repr(float(value)) for value in probabilities),
    *decisions,
    *(f'{value:.9g}' for value in (() if raw is None else raw)),
  ]


def decide(
  opened: Opened, names: Sequence[str], probabilities: np.ndarray
) -> tuple[np.ndarray, list[list[str]]]:
  """Returns calibrated probabilities f64[N, L] and, of each image, the words of its decisions.

  Args:
    opened: the run.
    names: N images.
    probabilities: f32[N, L], raw.
  """
  labels, head = list(opened.config.data.labels), opened.config.model.head
  of_level, shape = opened.frozen['levels'][_LEVEL], probabilities.shape
  nothing = np.zeros(shape, np.float32), np.zeros(shape, bool)
  raw = Predictions(list(names), [''] * len(names), labels, probabilities, *nothing)
  calibrated = frozen.calibrated(of_level, raw).probabilities
  if head != 'sigmoid':
    return calibrated, [[labels[index]] for index in classes.decide(calibrated, head)]
  decided = frozen.decide(of_level, labels, calibrated)
  return calibrated, [['' if each < 0 else str(each) for each in row] for row in decided]


def _broken_row(read: _Read) -> list[str]:
  return [result_file.printable(read.item.image), result_file.printable(read.reason)]


def _answer(output: pathlib.Path, rows: int, listed: ImageList) -> str:
  words = f'{output}: {rows:,} image{"s" * (rows != 1)} predicted'
  if broken := listed.count - rows:
    words += f'; {broken:,} could not be read ({result_file.broken_path(output)})'
  if listed.passed_over:
    words += f'; passed over as no images: {lists.in_words(listed.passed_over)}'
  return words
