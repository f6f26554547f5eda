"""Joins readings to predictions by image and label."""

import difflib
import posixpath

import numpy as np
import pandas as pd

from medjax.data.reference import reader_table
from medjax.errors import InputError, nearest
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.readers import notes

MISSPELT = 0.85  # so much alike are two spellings of a label, but not Pneumonia and Pneumothorax


def matched(
  test: Predictions, readings: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray, list[str], list[str]]:
  """Returns readings of images in the predictions, their rows there, labels, and sentences.

  The sentences say what was ignored.
  """
  readings = reader_table.check(readings, 'readers')
  answered_labels = reader_table.labels_of(readings)
  unasked = [label for label in test.labels if label not in answered_labels]
  labels = [label for label in test.labels if label in answered_labels]
  unknown = [label for label in answered_labels if label not in test.labels]
  if not labels:
    raise InputError(
      f'readers: no label in common with the predictions; readers answered {", ".join(unknown)}, '
      f'predictions are of {", ".join(unasked)}{nearest(unknown[0], unasked)}'
    )
  for label in unknown:
    folded = {other.casefold(): other for other in unasked}
    close = difflib.get_close_matches(label.casefold(), folded, n=1, cutoff=MISSPELT)
    if close:
      raise InputError(
        f"readers: '{label}' is no label of the predictions; did you mean '{folded[close[0]]}'? "
        'Rename the column, or leave it out'
      )
  images = pd.Index([posixpath.normpath(image) for image in test.images])
  if images.has_duplicates:
    image = images[images.duplicated()][0]
    raise InputError(f"predictions: image '{image}' is listed twice, so readers cannot be joined")
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
      f'readers: no answer to {", ".join(labels)} on an image of the predictions; nothing to '
      'compare'
    )
  if 'patient' in readings:
    named = readings['patient'].astype(str).str.strip().to_numpy(object)
    predicted = np.asarray(test.patients, object)[at]
    differ = (at >= 0) & (named != predicted)
    if differ.any():
      row = int(np.flatnonzero(differ)[0])
      raise InputError(
        f"readers: image '{readings['image'][row]}' is of patient '{named[row]}', in the "
        f"predictions of '{predicted[row]}'; write patients alike, or leave the readers' column out"
      )
  kept = (at >= 0) & answered
  silent = [label for label in labels if not readings[label][kept].notna().any()]
  gone = sorted(set(readings['reader'].astype(str)) - set(readings['reader'][kept].astype(str)))
  left_out = notes.left_out(list(elsewhere.unique()), gone, [*unasked, *silent], unknown)
  return readings[kept], at[kept], [label for label in labels if label not in silent], left_out
