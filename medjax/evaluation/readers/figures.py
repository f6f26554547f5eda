"""What readers and model have in common, in numbers: rates, points near the ROC curve, kappas.

Every function takes weights f64[R, N], how often each image counts in each replicate, and gives
f64[R].
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
  """Returns every figure of a label by name, f64[R], NaN where it does not exist.

  A reader's figures are called (place, name).

  Args:
    question: of the label.
    weights: f64[R, M].
  """
  called = None if np.isnan(question.threshold) else question.scores >= question.threshold
  figures: dict[tuple | str, np.ndarray] = {}
  for place, party in enumerate(parties(question)):
    for name, values in _of_party(question, party, called, weights).items():
      figures[place, name] = values
  below = [figures[place, 'below'] for place in counted(question)]
  known = ~np.isnan(question.truth)
  truth, drawn = question.truth[known] == 1, weights[:, known]
  auroc = _none(weights)
  if known.any():
    auroc = metrics.areas(metrics.rank(question.scores[known], truth), drawn.T)[0]
  figures |= {'below': np.sum(below, axis=0) if below else _none(weights), 'auroc': auroc}
  if called is not None:
    sensitivity, specificity = _rates(truth, called[known], drawn)
    figures |= {'sensitivity': sensitivity, 'specificity': specificity}
  return figures | _kappas(question.answers, called, weights)


def _of_party(
  question: Question, party: Party, called: np.ndarray | None, weights: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns the figures of one reader; `called` bool[M] is what the model decides."""
  drawn, scores = weights.take(party.at, axis=1), question.scores[party.at]
  model, reader, stepped = curve_at(scores, party.truth, party.answer, drawn)
  sensitivity, specificity = _rates(party.truth, party.answer, drawn)
  figures = {
    'on_curve': model,
    'above': model - reader,
    'below': np.where(np.isnan(model), np.nan, model > reader),
    'competition': np.where(np.isnan(model), np.nan, stepped >= reader),
    'sensitivity': sensitivity,
    'specificity': specificity,
  }
  if called is None:
    return figures
  model_sensitivity, model_specificity = _rates(party.truth, called[party.at], drawn)
  return figures | {
    'model_sensitivity': model_sensitivity,
    'model_specificity': model_specificity,
    'sensitivity_difference': model_sensitivity - sensitivity,
    'specificity_difference': model_specificity - specificity,
  }


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
  for right, members in ((answers & truth, truth), (~answers & ~truth, ~truth)):
    hits, total = (weights @ chosen.astype(np.float64) for chosen in (right, members))
    rates.append(np.divide(hits, total, out=_none(weights), where=total > 0))
  return rates[0], rates[1]


def _kappas(
  answers: np.ndarray, model: np.ndarray | None, weights: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns mean Cohen's and Fleiss' kappas of readers f64[M, R] and with the model bool[M].

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
        cohens[second == readers].append(agreement.cohen((weights @ pair).reshape(-1, 2, 2)))
  kappas = {'cohen': _mean(cohens[False], weights)}
  everyone = ~np.isnan(answers).any(axis=1) & (readers > 1)
  yes = np.where(everyone, np.nansum(answers, axis=1), 0)
  counts = np.stack((everyone * readers - yes, yes), axis=1)
  kappas |= {'fleiss': _fleiss(counts, weights)}
  if model is None:
    return kappas
  one_more = np.stack((everyone & ~model, everyone & model), axis=1)
  kappas |= {
    'model_cohen': _mean(cohens[True], weights),
    'joint_cohen': _mean(cohens[False] + cohens[True], weights),
    'joint_fleiss': _fleiss(counts + one_more, weights),
  }
  for name in ('cohen', 'fleiss'):
    kappas[f'{name}_difference'] = kappas[f'joint_{name}'] - kappas[name]
  return kappas


def _fleiss(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
  pairs = weights @ agreement.coincidences(counts).reshape(-1, 4)
  return agreement.fleiss(pairs.reshape(-1, 2, 2))


def _mean(figures: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
  return np.mean(figures, axis=0) if figures else _none(weights)


def curve_at(
  scores: np.ndarray, truth: np.ndarray, answers: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns sensitivities at a reader's specificity, each f64[R], NaN where a class weighs nothing.

  Args:
    scores: f64[N], the model's.
    truth, answers: bool[N], the reader's answers.
    weights: f64[R, N], not negative, as `metrics` takes them; whole numbers make the comparison
      exact.

  Returns:
    (the model's on its ROC curve, straight between points and the highest where vertical; the
    reader's; the model's at the last point with strictly fewer false positives than the reader has,
    0 before any).
  """
  sensitivities = np.full((3, len(weights)), np.nan)
  if not len(scores):
    return sensitivities[0], sensitivities[1], sensitivities[2]
  order = np.argsort(-scores, kind='stable')
  ends = np.flatnonzero(np.append(scores[order][1:] != scores[order][:-1], True))
  ranked, curves = weights.take(order, axis=1), []
  for members in (truth, ~truth):
    sums = np.cumsum(ranked * members[order], axis=1).take(ends, axis=1)
    curves.append(np.pad(sums, ((0, 0), (1, 0))))  # from (0, 0), where nothing is called positive
  hits, alarms = curves
  read_hits, read_alarms = (
    weights @ (answers & members).astype(np.float64) for members in (truth, ~truth)
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
    np.divide(counted, positives, out=sensitivities[place], where=exists)
  return sensitivities[0], sensitivities[1], sensitivities[2]


def majority(answers: np.ndarray) -> np.ndarray:
  """Returns what most answers f64[M, R] to each image say, f64[M], NaN at a tie or without any."""
  lead = np.nansum(2 * answers - 1, axis=1)
  return np.where(lead == 0, np.nan, lead > 0)
