"""A finished run, opened: what a work directory holds, each part read when it is needed."""

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medjax import config as configs
from medjax.config import Config
from medjax.errors import InputError, check_option
from medjax.evaluation import frozen, predictions, results_file
from medjax.evaluation.frozen import Frozen
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.runs import decisions, integrity, model_file, repeats
from medjax.runs.layout import PARTS, Layout
from medjax.runs.model_file import Provenance
from medjax.runtime import files

if TYPE_CHECKING:
  from medjax.runs.trained_network import TrainedNetwork


@dataclasses.dataclass(frozen=True)
class Run:
  """A finished run. Opening one compares its files; each attribute below reads its own.

  Attributes:
    layout: where its files are.
    config: of the run.
    model_file: what its network takes in and started from.
  """

  layout: Layout
  config: Config
  model_file: Provenance

  @property
  def workdir(self) -> pathlib.Path:
    """Its folder."""
    return self.layout.workdir

  @property
  def report(self) -> pathlib.Path:
    """Its report, an HTML page."""
    return self.layout.report

  @functools.cached_property
  def split_sha256(self) -> str:
    """The hash of its split."""
    return str(files.read_json(self.layout.split_proof).get('split_sha256'))

  @functools.cached_property
  def result(self) -> Result:
    """The result of its test.

    Raises:
      InputError: it is of another version of medjax, or damaged.
    """
    remedy = 'delete it and start the run again, which tests it again'
    return results_file.load(self.layout.result, Result, remedy)

  @functools.cached_property
  def frozen(self) -> Frozen:
    """What validation chose: calibration and thresholds, see medjax.evaluation.frozen.

    Raises:
      InputError: there is none, or it is of another label set.
    """
    return frozen.read(self.workdir, self.config.data.labels)

  @functools.cached_property
  def network(self) -> 'TrainedNetwork':
    """The network with its best checkpoints; imports jax.

    Raises:
      InputError: a checkpoint is missing, damaged, or of another network, label set or frozen.json.
    """
    from medjax.runs import trained_network

    network = trained_network.open_network(self.layout, self.config, self.model_file)
    # A run without any validated checkpoint froze no step.
    if self.frozen.step not in (None, network.steps[0]):
      raise InputError(
        f'{self.layout.frozen}: was chosen for the checkpoint of step {self.frozen.step}, and the '
        f'best one here is of step {network.steps[0]}; take a folder as the run left it'
      )
    trained_network.check_weights(self.layout, network.variables, self.frozen.weights_sha256)
    return network

  @functools.cached_property
  def members(self) -> tuple['Run', ...]:
    """The further runs that its predictions are averaged with."""
    return open_members(self.config, self.workdir, self.split_sha256)

  def raw_predictions(self, part: str = 'test', variant: str = '') -> Predictions:
    """Returns the probabilities as the network gave them, of 'validation' or 'test'.

    Args:
      part: the split.
      variant: '' for those reported; else an ablation of what is averaged, such as 'single model'.

    Raises:
      InputError: there are none, or the file is not what the run wrote.
    """
    check_option('part', part, PARTS)
    return predictions.read(self.layout.predictions(part, variant))

  def predictions(self, part: str = 'test') -> pd.DataFrame:
    """Returns a row per image of 'validation' or 'test'.

    Columns: image, patient, prob_<label> (calibrated), decision_<label> (1 or 0 at the frozen
    threshold, None without one) or, of exclusive classes, `decision`, raw_<label> (as the network
    gave it), true_<label> (1, 0, NaN where unknown), and what else is known of an image.
    """
    raw = self.raw_predictions(part)
    decided = decisions.decide(self.config, self.frozen, raw.probabilities, raw.log_odds)
    truth = np.where(raw.known, raw.truth, np.nan)
    columns = {
      'image': raw.images,
      'patient': raw.patients,
      **decisions.columns(self.config, decided, raw.probabilities),
      **{predictions.TRUTH + label: truth[:, i] for i, label in enumerate(raw.labels)},
    }
    table = pd.DataFrame(columns)
    return table if raw.about is None else table.join(raw.about.reset_index(drop=True))


def open_run(workdir: str | pathlib.Path) -> Run:
  """Opens a finished run.

  What its config.json names as 'package.module:name' is imported when it is used, and so is code of
  whoever made the run; nothing else of a run is.

  Raises:
    InputError: it is no work directory, one of another version of medjax, not finished, or its
      files are not those that the run wrote, see medjax.runs.integrity.
  """
  layout = Layout(pathlib.Path(workdir))
  config = read_config(layout)
  if not layout.is_finished():
    raise InputError(
      f'{layout.workdir}: not a finished run (there is no {layout.result}); let the run end: '
      'started again in the same work directory it goes on from where it is'
    )
  integrity.check(layout)
  return Run(layout, config, model_file.read(layout))


def read_config(layout: Layout) -> Config:
  """Returns the config of a run, finished or not.

  Raises:
    InputError: it is no work directory, one of several folds or seeds, or of another version of
      medjax.
  """
  repeats.check_is_one_run(layout.workdir)
  try:
    return configs.from_dict(files.read_json(layout.config))
  except (TypeError, AttributeError) as error:
    raise InputError(
      f'{layout.config}: not a config of this version of medjax ({error}); use the medjax that '
      'made the run, or train it again'
    ) from None


def open_members(config: Config, workdir: pathlib.Path, split_sha256: str) -> tuple[Run, ...]:
  """Opens the runs whose predictions are averaged with those of this one.

  Args:
    config: of this run.
    workdir: of this run.
    split_sha256: of its split.csv.

  Raises:
    InputError: one is not a finished run of the same labels, head and split. The same split means
      that nobody whom the member was trained on is tested here. Image size, network and format of
      the images may differ.
  """
  for folder in config.evaluation.members:
    member = Layout(pathlib.Path(folder))
    where = f"config.evaluation.members: '{folder}'"
    if member.workdir.resolve() == workdir.resolve():
      raise InputError(f'{where} is this run itself, which is averaged anyway')
    if not member.is_run():
      raise InputError(
        f'{where} is not the work directory of a run, seen from {pathlib.Path.cwd()}'
      )
    if not member.is_finished():
      raise InputError(f'{where} is a run that is not finished; let it end first')
    settings = read_config(member)
    for what, ours, other in (
      ('labels', list(config.data.labels), list(settings.data.labels)),
      ('a head', config.model.head, settings.model.head),
    ):
      if ours != other:
        raise InputError(
          f'{where} has {what} {other}, not {ours}; their probabilities have no mean'
        )
    if settings.evaluation.members:
      raise InputError(f'{where} averages further runs itself; name those runs here instead')
    split = str(files.read_json(member.split_proof).get('split_sha256'))
    if split != split_sha256:
      raise InputError(
        f'{where} has another split (SHA-256 {split[:12]}, here {split_sha256[:12]}), so it may '
        'have been trained on patients who are tested here; train it with the same data and '
        'config.split'
      )
  return tuple(open_run(folder) for folder in config.evaluation.members)
