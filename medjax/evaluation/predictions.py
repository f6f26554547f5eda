"""The predictions file: `image, patient, prob_<label>…, true_<label>…`, one row per image.

Probabilities lie in [0, 1]; truth is 1, 0, or empty where the reference standard does not say.
Further columns say more about the image, such as study, sex and site. The file is all that an
evaluation needs, so predictions made by any other program can be evaluated too.
"""

import os
import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data import cells, identifiers, table
from medjax.errors import InputError, nearest

PROBABILITY, TRUTH = 'prob_', 'true_'


class Predictions(NamedTuple):
  """What a predictions file holds, with N images and L labels.

  Attributes:
    images: N strings, each once.
    patients: N strings.
    labels: L names, in the order of the columns.
    probabilities: f[N, L] in [0, 1]; f32 as a network gives and the file holds them. Any finite
      numbers where scores are ranks, see `Protocol`.
    truth: f32[N, L] of 0 and 1; 0 where not known.
    known: bool[N, L], where the reference standard says 0 or 1.
    about: N rows of text, further columns about the images; None where there are none.
    stated: whether patients who are each of one image are so by somebody's statement.
  """

  images: list[str]
  patients: list[str]
  labels: list[str]
  probabilities: np.ndarray
  truth: np.ndarray
  known: np.ndarray
  about: pd.DataFrame | None = None
  stated: bool = False


def known_of(predictions: Predictions, index: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (probabilities, truth) of one label's images whose truth is known."""
  known = predictions.known[:, index]
  return predictions.probabilities[known, index], predictions.truth[known, index]


def within_rounding(values: np.ndarray) -> np.ndarray:
  """Returns f64 values with those that a float32 puts a rounding outside of [0, 1] at its ends.

  A softmax in float32 says 1.0000001 of what is certain.
  """
  inside = np.clip(values, 0, 1)
  return np.where(np.abs(values - inside) <= 2.0**-21, inside, values)


def write(path: str | os.PathLike, given: Predictions) -> None:
  """Writes the file whole or not at all; `read` gives back the same bits.

  Args:
    path: where to; its folder is made if need be, an existing file is replaced.
    given: probabilities are stored as float32; truth may be anything, NaN too, where not known.

  Raises:
    InputError: what `read` would refuse, named by file, row and column; nothing is written.
  """
  path = pathlib.Path(path)
  images, patients, labels, probabilities, truth, known, about = given[:7]
  shape = (len(images), len(labels))
  probabilities, truth = np.asarray(probabilities, np.float32), np.asarray(truth, np.float32)
  known = np.asarray(known, bool)
  for name, array in (('probabilities', probabilities), ('truth', truth), ('known', known)):
    if array.shape != shape:
      raise InputError(f'{path}: {name} has shape {array.shape}, not images x labels {shape}')
  truth = np.where(known, truth, 0)
  if len(patients) != len(images):
    raise InputError(f'{path}: {len(patients)} patients for {len(images)} images')
  if len(set(labels)) != len(labels):
    raise InputError(f'{path}: a label is named twice: {", ".join(labels)}')
  predictions = Predictions(
    [str(image) for image in images],
    [str(patient) for patient in patients],
    [str(label) for label in labels],
    probabilities,
    truth,
    known,
  )
  _check(predictions, path)
  columns: dict[str, object] = {'image': predictions.images, 'patient': predictions.patients}
  for index, label in enumerate(predictions.labels):
    columns[PROBABILITY + label] = probabilities[:, index]
  for index, label in enumerate(predictions.labels):
    digit = np.where(truth[:, index] == 1, '1', '0')
    columns[TRUTH + label] = np.where(known[:, index], digit, '')
  if about is not None:
    for name in about.columns:
      columns[name] = about[name].to_numpy()
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(path.name + '.partial')
  # Nine significant digits tell any two float32 apart, even when read by way of float64.
  pd.DataFrame(columns).to_csv(partial, index=False, float_format='%.9g', encoding='utf-8')
  os.replace(partial, path)


def read(path: str | os.PathLike) -> Predictions:
  """Reads and checks a predictions file; columns of other names are what `about` holds.

  Raises:
    InputError: naming file, row and column: no such file, a column missing, an image listed twice,
      an empty image or patient, a probability outside [0, 1], a truth other than 1, 0 and empty.
  """
  path = pathlib.Path(path)
  frame = table.read_csv(path, ('image', 'patient'))
  labels = [c.removeprefix(PROBABILITY) for c in frame.columns if c.startswith(PROBABILITY)]
  truths = [c.removeprefix(TRUTH) for c in frame.columns if c.startswith(TRUTH)]
  if not labels:
    raise InputError(f"{path}: no column '{PROBABILITY}<label>', so there is nothing to evaluate")
  for here, there, prefix in ((labels, truths, TRUTH), (truths, labels, PROBABILITY)):
    for label in here:
      if label not in there:
        name = prefix + label
        raise InputError(f"{path}: no column '{name}'{nearest(name, frame.columns)}")
  probabilities, truth = [], []
  for label in labels:
    text = frame[PROBABILITY + label]
    values = pd.to_numeric(text, errors='coerce').to_numpy(np.float64)
    if np.isnan(values).any():
      row = int(np.flatnonzero(np.isnan(values))[0])
      raise InputError(
        f"{path}: row {row + 2}, column '{PROBABILITY}{label}': '{text.iloc[row]}' is not a "
        'number; every image needs a probability'
      )
    probabilities.append(values)
    truth.append(table.label_values(frame, TRUTH + label, path, cells.ANSWERS))
  stacked = np.stack(truth, axis=1)
  known = ~np.isnan(stacked)
  predictions = Predictions(
    frame['image'].tolist(),
    frame['patient'].tolist(),
    labels,
    np.stack(probabilities, axis=1).astype(np.float32),
    np.where(known, stacked, 0).astype(np.float32),
    known,
    frame.drop(
      columns=['image', 'patient', *(p + label for label in labels for p in (PROBABILITY, TRUTH))]
    ),
  )
  _check(predictions, path)
  return predictions


def names_patients(predictions: Predictions) -> bool:
  """Whether patients are named: not where every image stands for a patient of its own."""
  return list(predictions.patients) != list(predictions.images)


def _check(predictions: Predictions, path: pathlib.Path) -> None:
  """Raises InputError naming the file, the first bad row of the file, and its column."""
  place = identifiers.in_file(path)
  for row, value in enumerate(predictions.images):
    if not value.strip():
      raise InputError(f"{path}: row {row + 2}, column 'image': the image is empty")
  identifiers.check_known(predictions.patients, 'patient', place)
  if names_patients(predictions):
    identifiers.check_distinct(predictions.patients, 'patient', place)
  seen: dict[str, int] = {}
  for row, image in enumerate(predictions.images):
    if image in seen:
      raise InputError(
        f"{path}: row {row + 2}, column 'image': '{image}' is already in row {seen[image] + 2}; "
        'an image counts once'
      )
    seen[image] = row
  outside = ~((predictions.probabilities >= 0) & (predictions.probabilities <= 1))
  soft = ~np.isin(predictions.truth, (0, 1))
  for bad, table_of_values, prefix, rule in (
    (outside, predictions.probabilities, PROBABILITY, 'a probability lies in [0, 1]'),
    (soft, predictions.truth, TRUTH, 'truth is 1 or 0; mark an uncertain one as not known'),
  ):
    if bad.any():
      row, column = (int(index) for index in np.argwhere(bad)[0])
      raise InputError(
        f"{path}: row {row + 2}, column '{prefix}{predictions.labels[column]}': "
        f'{table_of_values[row, column]!s}: {rule}'
      )
