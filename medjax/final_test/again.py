"""Evaluates a finished run again, or predictions of any model.

Calibration and thresholds of a run stay as it has frozen them. For other predictions they are
chosen on validation; without it only fixed thresholds ('threshold=0.5') exist.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from medjax.config import protocol as protocols
from medjax.config.protocol import Protocol
from medjax.data import identifiers, units
from medjax.data.reference import reader_table
from medjax.data.split import characteristics
from medjax.errors import InputError, nearest
from medjax.evaluation import assessment, frozen, joining, results_file
from medjax.evaluation.assessment import Assessment
from medjax.evaluation.predictions import Predictions, names_patients
from medjax.evaluation.readers import comparison as reader_comparison
from medjax.evaluation.readers.study import ReaderStudy
from medjax.evaluation.result import Result
from medjax.final_test import generated, report_files
from medjax.report import beside, run_page
from medjax.runs import finished, integrity, readings
from medjax.runs.finished import Run
from medjax.runs.layout import Layout
from medjax.runs.readings import Reading
from medjax.runtime import files, progress, remote_work

_INTERVALS = 'computing intervals; fewer replicates take less'

PAGE, RESULT, FROZEN = 'index.html', 'evaluation.json', 'frozen.json'


class Evaluated(NamedTuple):
  """A result and the page that shows it."""

  result: Result
  page: pathlib.Path


class PredictionFiles(NamedTuple):
  """CSVs of predictions and their truth, see medjax.evaluation.joining.

  Attributes:
    predictions: of the test set.
    truth: None where `predictions` holds it.
    validation: predictions of other patients, to calibrate and choose thresholds on; or None.
    validation_truth: None where `validation` holds it.
    labels: those to evaluate; all by default.
    columns: our name of a column → its name in the files.
  """

  predictions: pathlib.Path
  truth: pathlib.Path | None = None
  validation: pathlib.Path | None = None
  validation_truth: pathlib.Path | None = None
  labels: Sequence[str] = ()
  columns: Mapping[str, str] | None = None

  def read(
    self, predictions: pathlib.Path, truth: pathlib.Path | None, protocol: Protocol
  ) -> Predictions:
    """Reads one pair of such files."""
    return joining.read(predictions, truth, self.labels, self.columns, protocol.scores)


def evaluate_run(
  workdir: pathlib.Path,
  *,
  readers: Sequence[pathlib.Path] = (),
  prevalence: Mapping[str, float] | None = None,
  subgroups: Sequence[str] | None = None,
  replicates: int | None = None,
  seed: int | None = None,
  names: Mapping[str, str] | None = None,
) -> Evaluated:
  """Evaluates a finished run again and writes its report and result anew.

  Args:
    workdir: of the run.
    readers: CSVs of image, reader and their answers by label, to compare the model with; see
      medjax.data.reference.reader_table.read_files.
    prevalence, subgroups, replicates, seed: as in `Protocol`; None for the run's own.
    names: field → what the caller calls it in messages; by default as in `Protocol`.

  Killed anywhere, the same call goes on.

  Raises:
    InputError: a run that is not finished or at which another process works, readers that cannot be
      read, or settings that no evaluation could use.
  """
  changes = {
    'prevalence': prevalence or None,
    'subgroups': None if subgroups is None else tuple(subgroups),
    'replicates': replicates,
    'seed': seed,
  }
  layout = Layout(pathlib.Path(workdir))
  refusal = f'{workdir}: another process is at work there; wait for it, or stop it'
  with contextlib.ExitStack() as stack:
    if layout.is_run():
      stack.enter_context(files.locked(layout.lock, refusal))
      files.remove_temporaries(layout.workdir)  # Else what is put aside has them too.
    readings.bring_back_cut_off(layout)
    return _evaluated_again(finished.open_run(workdir), changes, readers, names)


def _evaluated_again(
  run: Run,
  changes: Mapping[str, Any],
  readers: Sequence[pathlib.Path],
  names: Mapping[str, str] | None,
) -> Evaluated:
  earlier = run.result
  protocol = dataclasses.replace(
    run.config.protocol, **{name: value for name, value in changes.items() if value is not None}
  )
  protocols.check(protocol, run.config.data.labels, names)
  validation, test = (run.raw_predictions(part) for part in ('validation', 'test'))
  if changes['subgroups'] is not None:
    check_columns(test, protocol, names)
  answers = reader_table.read_files(readers) if readers else None  # Before what takes long.
  with progress.waiting(_INTERVALS):
    assessed = assessment.assess(
      validation,
      test,
      protocol,
      frozen=run.frozen.levels,
      variants={
        variant.name: run.raw_predictions('test', variant.name) for variant in earlier.variants
      },
    )
  result = assessed.result.with_study_of(earlier)
  if answers is not None:
    result = dataclasses.replace(result, readers=compare_readers(answers, assessed))
  given = [
    f'{name}={value}'
    for name, value in changes.items()
    if value is not None and value != getattr(run.config.protocol, name)
  ]
  given += [f'readers={path.name} ({files.sha256(path)[:12]})' for path in readers]
  reading = readings.make(run.config, run.frozen.step, given)
  is_repeated = len(readings.before(run.layout, reading)) < len(readings.read(run.layout))
  is_all_counted = is_repeated and not readings.cut_off(run.layout)
  number = None if is_all_counted else readings.put_aside(run.layout)
  try:
    result = _as_reading(run, result, reading)
    result = report_files.write(run.layout, result)
  except BaseException:  # A full disk, or Ctrl-C: the run stays finished.
    if number is not None:
      readings.bring_back(run.layout, number)
    raise
  remote_work.push()  # Of a run in a bucket: it is recorded there before anybody sees figures.
  return Evaluated(result, run.report)


def _as_reading(run: Run, result: Result, reading: Reading) -> Result:
  """Records a reading of a finished run; returns the result that says how many there were."""
  before = readings.add(run.layout, reading)
  facts = dict(result.facts)
  if before:
    facts['test set read'] = readings.times([*before, reading])
  words = readings.in_words(before, reading)
  return dataclasses.replace(
    result,
    facts=facts,
    study_notes=(*words, *readings.without_words(result.study_notes)),
    files=integrity.at_end(run.layout),
  )


def evaluate_files(
  sources: PredictionFiles,
  protocol: Protocol,
  output: pathlib.Path,
  *,
  readers: Sequence[pathlib.Path] = (),
  names: Mapping[str, str] | None = None,
) -> Evaluated:
  """Evaluates predictions of any model and writes page, result and what validation chose.

  Args:
    sources: the predictions.
    protocol: how the test set is read.
    output: folder for the files, which is created where it is missing.
    readers: as for `evaluate_run`.
    names: as for `evaluate_run`; also 'validation'.

  Raises:
    InputError: files that cannot be read or do not go together, or settings that no evaluation
      could use.
  """
  test = sources.read(sources.predictions, sources.truth, protocol)
  validation = None
  if sources.validation is not None:
    validation = sources.read(sources.validation, sources.validation_truth, protocol)
  truth = sources.truth or sources.predictions
  check(test, validation, protocol, names, predictions=str(sources.predictions), truth=str(truth))
  answers = reader_table.read_files(readers) if readers else None  # Before what takes long.
  with progress.waiting(_INTERVALS):
    assessed = assessment.assess(validation, test, protocol)
  facts = {'predictions': str(sources.predictions), 'truth': str(truth)}
  if joining.is_of_run(sources.predictions):
    facts['scores'] = 'prob_, which a run has calibrated; raw_ and logit_ (before it) are not used'
  study_notes = [not_recorded(sources.predictions)]
  if validation is not None:
    facts['thresholds from'] = str(sources.validation)
  elif any(rule.startswith('threshold=') for rule in protocol.operating_points):
    study_notes.append(
      'Thresholds were given as numbers: whether anybody had seen the test set by then is not '
      'recorded.'
    )
  result = dataclasses.replace(
    assessed.result,
    facts=facts,
    study_notes=tuple(study_notes),
    readers=None if answers is None else compare_readers(answers, assessed),
  )
  output.mkdir(parents=True, exist_ok=True)
  warning = generated.of_predictions(sources.predictions, truth)
  page = page_of(
    result,
    protocol,
    title=sources.predictions.name,
    people=people_of(test, validation),
    warning=warning,
  )
  files.write_whole(output / PAGE, page)
  beside.write(output / PAGE, page, beside.of_result(result))
  if assessed.frozen:
    content = json.dumps(frozen.to_plain(assessed.frozen), indent=2)
    files.write_whole(output / FROZEN, content + '\n')
  results_file.save(output / RESULT, result)
  return Evaluated(result, output / PAGE)


def people_of(test: Predictions, validation: Predictions | None) -> dict[str, dict]:
  """Returns split → what is told about its patients, see `run_page.render`."""
  parts = {'validation': validation, 'test': test}
  return {
    name: characteristics.of_images(part.patients, part.about)
    for name, part in parts.items()
    if part is not None
  }


def page_of(
  result: Result,
  protocol: Protocol,
  *,
  title: str,
  people: Mapping[str, Mapping],
  warning: str = '',
) -> str:
  """Returns the report of predictions whose run is not known, as the text of one HTML file."""
  settings = {name: getattr(protocol, name) for name in ('calibration', 'replicates', 'seed')}
  return run_page.render(
    title=title,
    result=result,
    history=(),
    split_proof={},
    config={'evaluation': settings},
    facts={
      **result.facts,
      'warning': warning,
      'model': 'the model of these predictions',
      'notes': result.study_notes,
      'versions': report_files.versions(),
    },
    sections=report_files.sections(result),
    people=people,
  )


def check(
  test: Predictions,
  validation: Predictions | None,
  protocol: Protocol,
  names: Mapping[str, str] | None = None,
  *,
  predictions: str = 'the predictions',
  truth: str = 'the truth',
) -> None:
  """Raises InputError where predictions cannot be evaluated as the protocol says.

  Args:
    test: predictions of the test set.
    validation: of other images; None where there are none.
    protocol: how the test set is read.
    names: field, or 'validation' → what the caller calls it in messages.
    predictions, truth: what the caller calls those of the test set.
  """
  called = {name: name for name in (*protocols.FIELDS, 'validation')} | dict(names or {})
  protocols.check(protocol, test.labels, names)
  if len(set(test.patients)) < 2:
    raise InputError(f'{predictions}: all images are of one patient; two are needed at least')
  for part in (test, validation):
    if part is not None:
      check_level(part, protocol, names)
  positive = ((test.truth == 1) & test.known).any(axis=0)
  negative = ((test.truth == 0) & test.known).any(axis=0)
  if not (positive & negative).any():
    label = test.labels[0]
    only = 'positives' if positive[0] else 'negatives' if negative[0] else 'unknown truth'
    raise InputError(
      f'{truth}: no label has both positives and negatives ({label} has only {only}), so there is '
      'nothing to tell apart'
    )
  if validation is not None:
    _check_written_alike(test, validation, predictions, called['validation'])
    for what, chosen_on, tested in (
      ('images', validation.images, test.images),
      ('patients', validation.patients, test.patients),
    ):
      both = sorted(set(chosen_on) & set(tested))
      if both:
        raise InputError(
          f'{called["validation"]}: {len(both):,} of its {what} are test {what} too, such as '
          f"'{both[0]}'; choose thresholds on other patients"
        )
  elif protocol.calibration != 'none':
    raise InputError(
      f'{called["calibration"]}={protocol.calibration}: is fitted on {called["validation"]}, which '
      'is missing'
    )
  check_columns(test, protocol, names)


def _check_written_alike(
  test: Predictions, validation: Predictions, predictions: str, called: str
) -> None:
  """Raises InputError where one patient is written in two ways in the two sets."""
  if names_patients(test) and names_patients(validation):
    rows = len(validation.patients)
    identifiers.check_distinct(
      [*validation.patients, *test.patients],
      'patient',
      lambda row: (
        f'{called}: row {row + 2}' if row < rows else f'{predictions}: row {row - rows + 2}'
      ),
    )


def check_level(
  predictions: Predictions, protocol: Protocol, names: Mapping[str, str] | None = None
) -> None:
  """Raises InputError where predictions do not say which images are tested together."""
  called = (names or {}).get('level', 'level')
  units.keys(protocol.level, predictions.images, predictions.patients, predictions.about, called)


def check_columns(
  test: Predictions, protocol: Protocol, names: Mapping[str, str] | None = None
) -> None:
  """Raises InputError for a subgroup that is no column of the predictions."""
  called = (names or {}).get('subgroups', 'subgroups')
  columns = [] if test.about is None else list(test.about)
  for name in protocol.subgroups:
    if name not in columns:
      raise InputError(
        f'{called}={name}: the predictions and the truth have no such column'
        f'{nearest(name, columns) or "."} There are: {", ".join(columns) or "none"}'
      )


def compare_readers(readings: pd.DataFrame, assessed: Assessment) -> ReaderStudy:
  """Compares the model with readers, at its first operating point, over the same replicates."""
  return reader_comparison.compare(
    assessed.test,
    readings,
    assessed.result.thresholds(),
    replicates=assessed.result.replicates,
    seed=assessed.result.seed,
  )


def not_recorded(path: str | pathlib.Path) -> str:
  """Returns the note on predictions whose training is not known."""
  return (
    f'Whom the model of {path} was trained on is not recorded: if test patients were among them, '
    'its figures flatter.'
  )
