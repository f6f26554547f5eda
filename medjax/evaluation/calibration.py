"""Calibration: turning scores into probabilities that can be believed, fitted on validation.

A network trained with class weights or re-sampled images, or long enough, says 0.6 where 6 of 100
images are positive. A calibration maps its probabilities to others; what is fitted on validation is
then left alone. Labels that are questions of their own (head 'sigmoid') are calibrated one by one,
with z = logit p:

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
from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize, special

from medjax.config import vocabulary
from medjax.errors import InputError, check_option, nearest
from medjax.evaluation import wording
from medjax.evaluation.statistics import metrics

FEWEST = 5  # images of either class; with fewer, one image more or less decides
TEMPERATURES = (0.01, 100.0)  # beyond, an answer is 0 or 1, or none at all
_COLD = 1e18  # 1 / T at which any two probabilities that differ become 0 and 1
LEAST_SLOPE = 0.01  # of a class in vector scaling
# Logarithms need probabilities off 0 and 1. Near 1 float32 has steps of 2**-24, and 1 stands for
# all from half a step below; near 0 it tells far smaller numbers apart, whose ranks are to stay.
LOWEST, HIGHEST = 1e-12, 1 - 2.0**-25

_WORSE = 'higher probabilities do not go with more positives on validation'
_WORSE_CLASSES = 'a higher probability of a class does not go with more images of it on validation'

Breakpoints = tuple[tuple[float, float], ...]


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


def fit(
  method: str,
  probabilities: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  head: str,
) -> Calibration:
  """Fits a calibration; the same predictions give the same one.

  Args:
    method: one of medjax.config.vocabulary.CALIBRATIONS.
    probabilities: f[N, L] in [0, 1].
    truth: [N, L] of 0 and 1, read only where known.
    known: bool[N, L]; of exclusive classes, an image's are known all or none.
    labels: L names.
    head: 'sigmoid', 'softmax' or 'ordinal'.

  Returns:
    What `apply` takes.

  Raises:
    InputError: no such method or head.
  """
  check_option('calibration', method, vocabulary.CALIBRATIONS)
  check_option('head', head, vocabulary.HEADS)
  probabilities = np.asarray(probabilities, np.float64)
  truth, known, labels = np.asarray(truth), np.asarray(known, bool), list(labels)
  shape = (len(probabilities), len(labels))
  if not probabilities.shape == truth.shape == known.shape == shape:
    raise ValueError(
      f'probabilities {probabilities.shape}, truth {truth.shape} and known {known.shape} must be '
      f'images x labels {shape}'
    )
  if head == 'sigmoid':
    fitted = {}
    for column, label in enumerate(labels):
      rows = known[:, column]
      scores, positive = metrics.checked(probabilities[rows, column], truth[rows, column])
      fitted[label] = _fit_label(method, scores, positive)
    return Calibration(method, head, labels=fitted)
  complete = known.all(axis=1)
  classes = _fit_classes(method, probabilities[complete], truth[complete] == 1, labels)
  return Calibration(method, head, classes=classes)


def apply(fitted: Calibration, probabilities: np.ndarray, labels: Sequence[str]) -> np.ndarray:
  """Returns the calibrated probabilities f64[N, L] in [0, 1]; labels are joined by name.

  Args:
    fitted: from `fit`.
    probabilities: f[N, L].
    labels: L names, those that were fitted, in any order.

  Raises:
    InputError: other labels than those fitted.
  """
  probabilities = np.asarray(probabilities, np.float64)
  calibrated_labels = fitted.names
  for here, there, words in (
    (labels, calibrated_labels, 'has no calibration; it was fitted for other labels'),
    (calibrated_labels, labels, 'was calibrated and has no probabilities'),
  ):
    for label in here:
      if label not in there:
        raise InputError(f"label '{label}' {words}{nearest(label, there)}")
  if fitted.classes is None:
    of_labels = fitted.labels or {}
    columns = [
      _apply_label(of_labels[label], probabilities[:, column])
      for column, label in enumerate(labels)
    ]
    return np.stack(columns, axis=1)
  order = [list(labels).index(label) for label in calibrated_labels]
  calibrated = np.empty_like(probabilities)
  calibrated[:, order] = _apply_classes(fitted.classes, probabilities[:, order])
  return calibrated


def _fit_label(method: str, scores: np.ndarray, truth: np.ndarray) -> LabelCalibration:
  """Fits one label by f64[N] scores and bool[N] truth."""
  if method == 'none':
    return LabelCalibration()
  for kind, number in (('positive', int(truth.sum())), ('negative', int((~truth).sum()))):
    if number < FEWEST:
      return LabelCalibration(reason=_too_few(number, kind))
  if scores.min() == scores.max():
    return LabelCalibration(reason='all validation images have the same probability')
  if method == 'isotonic':
    breakpoints = _steps(scores, truth)
    if breakpoints[0][1] == breakpoints[-1][1]:
      return LabelCalibration(reason=_WORSE)
    return LabelCalibration(breakpoints=breakpoints)
  z = _logit(scores)
  if method == 'temperature':
    temperature, reason = _fit_temperature(
      lambda inverse: float(((special.expit(inverse * z) - truth) * z).mean())
    )
    return LabelCalibration(temperature=temperature, reason=reason)
  slope, intercept = _platt(z, truth)
  if not slope > 0:  # It would turn every decision round.
    return LabelCalibration(reason=_WORSE)
  return LabelCalibration(slope=slope, intercept=intercept)


def _too_few(number: int, thing: str, whose: str = '') -> str:
  if not number:
    return f'no {thing}s{whose} on validation'
  return f'only {wording.count(number, thing)}{whose} on validation; {FEWEST} are needed'


def _apply_label(fitted: LabelCalibration, scores: np.ndarray) -> np.ndarray:
  if fitted.temperature is not None:
    return special.expit(_logit(scores) / fitted.temperature)
  if fitted.slope is not None and fitted.intercept is not None:
    return special.expit(fitted.slope * _logit(scores) + fitted.intercept)
  return scores if fitted.breakpoints is None else _interpolate(fitted.breakpoints, scores)


def _fit_classes(
  method: str, probabilities: np.ndarray, truth: np.ndarray, labels: list[str]
) -> ClassesCalibration:
  """Fits exclusive classes to f64[N, K] probabilities, bool[N, K] truth, one True in each row."""
  fitted = ClassesCalibration(tuple(labels))
  if method == 'none':
    return fitted
  for label, number in zip(labels, truth.sum(axis=0).tolist()):
    if number < FEWEST:
      return dataclasses.replace(fitted, reason=_too_few(number, 'image', f' of {label}'))
  if method == 'isotonic':
    steps = tuple(_steps(*column) for column in zip(probabilities.T, truth.T))
    if all(of_class[0][1] == of_class[-1][1] for of_class in steps):
      return dataclasses.replace(fitted, reason=_WORSE_CLASSES)
    return dataclasses.replace(fitted, breakpoints=steps)
  scores = _log(probabilities)
  if method == 'temperature':
    temperature, reason = _fit_temperature(
      lambda inverse: float(
        ((special.softmax(inverse * scores, axis=1) - truth) * scores).sum(axis=1).mean()
      )
    )
    return dataclasses.replace(fitted, temperature=temperature, reason=reason)
  slopes, intercepts = _vector_scaling(scores, truth.argmax(axis=1))
  if (slopes <= LEAST_SLOPE).all():
    return dataclasses.replace(fitted, reason=_WORSE_CLASSES)
  return dataclasses.replace(
    fitted, slope=tuple(slopes.tolist()), intercept=tuple(intercepts.tolist())
  )


def _apply_classes(fitted: ClassesCalibration, probabilities: np.ndarray) -> np.ndarray:
  if fitted.temperature is not None:
    return special.softmax(_log(probabilities) / fitted.temperature, axis=1)
  if fitted.slope is not None and fitted.intercept is not None:
    scores = np.array(fitted.slope) * _log(probabilities) + np.array(fitted.intercept)
    return special.softmax(scores, axis=1)
  if fitted.breakpoints is None:
    return probabilities
  columns = [_interpolate(*column) for column in zip(fitted.breakpoints, probabilities.T)]
  calibrated = np.stack(columns, axis=1)
  return calibrated / calibrated.sum(axis=1, keepdims=True)  # Above 0, because no step is 0.


def _logit(scores: np.ndarray) -> np.ndarray:
  return special.logit(np.clip(scores, LOWEST, HIGHEST))


def _log(probabilities: np.ndarray) -> np.ndarray:
  return np.log(np.maximum(probabilities, LOWEST))


def _targets(counts: np.ndarray) -> np.ndarray:
  """Returns what an image of each class aims at, f64[K, K], rows the class, by how many have it.

  Platt's are not 0 and 1 but what Laplace's rule expects of the next image, (n + 1) / (n + 2) for a
  class of n. They keep the fit finite where validation parts the classes without error. With K
  classes the rule is (n + 1) / (n + K), which is Platt's for two.
  """
  return (1 + np.diag(counts)) / (counts[:, None] + len(counts))


def _fit_temperature(slope: Callable[[float], float]) -> tuple[float | None, str]:
  """Returns T of the least log loss, or None and why there is none.

  Args:
    slope: of the log loss against 1 / T, in which it is convex.
  """
  coldest, hottest = TEMPERATURES
  if slope(0.0) >= 0:
    return None, 'no temperature does better than calling every answer equally likely'
  if slope(1 / hottest) >= 0:
    return None, f'the temperature that fits is above {hottest:g}, the highest that is tried'
  if slope(_COLD) <= 0:
    return None, 'validation is separated without error, so that any lower temperature is better'
  if slope(1 / coldest) <= 0:
    return None, f'the temperature that fits is below {coldest:g}, the lowest that is tried'
  inverse = optimize.brentq(slope, 1 / hottest, 1 / coldest, xtol=1e-14)
  return 1 / inverse, ''


def _platt(z: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
  """Returns (slope, intercept) of the least log loss against Platt's targets.

  Newton's method with backtracking, and a loss that neither overflows nor cancels (Lin, Lin & Weng,
  Machine Learning 68:267, 2007, of which 1e-12, 1e-4 and 1e-10 are too).
  """
  positives, negatives = int(truth.sum()), int((~truth).sum())
  aims = _targets(np.array([negatives, positives]))[truth.astype(int), 1]
  inputs = np.stack([z, np.ones_like(z)], axis=1)

  def loss(line: np.ndarray) -> float:
    u = inputs @ line
    return float((np.logaddexp(0, u) - aims * u).mean())

  line = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
  for _ in range(100):
    p = special.expit(inputs @ line)
    gradient = (p - aims) @ inputs / len(z)
    hessian = (inputs * (p * (1 - p))[:, None]).T @ inputs / len(z) + 1e-12 * np.eye(2)
    direction = -np.linalg.solve(hessian, gradient)
    if np.abs(direction).max() <= 1e-12 * (1 + np.abs(line).max()):
      break
    # Close to the end the loss no longer tells steps apart, but the gradient still does.
    before, fall, step = loss(line) + 1e-15, 1e-4 * gradient @ direction, 1.0
    while step > 1e-10 and loss(line + step * direction) > before + step * fall:
      step /= 2
    line = line + step * direction
  return float(line[0]), float(line[1])


def _vector_scaling(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns (slopes, intercepts), each f64[K], of the least log loss against Platt's targets.

  Args:
    scores: f64[N, K], log p.
    truth: int[N], the class of each image.
  """
  classes = scores.shape[1]
  aims = _targets(np.bincount(truth, minlength=classes))[truth]
  # Far from 0, slopes and intercepts do each other's work and the search is slow.
  centre = scores.mean(axis=0)
  centred = scores - centre

  def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
    slopes, intercepts = np.split(parameters, 2)
    log_p = special.log_softmax(slopes * centred + intercepts, axis=1)
    error = np.exp(log_p) - aims
    gradient = np.concatenate([(error * centred).mean(axis=0), error.mean(axis=0)])
    return float(-(aims * log_p).sum(axis=1).mean()), gradient

  minimum = optimize.minimize(
    loss,
    np.concatenate([np.ones(classes), centre]),
    jac=True,
    method='L-BFGS-B',
    bounds=[(LEAST_SLOPE, None)] * classes + [(None, None)] * classes,
    options={'maxiter': 1000, 'ftol': 1e-14, 'gtol': 1e-9},
  )
  slopes, intercepts = np.split(minimum.x, 2)
  return slopes, intercepts - slopes * centre


