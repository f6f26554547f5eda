"""Readers beside the model: from predictions, truth and the readers' answers alone.

A reader says yes or no, so a reader is one point beside the model's ROC curve. Each is compared with the
model on the images that this reader answered, patients drawn with all their images together. Intervals
say what other patients would change; the readers are taken as they are, so they say nothing of others.
"""

import difflib
import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.reference import reader_table
from medjax.errors import InputError, nearest
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.readers import figures as reader_figures
from medjax.evaluation.readers import notes as reader_notes
from medjax.evaluation.readers.figures import Party, Question
from medjax.evaluation.statistics import intervals, metrics

CURVE_POINTS = 200
MISSPELT = 0.85  # so much alike are two spellings of a label, but not Pneumonia and Pneumothorax
MAJORITY_OF = 3  # readers at least: two have a majority only where they agree, which flatters it


class _Found(NamedTuple):
  """The figures of one label, by name: on the images themselves, f64[1], and in each replicate, f64[R].

  `patient` int[M] is the patient of each image, `level` that of the intervals.
  """

  question: Question
  whole: dict
  drawn: dict
  patient: np.ndarray
  level: float


def compare(
  test: Predictions,
  readings: pd.DataFrame,
  thresholds: Mapping[str, float | None],
  *,
  replicates: int,
  seed: int,
  level: float = 0.95,
) -> dict:
  """Compares the model with each reader and with the majority of them, joined by image and label.

  Where no truth is given at all, a reader is measured against the majority of the other readers, and
  the curve drawn against the majority of all; ties are left out.

  A reader lies below the curve if, at the reader's own specificity, the model's sensitivity is strictly
  higher: the ROC curve of the reader's own images, straight lines between its points and the highest
  point where it rises vertically.

  The CheXpert competition's leaderboard ('Num Rads Below Curve', the mean over its five tasks) used the
  ROC curve alone, and its evaluation script counts differently: no interpolation but the last point of
  the curve with strictly fewer false positives than the reader, and as much sensitivity is enough. Both
  counts are given. One thing of that script is not followed: it counts any reader without false positives
  as below, because nothing lies left of them; none of the competition's readers was such.

  Args:
    test: the model's, or anybody's, predictions. What they call images are the units that readers read.
    readings: as medjax.data.reference.reader_table describes them, answers 0, 1 and NaN. Answers to images and
      labels that are not in the predictions are passed over, and a note says so.
    thresholds: frozen, per label; without one (None, NaN, not there) the model decides nothing.
    replicates, seed: of the bootstrap over the patients whose images were read.
    level: of the intervals.

  Returns:
    A dictionary that JSON can hold. A figure is as `intervals.figure` returns it; differences are model
    minus reader, on the same images in every replicate.

      'level', 'replicates', 'seed', 'method'; 'truth': 'given' or 'other readers'.
      'images', 'patients': that any reader read. 'readers': their names.
      'below': {'labels': those averaged, 'readers': [fewest, most] of a label, 'average': figure,
        'competition': float, as the CheXpert competition counted} or None where no label has a curve.
      'labels': {label: {
        'images', 'positives', 'negatives': read, with known truth.
        'auroc': figure of the model on them.
        'roc': {'false_positive_rate', 'sensitivity'} or None.
        'model': {'threshold', 'sensitivity': figure, 'specificity': figure} or None without threshold.
        'below': {'readers': with a curve, 'count': figure, 'competition': int} or None.
        'readers': [{'reader', 'answered', 'unanswered': of the images that readers read, 'images': with
          truth too, 'positives', 'negatives', 'sensitivity': figure, 'specificity': figure,
          'below': bool or None, 'below_in_competition': bool or None,
          'at_specificity': {'sensitivity': of the model at the reader's specificity, 'difference': figure},
          'at_threshold': {'sensitivity', 'specificity': of the model on the reader's images,
            'sensitivity_difference': figure, 'specificity_difference': figure} or None}].
        'majority': the same with 'tied': images left out for a tie, or None of fewer than three readers
          or where it is the truth.
        'kappa': {
          'cohen': {'readers': figure, the mean over pairs of readers; with a threshold also 'model': the
            mean over readers beside the model, 'with_model': over all these pairs, 'difference': with
            minus without the model},
          'fleiss': {'readers'; with a threshold also 'with_model', 'difference': figures},
          'images_of_all': that all readers answered, on which Fleiss' kappa is}}}
      'notes': sentences that weaken the answer, the gravest first.

  Raises:
    InputError: readings that are not as described; no image or no label in common; a label spelt almost
      as one of the predictions; no truth known where readers answered; one reader and no truth; an image
      of different patients in both.
  """
  readings, at, labels, passed = _matched(test, readings)
  rows, image = np.unique(at, return_inverse=True)
  reader, names = pd.factorize(readings['reader'], sort=True)
  given = bool(test.known.any())
  if not given and len(names) < 2:
    raise InputError(
      f"readers: no truth is given and '{names[0]}' is the only reader; add the truth, or more readers"
    )
  questions = []
  for label in labels:
    answers = np.full((len(rows), len(names)), np.nan)
    answers[image, reader] = readings[label].to_numpy(np.float64)
    column = test.labels.index(label)
    truth = np.where(test.known[rows, column], test.truth[rows, column], np.nan)
    threshold = thresholds.get(label)
    asked = _question(
      label,
      test.probabilities[rows, column].astype(np.float64),
      np.nan if threshold is None else float(threshold),
      truth if given else None,
      answers,
      [str(name) for name in names],
    )
    questions.append(asked)
  if not any(party.at.size for question in questions for party in question.readers):
    raise InputError(
      'readers: none of the images that they answered has a known truth; give the truth of those'
      if given
      else 'readers: no two readers answered the same image, and no truth is given; add the truth'
    )
  patients, patient = np.unique(np.asarray(test.patients)[rows], return_inverse=True)
  whole = [reader_figures.measured(question, np.ones((1, len(rows)))) for question in questions]
  parts = [
    [reader_figures.measured(question, weights) for question in questions]
    for weights in _weights(patient, replicates, seed)
  ]
  drawn = [
    {name: np.concatenate([[], *(part[place][name] for part in parts)]) for name in found}
    for place, found in enumerate(whole)
  ]
  found = [
    _Found(question, *figures, patient, level)
    for question, *figures in zip(questions, whole, drawn)
  ]
  study = {
    'level': level,
    'replicates': replicates,
    'seed': seed,
    'method': 'percentile bootstrap over patients',
    'truth': 'given' if given else 'other readers',
    'images': len(rows),
    'patients': len(patients),
    'readers': [str(name) for name in names],
    'below': _average([of for of in found if reader_figures.counted(of.question)]),
    'labels': {of.question.label: _described(of) for of in found},
  }
  study['notes'] = [*reader_notes.notes(study, questions), *passed]
  return study


