"""Several sets as one study table: a common vocabulary, and patients that never collide."""

import posixpath
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data.table import check_label_names, label_columns
from medjax.errors import InputError, check_option

Map = Mapping[str, str | Sequence[str]]
_NAMES = ('patient', 'study', 'lesion', 'slide')


def join(
  frames: Mapping[str, pd.DataFrame], maps: Mapping[str, Map], roots: Mapping[str, str]
) -> pd.DataFrame:
  """Returns the sets' rows one after another, unchecked.

  `dataset` is the name of the set, and stands before the names of patients, studies, lesions and
  slides: 'nih:17'. A column that a set does not have is '' in its rows, a number NaN.

  A label is what `either` makes of the terms that it stands for in the set. Where a set has no term for
  it, it is NaN and listed in `unlabelled`: no policy for blank labels ever makes it a negative.

  Args:
    frames: set → its checked study table.
    maps: set → our label → the set's label, or several of them. Terms are compared whole.
    roots: set → what stands before the set's image paths, '' where nothing does.

  Raises:
    InputError: a map names a label that the set does not have, or ours as a column that is none.
  """
  labels = list(dict.fromkeys(label for each in maps.values() for label in each))
  check_label_names(labels, 'config.data.settings.sets')
  parts = []
  for name, frame in frames.items():
    of_set = {label: terms(maps[name][label]) for label in labels if label in maps[name]}
    _check_terms(name, of_set, label_columns(frame))
    part = frame[[column for column in frame if column not in label_columns(frame)]].copy()
    part['image'] = [posixpath.join(roots[name], image) for image in part['image']]
    for column in _NAMES:
      if column in part:
        part[column] = [each and f'{name}:{each}' for each in part[column].fillna('').astype(str)]
    part['dataset'] = name
    if 'grouped_by' not in part:
      alone = (frame['patient'] == frame['image']).all()
      part['grouped_by'] = 'image' if alone else 'patient'
    known = {label: either(frame[names].to_numpy(np.float32)) for label, names in of_set.items()}
    unlabelled = {label: np.full(len(frame), np.nan, np.float32) for label in labels}
    part['unlabelled'] = _unlabelled(frame, of_set, labels)
    parts.append(part.assign(**(unlabelled | known)))
  joined = pd.concat(parts, ignore_index=True)
  for column in joined:
    if column not in labels and not pd.api.types.is_numeric_dtype(joined[column]):
      joined[column] = joined[column].fillna('')
  return joined


def either(codes: np.ndarray) -> np.ndarray:
  """Returns the code for "one of these terms", f32[N], of the codes of each, f32[N, terms].

  1 if any is 1; else uncertain (-1) if any is, else not mentioned (NaN) if any is; else the largest:
  0, or the largest share where labels are soft.
  """
  codes = np.asarray(codes, np.float32)
  largest = np.where(np.isnan(codes), -np.inf, codes).max(axis=1)
  unmentioned = np.isnan(codes).any(axis=1)
  unsure = (codes == -1).any(axis=1)
  open_ = np.where(unsure, -1, np.where(unmentioned, np.nan, largest))
  return np.where(largest == 1, 1, open_).astype(np.float32)


def terms(theirs: str | Sequence[str]) -> list[str]:
  """Returns the terms that an entry of a map names."""
  return [theirs] if isinstance(theirs, str) else list(theirs)


def _check_terms(name: str, of_set: Mapping[str, list[str]], known: Sequence[str]) -> None:
  for label, names in of_set.items():
    where = f"config.data.settings.sets['{name}']['labels']['{label}']"
    if not names:
      raise InputError(f'{where} is empty; name a label of the set, or leave the label out')
    for each in names:
      check_option(where, each, known)


def _unlabelled(
  frame: pd.DataFrame, of_set: Mapping[str, list[str]], labels: Sequence[str]
) -> list[str]:
  """Returns for each row our labels that it is not labelled for, joined by '|'."""
  theirs = frame['unlabelled'] if 'unlabelled' in frame else pd.Series('', frame.index)
  texts = {}
  for text in set(theirs):
    missing = set(text.split('|'))
    without = [x for x in labels if x not in of_set or not missing.isdisjoint(of_set[x])]
    texts[text] = '|'.join(without)
  return [texts[text] for text in theirs]
