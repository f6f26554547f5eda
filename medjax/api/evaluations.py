"""Evaluation from Python: arrays or tables of any program's predictions, and two runs compared."""

import dataclasses
import numbers
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.api import arrays, words
from medjax.api import page as pages
from medjax.api.page import Page
from medjax.config import protocol as protocols
from medjax.config.protocol import Protocol
from medjax.errors import InputError, check_option
from medjax.evaluation import assessment, contrasts
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.final_test import again, report_files
from medjax.final_test import compare as comparing
from medjax.report import beside, comparison_page
from medjax.runs import finished
from medjax.runtime import remote_work

_FIGURES = ('truth', 'known', 'probabilities')
_OVERLAP_NOT_CHECKED = (
  'Patients were not given for both test and validation: whether thresholds and calibration were '
  'chosen on test patients is not known.'
)
_NO_PATIENTS = (
  'No patients were given: every image counts as a patient of its own, so the intervals are too '
  'narrow if some are of the same person.'
)


@dataclasses.dataclass(frozen=True, repr=False)
class Assessment(Result):
  """A result that can be written as a page; its `repr` is the answer in a line.

  Attributes:
    protocol: the settings that it was made with.
    people: split → what is told about its patients, for the report.
  """

  protocol: Protocol = dataclasses.field(default_factory=Protocol)
  people: dict[str, dict] = dataclasses.field(default_factory=dict)

  def report(self, path: str | os.PathLike) -> Page:
    """Writes the report, one HTML file, and returns its path; a notebook shows the page."""
    title = words.path(path, 'path').stem
    text = again.page_of(self, self.protocol, title=title, people=self.people)
    return pages.write(path, text, beside.of_result(self))

  def __repr__(self) -> str:
    return f'<{report_files.answer(self)}>'


@dataclasses.dataclass(frozen=True)
class Comparison(contrasts.Comparison):
  """Two runs on the same test images; `str` is the answer in words.

  Attributes:
    warning: a sentence that forbids trust in the answer, else ''.
    of_runs: sentences on what weakens the runs by themselves, the gravest first.
    settings: (name, of the first, of the second) of each in which the runs differ.
  """

  warning: str = ''
  of_runs: tuple[str, ...] = ()
  settings: tuple[tuple[str, str, str], ...] = ()

  def report(self, path: str | os.PathLike) -> Page:
    """Writes the comparison as one HTML file and returns its path; a notebook shows the page."""
    page = comparison_page.render(
      self, notes=self.of_runs, warning=self.warning, settings=self.settings
    )
    return pages.write(path, page, beside.of_comparison(self))

  def __str__(self) -> str:
    return '\n'.join([*comparison_page.in_words(self), *filter(None, [self.warning])])


def assess(
  truth: Any,
  probabilities: Any,
  patients: Sequence[Any] | None = None,
  labels: Sequence[str] | None = None,
  validation: tuple[Any, ...] | None = None,
  about: pd.DataFrame | None = None,
  **protocol: Any,
) -> Assessment:
  """Evaluates predictions of any program, as `python -m medjax.evaluate --predictions` does.

  Args:
    truth: [N] or [N, L], an array, list, Series or DataFrame: 1, 0, and NaN where unknown.
    probabilities: likewise, in [0, 1], or any numbers with scores='ranks'. Columns of two
      DataFrames are joined by name, rows by index.
    patients: N, of which patient each image is; by default each is of a patient of its own.
    labels: names of the L columns, where none of the two is a DataFrame.
    validation: (truth, probabilities) or (truth, probabilities, patients) of other patients, on
      which calibration is fitted and thresholds are chosen. Without it only rules that choose
      nothing ('threshold=0.5') have a threshold.
    about: a row per image, for subgroups and levels: sex, age, study, ….
    **protocol: fields of medjax.config.protocol.Protocol, such as calibration='platt',
      operating_points=('sensitivity=0.9',), level='patient', replicates=0 or seed=1.

  Raises:
    InputError: shapes, names or rows that do not fit, a value that cannot be, or nothing to tell
      apart.
  """
  settings = _protocol(protocol)
  test = arrays.predictions(truth, probabilities, patients, labels, about, scores=settings.scores)
  chosen_on = None if validation is None else _validation(validation, test, labels, settings.scores)
  again.check(test, chosen_on, settings, predictions='patients', truth='truth')
  with words.renamed({'config.evaluation.': ''}):
    result = assessment.assess(chosen_on, test, settings).result
  study_notes = [again.not_recorded('these predictions')]
  if patients is None:
    study_notes.append(_NO_PATIENTS)
  if validation is not None and (patients is None or len(validation) == 2):
    study_notes.append(_OVERLAP_NOT_CHECKED)
  if chosen_on is None and any(rule.startswith('threshold=') for rule in settings.operating_points):
    study_notes.append(
      'Thresholds were given as numbers: whether anybody had seen the test set by then is not '
      'recorded.'
    )
  result = dataclasses.replace(result, study_notes=tuple(study_notes))
  people = again.people_of(test, chosen_on)
  return Assessment(**_fields(result), protocol=settings, people=people)