def _matched(
  test: Predictions, readings: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray, list[str], list[str]]:
  """Returns readings of images in the predictions, their rows there, the labels, what was passed over."""
  readings = reader_table.check(readings, 'readers')
  asked = reader_table.labels_of(readings)
  unasked = [label for label in test.labels if label not in asked]
  labels = [label for label in test.labels if label in asked]
  unknown = [label for label in asked if label not in test.labels]
  if not labels:
    raise InputError(
      f'readers: no label in common with the predictions; readers answered {", ".join(unknown)}, '
      f'predictions are of {", ".join(unasked)}{nearest(unknown[0], unasked)}'
    )
  for label in unknown:
    folded = {other.casefold(): other for other in unasked}
    for close in difflib.get_close_matches(label.casefold(), folded, n=1, cutoff=MISSPELT):
      raise InputError(
        f"readers: '{label}' is no label of the predictions; did you mean '{folded[close]}'? Rename "
        'the column, or leave it out'
      )
  images = pd.Index([posixpath.normpath(image) for image in test.images])
  for image in images[images.duplicated()][:1]:
    raise InputError(f"predictions: image '{image}' is there twice, so readers cannot be joined")
  at = images.get_indexer([posixpath.normpath(str(image)) for image in readings['image']])
  answered = readings[labels].notna().any(axis=1).to_numpy()
  elsewhere = readings['image'][at < 0]
  if len(elsewhere) == len(readings):
    raise InputError(
      f'readers: none of their {elsewhere.nunique():,} images is in the predictions; readers have '
      f"'{elsewhere[0]}', predictions '{test.images[0]}'"
    )
  if not answered[at >= 0].any():
    raise InputError(
      f'readers: no answer to {", ".join(labels)} on an image of the predictions; nothing to compare'
    )
  if 'patient' in readings:
    theirs = readings['patient'].astype(str).str.strip().to_numpy(object)
    ours = np.asarray(test.patients, object)[at]
    for row in np.flatnonzero((at >= 0) & (theirs != ours))[:1]:
      raise InputError(
        f"readers: image '{readings['image'][row]}' is of patient '{theirs[row]}', in the predictions "
        f"of '{ours[row]}'; write patients alike, or leave the readers' column out"
      )
  kept = (at >= 0) & answered
  silent = [label for label in labels if not readings[label][kept].notna().any()]
  gone = sorted(set(readings['reader'].astype(str)) - set(readings['reader'][kept].astype(str)))
  passed = reader_notes.passed_over(list(elsewhere.unique()), gone, [*unasked, *silent], unknown)
  return readings[kept], at[kept], [label for label in labels if label not in silent], passed


