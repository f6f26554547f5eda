"""Puts the predictions of two runs side by side, and refuses those that cannot be compared."""

from collections.abc import Sequence

import numpy as np

from medjax.errors import InputError, nearest
from medjax.evaluation import wording
from medjax.evaluation.predictions import Predictions

_NAMED = 3  # images that a message names


def aligned(one: Predictions, other: Predictions) -> Predictions:
  """Returns the other run's predictions with images and labels in the order of the one's.

  Raises:
    InputError: images, labels, patients or truth that are not the same, named.
  """
  runs = (('first', one, other), ('second', other, one))
  for name, run, partner in runs:
    for label in run.labels:
      if label not in partner.labels:
        raise InputError(
          f"label '{label}' is only in the {name} run's predictions"
          f'{nearest(label, partner.labels)} Compare runs with the same labels'
        )
  for name, run, partner in runs:
    known = set(partner.images)
    alone = [image for image in run.images if image not in known]
    if alone:
      raise InputError(
        f"{wording.count(len(alone), 'image')} only in the {name} run's predictions: "
        f'{_few(alone)}; compare runs on the same test images'
      )
  row = {image: index for index, image in enumerate(other.images)}
  rows = np.array([row[image] for image in one.images], int)
  columns = np.array([list(other.labels).index(label) for label in one.labels], int)
  cells = np.ix_(rows, columns)
  ordered = other._replace(
    images=list(one.images),
    patients=[other.patients[index] for index in rows],
    labels=list(one.labels),
    probabilities=np.asarray(other.probabilities)[cells],
    truth=np.asarray(other.truth)[cells],
    known=np.asarray(other.known, bool)[cells],
    log_odds=None if other.log_odds is None else other.log_odds[cells],
    weights=None if other.weights is None else other.weights[rows],
    about=None if other.about is None else other.about.iloc[rows],
  )
  for image, patient, patient_of_other in zip(one.images, one.patients, ordered.patients):
    if patient != patient_of_other:
      raise InputError(
        f"image '{image}' is of patient '{patient}' in the first run's predictions and of "
        f"'{patient_of_other}' in the second's; take the patients of both from one table"
      )
  differs = (one.known != ordered.known) | (one.known & (one.truth != ordered.truth))
  if differs.any():
    at, column = (int(index) for index in np.argwhere(differs)[0])
    first, second = (
      f'{run.truth[at, column]:g}' if run.known[at, column] else 'not known'
      for run in (one, ordered)
    )
    more = int(differs.sum()) - 1
    others = f', and so {more:,} more' if more else ''
    raise InputError(
      f"image '{one.images[at]}', label '{one.labels[column]}': the truth is {first} in the "
      f"first run's predictions and {second} in the second's{others}; compare runs against one "
      'reference standard'
    )
  return ordered


def _few(names: Sequence[str]) -> str:
  return ', '.join(names[:_NAMED]) + (', …' if len(names) > _NAMED else '')
