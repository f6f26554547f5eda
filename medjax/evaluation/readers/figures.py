"""What readers and model have in common, in numbers: rates, points beside the ROC curve, and kappas.

Every function takes weights f64[R, N], how often each image counts in each replicate, and gives f64[R].
"""

from typing import NamedTuple

import numpy as np

from medjax.evaluation.statistics import agreement, metrics


class Party(NamedTuple):
  """A reader, or the majority, with the n images on which they can be compared with the model.

  Attributes:
    name: the reader.
    answered: of the images that readers read, how many this one answered, truth known or not.
    at: int[n], which of them have an answer and a truth.
    truth, answer: bool[n].
  """

  name: str
  answered: int
  at: np.ndarray
  truth: np.ndarray
  answer: np.ndarray


class Question(NamedTuple):
  """One label on the M images that readers read.

  Attributes:
    label: its name.
    scores: f64[M], the model's.
    threshold: the model says yes at or above; NaN where it has none.
    truth: f64[M] of the curve; NaN where not known or nobody answered.
    answers: f64[M, R], of those readers who answered at all; NaN where they did not.
    readers: R parties.
    majority: one more, or None.
  """

  label: str
  scores: np.ndarray
  threshold: float
  truth: np.ndarray
  answers: np.ndarray
  readers: list[Party]
  majority: Party | None


def measured(question: Question, weights: np.ndarray) -> dict[tuple | str, np.ndarray]:
  """Returns every figure of a label, f64[R], for image weights f64[R, M]; NaN where it does not exist."""
  found: dict[tuple | str, np.ndarray] = {}
  called = question.scores >= question.threshold
  decides = not np.isnan(question.threshold)
  for place, party in enumerate(parties(question)):
    drawn, scores = weights.take(party.at, axis=1), question.scores[party.at]
    of_model, of_reader, stepped = curve_at(scores, party.truth, party.answer, drawn)
    found[place, 'on_curve'], found[place, 'above'] = of_model, of_model - of_reader
    found[place, 'below'] = np.where(np.isnan(of_model), np.nan, of_model > of_reader)
    found[place, 'competition'] = np.where(np.isnan(of_model), np.nan, stepped >= of_reader)
    own = _rates(party.truth, party.answer, drawn)
    found[place, 'sensitivity'], found[place, 'specificity'] = own
    if decides:
      models = _rates(party.truth, called[party.at], drawn)
      for name, of_both, of_own in zip(('sensitivity', 'specificity'), models, own):
        found[place, f'model_{name}'] = of_both
        found[place, f'{name}_difference'] = of_both - of_own
  keys = [(place, 'below') for place in counted(question)]
  found['below'] = np.sum([found[key] for key in keys], axis=0) if keys else _none(weights)
  known = ~np.isnan(question.truth)
  truth, drawn = question.truth[known] == 1, weights[:, known]
  found['auroc'] = _none(weights)
  if known.any():
    found['auroc'] = metrics.areas(metrics.rank(question.scores[known], truth), drawn)[0]
  if decides:
    found['sensitivity'], found['specificity'] = _rates(truth, called[known], drawn)
  return found | _kappas(question.answers, called if decides else None, weights)


def parties(question: Question) -> list[Party]:
  """Returns the readers and, where there is one, the majority after them."""
  return [*question.readers, *([question.majority] if question.majority else [])]


def counted(question: Question) -> list[int]:
  """Returns the readers who have a curve to lie below: both classes among their images."""
  return [
    place
    for place, party in enumerate(question.readers)
    if party.truth.any() and not party.truth.all()
  ]


def _none(weights: np.ndarray) -> np.ndarray:
  return np.full(len(weights), np.nan)