def _question(
  label: str,
  scores: np.ndarray,
  threshold: float,
  truth: np.ndarray | None,
  answers: np.ndarray,
  names: list[str],
) -> Question:
  """Puts one label together; without truth f64[M] the other readers' majority takes its place."""
  here = ~np.isnan(answers).all(axis=0)
  answers, names = answers[:, here], [name for name, read in zip(names, here) if read]
  vote = reader_figures.majority(answers)
  readers = []
  for place, name in enumerate(names):
    others = np.delete(answers, place, axis=1)
    standard = reader_figures.majority(others) if truth is None else truth
    readers.append(_party(name, answers[:, place], standard))
  together = None
  if truth is not None and len(names) >= MAJORITY_OF:
    together = _party(f'majority of {len(names)} readers', vote, truth)
  of_curve = vote if truth is None else np.where(np.isnan(answers).all(axis=1), np.nan, truth)
  return Question(label, scores, threshold, of_curve, answers, readers, together)


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


def _average(found: list[_Found]) -> dict | None:
  """Returns how many readers lie below the curve, averaged over labels that each have a curve."""
  if not found:
    return None
  numbers = [len(reader_figures.counted(of.question)) for of in found]
  value = float(np.mean([of.whole['below'] for of in found]))
  drawn = np.mean([of.drawn['below'] for of in found], axis=0)
  one = 'there is one patient only' if found[0].patient.max() == 0 else ''
  return {
    'labels': [of.question.label for of in found],
    'readers': [min(numbers), max(numbers)],
    'average': intervals.figure(value, drawn, one, found[0].level),
    'competition': float(np.mean([_in_competition(of) for of in found])),
  }


def _in_competition(of: _Found) -> int:
  return int(sum(of.whole[at, 'competition'][0] for at in reader_figures.counted(of.question)))


def _figure(of: _Found, name: tuple | str, images: np.ndarray, *absent: str) -> dict:
  """Returns a figure with its interval.

  Args:
    of, name: which.
    images: bool[M] or int[n], the images that it is made of.
    absent: what it needs and lacks, in words; '' for what is there.
  """
  reason = next((words for words in absent if words), '')
  if not reason and len(np.unique(of.patient[images])) < 2:
    reason = 'the images are of one patient'
  return intervals.figure(of.whole[name][0], of.drawn[name], reason, of.level)


def _lacking(truth: np.ndarray) -> tuple[str, str]:
  """Returns why there is no sensitivity and why no specificity on images of these truths, or ''."""
  if not len(truth):
    return ('none of the images read has a known truth',) * 2
  return (
    '' if truth.any() else 'no positives among the images read',
    '' if not truth.all() else 'no negatives among the images read',
  )


