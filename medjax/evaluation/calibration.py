"""Calibration: turning scores into probabilities that can be believed, fitted on validation.

A network trained with class weights or re-sampled images, or long enough, says 0.6 where 6 of 100
images are positive. A calibration maps its probabilities to others; what is fitted on validation is
then left alone. Labels that are questions of their own (head 'sigmoid') are calibrated one by one,
with z = logit p, taken from the network itself where it is known:

  'temperature'  sigmoid(z / T), T > 0 (Guo et al., ICML 2017). It moves no probability across 0.5,
                 so it cannot mend what class weights did.
  'platt'        sigmoid(a z + b), a > 0, with Platt's smoothed targets (Platt, in Advances in Large
                 Margin Classifiers, 1999).
  'isotonic'     the non-decreasing steps nearest to the truth (Zadrozny & Elkan, KDD 2002),
                 straight lines between them. It ties what validation does not tell apart, which may
                 change AUROC a little, and needs more images than the others.

Exclusive classes and grades (heads 'softmax' and 'ordinal'), whose probabilities p_k sum to 1 and
still do so afterwards, are calibrated together:

  'temperature'  softmax(log p / T): no image changes its most probable class (Guo et al.).
  'platt'        softmax(a_k log p_k + b_k), a_k > 0: vector scaling (Guo et al.), with Platt's
                 targets for so many classes.
  'isotonic'     each class against all others, then divided by their sum (Zadrozny & Elkan).

What cannot be fitted keeps its probabilities and says why.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special

from medjax.config import vocabulary
from medjax.errors import InputError, check_option, nearest
from medjax.evaluation import wording
from medjax.evaluation.statistics import calibration_fits, metrics
from medjax.evaluation.statistics.calibration_fits import Breakpoints

FEWEST = 5  # images of either class; with fewer, one image more or less decides
# Logarithms need probabilities off 0 and 1, where nothing but they is known. Near 1 float32 has
# steps of 2**-24, and 1 stands for all from half a step below; near 0 it tells far smaller numbers
# apart, whose ranks are to stay.
LOWEST, HIGHEST = 1e-12, 1 - 2.0**-25

_WORSE = 'higher probabilities do not go with more positives on validation'
_WORSE_CLASSES = 'a higher probability of a class does not go with more images of it on validation'


@dataclasses.dataclass(frozen=True)
class LabelCalibration:
  """The calibration of one label: the parameters of one method, or none.

  Attributes:
    temperature: T of 'temperature'.
    slope: a of 'platt'.
    intercept: b of 'platt'.
    breakpoints: of 'isotonic', (probability, calibrated), both rising.
    reason: why the probabilities stay as they are; there are then no parameters.
  """

  temperature: float | None = None
  slope: float | None = None
  intercept: float | None = None
  breakpoints: Breakpoints | None = None
  reason: str = ''


@dataclasses.dataclass(frozen=True)
class ClassesCalibration:
  """The calibration of exclusive classes: as `LabelCalibration`, a parameter for each class.

  Attributes:
    labels: K names.
    temperature: one T for all.
    slope: K numbers.
    intercept: K numbers.
    breakpoints: K times those of one class.
    reason: why the probabilities stay as they are; there are then no parameters.
  """

  labels: tuple[str, ...]
  temperature: float | None = None
  slope: tuple[float, ...] | None = None
  intercept: tuple[float, ...] | None = None
  breakpoints: tuple[Breakpoints, ...] | None = None
  reason: str = ''


@dataclasses.dataclass(frozen=True)
class Calibration:
  """What `fit` returns and `apply` takes.

  Attributes:
    method: one of medjax.config.vocabulary.CALIBRATIONS.
    head: 'sigmoid', 'softmax' or 'ordinal'.
    labels: label → its calibration, with head 'sigmoid'; else None.
    classes: that of exclusive classes or grades, with the other heads; else None.
  """

  method: str
  head: str
  labels: dict[str, LabelCalibration] | None = None
  classes: ClassesCalibration | None = None

  @property
  def names(self) -> list[str]:
    """The labels that were calibrated."""
    return list(self.labels or {}) if self.classes is None else list(self.classes.labels)

  def keeps_prevalence(self, label: str) -> bool:
    """Whether the mean probability of a label is the prevalence of what it was fitted on.

    As 'platt' and 'isotonic' make it. What is not calibrated, or by a temperature, which has no
    intercept, has the prevalence that weights of classes and sampling gave to training, if any.
    """
    part = self.classes if self.classes is not None else (self.labels or {}).get(label)
    return part is not None and not (part.slope is None and part.breakpoints is None)


def fit(
  method: str,
  probabilities: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  head: str,
  *,
  log_odds: np.ndarray | None = None,
  weights: np.ndarray | None = None,
) -> Calibration:
  """Fits a calibration; the same predictions give the same one.

  Args:
    method: one of medjax.config.vocabulary.CALIBRATIONS.
    probabilities: f[N, L] in [0, 1].
    truth: [N, L] of 0 and 1, read only where known.
    known: bool[N, L]; of exclusive classes, an image's are known all or none.
    labels: L names.
    head: 'sigmoid', 'softmax' or 'ordinal'.
    log_odds: f[N, L] of the probabilities, where they are known better than by them.
    weights: f64[N], how much each image counts, see `Predictions`; None where all count alike.

  Returns:
    What `apply` takes.

  Raises:
    InputError: no such method or head.
  """
  check_option('calibration', method, vocabulary.CALIBRATIONS)
  check_option('head', head, vocabulary.HEADS)
  probabilities = np.asarray(probabilities, np.float64)
  truth, known, labels = np.asarray(truth), np.asarray(known, bool), list(labels)
  logits = _logit(probabilities) if log_odds is None else np.asarray(log_odds, np.float64)
  shape = (len(probabilities), len(labels))
  if not probabilities.shape == logits.shape == truth.shape == known.shape == shape:
    raise ValueError(
      f'probabilities {probabilities.shape}, truth {truth.shape} and known {known.shape} must be '
      f'images x labels {shape}'
    )
  row_weights = np.ones(len(probabilities)) if weights is None else np.asarray(weights)
  if head == 'sigmoid':
    fitted = {}
    for column, label in enumerate(labels):
      rows = known[:, column]
      scores, positive = metrics.checked(probabilities[rows, column], truth[rows, column])
      fitted[label] = _fit_label(
        method, scores, logits[rows, column], positive, _of_mean_1(row_weights[rows])
      )
    return Calibration(method, head, labels=fitted)
  complete = known.all(axis=1)
  logs = _log(probabilities) if log_odds is None else special.log_expit(logits)
  classes = _fit_classes(
    method,
    probabilities[complete],
    logs[complete],
    truth[complete] == 1,
    labels,
    _of_mean_1(row_weights[complete]),
  )
  return Calibration(method, head, classes=classes)


def _of_mean_1(weights: np.ndarray) -> np.ndarray:
  return weights / weights.mean() if weights.any() else weights


def apply(
  fitted: Calibration,
  probabilities: np.ndarray,
  labels: Sequence[str],
  log_odds: np.ndarray | None = None,
) -> np.ndarray:
  """Returns the calibrated probabilities f64[N, L] in [0, 1]; labels are joined by name.

  Args:
    fitted: from `fit`.
    probabilities: f[N, L].
    labels: L names, those that were fitted, in any order.
    log_odds: as for `fit`.

  Raises:
    InputError: other labels than those fitted.
  """
  probabilities = np.asarray(probabilities, np.float64)
  _check_labels(fitted, labels)
  if fitted.classes is None:
    of_labels = fitted.labels or {}
    logits = _logit(probabilities) if log_odds is None else log_odds
    columns = [
      _apply_label(of_labels[label], probabilities[:, column], logits[:, column])
      for column, label in enumerate(labels)
    ]
    return np.stack(columns, axis=1)
  logs = _log(probabilities) if log_odds is None else special.log_expit(log_odds)
  order = [list(labels).index(label) for label in fitted.names]
  calibrated = np.empty_like(probabilities)
  calibrated[:, order] = _apply_classes(fitted.classes, probabilities[:, order], logs[:, order])
  return calibrated


def log_odds_of(
  fitted: Calibration, log_odds: np.ndarray, labels: Sequence[str]
) -> np.ndarray | None:
  """Returns the log-odds f64[N, L] of the calibrated probabilities.

  None where the calibration is a step function of probabilities, which tell all there is to tell.

  Args:
    fitted: from `fit`.
    log_odds: f[N, L], before calibration.
    labels: L names, those that were fitted, in any order.

  Raises:
    InputError: other labels than those fitted.
  """
  _check_labels(fitted, labels)
  log_odds = np.asarray(log_odds, np.float64)
  parts = (fitted.labels or {}).values() if fitted.classes is None else (fitted.classes,)
  if any(part.breakpoints is not None for part in parts):
    return None
  if fitted.classes is None:
    of_labels = fitted.labels or {}
    return np.stack(
      [_line(of_labels[label], log_odds[:, column]) for column, label in enumerate(labels)], axis=1
    )
  order = [list(labels).index(label) for label in fitted.names]
  scores = np.empty_like(log_odds)
  scores[:, order] = _class_scores(fitted.classes, special.log_expit(log_odds[:, order]))
  others = np.where(np.eye(len(order), dtype=bool), -np.inf, scores[:, None, :])
  return scores - special.logsumexp(others, axis=2)


def _check_labels(fitted: Calibration, labels: Sequence[str]) -> None:
  for here, there, words in (
    (labels, fitted.names, 'has no calibration; it was fitted for other labels'),
    (fitted.names, labels, 'was calibrated and has no probabilities'),
  ):
    for label in here:
      if label not in there:
        raise InputError(f"label '{label}' {words}{nearest(label, there)}")


def _fit_label(
  method: str, scores: np.ndarray, z: np.ndarray, truth: np.ndarray, weights: np.ndarray
) -> LabelCalibration:
  """Fits one label by f64[N] probabilities, their logits, bool[N] truth and f64[N] weights."""
  if method == 'none':
    return LabelCalibration()
  for kind, number in (('positive', int(truth.sum())), ('negative', int((~truth).sum()))):
    if number < FEWEST:
      return LabelCalibration(reason=_too_few(number, kind))
  if z.min() == z.max():
    return LabelCalibration(reason='all validation images have the same probability')
  if method == 'isotonic':
    breakpoints = calibration_fits.steps(scores, truth, weights)
    if breakpoints[0][1] == breakpoints[-1][1]:
      return LabelCalibration(reason=_WORSE)
    return LabelCalibration(breakpoints=breakpoints)
  if method == 'temperature':
    temperature, reason = calibration_fits.temperature(
      lambda inverse: float((weights * ((special.expit(inverse * z) - truth) * z)).mean())
    )
    return LabelCalibration(temperature=temperature, reason=reason)
  slope, intercept = calibration_fits.platt(z, truth, weights)
  if not slope > 0:  # It would turn every decision round.
    return LabelCalibration(reason=_WORSE)
  return LabelCalibration(slope=slope, intercept=intercept)


def _too_few(number: int, thing: str, whose: str = '') -> str:
  if not number:
    return f'no {thing}s{whose} on validation'
  return f'only {wording.count(number, thing)}{whose} on validation; {FEWEST} are needed'


def _apply_label(fitted: LabelCalibration, scores: np.ndarray, z: np.ndarray) -> np.ndarray:
  if fitted.breakpoints is not None:
    return _interpolate(fitted.breakpoints, scores)
  return scores if fitted.temperature is fitted.slope is None else special.expit(_line(fitted, z))


def _line(fitted: LabelCalibration, z: np.ndarray) -> np.ndarray:
  """Returns the calibrated logits of a method that draws a straight line through them."""
  if fitted.temperature is not None:
    return z / fitted.temperature
  if fitted.slope is not None and fitted.intercept is not None:
    return fitted.slope * z + fitted.intercept
  return z


def _fit_classes(
  method: str,
  probabilities: np.ndarray,
  scores: np.ndarray,
  truth: np.ndarray,
  labels: list[str],
  weights: np.ndarray,
) -> ClassesCalibration:
  """Fits exclusive classes.

  Args:
    method: as of `fit`.
    probabilities: f64[N, K].
    scores: f64[N, K], their logarithms.
    truth: bool[N, K], one True in each row.
    labels: K names.
    weights: f64[N], 1 on average.
  """
  fitted = ClassesCalibration(tuple(labels))
  if method == 'none':
    return fitted
  for label, number in zip(labels, truth.sum(axis=0).tolist()):
    if number < FEWEST:
      return dataclasses.replace(fitted, reason=_too_few(number, 'image', f' of {label}'))
  if method == 'isotonic':
    steps = tuple(
      calibration_fits.steps(*column, weights) for column in zip(probabilities.T, truth.T)
    )
    if all(of_class[0][1] == of_class[-1][1] for of_class in steps):
      return dataclasses.replace(fitted, reason=_WORSE_CLASSES)
    return dataclasses.replace(fitted, breakpoints=steps)
  if method == 'temperature':
    temperature, reason = calibration_fits.temperature(
      lambda inverse: float(
        (
          weights * ((special.softmax(inverse * scores, axis=1) - truth) * scores).sum(axis=1)
        ).mean()
      )
    )
    return dataclasses.replace(fitted, temperature=temperature, reason=reason)
  slopes, intercepts = calibration_fits.vector_scaling(scores, truth.argmax(axis=1), weights)
  if (slopes <= calibration_fits.LEAST_SLOPE).all():
    return dataclasses.replace(fitted, reason=_WORSE_CLASSES)
  return dataclasses.replace(
    fitted, slope=tuple(slopes.tolist()), intercept=tuple(intercepts.tolist())
  )


def _apply_classes(
  fitted: ClassesCalibration, probabilities: np.ndarray, logs: np.ndarray
) -> np.ndarray:
  if fitted.breakpoints is not None:
    columns = [_interpolate(*column) for column in zip(fitted.breakpoints, probabilities.T)]
    calibrated = np.stack(columns, axis=1)
    return calibrated / calibrated.sum(axis=1, keepdims=True)  # Above 0, because no step is 0.
  if fitted.temperature is fitted.slope is None:
    return probabilities
  return special.softmax(_class_scores(fitted, logs), axis=1)


def _class_scores(fitted: ClassesCalibration, logs: np.ndarray) -> np.ndarray:
  """Returns f64[N, K], whose softmax is calibrated, given the logarithms of the probabilities."""
  if fitted.temperature is not None:
    return logs / fitted.temperature
  if fitted.slope is not None and fitted.intercept is not None:
    return np.array(fitted.slope) * logs + np.array(fitted.intercept)
  return logs


def _logit(scores: np.ndarray) -> np.ndarray:
  return special.logit(np.clip(scores, LOWEST, HIGHEST))


def _log(probabilities: np.ndarray) -> np.ndarray:
  return np.log(np.maximum(probabilities, LOWEST))


def _interpolate(breakpoints: Sequence[Sequence[float]], scores: np.ndarray) -> np.ndarray:
  """Straight lines between breakpoints, level outside of them; non-decreasing to the last bit."""
  at, values = np.asarray(breakpoints, np.float64).T
  above = values[np.minimum(np.searchsorted(at, scores), len(at) - 1)]
  # A line may end a rounding higher than the point that it leads to.
  return np.minimum(np.interp(scores, at, values), above)
