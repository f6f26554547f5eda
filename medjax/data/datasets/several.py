"""Several sets as one study table: a common vocabulary, and patients that never collide."""

import posixpath
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import joined_names
from medjax.data.table import check_label_names, label_columns
from medjax.errors import InputError, check_option

Map = Mapping[str, str | Sequence[str]]
_PREFIXED = ('patient', 'study', 'lesion', 'slide')


def join(
  frames: Mapping[str, pd.DataFrame], maps: Mapping[str, Map], roots: Mapping[str, str]
) -> pd.DataFrame:
  """Returns the sets' rows one after another, unchecked.

  `dataset` is the name of the set. It is put before the names of patients, studies, lesions and
  slides: 'nih:17'. A column that a set does not have is '' in its rows, a number NaN.

  A label is what `either` makes of the terms that it stands for in the set. Where a set has no term
  for it, it is NaN and listed in `unlabelled`: no policy for blank labels ever makes it a negative.

  Args:
    frames: set → its checked study table.
    maps: set → our label → the set's label, or several of them. Terms are compared whole.
    roots: set → the folder of its image paths, '' for none.

  Raises:
    InputError: a map names a label that the set does not have, or gives a label the name of another
      column of the study table.
  """
  labels = list(dict.fromkeys(label for label_map in maps.values() for label in label_map))
  check_label_names(labels, 'config.data.settings.sets')
  parts = []
  for name, frame in frames.items():
    set_terms = {label: terms(maps[name][label]) for label in labels if label in maps[name]}
    _check_terms(name, set_terms, label_columns(frame))
    part = frame[[column for column in frame if column not in label_columns(frame)]].copy()
    part['image'] = [posixpath.join(roots[name], image) for image in part['image']]
    for column in _PREFIXED:
      if column in part:
        values = part[column].fillna('').astype(str)
        part[column] = [value and f'{name}:{value}' for value in values]
    part['dataset'] = name
    if 'grouped_by' not in part:
      alone = (frame['patient'] == frame['image']).all()
      part['grouped_by'] = 'image' if alone else 'patient'
    known = {label: either(frame[names].to_numpy(np.float32)) for label, names in set_terms.items()}
    unlabelled = {label: np.full(len(frame), np.nan, np.float32) for label in labels}
    part['unlabelled'] = _unlabelled(frame, set_terms, labels)
    parts.append(part.assign(**(unlabelled | known)))
  joined = pd.concat(parts, ignore_index=True)
  for column in joined:
    if column not in labels and not pd.api.types.is_numeric_dtype(joined[column]):
      joined[column] = joined[column].fillna('')
  return joined


def either(codes: np.ndarray) -> np.ndarray:
  """Returns the code for "one of these terms", f32[N], of the codes of each, f32[N, terms].

  1 if any is 1; else uncertain (-1) if any is, else not mentioned (NaN) if any is; else the
  largest: 0, or the largest share where labels are soft.
  """
  codes = np.asarray(codes, np.float32)
  largest = np.where(np.isnan(codes), -np.inf, codes).max(axis=1)
  unmentioned = np.isnan(codes).any(axis=1)
  unsure = (codes == -1).any(axis=1)
  otherwise = np.where(unsure, -1, np.where(unmentioned, np.nan, largest))
  return np.where(largest == 1, 1, otherwise).astype(np.float32)


def terms(entry: str | Sequence[str]) -> list[str]:
  """Returns the terms that an entry of a map names."""
  return [entry] if isinstance(entry, str) else list(entry)


def _check_terms(name: str, set_terms: Mapping[str, list[str]], known: Sequence[str]) -> None:
  for label, names in set_terms.items():
    where = f"config.data.settings.sets['{name}']['labels']['{label}']"
    if not names:
      raise InputError(f'{where} is empty; name a label of the set, or leave the label out')
    for term in names:
      check_option(where, term, known)


def _unlabelled(
  frame: pd.DataFrame, set_terms: Mapping[str, list[str]], labels: Sequence[str]
) -> list[str]:
  """Returns for each row our labels that it is not labelled for, joined."""
  in_set = frame['unlabelled'] if 'unlabelled' in frame else pd.Series('', frame.index)
  texts = {}
  for text in set(in_set):
    missing = set(joined_names.separate(text))
    unknown = [
      label
      for label in labels
      if label not in set_terms or not missing.isdisjoint(set_terms[label])
    ]
    texts[text] = joined_names.join(unknown)
  return [texts[text] for text in in_set]