def _described(of: _Found) -> dict:
  """Returns one label of the study; see `compare`."""
  question, read = of.question, ~np.isnan(of.question.answers)
  known = ~np.isnan(question.truth)
  truth = question.truth[known] == 1
  lacking = _lacking(truth)
  model = roc = below = together = None
  if not np.isnan(question.threshold):
    model = {
      'threshold': question.threshold,
      'sensitivity': _figure(of, 'sensitivity', known, lacking[0]),
      'specificity': _figure(of, 'specificity', known, lacking[1]),
    }
  if not any(lacking):
    curve = metrics.roc_curve(question.scores[known], truth)[:2]
    kept = metrics.thin_curve(*curve, CURVE_POINTS)
    rate, sensitivity = curve[0][kept], curve[1][kept]
    roc = {'false_positive_rate': rate.tolist(), 'sensitivity': sensitivity.tolist()}
  counted = reader_figures.counted(question)
  if counted:
    below = {
      'readers': len(counted),
      'count': _figure(of, 'below', known),
      'competition': _in_competition(of),
    }
  readers = [_beside(of, place, party) for place, party in enumerate(question.readers)]
  if question.majority:
    tied = int(read.any(axis=1).sum()) - question.majority.answered
    together = {**_beside(of, len(readers), question.majority), 'tied': tied}
  return {
    'images': len(truth),
    'positives': int(truth.sum()),
    'negatives': int((~truth).sum()),
    'auroc': _figure(of, 'auroc', known, *lacking),
    'roc': roc,
    'model': model,
    'below': below,
    'readers': readers,
    'majority': together,
    'kappa': _agreed(of),
  }


def _beside(of: _Found, place: int, party: Party) -> dict:
  """Returns one reader of a label, or the majority; see `compare`."""
  value = {name: of.whole[place, name][0] for name in ('below', 'competition', 'on_curve')}
  lacking = _lacking(party.truth)
  exists = not any(lacking)
  of_class = {'sensitivity': party.at[party.truth], 'specificity': party.at[~party.truth]}
  own = {
    name: _figure(of, (place, name), images, words)
    for (name, images), words in zip(of_class.items(), lacking)
  }
  at_threshold = None
  if not np.isnan(of.question.threshold):
    at_threshold = {}
    for (name, images), words in zip(of_class.items(), lacking):
      model = of.whole[place, f'model_{name}'][0]
      at_threshold[name] = None if words else float(model)
      difference = f'{name}_difference'
      at_threshold[difference] = _figure(of, (place, difference), images, words)
  return {
    'reader': party.name,
    'answered': party.answered,
    'unanswered': int((~np.isnan(of.question.answers)).any(axis=1).sum()) - party.answered,
    'images': len(party.at),
    'positives': int(party.truth.sum()),
    'negatives': int((~party.truth).sum()),
    **own,
    'below': bool(value['below']) if exists else None,
    'below_in_competition': bool(value['competition']) if exists else None,
    'at_specificity': {
      'sensitivity': float(value['on_curve']) if exists else None,
      'difference': _figure(of, (place, 'above'), party.at, *lacking),
    },
    'at_threshold': at_threshold,
  }


def _agreed(of: _Found) -> dict:
  """Returns how far readers agree without and with the model; see `compare`."""
  read = ~np.isnan(of.question.answers)
  some, everyone = read.any(axis=1), read.all(axis=1)
  several = read.sum(axis=1) > 1
  alone = '' if read.shape[1] > 1 else 'there is one reader only'
  unshared = alone or ('' if several.any() else 'no two readers answered the same image')
  uncommon = alone or ('' if everyone.any() else 'no image was answered by all readers')
  found = {
    'cohen': {'readers': ('cohen', several, unshared)},
    'fleiss': {'readers': ('fleiss', everyone, uncommon)},
  }
  if not np.isnan(of.question.threshold):
    found['cohen'] |= {
      'model': ('model_cohen', some, ''),
      'with_model': ('joint_cohen', some, ''),
      'difference': ('cohen_difference', several, unshared),
    }
    found['fleiss'] |= {
      'with_model': ('joint_fleiss', everyone, uncommon),
      'difference': ('fleiss_difference', everyone, uncommon),
    }
  figures = {
    name: {
      whose: _figure(of, key, images, absent or _same(of, key))
      for whose, (key, images, absent) in kinds.items()
    }
    for name, kinds in found.items()
  }
  return {**figures, 'images_of_all': 0 if alone else int(everyone.sum())}


def _same(of: _Found, key: str) -> str:
  return 'all answers are the same' if np.isnan(of.whole[key][0]) else ''
