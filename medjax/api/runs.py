"""Runs from Python: train one, open one that is finished, predict with it."""

import dataclasses
import multiprocessing
import os
import pathlib
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from medjax import config as configs
from medjax.api import words
from medjax.api.page import Page
from medjax.config import Config
from medjax.errors import InputError
from medjax.runs import finished, repeats
from medjax.runs.layout import Layout
from medjax.runtime import remote_work

if TYPE_CHECKING:
  from medjax.api.repeated import Folds, Seeds

if TYPE_CHECKING:
  from medjax.api.externals import External
  from medjax.evaluation.external.result import Sites

_WORKDIR = {'--workdir=': 'workdir=', 'another --workdir': 'another workdir'}


@dataclasses.dataclass(frozen=True, repr=False)
class Run(finished.Run):
  """A finished run: its config, predictions and result, and its network for new images."""

  @property
  def report(self) -> Page:
    """The path of its report; a notebook shows the page."""
    return Page(self.layout.report)

  def predict(
    self,
    images: str | os.PathLike | Iterable[str | os.PathLike],
    root: str | os.PathLike | None = None,
    allow_training_images: bool = False,
  ) -> pd.DataFrame:
    """Predicts images, as `python -m medjax.predict` does, and returns a row for each.

    Args:
      images: a folder, searched through for images; a CSV with a column image and maybe patient; an
        image; or the paths of several.
      root: what the paths of a CSV are relative to; by default its own folder.
      allow_training_images: predicts images and patients that trained the run, too.

    Returns:
      Columns image, patient (where the CSV has it), prob_<label> (calibrated), decision_<label> (1
      or 0 at the frozen threshold, None without one) or, of exclusive classes, `decision`,
      raw_<label> (as the network gave it), and reason: why an image could not be read, else ''.

    Raises:
      InputError: no images, or images that trained the run; the run is not whole.
    """
    from medjax.inference import new_images

    if isinstance(images, str | os.PathLike):
      path = words.path(images, 'images')
      if path.is_file() and path.suffix.lower() not in ('.csv', '.gz', '.tsv', '.txt', '.xlsx'):
        images = [images]
    else:
      images = _paths(images)
    if root is not None:
      root = words.path(root, 'root')
    with words.renamed(
      {
        '--allow_training_images': 'allow_training_images=True',
        '--images=': 'images=',
        '--root=': 'root=',
      }
    ):
      return new_images.predict(
        self, images, root=root, allow_training_images=allow_training_images
      )

  def external(
    self,
    config: Config,
    labels: Mapping[str, str] | Sequence[str] | None = None,
    by: str = '',
    part: str = 'all',
    pixels: bool = True,
    allow_training_images: bool = False,
  ) -> 'External':
    """Tests the run on another data set, as `python -m medjax.external` does; writes nothing.

    Preprocessing, calibration and thresholds are those of the run.

    Args:
      config: of the other set, from `load_config` or made by hand: its `data`, and its `split`
        where a part is asked for.
      labels: label of the other set → label of the run, beside those of one name and those of the
        common vocabulary; several of the other set may make one of the run.
      by: a column, such as 'site', whose values are each compared with all others.
      part: 'all' of the other set, or what its split calls 'test'.
      pixels: compares what images show with those that the run has seen, too.
      allow_training_images: goes on with images that trained the run; the page then says so.

    Returns:
      `result`, every figure; `predictions`, of each image; `report(folder)` writes the page.

    Raises:
      InputError: no label in common; the other set is the run's own or shares patients or images
        with its training; nothing to tell apart.
    """
    from medjax.api import externals

    with words.renamed(externals.NAMES):
      return externals.of_run(
        self, config, labels, by=by, part=part, pixels=pixels, allowed=allow_training_images
      )

  def by_site(self, column: str = 'site') -> 'Sites':
    """Compares each site of the run's own test with all others, as `--by=site` does.

    Raises:
      InputError: the test has no such column, or one value alone.
    """
    from medjax.inference import external

    with words.renamed({'--by=': 'column='}):
      return external.by_site_of_test(self, column)

  def export(
    self, folder: str | os.PathLike | None = None, format: str | Sequence[str] = 'stablehlo'
  ) -> list[pathlib.Path]:
    """Writes the program of its network with a model card, as `python -m medjax.export` does.

    Args:
      folder: where to; by default `export` in the work directory.
      format: 'stablehlo', with the weights for timm; 'onnx'; 'triton'; or several of them.

    Returns:
      The files.

    Raises:
      InputError: the run is not whole, nothing can be written there, or the network cannot be of
        that format.
    """
    from medjax.inference import export_files

    target = self.layout.export if folder is None else words.path(folder, 'folder')
    formats = (format,) if isinstance(format, str) else tuple(format)
    with words.renamed({'--format': 'format'}, folders=[target]):
      return export_files.write(self, target, formats)

  def __repr__(self) -> str:
    return f"Run('{self.workdir}')"