def _rates(
  truth: np.ndarray, answers: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (sensitivity, specificity), each f64[R], of answers bool[N]."""
  rates = []
  for right, of_class in ((answers & truth, truth), (~answers & ~truth, ~truth)):
    hits, total = (weights @ which.astype(np.float64) for which in (right, of_class))
    rates.append(np.divide(hits, total, out=_none(weights), where=total > 0))
  return rates[0], rates[1]


def _kappas(
  answers: np.ndarray, model: np.ndarray | None, weights: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns mean Cohen's and Fleiss' kappas of readers f64[M, R] without and with the model bool[M].

  Pairs that share no image, or answer all of them alike, have no kappa and stay out of the means.
  """
  readers = answers.shape[1]
  columns = answers if model is None else np.column_stack((answers, model))
  cohens: dict[bool, list[np.ndarray]] = {False: [], True: []}  # whether the model is of the pair
  for second in range(1, columns.shape[1]):
    # NaN equals nothing, so an image that one of them did not answer is in none of the four cells.
    cells = [
      (columns[:, :second] == one) & (columns[:, second] == other)[:, None]
      for one in (0, 1)
      for other in (0, 1)
    ]
    for first in range(second):
      pair = np.stack([cell[:, first] for cell in cells], axis=1).astype(np.float64)
      if not np.isnan(agreement.cohen(pair.sum(axis=0).reshape(2, 2))):
        of_pair = agreement.cohen((weights @ pair).reshape(-1, 2, 2))
        cohens[second == readers].append(of_pair)
  found = {'cohen': _mean(cohens[False], weights)}
  everyone = ~np.isnan(answers).any(axis=1) & (readers > 1)
  yes = np.where(everyone, np.nansum(answers, axis=1), 0)
  counts = {'fleiss': np.stack((everyone * readers - yes, yes), axis=1)}
  if model is not None:
    found['model_cohen'] = _mean(cohens[True], weights)
    found['joint_cohen'] = _mean(cohens[False] + cohens[True], weights)
    one_more = np.stack((everyone & ~model, everyone & model), axis=1)
    counts['joint_fleiss'] = counts['fleiss'] + one_more
  for name, of_answers in counts.items():
    pairs = weights @ agreement.coincidences(of_answers).reshape(-1, 4)
    found[name] = agreement.fleiss(pairs.reshape(-1, 2, 2))
  for name in ('cohen', 'fleiss') if model is not None else ():
    found[f'{name}_difference'] = found[f'joint_{name}'] - found[name]
  return found


def _mean(figures: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
  return np.mean(figures, axis=0) if figures else _none(weights)


def curve_at(
  scores: np.ndarray, truth: np.ndarray, answers: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns sensitivities at a reader's specificity, each f64[R], NaN where a class weighs nothing.

  Args:
    scores: f64[N], the model's.
    truth, answers: bool[N], the reader's answers.
    weights: f64[R, N], not negative, as `metrics` takes them; whole numbers make the comparison exact.

  Returns:
    (the model's on its ROC curve, straight between points and the highest where vertical; the reader's;
    the model's at the last point with strictly fewer false positives than the reader has, 0 before any).
  """
  found = np.full((3, len(weights)), np.nan)
  if not len(scores):
    return tuple(found)
  order = np.argsort(-scores, kind='stable')
  ends = np.flatnonzero(np.append(scores[order][1:] != scores[order][:-1], True))
  ranked, curves = weights.take(order, axis=1), []
  for of_class in (truth, ~truth):
    sums = np.cumsum(ranked * of_class[order], axis=1).take(ends, axis=1)
    curves.append(np.pad(sums, ((0, 0), (1, 0))))  # from (0, 0), where nothing is called positive
  hits, alarms = curves
  read_hits, read_alarms = (
    weights @ (answers & of_class).astype(np.float64) for of_class in (truth, ~truth)
  )
  rows, last = np.arange(len(weights)), len(ends)
  left = (alarms <= read_alarms[:, None]).sum(axis=1) - 1
  right = np.minimum(left + 1, last)
  run, rise = (curve[rows, right] - curve[rows, left] for curve in (alarms, hits))
  along = np.divide(
    (read_alarms - alarms[rows, left]) * rise, run, out=np.zeros_like(run), where=run > 0
  )
  before = (alarms < read_alarms[:, None]).sum(axis=1) - 1
  stepped = np.where(before >= 0, hits[rows, before], 0)
  positives, negatives = hits[:, -1], alarms[:, -1]
  exists = (positives > 0) & (negatives > 0)
  for place, counted in enumerate((hits[rows, left] + along, read_hits, stepped)):
    np.divide(counted, positives, out=found[place], where=exists)
  return tuple(found)


def majority(answers: np.ndarray) -> np.ndarray:
  """Returns what most of the answers f64[M, R] to each image say, f64[M], NaN at a tie or without any."""
  lead = np.nansum(2 * answers - 1, axis=1)
  return np.where(lead == 0, np.nan, lead > 0)
