"""Readers and the model: from predictions, truth and the readers' answers alone.

A reader says yes or no, so a reader is one point near the model's ROC curve. Each is compared with
the model on the images that this reader answered, patients drawn with all their images together.
Intervals say what other patients would change; the readers are taken as they are, so they say
nothing of others.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.errors import InputError
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_figures import with_interval
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.readers import figures as reader_figures
from medjax.evaluation.readers import matching
from medjax.evaluation.readers import notes as reader_notes
from medjax.evaluation.readers.figures import Party, Question
from medjax.evaluation.readers.study import (
  AtSpecificity,
  AtThreshold,
  Below,
  BelowOnAverage,
  CohenKappas,
  Curve,
  FleissKappas,
  Kappas,
  ModelPoint,
  Reader,
  ReaderLabel,
  ReaderStudy,
)
from medjax.evaluation.statistics import delong, intervals, metrics, proportions

CURVE_POINTS = 200
MAJORITY_OF = 3  # readers at least: two have a majority only where they agree, which flatters it


class _Measured(NamedTuple):
  """The figures of one label.

  Attributes:
    question: the label.
    whole: name → the figure on the images themselves, f64[1].
    drawn: name → the figure in each replicate, f64[R].
    patient: int[M], of each image.
    confidence: of the intervals.
  """

  question: Question
  whole: Mapping[tuple | str, np.ndarray]
  drawn: Mapping[tuple | str, np.ndarray]
  patient: np.ndarray
  confidence: float


def compare(
  test: Predictions,
  readings: pd.DataFrame,
  thresholds: Mapping[str, float | None],
  *,
  replicates: int,
  seed: int,
  confidence: float = 0.95,
) -> ReaderStudy:
  """Compares the model with each reader and with the majority of them, joined by image and label.

  Where no truth is given at all, a reader is measured against the majority of the other readers,
  and the curve drawn against the majority of all; ties are left out.

  A reader lies below the curve if, at the reader's own specificity, the model's sensitivity is
  strictly
  higher: the ROC curve of the reader's own images, straight lines between its points and the
    highest
  point where it rises vertically.

  The CheXpert competition's leaderboard ('Num Rads Below Curve', the mean over its five tasks) used
  the ROC curve alone, and its evaluation script counts differently: no interpolation but the last
  point of the curve with strictly fewer false positives than the reader, and as much sensitivity is
  enough. Both counts are given. One thing of that script is not followed: it counts any reader
  without false positives as below, because nothing lies left of them; none of the competition's
  readers was such.

  Args:
    test: the model's, or anybody's, predictions. What they call images are the units that readers
      read.
    readings: as medjax.data.reference.reader_table describes them, answers 0, 1 and NaN. Answers to
      images and labels that are not in the predictions are ignored, and a note says so.
    thresholds: frozen, per label; without one (None, NaN, not there) the model decides nothing.
    replicates, seed: of the bootstrap over the patients whose images were read.
    confidence: of the intervals.

  Raises:
    InputError: readings that are not as described; no image or no label in common; a label spelt
      almost as one of the predictions; no truth known where readers answered; one reader and no
      truth; an image of different patients in both.
  """
  readings, at, labels, passed = matching.matched(test, readings)
  rows, image = np.unique(at, return_inverse=True)
  reader, names = pd.factorize(readings['reader'], sort=True)
  has_truth = bool(test.known.any())
  if not has_truth and len(names) < 2:
    raise InputError(
      f"readers: no truth is given and '{names[0]}' is the only reader; add the truth, or more "
      'readers'
    )
  questions = []
  for label in labels:
    answers = np.full((len(rows), len(names)), np.nan)
    answers[image, reader] = readings[label].to_numpy(np.float64)
    column = test.labels.index(label)
    truth = np.where(test.known[rows, column], test.truth[rows, column], np.nan)
    threshold = thresholds.get(label)
    question = _question(
      label,
      test.probabilities[rows, column].astype(np.float64),
      np.nan if threshold is None else float(threshold),
      truth if has_truth else None,
      answers,
      [str(name) for name in names],
    )
    questions.append(question)
  if not any(party.at.size for question in questions for party in question.readers):
    raise InputError(
      'readers: none of the images that they answered has a known truth; give the truth of those'
      if has_truth
      else 'readers: no two readers answered the same image, and no truth is given; add the truth'
    )
  patients, patient = np.unique(np.asarray(test.patients)[rows], return_inverse=True)
  whole = [reader_figures.measured(question, np.ones((1, len(rows)))) for question in questions]
  parts = [
    [reader_figures.measured(question, weights) for question in questions]
    for weights in _weights(patient, replicates, seed)
  ]
  drawn = [
    {name: np.concatenate([[], *(part[place][name] for part in parts)]) for name in figures}
    for place, figures in enumerate(whole)
  ]
  measured = [
    _Measured(question, figures, resampled, patient, confidence)
    for question, figures, resampled in zip(questions, whole, drawn)
  ]
  study = ReaderStudy(
    confidence=confidence,
    replicates=replicates,
    seed=seed,
    method='bootstrap over patients; AUROC: DeLong by patient; rates: Wilson by patient',
    truth='given' if has_truth else 'other readers',
    images=len(rows),
    patients=len(patients),
    readers=tuple(str(name) for name in names),
    below=_average(
      [
        label_figures
        for label_figures in measured
        if reader_figures.counted(label_figures.question)
      ]
    ),
    labels={label_figures.question.label: _label(label_figures) for label_figures in measured},
  )
  return dataclasses.replace(study, notes=(*reader_notes.notes(study, questions), *passed))


def _question(
  label: str,
  scores: np.ndarray,
  threshold: float,
  truth: np.ndarray | None,
  answers: np.ndarray,
  names: list[str],
) -> Question:
  """Puts one label together; without truth f64[M] the other readers' majority takes its place."""
  answered = ~np.isnan(answers).all(axis=0)
  answers, names = answers[:, answered], [name for name, kept in zip(names, answered) if kept]
  vote = reader_figures.majority(answers)
  readers = []
  for place, name in enumerate(names):
    others = np.delete(answers, place, axis=1)
    standard = reader_figures.majority(others) if truth is None else truth
    readers.append(_party(name, answers[:, place], standard))
  together = None
  if truth is not None and len(names) >= MAJORITY_OF:
    together = _party(f'majority of {len(names)} readers', vote, truth)
  standard = vote if truth is None else np.where(np.isnan(answers).all(axis=1), np.nan, truth)
  return Question(label, scores, threshold, standard, answers, readers, together)