def _steps(scores: np.ndarray, truth: np.ndarray) -> Breakpoints:
  """Returns both ends of each step, [score, share positive], by pooling adjacent violators.

  A step without positives would say 0, which no number of images can show, and whose logit and log
  loss are infinite: shares stay within Platt's targets.
  """
  distinct, place, images = np.unique(scores, return_inverse=True, return_counts=True)
  positives = np.bincount(place, weights=truth)
  pooled = optimize.isotonic_regression(positives / images, weights=images)
  targets = _targets(np.array([np.sum(~truth), np.sum(truth)]))[:, 1]
  shares = np.clip(pooled.x, *targets)
  ends = np.unique(np.concatenate([pooled.blocks[:-1], pooled.blocks[1:] - 1]))
  return tuple(zip(distinct[ends].tolist(), shares[ends].tolist()))


def _interpolate(breakpoints: Sequence[Sequence[float]], scores: np.ndarray) -> np.ndarray:
  """Straight lines between breakpoints, level outside of them; non-decreasing to the last bit."""
  at, values = np.asarray(breakpoints, np.float64).T
  above = values[np.minimum(np.searchsorted(at, scores), len(at) - 1)]
  # A line may end a rounding higher than the point that it leads to.
  return np.minimum(np.interp(scores, at, values), above)
