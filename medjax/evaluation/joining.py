"""Predictions and truth in two files, whoever made them, joined by the names of images and labels.

Predictions are a CSV with a column `image` and one for each label, `prob_<label>` or just
`<label>`. The truth is a CSV with `image`, `true_<label>` or `<label>` (1, 0; -1 and empty are not
known), and, where there are any, `patient` and further columns that describe an image. The
predictions may hold the truth too. Of a run's own file (see medjax.evaluation.predictions) `prob_`
is evaluated, which the run has calibrated, each image weighing as `source_weight` says; `raw_` and
`logit_`, from before the calibration, are not used.
"""

import csv
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.config import names as naming
from medjax.data import cells, identifiers, table
from medjax.errors import InputError, nearest
from medjax.evaluation.predictions import (
  PROBABILITY,
  RAW,
  TRUTH,
  WEIGHT,
  Predictions,
  own_columns,
  within_rounding,
)

_CODES = cells.LABELS | {'-1': np.nan}  # What is uncertain is not known.


def read(
  predictions: pathlib.Path,
  truth: pathlib.Path | None,
  labels: Sequence[str] = (),
  columns: Mapping[str, str] | None = None,
  scores: str = 'probabilities',
) -> Predictions:
  """Reads and joins the two files.

  Args:
    predictions: the CSV of probabilities.
    truth: the CSV of the truth; None where the predictions hold it.
    labels: those to read; empty reads all that are predicted.
    columns: our name of a column → the name that it has in the files, where they have that one.
    scores: 'probabilities', or 'ranks' for numbers of any scale.

  Raises:
    InputError: naming file, row and column: a column missing, an image listed twice or in one file
      only, a label in one file only, a probability that is none, a truth of another code, or
      patients who differ between the files.
  """
  columns = columns or {}
  predicted = _by_image(predictions, columns)
  known = predicted if truth is None else _by_image(truth, columns)
  _check_found(columns, [predicted, known], [predictions, truth or predictions])
  truth = truth or predictions
  if known is not predicted:
    _check_images(predicted, predictions, known, truth)
    known = known.loc[predicted.index]
  of_probability, of_truth = _columns(predicted, predictions, known, truth, labels)
  probabilities = [
    _probabilities(predicted, column, predictions, scores) for column in of_probability.values()
  ]
  values = np.stack(
    [
      table.label_values(_in_file(known), of_truth[label], truth, _CODES)
      for label in of_probability
    ],
    axis=1,
  )
  naming.check_labels(of_probability, str(predictions))
  about = known.drop(columns=[*of_truth.values()])
  more = predicted.drop(columns=[*of_probability.values()])
  about = about.join(more[[name for name in more if name not in about]])
  used = {*of_probability.values(), *of_truth.values(), 'row', 'patient'}
  used |= set(own_columns(list(of_probability)))
  return Predictions(
    list(predicted.index),
    _patients(predicted, predictions, known, truth),
    list(of_probability),
    np.stack(probabilities, axis=1),
    np.where(np.isnan(values), 0, values).astype(np.float32),
    ~np.isnan(values),
    about[[name for name in about if name not in used]].reset_index(drop=True),
    stated='patient' in known or 'patient' in predicted,
    weights=_weights(predicted, list(of_probability), predictions),
  )


def is_of_run(predictions: pathlib.Path) -> bool:
  """Whether the file of predictions is a run's own, by its header."""
  with open(predictions, encoding='utf-8', errors='replace', newline='') as file:
    return any(column.startswith(RAW) for column in next(csv.reader(file), ()))


def _weights(frame: pd.DataFrame, labels: Sequence[str], path: pathlib.Path) -> np.ndarray | None:
  """Returns how much the images of a run's file count where its source is meant, f64[N] or None."""
  if WEIGHT not in frame or not any(RAW + label in frame for label in labels):
    return None  # In a file of somebody else's that name may say anything.
  values = pd.to_numeric(frame[WEIGHT], errors='coerce').to_numpy(np.float64)
  bad = ~(np.isfinite(values) & (values >= 0))
  if bad.any():
    row = np.flatnonzero(bad)[0]
    raise InputError(
      f"{path}: row {frame['row'].iloc[row] + 2}, column '{WEIGHT}': '{frame[WEIGHT].iloc[row]}' "
      'is no weight, a number that is not negative'
    )
  return values