def load_config(path_and_arg: str | os.PathLike, *overrides: str) -> Config:
  """Returns the config of a file, checked.

  Args:
    path_and_arg: a file of yours, or the name of a config that comes with medjax: 'phantom';
      'phantom:resnet18' passes an argument on.
    *overrides: 'field=value' each, such as 'data.root=/data/CheXpert' or
      'optimizer.learning_rate=1e-3'.

  Raises:
    InputError: no such file, field or value, with the nearest right spelling.
  """
  for override in overrides:
    if not isinstance(override, str):
      raise InputError(f"{override!r}: is no override; give text such as 'steps=100'")
  with words.renamed({'--config.': '', '--config: ': ''}):
    return configs.load(str(words.path(path_and_arg, 'path_and_arg')), overrides)


def train(config: Config, workdir: str | os.PathLike) -> 'Run | Folds | Seeds':
  """Trains, tests once and writes the report, as `python -m medjax.main` does; returns the run.

  With config.split.folds it returns `Folds`, with config.seeds `Seeds`: several `runs`, and the
  `result` and `report` of all of them together.

  Called again with the same config and work directory it goes on where it stopped, and returns a
  run that is complete at once; with more steps, or another evaluation, a complete one goes on too.

  Args:
    config: from `load_config`, or made by hand.
    workdir: folder for everything that the run leaves, of a disk or a bucket, 's3://…'.

  Raises:
    InputError: anything about the config, the data or the work directory that needs the user.
    KeyboardInterrupt: after Ctrl-C or a notebook's interrupt, with everything saved.
    SystemExit: 143 after SIGTERM, with everything saved.
  """
  given = words.text(workdir, 'workdir')
  check_start(config)

  from medjax.experiment import memory, repeated
  from medjax.runtime import devices

  devices.keep_compiled_programs()
  devices.initialise()
  try:
    with (
      words.renamed(_WORKDIR, folders=[given, config.data.root]),
      remote_work.local(given) as folder,
      memory.errors_in_words(config),
    ):
      repeated.start(config, folder)
  except SystemExit as stop:
    if stop.code != 128 + signal.SIGINT:
      raise
    raise KeyboardInterrupt('saved; the same call goes on from there') from None
  return open_run(folder)


def check_start(config: Config, called: str = 'train') -> None:
  """Raises InputError for what is no config, or a script that an input worker imports again."""
  if not isinstance(config, Config):
    raise InputError(
      f'config: {type(config).__name__} given; give a medjax.Config, such as '
      "medjax.load_config('configs/phantom.py')"
    )
  configs.check(config)
  if getattr(multiprocessing.current_process(), '_inheriting', False):
    raise InputError(
      f'{called} was called again while an input worker imported this script; put the call under '
      "if __name__ == '__main__':, or set data.workers=0"
    )


def open_run(workdir: str | os.PathLike) -> 'Run | Folds | Seeds':
  """Opens a finished run, or the finished folds or seeds of a work directory.

  One of a bucket, 's3://…', is fetched to a folder of this disk, and what is written to that stays
  there.

  Raises:
    InputError: it is no work directory, one of another version of medjax, or not finished.
  """
  with words.renamed():
    folder = remote_work.local_copy(words.text(workdir, 'workdir'))
  there = repeats.find(folder)
  if there is None or Layout(folder).is_run():
    return open_one(folder)
  from medjax.api import repeated

  return repeated.open_repeated(there)


def open_one(workdir: pathlib.Path) -> Run:
  """Opens a finished run; raises as `open_run`."""
  opened = finished.open_run(workdir)
  return Run(**{field.name: getattr(opened, field.name) for field in dataclasses.fields(opened)})


def _paths(images: Iterable[str | os.PathLike]) -> list[str | os.PathLike]:
  # A table would be listed by its columns.
  if isinstance(images, Iterable) and not isinstance(images, pd.DataFrame | Mapping):
    paths = list(images)
    if all(isinstance(path, str | os.PathLike) for path in paths):
      return paths
  raise InputError(
    f'images: {type(images).__name__} given; give a folder, a CSV or a list of paths, such as '
    "list(table['image'])"
  )
