"""A run on another data set, from Python."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import pandas as pd

from medjax.api import page as pages
from medjax.api.page import Page
from medjax.config import Config
from medjax.errors import InputError
from medjax.evaluation.external.result import ExternalResult
from medjax.inference import external
from medjax.report import external_page
from medjax.runs.finished import Run

NAMES = {
  '--allow_training_images': 'allow_training_images=True',
  '--nopixels': 'pixels=False',
  '--labels': 'labels',
  '--part': 'part',
  '--by=': 'by=',
}


@dataclasses.dataclass(frozen=True, repr=False)
class External:
  """A run on another data set; `str` is the answer in words.

  Attributes:
    result: every figure, as external.json holds it.
    predictions: a row per image, as of `Run.predictions`.
    page: the text of the page.
    tables: name of a file beside the page → its text.
  """

  result: ExternalResult
  predictions: pd.DataFrame
  page: str
  tables: Mapping[str, str]

  def report(self, path: str | os.PathLike) -> Page:
    """Writes the page, one HTML file, and returns its path; a notebook shows the page."""
    return pages.write(path, self.page, self.tables)

  def __str__(self) -> str:
    return '\n'.join(external_page.in_words(self.result))

  def __repr__(self) -> str:
    return f'<{external_page.in_words(self.result)[1]}>'


def of_run(
  run: Run,
  config: Config,
  labels: Mapping[str, str] | Sequence[str] | None,
  *,
  by: str,
  part: str,
  pixels: bool,
  allowed: bool,
) -> External:
  """Returns what `Run.external` does; arguments as there."""
  if not isinstance(config, Config):
    raise InputError(
      f'config: {type(config).__name__} given; give a medjax.Config, such as '
      "medjax.load_config('configs/chestxray14.py')"
    )
  if isinstance(labels, str):
    raise InputError(f"labels={labels!r}: give a dict such as {{'Effusion': 'Pleural Effusion'}}")
  if isinstance(labels, Mapping):
    labels = [f'{other}={own}' for other, own in labels.items()]
  asked = external.Asked(tuple(labels or ()), by, part, pixels, allowed)
  validated = external.validate(run, config, asked)
  given = validated.predictions
  truth = given.truth.astype(float)
  truth[~given.known] = float('nan')
  table = pd.DataFrame(
    {
      'image': given.images,
      'patient': given.patients,
      **validated.decided,
      **{f'raw_{label}': given.probabilities[:, i] for i, label in enumerate(given.labels)},
      **{f'true_{label}': truth[:, i] for i, label in enumerate(given.labels)},
    }
  )
  if given.about is not None:
    table = table.join(given.about)
  return External(validated.result, table, validated.page, validated.tables)