def _by_image(path: pathlib.Path, columns: Mapping[str, str]) -> pd.DataFrame:
  """Returns the table by image under our names, with a column `row`, its row in the file."""
  frame = table.read_csv(path, () if 'image' in columns else ('image',))
  frame = _under_our_names(frame, columns, path)
  frame['image'] = frame['image'].str.strip()
  frame['row'] = frame.index
  empty = frame['image'] == ''
  if empty.any():
    row = np.flatnonzero(empty)[0]
    raise InputError(f"{path}: row {row + 2}, column 'image': the image is empty")
  repeated = frame['image'].duplicated()
  if repeated.any():
    row = np.flatnonzero(repeated)[0]
    image = frame['image'][row]
    first = int(np.flatnonzero(frame['image'] == image)[0])
    raise InputError(
      f"{path}: row {row + 2}, column 'image': '{image}' is already in row {first + 2}; an image "
      'counts once'
    )
  return frame.set_index('image')


def _under_our_names(
  frame: pd.DataFrame, columns: Mapping[str, str], path: pathlib.Path
) -> pd.DataFrame:
  """Returns the table with the columns named as here, those that the file has."""
  renamed = {ours: theirs for ours, theirs in columns.items() if theirs in frame and ours != theirs}
  for ours, theirs in renamed.items():
    if ours in frame and ours not in renamed.values():
      raise InputError(
        f"{path}: has a column '{ours}' and a column '{theirs}', which --columns calls '{ours}'; "
        'rename or leave out one of them'
      )
  named = {ours: frame[theirs] for ours, theirs in renamed.items()}
  kept = {ours for ours in ('image', *columns) if columns.get(ours, ours) == ours}
  frame = frame.drop(columns=[name for name in renamed.values() if name not in kept]).assign(
    **named
  )
  if 'image' not in frame:
    raise InputError(
      f"{path}: no column 'image' and no column '{columns['image']}'"
      f'{nearest(columns["image"], frame.columns) or "."} The columns are: {", ".join(frame)}'
    )
  return frame


def _check_found(
  columns: Mapping[str, str], frames: Sequence[pd.DataFrame], paths: Sequence[pathlib.Path]
) -> None:
  """Raises InputError for a column that --columns names and no file has, or that is both."""
  where = ' and '.join(map(str, dict.fromkeys(paths)))
  for ours, theirs in columns.items():
    if ours != 'image' and not any(ours in frame for frame in frames):
      names = list(dict.fromkeys(name for frame in frames for name in frame if name != 'row'))
      raise InputError(
        f"--columns: no column '{theirs}' in {where}{nearest(theirs, names) or '.'} "
        f'The columns are: {", ".join(names)}'
      )
    label = ours.removeprefix(PROBABILITY)
    if ours != label and theirs == columns.get(TRUTH + label) and frames[0] is frames[1]:
      raise InputError(
        f"--columns: '{theirs}' of {where} is both {ours} and {TRUTH}{label}; name another for one"
      )


def _in_file(frame: pd.DataFrame) -> pd.DataFrame:
  """Returns the table with the rows named as they stand in the file, for messages."""
  return frame.set_index('row')


def _check_images(
  predicted: pd.DataFrame, predictions: pathlib.Path, known: pd.DataFrame, truth: pathlib.Path
) -> None:
  for here, where, there, elsewhere in (
    (known, truth, predicted, predictions),
    (predicted, predictions, known, truth),
  ):
    alone = here.index.difference(there.index, sort=False)
    if len(alone):
      raise InputError(
        f'{where}: {len(alone):,} of {len(here):,} images are not in {elsewhere}, the first '
        f"'{alone[0]}' in row {here['row'][alone[0]] + 2}; both files must be of the same "
        'images'
      )


