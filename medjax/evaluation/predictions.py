"""The predictions file, one row per image, and what it holds.

Anybody's has `image, patient, prob_<label>…, true_<label>…`. Probabilities lie in [0, 1]; truth is
1, 0, or empty where the reference standard does not say. Further columns say more about the image,
such as study, sex and site. The file is all that an evaluation needs, so predictions made by any
other program can be evaluated too.

A run's file says more, by the same names as the output of medjax.predict:

  prob_<label>      calibrated, as the frozen thresholds take it
  decision_<label>  1 or 0 at the frozen threshold, empty without one; of exclusive classes and
                    grades one column `decision`, the name of the one decided for
  raw_<label>       the probability before calibration
  logit_<label>     log(raw / (1 − raw)) as the network gave it: near 1 it tells apart what raw no
                    longer does
  source_weight     where a floor made the split unlike its source: of how many patients there each
                    stands for, 1 on average

Files of runs by earlier versions have no `raw_`; their `prob_` is what is called `raw_` now. `read`
tells them by their columns.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from medjax.config import names, vocabulary
from medjax.data import cells, identifiers, table
from medjax.errors import InputError, nearest

PREFIXES = PROBABILITY, TRUTH, DECISION, RAW, LOGIT = vocabulary.OF_PREDICTIONS
DECIDED, WEIGHT = vocabulary.OWN_COLUMNS
_MOST = 700.0  # Log-odds beyond belong to no float64.


class Predictions(NamedTuple):
  """What a predictions file holds, with N images and L labels.

  Attributes:
    images: N strings, each once.
    patients: N strings.
    labels: L names, in the order of the columns.
    probabilities: f[N, L] in [0, 1]. Any finite numbers where scores are ranks, see `Protocol`.
    truth: f32[N, L] of 0 and 1; 0 where not known.
    known: bool[N, L], where the reference standard says 0 or 1.
    about: N rows of text, further columns about the images; None where there are none.
    stated: whether patients who are each of one image are so by somebody's statement.
    log_odds: f64[N, L] of the probabilities, where they are known better than by them; else None.
    weights: f64[N], how much an image counts where the source that the patients were drawn from is
      meant, see medjax.data.split.source_weights; None where all count alike.
  """

  images: list[str]
  patients: list[str]
  labels: list[str]
  probabilities: np.ndarray
  truth: np.ndarray
  known: np.ndarray
  about: pd.DataFrame | None = None
  stated: bool = False
  log_odds: np.ndarray | None = None
  weights: np.ndarray | None = None

  @property
  def ranks(self) -> np.ndarray:
    """What tells the images apart best, f[N, L]: log-odds, or else probabilities."""
    return self.probabilities if self.log_odds is None else self.log_odds


def probabilities_of(log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns (probabilities, log-odds), each f64[N, L], of a network's log-odds f[N, L]."""
  bounded = np.clip(np.asarray(log_odds, np.float64), -_MOST, _MOST)
  return special.expit(bounded), bounded


