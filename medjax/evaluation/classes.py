"""Figures of exclusive classes: an image has one class, and the model decides for one.

All figures are of a confusion matrix f64[..., K, K], rows the truth and columns the decision, so
that the leading axes may be bootstrap replicates. A figure is NaN where it does not exist.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from medjax.errors import InputError
from medjax.evaluation import without_width
from medjax.evaluation.label_result import LabelResult
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import ClassesResult
from medjax.evaluation.statistics import agreement, intervals, proportions

SUM_TOLERANCE = 1e-4  # float32 probabilities of many classes, written with nine digits, stay within
MOST = 6  # decimals that count as rounding; more hide below the tolerance
DECISION = {
  'softmax': 'An image is called the most probable class, of equally probable ones the first.',
  'ordinal': 'An image is called the median grade: the highest g with P(grade ≥ g) ≥ 0.5.',
}


def check(predictions: Predictions, split: str) -> None:
  """Raises InputError naming split and image whose probabilities or truth are not of one class.

  The probabilities of an image sum to 1, and its truth is 1 for one class and 0 for all others, or
  not known for any. Of K classes written with d decimals each probability is off by up to
  10^-d / 2, so a sum within K / 2 · 10^-d of 1 is one of rounding. Such probabilities stay as they
  are written: divided by their sum, equal ones would differ and 0.5 fall on either side of a
  threshold of 0.5, for a digit that nobody wrote.
  """
  labels = list(predictions.labels)
  if len(labels) < 2:
    raise InputError(f'{split}: exclusive classes are two or more, and here is only {labels[0]}')
  sums = predictions.probabilities.astype(np.float64).sum(axis=1)
  digits = decimals(predictions.probabilities)
  # A file of nothing but 0 and 1 names one class of each image, which is not rounded.
  rounding = len(labels) / 2 * 10.0**-digits if digits else 0.0
  within = max(SUM_TOLERANCE, rounding + 1e-9)
  allowed = (
    f' within {rounding:g}, as {digits} decimals are rounded' if rounding > SUM_TOLERANCE else ''
  )
  known = np.asarray(predictions.known, bool)
  says = (predictions.truth == 1) & known
  for bad, words in (
    (
      ~(np.abs(sums - 1) <= within),  # also where the sum is NaN
      lambda row: (
        f'probabilities sum to {sums[row]:.6g}; those of exclusive classes sum to 1{allowed}'
      ),
    ),
    (
      known.any(axis=1) & ~known.all(axis=1),
      lambda row: (
        f'truth is not known for {_names(labels, ~known[row])} only; leave it empty for all '
        'of the exclusive classes or for none'
      ),
    ),
    (
      says.sum(axis=1) > 1,
      lambda row: f'truth is 1 for {_names(labels, says[row])}; exclusive classes allow one',
    ),
    (
      known.all(axis=1) & ~says.any(axis=1),
      lambda row: 'truth is 0 for every class; one of them must be 1, or all must be empty',
    ),
  ):
    if bad.any():
      row = int(np.flatnonzero(bad)[0])
      more = f' ({int(bad.sum()):,} such images)' if bad.sum() > 1 else ''
      raise InputError(f"{split}: image '{predictions.images[row]}': {words(row)}{more}")


def decimals(values: np.ndarray) -> int:
  """Returns with how many decimals f[…] values in [0, 1] were written; `MOST` where with more."""
  values = np.asarray(values)
  exact = values.astype(np.float64)
  # A float32 lies within its own rounding of the decimals that it was written with.
  near = np.finfo(values.dtype).eps if np.issubdtype(values.dtype, np.floating) else 0
  short = (d for d in range(MOST) if (np.abs(exact - exact.round(d)) <= near).all())
  return next(short, MOST)


def _names(labels: list[str], which: np.ndarray) -> str:
  return ' and '.join(label for label, named in zip(labels, which) if named)


def decide(probabilities: np.ndarray, head: str) -> np.ndarray:
  """Returns the class that each image is called, as its index in the labels, int[N].

  Exclusive classes: the most probable one. Grades: the highest g with P(grade ≥ g) ≥ 0.5, the
  median of the predicted distribution. That is the rank rule of Shi et al. 2021 (arXiv 2111.08851),
  which counts the grades that are exceeded with more than an even chance; at exactly 0.5, where
  either neighbour is a median, the higher grade is taken.

  Args:
    probabilities: f[N, K], of one image they sum to 1; grades in rising order.
    head: 'softmax' or 'ordinal'.
  """
  probabilities = np.asarray(probabilities, np.float64)
  if head == 'softmax':
    return probabilities.argmax(axis=1)
  at_least = np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1]
  return (at_least[:, 1:] >= 0.5).sum(axis=1)


def confusion(truth: np.ndarray, decided: np.ndarray, classes: int) -> np.ndarray:
  """Counts images by truth int[N] (rows) and decision int[N] (columns), int[classes, classes]."""
  cells = np.asarray(truth, np.int64) * classes + decided
  return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> np.ndarray:
  """Share of images that are called their class, f64[...]; NaN without images."""
  confusion = np.asarray(confusion, np.float64)
  right = np.trace(confusion, axis1=-2, axis2=-1)
  return right / _nan_unless_positive(confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
  """Mean over the classes of the share of its images that are called it, f64[...].

  NaN if a class has no image: a mean over the classes that are left would be another figure under
  the same name, and replicates would average over different classes.
  """
  confusion = np.asarray(confusion, np.float64)
  right = np.diagonal(confusion, axis1=-2, axis2=-1)
  return (right / _nan_unless_positive(confusion.sum(axis=-1))).mean(axis=-1)


def kappa(confusion: np.ndarray) -> np.ndarray:
  """Agreement beyond chance, every error weighing alike, f64[...] (Cohen, EPM 20:37, 1960).

  0 is what chance reaches that knows only how often truth and decision name each class, 1 full
  agreement. NaN where all images are of one class: it is then 0, or 0 / 0, whatever is decided.
  """
  return _where_several(confusion, agreement.cohen(confusion))


def quadratic_kappa(confusion: np.ndarray) -> np.ndarray:
  """As `kappa`, errors weighted by squared distance (Cohen, Psych. Bull. 70:213, 1968)."""
  return _where_several(confusion, agreement.cohen(confusion, 'quadratic'))


def _where_several(confusion: np.ndarray, figure: np.ndarray) -> np.ndarray:
  """Returns the figure f64[...] where the truth is of two classes or more, NaN elsewhere."""
  truth = np.asarray(confusion, np.float64).sum(axis=-1)
  return np.where((truth > 0).sum(axis=-1) > 1, figure, np.nan)


def _nan_unless_positive(total: np.ndarray) -> np.ndarray:
  return np.where(total > 0, total, np.nan)


FIGURES = {
  'softmax': {'accuracy': accuracy, 'balanced_accuracy': balanced_accuracy, 'kappa': kappa},
  'ordinal': {
    'accuracy': accuracy,
    'balanced_accuracy': balanced_accuracy,
    'quadratic_kappa': quadratic_kappa,
  },
}


def summarise(
  test: Predictions,
  labels: Mapping[str, LabelResult],
  *,
  head: str,
  confidence: float,
  replicates: int,
  seed: int,
) -> ClassesResult:
  """Evaluates the decision for one class.

  Args:
    test: predictions on the test split.
    labels: label → its results on test.
    head: 'softmax' or 'ordinal'.
    confidence, replicates, seed: of the intervals.
  """
  known = np.asarray(test.known[:, 0], bool)
  truth, decided = test.truth.argmax(axis=1), decide(test.probabilities, head)
  matrix = confusion(truth[known], decided[known], len(labels))
  drawn = intervals.confusions(
    np.asarray(test.patients), truth, decided, known, len(labels), replicates=replicates, seed=seed
  )
  figures = {
    name: intervals.figure(
      float(compute(matrix)), compute(drawn), _no_interval(labels, name), confidence
    )
    for name, compute in FIGURES[head].items()
  }
  for name, figure in figures.items():
    if figure.reason == intervals.AGREE:
      why = without_width.of_classes(matrix, list(labels))
      figures[name] = dataclasses.replace(figure, reason=why)
  patients, right = np.asarray(test.patients)[known], (truth == decided)[known]
  if not _no_interval(labels, 'accuracy'):
    bounds = proportions.of_images(patients, right, confidence)
    figures['accuracy'] = dataclasses.replace(figures['accuracy'], interval=bounds, reason='')
  return ClassesResult(
    head=head,
    labels=tuple(labels),
    images=int(matrix.sum()),
    confusion=tuple(map(tuple, matrix.tolist())),
    accuracy=figures['accuracy'],
    balanced_accuracy=figures['balanced_accuracy'],
    kappa=figures.get('kappa'),
    quadratic_kappa=figures.get('quadratic_kappa'),
    decision=DECISION[head],
  )


def _no_interval(labels: Mapping[str, LabelResult], name: str) -> str:
  """Returns why a figure of exclusive classes has no value or interval, '' if it can have both.

  Kappa needs two classes that vary between patients, balanced accuracy needs all of them to.
  """
  patients = {label: result.positive_patients for label, result in labels.items()}
  absent = [label for label, number in patients.items() if not number]
  present = [label for label in labels if label not in absent]
  single = [label for label in present if patients[label] < 2]
  if not present:
    return 'no image has a known truth'
  if name == 'balanced_accuracy' and absent:
    return f'no image is of class {" or ".join(absent)}'
  if name in ('kappa', 'quadratic_kappa') and len(present) == 1:
    return f'all images are of class {present[0]}'
  if next(iter(labels.values())).patients < 2:
    return 'fewer than two patients'
  if name == 'balanced_accuracy' and single:
    return f'all images of class {single[0]} are of one patient'
  if name in ('kappa', 'quadratic_kappa') and len(present) - len(single) < 2:
    return 'fewer than two classes are of more than one patient'
  return ''
