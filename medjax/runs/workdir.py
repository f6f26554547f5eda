"""The work directory while a run starts: what is there, what is written, who may work there."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax import config as configs
from medjax.config import Config
from medjax.data import study
from medjax.data.images import content, decoding, headers
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import copies
from medjax.data.split import split_files
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.runs import integrity, readings
from medjax.runs.layout import Layout
from medjax.runtime import devices, files, progress


@dataclasses.dataclass(frozen=True)
class Draft:
  """A study before the work directory is written.

  Attributes:
    study: the study.
    split_csv: the text of split.csv.
    is_kept: whether the work directory holds this very config and split already.
  """

  study: Study
  split_csv: str
  is_kept: bool


class Looked(NamedTuple):
  """What one look at every image of a study has shown.

  Attributes:
    broken: image, split and reason of those that cannot be read.
    images: image, split and sha256 of the others, see medjax.data.images.content.digest.
    metadata: name → what the files say of each image of the study table, '' where not read.
  """

  broken: pd.DataFrame
  images: pd.DataFrame
  metadata: dict[str, pd.Series]


def check(config: Config, layout: Layout) -> None:
  """Raises InputError if nothing can be written, what has trained there is another run or is no
  longer whole, or it is several runs that the config asks for.
  """
  check_one(config)
  folders = (layout.workdir, *layout.workdir.parents)
  existing = next(folder for folder in folders if os.path.lexists(folder))
  if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
    raise InputError(
      f'--workdir={layout.workdir}: {existing} is not a folder that can be written to'
    )
  if not layout.saved_steps() and not layout.is_finished():
    return  # Nothing has trained: the settings may change.
  if not layout.is_run():
    raise InputError(
      f'{layout.config}: no such file, though a run has trained there; restore it, or take another '
      '--workdir'
    )
  _check_same_config(config, layout)
  integrity.check(layout)
  if not layout.saved_steps() and not _is_same(config, layout):
    changed = integrity.changes(_saved_config(layout), configs.to_dict(config))
    raise InputError(
      f'{layout.checkpoints}: no checkpoint is left to go on from with other settings '
      f'({"; ".join(changed)}); restore it, or take another --workdir'
    )


def draft(config: Config, layout: Layout) -> Draft:
  """Reads the source, once, and the split that the work directory holds or else a new one.

  Until something is trained the settings may change; then the split is drawn anew.

  Raises:
    InputError: anything about the source or the split, or another process is at work there.
  """
  if layout.is_run() and (layout.saved_steps() or _is_same(config, layout)):
    data = study.read(config, layout.workdir)
    if not is_done(config, layout):
      study.check_evaluation(config, data.table, data.split)
    return Draft(data, layout.split.read_text(), is_kept=True)
  if layout.workdir.is_dir():
    with _lock(layout):  # Settings may not change under a run.
      pass
  return Draft(*study.make(config), is_kept=False)


def _is_same(config: Config, layout: Layout) -> bool:
  return not integrity.changes(_saved_config(layout), configs.to_dict(config))


def holds(layout: Layout, texts: Mapping[str, str | None]) -> bool:
  """Whether files of the work directory have these texts; None for one that must not be there."""
  paths = {layout.workdir / name: text for name, text in texts.items()}
  return all((path.read_text() if path.is_file() else None) == text for path, text in paths.items())


def write(
  config: Config,
  layout: Layout,
  drafted: Draft,
  looked: Looked,
  texts: Mapping[str, str | None],
) -> None:
  """Fills a new work directory.

  Args:
    config: of the run.
    layout: where to.
    drafted: its study.
    looked: from `look_at_images`.
    texts: of further files by name, None for one that must not be there.
  """
  try:
    layout.workdir.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f'--workdir={layout.workdir}: cannot be made ({error.strerror})') from None
  if layout.is_run():
    readings.keep(layout)
  # Killed half-way, a folder must not pair the old settings with the new split.
  layout.config.unlink(missing_ok=True)
  files.write_whole(layout.set_aside, looked.broken.to_csv(index=False))
  files.write_whole(layout.images, looked.images[['image', 'sha256']].to_csv(index=False))
  split_files.write(layout.workdir, drafted.split_csv, drafted.study.proof)
  write_texts(layout, texts)
  # Last, because its presence says that the others are there.
  _write_config(config, layout)


def write_texts(layout: Layout, texts: Mapping[str, str | None]) -> None:
  """Writes files by name, and removes those whose text is None."""
  for name, text in texts.items():
    if text is None:
      (layout.workdir / name).unlink(missing_ok=True)
    else:
      files.write_whole(layout.workdir / name, text)


def begin_like(config: Config, layout: Layout, other: Layout) -> None:
  """Fills a new work directory with the split of another run and what it has seen of the images.

  For runs whose configs read and split the same images; `config` is that of the new one.
  """
  layout.workdir.mkdir(parents=True, exist_ok=True)
  for path in (other.split, other.split_proof, other.set_aside, other.images):
    files.write_whole(layout.workdir / path.name, path.read_bytes())
  _write_config(config, layout)


def _write_config(config: Config, layout: Layout) -> None:
  files.write_whole(layout.config, json.dumps(configs.to_dict(config), indent=2) + '\n')


def read(config: Config, layout: Layout, drafted: Draft | None) -> tuple[Study, set[str]]:
  """Returns the study and the images set aside, on all processes; the first has drafted the study.

  Raises:
    InputError: the processes do not share the folder, or it holds a run of another config.
  """
  if not devices.all_agree(layout.is_run()):
    raise InputError(f'--workdir={layout.workdir}: must be a folder that all processes share')
  _check_same_config(config, layout)
  data = drafted.study if drafted else study.read(config, layout.workdir)
  return data, read_set_aside(layout)


def read_set_aside(layout: Layout) -> set[str]:
  """Returns the images that cannot be read."""
  return set(read_broken(layout)['image'])


def read_broken(layout: Layout) -> pd.DataFrame:
  """Returns the images that cannot be read, with split and reason of each."""
  return pd.read_csv(layout.set_aside, dtype=str, keep_default_na=False)


def check_set_aside(config: Config, layout: Layout) -> None:
  """Raises InputError where an image is set aside that can be read."""
  images = pd.Series(sorted(read_set_aside(layout)), dtype=object)
  data = config.data
  broken = decoding.find_broken(study.paths(config, images), data.image_size, data.intensity)
  for position, image in enumerate(images):
    if position not in broken:
      raise InputError(
        f"{layout.set_aside}: '{image}' is set aside, and it can be read; restore the file, or the "
        'image, as the run left it, or take another --workdir'
      )


def is_done(config: Config, layout: Layout) -> bool:
  """Whether the run is finished and this config asks for nothing that it has not done."""
  if not layout.is_finished():
    return False
  return not integrity.changes(_saved_config(layout), configs.to_dict(config))


def reopen(config: Config, layout: Layout) -> None:
  """Makes a finished run one that goes on; its result is kept under another name.

  Killed anywhere in here, the same command goes on.
  """
  readings.put_aside(layout)
  keep_going_on(config, layout)


def keep_going_on(config: Config, layout: Layout) -> None:
  """Writes to config.json what may change when a run goes on: how far it trains, how it is
  tested.
  """
  readings.keep(layout)
  old = files.read_json(layout.config)
  kept = integrity.going_on(old, configs.to_dict(config))
  if kept != old:
    files.write_whole(layout.config, json.dumps(kept, indent=2) + '\n')


def check_one(config: Config) -> None:
  """Raises InputError where a config asks for several runs."""
  if config.seeds > 1 or (config.split.folds and config.split.fold < 0):
    name = f'seeds={config.seeds}' if config.seeds > 1 else f'split.folds={config.split.folds}'
    raise InputError(f'config.{name}: here is one run, medjax.main does several; leave it out')


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
  """Keeps a second run out; the lock ends with the process, however it ends."""
  with contextlib.ExitStack() as stack:
    devices.first_does(functools.partial(stack.enter_context, _lock(layout)))
    devices.first_does(functools.partial(files.remove_temporaries, layout.workdir))
    yield


def _lock(layout: Layout) -> contextlib.AbstractContextManager[None]:
  return files.locked(
    layout.lock,
    f'{layout.workdir}: another run is at work there; wait for it, or stop it',
  )


def _check_same_config(config: Config, layout: Layout) -> None:
  changed = integrity.not_to_go_on_with(_saved_config(layout), configs.to_dict(config))
  if changed:
    raise InputError(
      f'{layout.workdir} holds a run with another config: {"; ".join(changed)}. Take another '
      '--workdir, or the old settings to go on with that run. It goes on with more config.steps, '
      'another config.patience, config.replicates or config.evaluation, but for its checkpoints '
      'and level, by which the best checkpoint is chosen'
    )


def _saved_config(layout: Layout) -> dict[str, Any]:
  try:
    saved = files.parsed(layout.config.read_text())
  except ValueError as error:
    raise InputError(
      f'{layout.config}: not the JSON that the run wrote ({error}); take another --workdir'
    ) from None
  # Settings that an earlier medjax did not have are as it took them: at their defaults.
  return configs.with_defaults(saved)


def look_at_images(config: Config, data: Study, image_format: ImageFormat) -> Looked:
  """Reads and decodes every image that has a split.

  Raises:
    InputError: one cannot be read, and config.data.broken is 'stop'; or config.data.prepared is no
      folder of these images.
  """
  rows = np.flatnonzero(data.split != 'unused')
  images = data.table['image'].iloc[rows]
  decoded = study.with_decoded(config, data, image_format).decoded
  table = pd.DataFrame({'image': images, 'split': data.split[rows]})
  if decoded is None:
    size, intensity = config.data.image_size, config.data.intensity

    def look(path: str) -> tuple[str, headers.Header, str]:
      return *decoding.check(path, size, intensity), content.digest(path)

    seen = progress.in_threads('image checked', look, study.paths(config, images))
    table['reason'], read, table['sha256'] = zip(*seen)
  else:
    index = decoded.about(images.tolist())
    table['reason'], table['sha256'] = index['reason'].to_numpy(), index['digest'].to_numpy()
    read = tuple(map(headers.Header._make, zip(*(index[name] for name in headers.Header._fields))))
  metadata = pd.DataFrame(headers.metadata(read), rows)
  metadata = metadata.reindex(range(len(data.table)), fill_value='')
  is_broken = table['reason'] != ''
  broken = table.loc[is_broken, ['image', 'split', 'reason']]
  if len(broken) and config.data.broken == 'stop':
    others = f' (and {len(broken) - 1:,} more)' if len(broken) > 1 else ''
    first = broken.index[0]
    # A table kept to some views no longer tells rows by their numbers.
    where = f'{data.table["named_in"][first]}: ' if 'named_in' in data.table else ''
    raise InputError(
      f'{where}{broken["reason"][first]}{others}; mend it, or set config.data.broken=set_aside to '
      'go on without such images'
    )
  good = table.loc[~is_broken, ['image', 'split', 'sha256']]
  return Looked(broken, good, dict(metadata.items()))


def prove_apart(config: Config, data: Study, looked: Looked) -> None:
  """Adds to the proof of the split what table and images show that makes its test flatter.

  Args:
    config: of the run.
    data: whose proof is added to, before it is written.
    looked: from `look_at_images`.
  """
  common, sentences = content.across_sides(looked.images)
  truth = np.where(data.known, data.truth, np.nan)
  sentences += copies.contradictions(
    copies.of_identical(looked.images, data.table, config.data.labels, truth)
  )
  sentences += study.findings(config, data, looked.metadata)
  data.proof['duplicates'] |= {'identical_images': common}
  data.proof['not_checked'] = [
    'Pixels: a picture saved anew under another name is not looked for here; medjax.audit does.'
  ]
  notes = data.proof['notes']  # Of a start that was killed they may be there already.
  notes += [sentence for sentence in sentences if sentence not in notes]