def known_of(predictions: Predictions, index: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (probabilities, truth) of one label's images whose truth is known."""
  known = predictions.known[:, index]
  return predictions.probabilities[known, index], predictions.truth[known, index]


def ranks_of(predictions: Predictions, index: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (what ranks best, truth) of one label's images whose truth is known."""
  known = predictions.known[:, index]
  return predictions.ranks[known, index], predictions.truth[known, index]


def within_rounding(values: np.ndarray) -> np.ndarray:
  """Returns f64 values with those that a float32 puts a rounding outside of [0, 1] at its ends.

  A softmax in float32 says 1.0000001 of what is certain.
  """
  inside = np.clip(values, 0, 1)
  return np.where(np.abs(values - inside) <= 2.0**-21, inside, values)


def write(
  path: str | os.PathLike,
  given: Predictions,
  decided: Mapping[str, Sequence[Any]] | None = None,
) -> None:
  """Writes the file whole or not at all; `read` gives back the same bits.

  Args:
    path: where to; its folder is made if need be, an existing file is replaced.
    given: truth may be anything, NaN too, where not known. With log-odds, probabilities are written
      as `raw_`, those of a network before calibration; else as `prob_`, float32.
    decided: name of a column → N values: calibrated probabilities and decisions, which go first.

  Raises:
    InputError: what `read` would refuse, named by file, row and column; nothing is written.
  """
  path = pathlib.Path(path)
  images, patients, labels, probabilities, truth, known, about = given[:7]
  shape = (len(images), len(labels))
  kind = np.float32 if given.log_odds is None else np.float64
  probabilities, truth = np.asarray(probabilities, kind), np.asarray(truth, np.float32)
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
    log_odds=given.log_odds,
  )
  _check(predictions, path)
  columns: dict[str, object] = {'image': predictions.images, 'patient': predictions.patients}
  columns |= {name: _written(values) for name, values in (decided or {}).items()}
  columns |= dict(_scores(predictions))
  for index, label in enumerate(predictions.labels):
    digit = np.where(truth[:, index] == 1, '1', '0')
    columns[TRUTH + label] = np.where(known[:, index], digit, '')
  if given.weights is not None:
    columns[WEIGHT] = _written(given.weights)
  if about is not None:
    for name in about.columns:
      columns[name] = about[name].to_numpy()
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(path.name + '.partial')
  pd.DataFrame(columns).to_csv(partial, index=False, encoding='utf-8')
  os.replace(partial, path)


def _scores(predictions: Predictions) -> Iterator[tuple[str, list[str]]]:
  log_odds = predictions.log_odds
  prefix = PROBABILITY if log_odds is None else RAW
  for index, label in enumerate(predictions.labels):
    yield prefix + label, _written(predictions.probabilities[:, index])
  if log_odds is not None:
    for index, label in enumerate(predictions.labels):
      yield LOGIT + label, _written(log_odds[:, index])


def _written(values: Any) -> list[str]:
  """Returns texts; of a number so many digits that reading it gives back the same bits."""
  if isinstance(values, np.ndarray) and values.dtype == np.float32:
    return [f'{value:.9g}' for value in values.tolist()]
  numbers = values.tolist() if isinstance(values, np.ndarray) else values
  return ['' if value is None else str(value) for value in numbers]


def read(path: str | os.PathLike) -> Predictions:
  """Reads and checks a predictions file, a run's before calibration.

  Columns of other names are what `about` holds. Probabilities are float32 where a file has no
  `logit_`.

  Raises:
    InputError: naming file, row and column: no such file, a column missing, an image listed twice,
      an empty image or patient, a probability outside [0, 1], a truth other than 1, 0 and empty.
  """
  path = pathlib.Path(path)
  frame = table.read_csv(path, ('image', 'patient'))
  truths = [c.removeprefix(TRUTH) for c in frame.columns if c.startswith(TRUTH)]
  is_of_run = all(LOGIT + label in frame for label in truths) and bool(truths)
  prefix = LOGIT if is_of_run else PROBABILITY
  labels = [c.removeprefix(prefix) for c in frame.columns if c.startswith(prefix)]
  if not labels:
    raise InputError(f"{path}: no column '{PROBABILITY}<label>', so there is nothing to evaluate")
  names.check_labels(labels, str(path))
  for here, there, wanted in ((labels, truths, TRUTH), (truths, labels, prefix)):
    for label in here:
      if label not in there:
        name = wanted + label
        raise InputError(f"{path}: no column '{name}'{nearest(name, frame.columns)}")
  scores = np.stack([_numbers(frame, prefix + label, path) for label in labels], axis=1)
  truth = np.stack(
    [table.label_values(frame, TRUTH + label, path, cells.ANSWERS) for label in labels], axis=1
  )
  known = ~np.isnan(truth)
  probabilities, log_odds = (
    probabilities_of(scores) if is_of_run else (scores.astype(np.float32), None)
  )
  ours = (
    {'image', 'patient', *own_columns(labels)}
    if is_of_run
    else {'image', 'patient', *(p + label for label in labels for p in (PROBABILITY, TRUTH))}
  )
  predictions = Predictions(
    frame['image'].tolist(),
    frame['patient'].tolist(),
    labels,
    probabilities,
    np.where(known, truth, 0).astype(np.float32),
    known,
    frame.drop(columns=[name for name in frame if name in ours]),
    log_odds=log_odds,
    weights=_numbers(frame, WEIGHT, path) if is_of_run and WEIGHT in frame else None,
  )
  _check(predictions, path)
  return predictions


def own_columns(labels: Sequence[str]) -> list[str]:
  """Returns the names of all columns by which a run's file may speak of these labels."""
  prefixes = PROBABILITY, DECISION, RAW, LOGIT, TRUTH
  return [DECIDED, WEIGHT, *(prefix + label for prefix in prefixes for label in labels)]


def _numbers(frame: pd.DataFrame, column: str, path: pathlib.Path) -> np.ndarray:
  text = frame[column]
  values = pd.to_numeric(text, errors='coerce').to_numpy(np.float64)
  if np.isnan(values).any():
    row = int(np.flatnonzero(np.isnan(values))[0])
    raise InputError(
      f"{path}: row {row + 2}, column '{column}': '{text.iloc[row]}' is not a number; every image "
      'needs a probability'
    )
  return values


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