def _party(name: str, answers: np.ndarray, truth: np.ndarray) -> Party:
  at = np.flatnonzero(~np.isnan(answers) & ~np.isnan(truth))
  return Party(name, int((~np.isnan(answers)).sum()), at, truth[at] == 1, answers[at] == 1)


def _weights(patient: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
  """Yields f64[rows, M], how often each image counts, a block of replicates at a time."""
  step = max(1, intervals.BLOCK_BYTES // (8 * len(patient)))
  for first in range(0, replicates, step):
    rows = min(step, replicates - first)
    counts = intervals.patient_counts(patient.max() + 1, rows, seed, first)
    yield counts[:, patient].astype(np.float64)


def _average(measured: list[_Measured]) -> BelowOnAverage | None:
  """Returns how many readers lie below the curve, averaged over labels that each have a curve."""
  if not measured:
    return None
  numbers = [len(reader_figures.counted(label_figures.question)) for label_figures in measured]
  below = [label_figures.whole['below'] for label_figures in measured]
  drawn = np.mean([label_figures.drawn['below'] for label_figures in measured], axis=0)
  first = measured[0]
  alone = 'there is one patient only' if first.patient.max() == 0 else ''
  return BelowOnAverage(
    labels=tuple(label_figures.question.label for label_figures in measured),
    readers=(min(numbers), max(numbers)),
    average=intervals.figure(float(np.mean(below)), drawn, alone, first.confidence),
    competition=float(np.mean([_in_competition(label_figures) for label_figures in measured])),
  )


def _in_competition(measured: _Measured) -> int:
  places = reader_figures.counted(measured.question)
  return int(sum(measured.whole[place, 'competition'][0] for place in places))


def _figure(measured: _Measured, name: tuple | str, images: np.ndarray, *absent: str) -> Figure:
  """Returns a figure with its interval.

  Args:
    measured, name: which.
    images: bool[M] or int[n], the images that it is made of.
    absent: what it needs and lacks, in words; '' for what exists.
  """
  reason = next((words for words in absent if words), '')
  if not reason and len(np.unique(measured.patient[images])) < 2:
    reason = 'the images are of one patient'
  return intervals.figure(
    measured.whole[name][0], measured.drawn[name], reason, measured.confidence
  )


def _auroc(measured: _Measured, known: np.ndarray, *absent: str) -> Figure:
  """Returns the model's AUROC on the images read, bool[M] those of known truth."""
  figure, question = _figure(measured, 'auroc', known, *absent), measured.question
  if figure.interval is None:
    return figure
  patients = int(measured.patient.max()) + 1
  part = delong.contributions(
    question.scores[None, known], question.truth[known], measured.patient[known], patients
  )
  return delong.with_interval(figure, [part], measured.confidence)


def _rate(
  measured: _Measured, name: tuple | str, images: np.ndarray, hit: np.ndarray, absent: str
) -> Figure:
  """Returns a proportion with its interval over patients.

  Args:
    measured, name, absent: as of `_figure`.
    images: int[n], those that it is a share of.
    hit: bool[M], which are counted.
  """
  figure = _figure(measured, name, images, absent)
  if figure.reason and figure.reason != intervals.AGREE:
    return figure
  bounds = proportions.of_images(measured.patient[images], hit[images], measured.confidence)
  return with_interval(figure, bounds)


def _lacking(truth: np.ndarray) -> tuple[str, str]:
  """Returns why there is no sensitivity and why no specificity on images of these truths, or ''."""
  if not len(truth):
    return ('none of the images read has a known truth',) * 2
  return (
    '' if truth.any() else 'no positives among the images read',
    '' if not truth.all() else 'no negatives among the images read',
  )


def _label(measured: _Measured) -> ReaderLabel:
  """Returns one label of the study."""
  question, read = measured.question, ~np.isnan(measured.question.answers)
  known = ~np.isnan(question.truth)
  truth = question.truth[known] == 1
  lacking = _lacking(truth)
  model = roc = below = majority = None
  if not np.isnan(question.threshold):
    called, at = question.scores >= question.threshold, np.flatnonzero(known)
    model = ModelPoint(
      threshold=question.threshold,
      sensitivity=_rate(measured, 'sensitivity', at[truth], called, lacking[0]),
      specificity=_rate(measured, 'specificity', at[~truth], ~called, lacking[1]),
    )
  if not any(lacking):
    curve = metrics.roc_curve(question.scores[known], truth)[:2]
    kept = metrics.thin_curve(*curve, CURVE_POINTS)
    roc = Curve(*(tuple(values[kept].tolist()) for values in curve))
  counted = reader_figures.counted(question)
  if counted:
    below = Below(
      readers=len(counted),
      count=_figure(measured, 'below', known),
      competition=_in_competition(measured),
    )
  readers = [_reader(measured, place, party) for place, party in enumerate(question.readers)]
  if question.majority:
    tied = int(read.any(axis=1).sum()) - question.majority.answered
    majority = dataclasses.replace(_reader(measured, len(readers), question.majority), tied=tied)
  return ReaderLabel(
    images=len(truth),
    positives=int(truth.sum()),
    negatives=int((~truth).sum()),
    auroc=_auroc(measured, known, *lacking),
    roc=roc,
    model=model,
    below=below,
    readers=tuple(readers),
    majority=majority,
    kappa=_kappas(measured),
  )


def _reader(measured: _Measured, place: int, party: Party) -> Reader:
  """Returns one reader of a label, or the majority."""
  lacking = _lacking(party.truth)
  exists = not any(lacking)
  positives, negatives = party.at[party.truth], party.at[~party.truth]

  def value(name: str) -> float:
    return measured.whole[place, name][0]

  def figure(name: str, images: np.ndarray, *absent: str) -> Figure:
    return _figure(measured, (place, name), images, *absent)

  at_threshold = None
  if not np.isnan(measured.question.threshold):
    at_threshold = AtThreshold(
      sensitivity=None if lacking[0] else float(value('model_sensitivity')),
      sensitivity_difference=figure('sensitivity_difference', positives, lacking[0]),
      specificity=None if lacking[1] else float(value('model_specificity')),
      specificity_difference=figure('specificity_difference', negatives, lacking[1]),
    )
  read = (~np.isnan(measured.question.answers)).any(axis=1)
  called = np.zeros(len(read), bool)
  called[party.at] = party.answer == 1
  return Reader(
    reader=party.name,
    answered=party.answered,
    unanswered=int(read.sum()) - party.answered,
    images=len(party.at),
    positives=len(positives),
    negatives=len(negatives),
    sensitivity=_rate(measured, (place, 'sensitivity'), positives, called, lacking[0]),
    specificity=_rate(measured, (place, 'specificity'), negatives, ~called, lacking[1]),
    below=bool(value('below')) if exists else None,
    below_in_competition=bool(value('competition')) if exists else None,
    at_specificity=AtSpecificity(
      sensitivity=float(value('on_curve')) if exists else None,
      difference=figure('above', party.at, *lacking),
    ),
    at_threshold=at_threshold,
  )


def _kappas(measured: _Measured) -> Kappas:
  """Returns how far readers agree without and with the model."""
  read = ~np.isnan(measured.question.answers)
  some, everyone = read.any(axis=1), read.all(axis=1)
  several = read.sum(axis=1) > 1
  alone = '' if read.shape[1] > 1 else 'there is one reader only'
  unshared = alone or ('' if several.any() else 'no two readers answered the same image')
  uncommon = alone or ('' if everyone.any() else 'no image was answered by all readers')

  def figure(name: str, images: np.ndarray, absent: str) -> Figure:
    same = 'all answers are the same' if np.isnan(measured.whole[name][0]) else ''
    return _figure(measured, name, images, absent or same)

  cohen = CohenKappas(figure('cohen', several, unshared))
  fleiss = FleissKappas(figure('fleiss', everyone, uncommon))
  if not np.isnan(measured.question.threshold):
    cohen = dataclasses.replace(
      cohen,
      model=figure('model_cohen', some, ''),
      with_model=figure('joint_cohen', some, ''),
      difference=figure('cohen_difference', several, unshared),
    )
    fleiss = dataclasses.replace(
      fleiss,
      with_model=figure('joint_fleiss', everyone, uncommon),
      difference=figure('fleiss_difference', everyone, uncommon),
    )
  return Kappas(cohen, fleiss, images_of_all=0 if alone else int(everyone.sum()))