def compare(
  run_a: finished.Run | str | os.PathLike,
  run_b: finished.Run | str | os.PathLike,
  margin: float = 0.02,
  replicates: int = 2000,
  seed: int = 0,
) -> Comparison:
  """Compares two finished runs on the same test images.

  As `python -m medjax.evaluate --against` does, but nothing is written.

  Args:
    run_a: the run that is asked about, or its work directory. Its config says at which level.
    run_b: the run that it is compared with.
    margin: AUROC that counts as no worse, chosen before the figures are seen.
    replicates: of the bootstrap over patients.
    seed: of the bootstrap.

  Raises:
    InputError: a run that is not finished; images, patients, labels or truth that are not the same.
  """
  with words.renamed():
    one, other = (
      finished.open_run(remote_work.local_copy(run)) if isinstance(run, str | os.PathLike) else run
      for run in (run_a, run_b)
    )
  for run in (one, other):
    if not isinstance(run, finished.Run):
      raise InputError(
        f'a run is compared, not {type(run).__name__}; give the work directory of one, or what '
        'medjax.open_run returns'
      )
  if not isinstance(margin, numbers.Real):
    raise InputError(f'margin={margin!r}: give a difference in AUROC, such as 0.02')
  compared = comparing.runs_compared(one, other, margin=margin, replicates=replicates, seed=seed)
  return Comparison(
    **_fields(compared.comparison),
    warning=compared.warning,
    of_runs=compared.notes,
    settings=compared.settings or (),
  )


def _fields(result: Result | contrasts.Comparison) -> dict[str, Any]:
  return {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}


def _protocol(settings: dict[str, Any]) -> Protocol:
  for name, value in settings.items():
    check_option('the setting', name, protocols.FIELDS)
    if name in ('operating_points', 'subgroups'):
      values = (value,) if isinstance(value, str) else value
      if not isinstance(values, list | tuple) or not all(isinstance(text, str) for text in values):
        raise InputError(f'{name}={value!r}: give a list of text')
      settings = settings | {name: tuple(values)}
  return Protocol(**settings)


def _validation(
  given: tuple[Any, ...], test: Predictions, labels: Sequence[str] | None, scores: str
) -> Predictions:
  if not isinstance(given, tuple | list) or len(given) not in (2, 3):
    raise InputError('validation: give (truth, probabilities) or (truth, probabilities, patients)')
  truth, probabilities, patients = (*given, None)[:3]
  has_names = labels is not None or any(
    isinstance(array, pd.DataFrame) for array in (truth, probabilities)
  )
  part = arrays.predictions(
    truth,
    probabilities,
    patients,
    labels if has_names else test.labels,
    where='validation: ',
    scores=scores,
  )
  if part.labels != test.labels:
    raise InputError(
      f'validation: its labels are {", ".join(part.labels)}, those of test {", ".join(test.labels)}'
    )
  if all(np.array_equal(getattr(part, name), getattr(test, name)) for name in _FIGURES):
    raise InputError(
      'validation: its truth and probabilities are those of the test; choose thresholds on other '
      'patients'
    )
  return part
