"""Predicts any number of images with a finished run: into a table, or a file that grows by rows."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jax.sharding import Mesh

from medjax.data.images import lists
from medjax.data.images.lists import ImageList, Item
from medjax.data.leakage import seen_before
from medjax.errors import InputError, count
from medjax.evaluation import notes, predictions
from medjax.inference import heat_files, reading, result_file, result_pieces
from medjax.inference.reading import Read
from medjax.inference.result_file import Results
from medjax.inference.result_pieces import WholeFile
from medjax.runs import averaging, decisions, seen_by_run
from medjax.runs.decisions import Decisions
from medjax.runs.finished import Run
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import devices, progress, remote_work, shards
from medjax.runtime.shards import Shard

# (items, uint8[B, H, W, C] of the run's own preprocessing, calibrated probabilities) → None
Draw = Callable[[list[Item], np.ndarray, np.ndarray], None]


class _Job(NamedTuple):
  """What every piece of the results needs.

  Attributes:
    run: a finished run.
    networks: of it, then of its members.
    images: the list.
    whole: the file that is written.
    raw: whether it has the probabilities before calibration.
    draw: the heat maps, if any.
    mesh: the data mesh.
  """

  run: Run
  networks: Sequence[TrainedNetwork]
  images: ImageList
  whole: WholeFile
  raw: bool
  draw: Draw | None
  mesh: Mesh


def predict(
  run: Run,
  source: str | os.PathLike | Sequence[str | os.PathLike],
  *,
  root: str | os.PathLike | None = None,
  allow_training_images: bool = False,
) -> pd.DataFrame:
  """Predicts images and returns a row for each, in the order of the list.

  Args:
    run: a finished run.
    source: a folder of images, a CSV that names them, or their paths.
    root: what the paths of a CSV are relative to; None is its own folder.
    allow_training_images: predicts what the model has seen, too.

  Returns:
    Columns image, patient (where the CSV has it), prob_<label> (calibrated), decision_<label> (1 or
    0 at the frozen threshold, None without one) or, of exclusive classes, `decision`, raw_<label>
    (as the network gave it), and reason: why an image could not be read, else ''. What could not be
    read has no probabilities (NaN) and no decisions (None).

  Raises:
    InputError: the run is not whole; there are no images, or images that trained it.
  """
  images = _listed(source, root)
  _check_unseen(run, images, allow_training_images)
  mesh = devices.data_mesh()
  batch_size = reading.size_of_batch(run.config.batch_size, mesh)
  networks = [member.network for member in (run, *run.members)]
  reads: list[Read] = []
  log_odds = np.full((images.count, len(run.config.data.labels)), np.nan)
  bar = progress.Progress('image', 0, images.count)
  batches = reading.predict(networks, images, batch_size=batch_size, mesh=mesh)
  with contextlib.closing(batches), contextlib.closing(bar):
    for batch, of_batch in batches:
      good = [row for row, read in enumerate(batch) if not read.reason]
      log_odds[[len(reads) + row for row in good]] = of_batch[good]
      reads += [read._replace(arrays=()) for read in batch]
      bar.update(len(reads))
  is_good = np.array([not read.reason for read in reads])
  raw, bounded = predictions.probabilities_of(log_odds[is_good])
  decided = decisions.decide(run.config, run.frozen, raw, bounded)
  columns = pd.DataFrame(decisions.columns(run.config, decided, raw), index=np.flatnonzero(is_good))
  table = pd.DataFrame({'image': [read.item.image for read in reads]})
  if images.has_patients:
    table['patient'] = [read.item.patient for read in reads]
  table = table.join(columns)
  if not is_good.all():  # Not NaN, which Python takes for true.
    for name in decided.decided:
      table[name] = table[name].astype(object).where(is_good, None)
  table['reason'] = [read.reason for read in reads]
  return table


def predict_to_csv(
  run: Run,
  source: pathlib.Path,
  output: pathlib.Path,
  *,
  root: pathlib.Path | None = None,
  raw: bool = False,
  allow_training_images: bool = False,
  heat_maps: pathlib.Path | None = None,
  heat_map_labels: Sequence[str] = (),
  shard: Shard | None = None,
) -> None:
  """Writes the predictions of all images, or goes on with it, and says what became of them.

  Images are taken in the order of the list, in batches that depend on the list alone, so that a
  file that was interrupted ends in the same bytes.

  Args:
    run: a finished run.
    source: a folder of images, or a CSV that names them.
    output: the CSV; see medjax.inference.result_file for the files next to it.
    root: what the paths of a CSV are relative to; None is its own folder.
    raw: adds the probabilities before calibration.
    allow_training_images: predicts what the model has seen, too.
    heat_maps: a folder for heat maps drawn over the images; None draws none.
    heat_map_labels: what is drawn; none is each image's most probable label.
    shard: the piece to predict; the last to finish puts all together. None predicts everything, or
      puts together the pieces that there are.

  Raises:
    InputError: the run is not whole; there are no images, or images that trained it; the output
      cannot be written, or was begun with other settings; a piece is missing.
  """
  images = _listed(source, root)
  seen = _check_unseen(run, images, allow_training_images)
  pieces = shards.find(result_pieces.folder(output), shard)
  mesh = devices.data_mesh()
  batch_size = _batch_size(run, output, pieces, shard is not None, mesh)
  networks = [member.network for member in (run, *run.members)]
  settings = {
    'workdir': remote_work.with_urls(run.workdir.resolve()),
    'members': [remote_work.with_urls(member.workdir.resolve()) for member in run.members],
    'steps': [list(network.steps) for network in networks],
    'frozen_sha256': hashlib.sha256(run.layout.frozen.read_bytes()).hexdigest(),
    'averaged': averaging.in_words(run.config, len(networks[0].steps)),
    'source': str(source.resolve()),
    'root': str(root.resolve()) if root else None,
    'images': images.count,
    'images_sha256': images.sha256,
    'batch_size': batch_size,
    'raw': raw,
    'heat_maps': remote_work.with_urls(heat_maps.resolve()) if heat_maps else None,
    'heat_map_labels': list(heat_map_labels),
    'training_images': seen,
  }
  draw = None
  if heat_maps:
    heat_files.check_folder(heat_maps, source)
    draw = heat_files.drawer(networks[0], heat_maps, heat_map_labels, mesh)
  patient = ['patient'] if images.has_patients else []
  columns = ['image', *patient, *decisions.column_names(run.config, raw=raw)]

  def names(span: Iterable[int]) -> Iterator[str]:
    return (result_file.printable(lists.item(images, number).image) for number in span)

  whole = WholeFile(output, settings, columns, images.count, batch_size, names)
  job = _Job(run, networks, images, whole, raw, draw, mesh)
  if not pieces:
    rows = _predict_rest(job, output, settings, range(images.count))
  elif _pieces_are_together(job, pieces, shard):
    rows, _ = result_file.counts(output, settings)
  else:
    return
  if not rows:
    reason = result_file.first_reason(output)
    result_file.remove(output)  # So that the next try may have the name.
    where = ''
    if source.is_file():
      folder = root or source.parent
      where = f'; its paths are relative to {folder}, or to another folder with --root=FOLDER'
    raise InputError(
      f'{source}: none of its {images.count:,} images can be read, such as {reason}{where}'
    )
  progress.say(_answer(output, rows, images))
  if note := notes.of_new_patients(run.frozen.levels['image']):
    progress.say(f'note: {note}')


def _pieces_are_together(job: _Job, pieces: Sequence[Shard], shard: Shard | None) -> bool:
  """Does a piece, if one is asked for; puts all of them together once the last is finished.

  Raises:
    InputError: no piece is asked for, and one is missing; the output was begun without pieces.
  """
  output, whole = job.whole.output, job.whole
  if output.exists() and output.stat().st_size:
    if sum(result_file.counts(output, whole.settings)) < whole.images:
      raise InputError(
        f'--output={output}: was begun without --shard; go on without it, or take another'
      )
    shards.remove(result_pieces.folder(output))  # Whoever put them together was stopped.
    return True
  if shard:
    path, span = result_pieces.piece(output, shard), whole.span(shard)
    path.parent.mkdir(exist_ok=True)
    rows = _predict_rest(job, path, whole.settings_of(shard), span)
    progress.say(f'piece {shard} of {output}: {count(rows, "image")} of {len(span):,} predicted')
  missing = result_pieces.put_together(whole, pieces)
  if missing and shard:
    progress.say(
      f'not yet finished: {shards.in_words(missing)}; the last to finish puts them together'
    )
    return False
  shards.check_finished(output, missing)
  return True


def _predict_rest(job: _Job, path: pathlib.Path, settings: dict[str, Any], span: range) -> int:
  """Predicts what is missing of a file that holds these images; returns how many are good."""
  size, whole = job.whole.batch_size, job.whole
  with result_file.opened(path, settings, whole.columns, whole.names(span)) as results:
    rows, first = results.rows, results.done // size
    if results.done:
      progress.say(f'going on after {results.done:,} of {len(span):,} images')
    if results.done == len(span):
      return rows
    batches = reading.predict(
      job.networks, job.images, span=span[first * size :], batch_size=size, mesh=job.mesh
    )
    bar = progress.Progress('batch', first, -(-len(span) // size), images=size)
    with contextlib.closing(batches), contextlib.closing(bar):
      for number, (batch, log_odds) in enumerate(batches, start=first):
        # The first batch of a run that goes on may be half done; it is predicted whole, as it was.
        done = max(results.done - number * size, 0)
        rows += _append(results, job, batch[done:], log_odds[done:])
        bar.update(number + 1)
  return rows


def _batch_size(
  run: Run, output: pathlib.Path, pieces: Sequence[Shard], is_piece: bool, mesh: Mesh
) -> int:
  """Returns how many images make a batch: of pieces, as of those that there are."""
  size = reading.size_of_batch(run.config.batch_size, mesh)
  there = result_pieces.batch_size(output, pieces) or size
  if is_piece and there % mesh.size:
    raise InputError(
      f'--output={output}: its pieces are predicted {there} images at a time, which the '
      f'{mesh.size} devices here cannot share; do this piece on as many devices as the others'
    )
  return there


def _append(results: Results, job: _Job, batch: list[Read], log_odds: np.ndarray) -> int:
  """Appends a row for each image; returns how many are good."""
  kept = [row for row, read in enumerate(batch) if not read.reason]
  reads = [batch[row] for row in kept]
  before, bounded = predictions.probabilities_of(log_odds[kept])
  decided = decisions.decide(job.run.config, job.run.frozen, before, bounded)
  if job.draw and kept:
    own = job.run.network.learner.image_format
    pixels = reading.stacked(reads, 0, len(batch), own)
    job.draw([read.item for read in reads], pixels, decided.probabilities)
  broken = [(read.item.image, read.reason) for read in batch if read.reason]
  items = [read.item for read in reads]
  good = _rows(
    items, decided, has_patients=job.images.has_patients, raw=before if job.raw else None
  )
  # Last, because a row says that everything else of its image is there.
  result_file.append(results.broken, [list(map(result_file.printable, row)) for row in broken])
  result_file.append(results.good, good)
  return len(kept)


def _rows(
  items: Sequence[Item], decided: Decisions, *, has_patients: bool, raw: np.ndarray | None
) -> list[list[str]]:
  rows = []
  for row, item in enumerate(items):
    names = (item.image, item.patient) if has_patients else (item.image,)
    rows.append(
      [
        *map(result_file.printable, names),
        # In full: rounded, one that is at its threshold would fall below it.
        *(repr(float(value)) for value in decided.probabilities[row]),
        *(_text(values[row]) for values in decided.decided.values()),
        *(repr(float(value)) for value in (() if raw is None else raw[row])),
      ]
    )
  return rows


def _text(decision: Any) -> str:
  return '' if decision is None else str(decision)


def _listed(source: Any, root: str | os.PathLike | None) -> ImageList:
  if not isinstance(source, str | os.PathLike):
    if root is not None:
      raise InputError(f'root={root}: is for a CSV; the images are given by their paths')
    return lists.of_paths(source)
  source = pathlib.Path(source)
  if source.is_dir():
    if root is not None:
      raise InputError(f'--root={root}: is for a CSV; --images={source} is a folder')
    with progress.waiting(f'listing the images in {source}'):
      return lists.of_folder(source)
  if not source.exists():
    raise InputError(f'--images={source}: no such folder or CSV')
  return lists.of_csv(source, None if root is None else pathlib.Path(root))


def _check_unseen(run: Run, images: ImageList, allowed: bool) -> int:
  """Returns how many images the model has seen, at least; raises InputError unless allowed."""
  seen = seen_by_run.seen_by_any(member.layout for member in (run, *run.members))
  with progress.waiting('comparing the images with those that trained or chose the network'):
    count, first = seen_before.find_seen(lists.items(images), seen)
  if not count:
    return 0
  # Of possible copies a sample is looked at.
  share = f'at least {count:,} of the {images.count:,} images trained or chose this model'
  if not allowed:
    raise InputError(
      f'{first} ({share}): what it says of them says nothing of new patients; leave them out, or '
      'insist with --allow_training_images'
    )
  progress.say(
    f'note: {share}, such as: {first}; what it says of them says nothing of new patients'
  )
  return count


def _answer(output: pathlib.Path, rows: int, images: ImageList) -> str:
  words = f'{output}: 1 image predicted' if rows == 1 else f'{output}: {rows:,} images predicted'
  if broken := images.count - rows:
    words += f'; {broken:,} could not be read ({result_file.broken_path(output)})'
  if images.skipped:
    words += f'; {lists.in_words(images.skipped)} skipped: not images'
  return words
