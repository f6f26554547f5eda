"""Uncertain and blank labels become values and a mask, by a policy for each label.

A table's codes are 1 positive, 0 negative, -1 uncertain and NaN blank (not mentioned); between 0
and 1 they are soft, the share of readers who say so, and train as they are. What is
uncertain and what is blank are two questions, each with its own policy. The policies U-Ignore,
U-Zeros and U-Ones are those of CheXpert (Irvin et al. 2019, arXiv 1901.07031, section 3.1); the
smoothed ones (U-Ones+LSR, U-Zeros+LSR) are those of Pham et al. 2019, arXiv 1911.06475.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import joined_names
from medjax.data.table import check_labels, label_columns
from medjax.errors import InputError, nearest

UNCERTAIN = ('ignore', 'zeros', 'ones')
BLANK = ('ignore', 'zeros')
Policy = str | Mapping[str, str]


def resolve(
  table: pd.DataFrame, labels: Sequence[str], uncertain: Policy, blank: Policy
) -> tuple[np.ndarray, np.ndarray]:
  """Turns label codes into training targets.

  Args:
    table: a checked study table of N rows.
    labels: the L labels to resolve, in the order of the returned columns.
    uncertain: 'ignore' (mask 0), 'zeros', 'ones', or a range such as '0.55..0.85', from which each
      uncertain entry gets its own draw, uniform and fixed: it depends on the image key and the
      label alone, so other rows, their order and the epoch never change it. One policy for all
      labels, or a dict label -> policy in which the key 'default' stands for the labels it does
      not name ('ignore' if there is no such key).
    blank: 'ignore' or 'zeros', likewise; of no effect where a set does not give the label at all,
      as the table's column `unlabelled` says: unknown is never negative.

  Returns:
    values f32[N, L] in [0, 1] and mask f32[N, L], 1 where the value counts. A masked value is 0.

  Raises:
    InputError: a label the table lacks, an unknown policy, a dict key that is no label, a range
      that is reversed or leaves 0..1.
  """
  check_labels(table, labels, 'the study table')
  codes = table[list(labels)].to_numpy(np.float32)
  ranges = [
    _range(where, policy)
    for where, policy in _policies('config.data.uncertain', uncertain, labels, table, UNCERTAIN)
  ]
  blanks = [policy for _, policy in _policies('config.data.blank', blank, labels, table, BLANK)]
  values = np.nan_to_num(np.maximum(codes, 0))
  mask = np.ones(codes.shape, np.float32)
  mask[np.isnan(codes) & (np.array(blanks, object) == 'ignore')] = 0
  mask[np.isnan(codes) & _unlabelled(table, labels)] = 0
  unsure = codes == -1
  smoothed = [column for column, limits in enumerate(ranges) if limits and limits[0] < limits[1]]
  rows = np.flatnonzero(unsure[:, smoothed].any(axis=1))
  keys = np.zeros(len(codes), np.uint64)
  keys[rows] = _hashes(table['image'].to_numpy(object)[rows])
  for column, (label, limits) in enumerate(zip(labels, ranges)):
    rows = np.flatnonzero(unsure[:, column])
    if limits is None:
      mask[rows, column] = 0
    else:
      low, high = limits
      draws = low + (high - low) * _uniform(keys[rows], label)
      values[rows, column] = np.clip(draws.astype(np.float32), np.float32(low), np.float32(high))
  return values, mask


def _unlabelled(table: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
  """Returns bool[N, L], where the set that an image is from does not give the label at all."""
  if 'unlabelled' not in table:
    return np.zeros((len(table), len(labels)), bool)
  rows, texts = pd.factorize(table['unlabelled'].fillna(''))
  return np.array([[label in joined_names.separate(text) for label in labels] for text in texts])[
    rows
  ]


def reference(
  table: pd.DataFrame, labels: Sequence[str], blank: Policy
) -> tuple[np.ndarray, np.ndarray]:
  """Turns label codes into the truth that evaluation and splitting go by.

  Uncertain is always unknown, whatever the training policy makes of it; blank follows `blank`, as
  in `resolve`: with 'zeros' a finding that is not mentioned counts as negative here too. A soft
  label is what most readers say; half and half is unknown.

  Returns:
    truth f32[N, L], 1 positive and 0 otherwise, and known bool[N, L]. An unknown truth is 0.

  Raises:
    InputError: as `resolve`.
  """
  values, mask = resolve(table, labels, 'ignore', blank)
  known = (mask > 0) & (values != 0.5)
  return (known & (values > 0.5)).astype(np.float32), known


def _policies(
  field: str, setting: Policy, labels: Sequence[str], table: pd.DataFrame, allowed: Iterable[str]
) -> list[tuple[str, str]]:
  """Returns (the setting's name, the policy) for each label, after checking the whole setting."""
  if isinstance(setting, Mapping):
    # A policy for a label of the table that this run leaves out is no mistake: people narrow
    # `data.labels` and keep the rest of their config.
    options = [*label_columns(table), 'default']
    for key in setting:
      if key not in options:
        raise InputError(
          f"{field}: the key '{key}' is no label of the table; the keys can be: "
          f'{", ".join(options)}{nearest(key, options)}'
        )
      _check_policy(f"{field}['{key}']", setting[key], allowed)
    keys = [label if label in setting else 'default' for label in labels]
    return [(f"{field}['{key}']", setting.get(key, 'ignore')) for key in keys]
  _check_policy(field, setting, allowed)
  return [(field, setting)] * len(labels)


def _check_policy(where: str, policy: str, allowed: Iterable[str]) -> None:
  if policy in allowed:
    return
  if 'ones' in allowed and isinstance(policy, str) and '..' in policy:
    _range(where, policy)
    return
  ranges = ", or a range such as '0.55..0.85'" if 'ones' in allowed else ''
  raise InputError(
    f"{where} is '{policy}'; allowed: {', '.join(allowed)}{ranges}{nearest(policy, allowed)}"
  )


def _range(where: str, policy: str) -> tuple[float, float] | None:
  """Returns the (low, high) that an uncertain label is drawn from, or None to ignore it."""
  if policy in UNCERTAIN:
    return {'ignore': None, 'zeros': (0.0, 0.0), 'ones': (1.0, 1.0)}[policy]
  try:
    low, high = map(float, policy.split('..'))
  except ValueError:
    low, high = np.nan, np.nan
  if not 0 <= low <= high <= 1:
    raise InputError(
      f"{where} is '{policy}'; a range is written low..high with 0 <= low <= high <= 1, "
      "such as '0.55..0.85'"
    )
  return low, high


def _hashes(texts: Iterable[str]) -> np.ndarray:
  """Returns 64 bits of BLAKE2b of each text, u64[n]: the same on every machine and release."""
  digests = (hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in texts)
  return np.frombuffer(b''.join(digests), '<u8').astype(np.uint64)


def _uniform(keys: np.ndarray, label: str) -> np.ndarray:
  """Returns one number in [0, 1) for each image key and this label, f64[n].

  The mixing is splitmix64's (Steele, Lea and Flood 2014, OOPSLA, figure 17).
  """
  mixed = keys ^ _hashes([label])
  mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
