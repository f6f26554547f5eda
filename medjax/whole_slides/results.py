"""The answer for slides and patients: figures with intervals, tables, and their files.

  index.html, index_files/            the page, its figures as SVG and tables as CSV
  slides.csv, patients.csv            probability, truth and decision of each
  slides.json                         `SlideResults`; its figures as evaluation/test.json has them
  predictions/{validation,test}.csv   slides in the place of images

The decision is at the operating point of validation, one for slides and another for patients: the
highest of more slides is higher by chance.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from medjax.config import Config
from medjax.config.protocol import Protocol
from medjax.evaluation import frozen, levels, notes, predictions, results_file, summary, wording
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import SCHEMA, Result
from medjax.runs.layout import PARTS
from medjax.runtime import files


@dataclasses.dataclass(frozen=True)
class SlideResults:
  """What a run says of slides.

  Attributes:
    aggregate: how patches became slides: 'max', 'mean', 'top:SHARE' or 'attention'.
    patches: the folder of the patches.
    epoch: of the attention pooling that was tested, None for a fixed rule.
    slides: with a slide in the place of an image.
    patients: with a patient in the place of an image; None where every patient has one slide.
    schema: number of this schema, and of both results.
  """

  aggregate: str
  patches: str
  epoch: int | None
  slides: Result
  patients: Result | None
  schema: int = SCHEMA


def evaluate(
  slides: Mapping[str, Predictions],
  config: Config,
  aggregate: str,
  patches: str,
  epoch: int | None = None,
) -> SlideResults:
  """Chooses operating points on validation and evaluates slides and patients on test.

  Args:
    slides: 'validation' and 'test' → predictions of slides.
    config: of the run.
    aggregate, patches, epoch: see `SlideResults`.
  """
  protocol = Protocol(level='slide', replicates=config.replicates, seed=config.seed)
  of_slides = _evaluate(slides, protocol)
  of_slides = dataclasses.replace(
    of_slides,
    notes=(
      *_of_unit(notes.unidentified(slides['validation'], slides['test']), 'slide'),
      *of_slides.notes,
    ),
  )
  of_patients = None
  if _several_slides(slides):
    by_patient = dataclasses.replace(protocol, level='patient')
    of_patients = _evaluate(_patients(slides), by_patient)
  return SlideResults(aggregate, patches, epoch, of_slides, of_patients)


def _several_slides(slides: Mapping[str, Predictions]) -> bool:
  return any(len(set(part.patients)) < len(part.patients) for part in slides.values())


def _patients(slides: Mapping[str, Predictions]) -> dict[str, Predictions]:
  # A patient is as likely to have it as the most likely of the patient's slides.
  return {split: levels.to_level(part, 'patient', 'max') for split, part in slides.items()}


def _evaluate(parts: Mapping[str, Predictions], protocol: Protocol) -> Result:
  chosen = frozen.freeze(parts['validation'], protocol)
  protocol = dataclasses.replace(protocol, prevalence=chosen.source_prevalence or {})
  result = summary.evaluate(parts['validation'], parts['test'], chosen.operating_points, protocol)
  sentences = (*result.notes, *notes.of_source(chosen, parts['test']))
  return dataclasses.replace(result, notes=_of_unit(sentences, protocol.level))


def _of_unit(sentences: Iterable[str], unit: str) -> tuple[str, ...]:
  """Returns notes that were written of images, of slides or patients."""
  return tuple(sentence.replace('image', unit) for sentence in sentences)


def write(
  directory: pathlib.Path,
  results: SlideResults,
  slides: Mapping[str, Predictions],
  counts: Mapping[str, int],
) -> None:
  """Writes tables, predictions and figures.

  Args:
    directory: to write to.
    results: what `evaluate` made of `slides`.
    slides: 'validation' and 'test' → predictions of slides.
    counts: slide → how many patches.
  """
  for split, part in slides.items():
    predictions.write(directory / 'predictions' / f'{split}.csv', part)
  table = _decisions(slides, results.slides)
  table.insert(3, 'patches', [counts[slide] for slide in table['image']])
  table = table.rename(columns={'image': 'slide'})
  files.write_whole(directory / 'slides.csv', table.to_csv(index=False))
  if results.patients:
    table = _decisions(_patients(slides), results.patients).drop(columns='image')
    files.write_whole(directory / 'patients.csv', table.to_csv(index=False))
  else:
    (directory / 'patients.csv').unlink(missing_ok=True)  # Of an earlier command.
  results_file.save(directory / 'slides.json', results)


def read(path: pathlib.Path) -> SlideResults:
  """Returns the results that `write` wrote to slides.json.

  Raises:
    InputError: no such file, or not what `write` writes.
  """
  return results_file.load(path, SlideResults, 'aggregate the slides again')


def _decisions(parts: Mapping[str, Predictions], result: Result) -> pd.DataFrame:
  tables = []
  for split in PARTS:
    part = parts[split]
    table = pd.DataFrame({'image': part.images, 'patient': part.patients, 'split': split})
    for index, label in enumerate(part.labels):
      threshold = result.thresholds()[label]
      scores, known = part.probabilities[:, index], part.known[:, index]
      table[f'prob_{label}'] = [repr(float(score)) for score in scores]
      decisions = '' if threshold is None else np.where(scores >= threshold, '1', '0')
      table[f'decided_{label}'] = decisions
      truth = np.where(part.truth[:, index] == 1, '1', '0')
      table[f'true_{label}'] = np.where(known, truth, '')
    tables.append(table)
  return pd.concat(tables, ignore_index=True)


def in_words(results: SlideResults) -> list[str]:
  """Returns the answer in plain lines: for slides, for patients, and what weakens it."""
  lines = _label_lines(results.slides, 'slides')
  weaknesses = list(results.slides.notes)
  if results.patients:
    lines += _label_lines(results.patients, 'patients')
    weaknesses += results.patients.notes
  else:
    lines.append('patients: each has one slide, so the figures of slides hold for them')
  return [*lines, *(f'note: {note}' for note in dict.fromkeys(weaknesses))]


def _label_lines(result: Result, units: str) -> list[str]:
  lines = []
  for label, tested in result.labels.items():
    size = wording.count(tested.patients, 'test patient')
    if units == 'slides':
      patients = wording.count(tested.patients, 'patient')
      size = f'{wording.count(tested.images, "test slide")} of {patients}'
    line = f'{units}: {label}: AUROC {wording.plain(tested.auroc, 3)} on {size}'
    (point,) = tested.operating_points
    if point.threshold is not None:
      line += (
        f'; at {point.threshold:.3g}, chosen on validation, sensitivity '
        f'{wording.plain(point.sensitivity, 3)}, specificity {wording.plain(point.specificity, 3)}'
      )
    lines.append(line)
  return lines