def _columns(
  predicted: pd.DataFrame,
  predictions: pathlib.Path,
  known: pd.DataFrame,
  truth: pathlib.Path,
  labels: Sequence[str],
) -> tuple[dict[str, str], dict[str, str]]:
  """Returns label → column of the predictions, and of the truth."""
  of_truth = _named(known, TRUTH)
  of_probability = _named(predicted, PROBABILITY)
  if not any(column.startswith(PROBABILITY) for column in predicted):
    if predicted is known:
      raise InputError(
        f"{predictions}: no column '{PROBABILITY}<label>'; give the truth in a file of its own, "
        'with --truth'
      )
    # Columns of other names may say anything: only those that the truth has too are labels.
    of_probability = {label: of_probability[label] for label in of_probability if label in of_truth}
  for label in labels:
    if label not in of_probability:
      raise InputError(
        f"{predictions}: no column '{PROBABILITY}{label}' and no '{label}'"
        f'{nearest(label, of_probability)}'
      )
  of_probability = {label: of_probability[label] for label in labels or of_probability}
  if not of_probability:
    raise InputError(
      f'{predictions} and {truth} have no label in common: '
      f'{", ".join(_named(predicted, PROBABILITY))} here, {", ".join(of_truth)} there'
    )
  for label in of_probability:
    if label not in of_truth:
      raise InputError(
        f"{truth}: no column '{TRUTH}{label}' and no '{label}'{nearest(label, of_truth)}; the "
        f'predictions have {", ".join(of_probability)}. Name those to evaluate with --labels'
      )
  return of_probability, {label: of_truth[label] for label in of_probability}


def _named(frame: pd.DataFrame, prefix: str) -> dict[str, str]:
  """Returns label → column: those with the prefix, or all columns where none has it."""
  named = {
    column.removeprefix(prefix): column for column in frame.columns if column.startswith(prefix)
  }
  others = [name for name in frame.columns if name not in ('row', 'patient')]
  return named or {column: column for column in others}


def _probabilities(frame: pd.DataFrame, column: str, path: pathlib.Path, scores: str) -> np.ndarray:
  text = frame[column].str.strip()
  values = pd.to_numeric(text, errors='coerce').to_numpy(np.float64)
  if scores == 'ranks':
    bad, allowed = ~np.isfinite(values), 'no number; every image needs one'
  else:
    values = within_rounding(values)
    bad = ~((values >= 0) & (values <= 1))
    allowed = 'no probability in [0, 1]; every image needs one'
    if np.isfinite(values).all():
      allowed += '. Scores of another scale are evaluated as ranks: --scores=ranks'
  if bad.any():
    row = np.flatnonzero(bad)[0]
    said = f"'{text.iloc[row]}'" if text.iloc[row] else 'empty'
    raise InputError(
      f"{path}: row {frame['row'].iloc[row] + 2}, column '{column}': {said} is {allowed}"
    )
  return values


def _patients(
  predicted: pd.DataFrame, predictions: pathlib.Path, known: pd.DataFrame, truth: pathlib.Path
) -> list[str]:
  """Returns the patients; where neither file names them, every image is its own."""
  sources = [
    (frame, path)
    for frame, path in ((known, truth), (predicted, predictions))
    if 'patient' in frame
  ]
  if not sources:
    return list(predicted.index)
  (frame, path), *others = sources
  patients = frame['patient'].str.strip()

  def place(row: int) -> str:
    return f'{path}: row {frame["row"].iloc[row] + 2}'

  identifiers.check_known(patients.tolist(), 'patient', place)
  if list(patients) != list(frame.index):
    identifiers.check_distinct(patients.tolist(), 'patient', place)
  for other, elsewhere in others:
    differing = other['patient'].str.strip() != patients
    if differing.any():
      row = np.flatnonzero(differing)[0]
      raise InputError(
        f"{elsewhere}: row {other['row'].iloc[row] + 2}: '{other.index[row]}' is of patient "
        f"'{other['patient'].iloc[row]}', and of '{patients.iloc[row]}' in {path}"
      )
  return patients.tolist()
