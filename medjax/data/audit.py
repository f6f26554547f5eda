"""What in a study table can make a test flatter: no image is opened here.

- Who is on both sides of the split: patients, studies, lesions, slides.
- What differs between the sides: the prevalence of the labels, and the metadata.
- What of the metadata predicts a label on its own (medjax.data.shortcuts).

Many questions are asked of one table, so a finding must be both large, by a margin that is stated, and
more than chance after correction for the number of questions. Images of one patient count as one
witness throughout: errors are summed by patient.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import shortcuts
from medjax.data.splits import SPLITS
from medjax.data.table import stand_ins_for_patients

SIDES = SPLITS[:-1]  # an unused image is on no side
GROUPS = ('patient', 'study', 'lesion', 'slide')
LEVEL = 0.05  # chance of any false difference among all
# Standardised mean difference, or the share of images to exchange for two sides to be alike (total
# variation). 0.1 is the usual limit of balance (Austin 2009, Statistics in Medicine 28:3083).
DIFFERENT = 0.1
_EXAMPLES = 20


def tables(
  table: pd.DataFrame,
  split: np.ndarray,
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
  *,
  further: Mapping[str, pd.Series] | None = None,
  groups: Mapping[str, pd.Series] | None = None,
) -> dict:
  """Returns everything that the table part of an audit finds, ready for JSON.

  Args:
    table: a checked study table of N rows.
    split: str[N] of `SPLITS`; unused images are left out of everything.
    labels: the L labels.
    truth: f32[N, L], 1 where positive (`labels.reference`).
    known: bool[N, L], where the truth is known.
    further: name → N values, '' where unknown, of metadata that is in no column of the table.
    groups: name → N values, '' where none, of what else must not be on two sides.

  Returns:
    'sides': side → 'patients' and 'images'; 'unused': images on none.
    'overlap': patient, study, … → 'names', 'shared' by two sides or more, 'matrix' side → side → names
      in common, and 'examples'; for those the table has.
    'prevalence': label → side → 'known', 'positive', 'prevalence'.
    'differences': what differs 'between' two sides: 'what', 'measure', 'effect', 'p' after Holm's
      correction, 'flagged', 'words'; the largest effect first.
    'predicts': 'column', 'label', 'auroc' of the column alone, 'interval' at the corrected level,
      'flagged', 'values' with the share of positives each; the largest AUROC first.
    'not_asked': sentences on what could not be asked.
  """
  used = np.flatnonzero(np.isin(split, SIDES))
  frame, side = table.iloc[used].reset_index(drop=True), np.asarray(split)[used]
  truth, known = truth[used] > 0.5, known[used]
  patients, _ = pd.factorize(frame['patient'])
  columns = shortcuts.metadata(frame)
  for name, values in (further or {}).items():
    columns[name] = shortcuts.text(values.iloc[used].reset_index(drop=True))
  columns = {name: values for name, values in columns.items() if values.nunique() > 1}
  binned = {name: shortcuts.bins(name, values) for name, values in columns.items()}
  within = _groups(frame)
  for name, values in (groups or {}).items():
    within[name] = _names(values.iloc[used].reset_index(drop=True))
  predicts, too_few = shortcuts.predictions(patients, labels, truth, known, binned)
  return {
    'sides': {
      name: {
        'patients': int(frame.loc[side == name, 'patient'].nunique()),
        'images': int((side == name).sum()),
      }
      for name in SIDES
    },
    'unused': len(table) - len(used),
    'overlap': {name: _overlap(keys, side) for name, keys in within.items()},
    'prevalence': _prevalence(labels, side, truth, known),
    'differences': _differences(patients, side, labels, truth, known, columns, binned),
    'predicts': predicts,
    'not_asked': _not_asked(frame, columns, too_few),
  }


def table_findings(
  table: pd.DataFrame,
  split: np.ndarray,
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
) -> list[str]:
  """Returns the warnings of the table part in plain sentences, the gravest first; see `tables`."""
  return sentences(tables(table, split, labels, truth, known))


def sentences(found: Mapping) -> list[str]:
  """Returns what `tables` found in plain sentences, the gravest first: at most one of each kind."""
  result = []
  for group, of in found['overlap'].items():
    if of['shared']:
      plural = {'study': 'studies'}.get(group, f'{group}s')
      result.append(
        f'{of["shared"]:,} {plural if of["shared"] > 1 else group} on more than one side of the split '
        f'({_pairs_of(of["matrix"])}), such as {of["examples"][0]["name"]}.'
      )
  flagged = [each for each in found['differences'] if each['flagged']]
  if flagged:
    result.append(
      f'The sides differ: {_some([_difference_words(each) for each in flagged])}; a figure of one '
      'side may not hold for the other.'
    )
  strong = [each for each in found['predicts'] if shortcuts.warns(each)]
  technical = [each for each in strong if each['column'] not in shortcuts.PERSONAL]
  if technical:
    result.append(
      f'Without any image, {_some([_predicts_words(each) for each in technical])}: a network may read '
      'that in place of the disease; look at the figures within one value of it.'
    )
  personal = [each for each in strong if each['column'] in shortcuts.PERSONAL]
  if personal:
    result.append(
      f'Without any image, {_some([_predicts_words(each) for each in personal])}; what the network '
      'adds is what exceeds that.'
    )
  return result


def overlapping(found: Mapping) -> bool:
  """Whether any patient, study, lesion or slide is on two sides."""
  return any(of['shared'] for of in found['overlap'].values())


def _pairs_of(matrix: Mapping) -> str:
  return ', '.join(
    f'{matrix[a][b]:,} in {a} and {b}' for a, b in itertools.combinations(matrix, 2) if matrix[a][b]
  )


def _some(words: Sequence[str], most: int = 3) -> str:
  more = f' and {len(words) - most:,} more' if len(words) > most else ''
  return f'{", ".join(words[:most])}{more}'


def _difference_words(difference: Mapping) -> str:
  return f'{difference["what"]} ({difference["words"]})'


def _predicts_words(predictor: Mapping) -> str:
  low, high = predictor['interval']
  return (
    f'{predictor["column"]} tells {predictor["label"]} with an AUROC of {predictor["auroc"]:.2f} '
    f'({low:.2f}–{high:.2f})'
  )


# ---- who is on both sides -----------------------------------------------------------------------


def _groups(frame: pd.DataFrame) -> dict[str, pd.Series]:
  """Returns name → the group of each image, NaN where it has none."""
  groups = {name: _names(frame[name]) for name in GROUPS if name in frame}
  groups = {name: keys for name, keys in groups.items() if keys.notna().any()}
  if 'study' in groups and _named_within_patients(frame, groups['study']):
    groups['study'] = frame['patient'] + ' ' + groups['study']
  return groups


def _names(values: pd.Series) -> pd.Series:
  written = shortcuts.text(values)
  return written.where(written != '')


def _named_within_patients(frame: pd.DataFrame, studies: pd.Series) -> bool:
  """Whether each patient has a study1 of their own: then many names occur with several patients."""
  if stand_ins_for_patients(frame):
    return False
  patients = frame['patient'][studies.notna()].groupby(studies[studies.notna()]).nunique()
  return float((patients > 1).mean()) > 0.01


def _overlap(keys: pd.Series, side: np.ndarray) -> dict:
  codes, names = pd.factorize(keys, sort=True)
  members = np.zeros((len(names), len(SIDES)), bool)
  for column, name in enumerate(SIDES):
    members[codes[(side == name) & (codes >= 0)], column] = True
  twice = np.flatnonzero(members.sum(axis=1) > 1)
  shared = members.astype(np.int64).T @ members
  return {
    'names': len(names),
    'shared': len(twice),
    'matrix': {a: {b: int(shared[i, j]) for j, b in enumerate(SIDES)} for i, a in enumerate(SIDES)},
    'examples': [
      {
        'name': str(names[row]),
        'images': {
          name: int(((codes == row) & (side == name)).sum())
          for name, inside in zip(SIDES, members[row])
          if inside
        },
      }
      for row in twice[:_EXAMPLES]
    ],
  }


# ---- what differs between the sides -------------------------------------------------------------


def _prevalence(
  labels: Sequence[str], side: np.ndarray, truth: np.ndarray, known: np.ndarray
) -> dict:
  result: dict = {label: {} for label in labels}
  for name in SIDES:
    rows = side == name
    total = known[rows].sum(axis=0)
    positive = (known & truth)[rows].sum(axis=0)
    for label, k, p in zip(labels, total, positive):
      result[label][name] = {
        'known': int(k),
        'positive': int(p),
        'prevalence': float(p / k) if k else None,
      }
  return result


def _differences(
  patients: np.ndarray,
  side: np.ndarray,
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
  columns: Mapping[str, pd.Series],
  binned: Mapping[str, tuple[np.ndarray, list[str]]],
) -> list[dict]:
  found = []
  for a, b in itertools.combinations(SIDES, 2):
    sides = (side == a, side == b)
    if not (sides[0].any() and sides[1].any()):
      continue
    for column, label in enumerate(labels):
      values = np.where(known[:, column], truth[:, column], np.nan).astype(np.float64)
      found.append(_mean_difference(f'prevalence of {label}', a, b, values, sides, patients))
    for name, values in columns.items():
      numbers = shortcuts.numbers(name, values)
      if numbers is not None:
        found.append(_mean_difference(name, a, b, numbers, sides, patients))
      else:
        found.append(_distribution_difference(name, a, b, *binned[name], sides, patients))
  found = [each for each in found if each]
  for each, p in zip(found, _holm([each['p'] for each in found])):
    each['p'] = p
    each['flagged'] = bool(p < LEVEL and each['effect'] >= DIFFERENT)
  return sorted(found, key=lambda each: -each['effect'])


def _mean_difference(what, a, b, values, sides, patients) -> dict | None:
  means, errors, variances = [], [], []
  for inside in sides:
    rows = inside & ~np.isnan(values)
    if not rows.any():
      return None
    mean, error = _mean(values[rows], patients[rows])
    means.append(mean)
    errors.append(error)
    variances.append(values[rows].var())
  spread = math.sqrt(sum(variances) / 2)
  if not spread:
    return None
  share = what.startswith('prevalence')
  words = ' and '.join(
    f'{mean:.1%} in {name}' if share else f'mean {mean:.1f} in {name}'
    for mean, name in zip(means, (a, b))
  )
  return {
    'what': what,
    'between': [a, b],
    'measure': 'standardised mean difference',
    'effect': abs(means[0] - means[1]) / spread,
    'p': _two_sided(means[0] - means[1], math.hypot(*errors)),
    'words': words,
  }


def _distribution_difference(what, a, b, codes, names, sides, patients) -> dict:
  shares, best = np.zeros((2, len(names))), 1.0
  for code in range(len(names)):
    (one, one_error), (other, other_error) = (
      _mean((codes[inside] == code).astype(np.float64), patients[inside]) for inside in sides
    )
    shares[:, code] = one, other
    best = min(best, _two_sided(one - other, math.hypot(one_error, other_error)))
  most = int(np.abs(shares[0] - shares[1]).argmax())
  return {
    'what': what,
    'between': [a, b],
    'measure': 'total variation',
    'effect': float(np.abs(shares[0] - shares[1]).sum() / 2),
    'p': min(1.0, best * len(names)),
    'words': f'{names[most]}: {shares[0, most]:.1%} in {a} and {shares[1, most]:.1%} in {b}',
  }


def _mean(values: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
  """Returns the mean over images and its standard error, patients being independent, not images."""
  mean = values.mean()
  by_patient = np.bincount(patients, weights=values - mean)
  return float(mean), float(np.sqrt((by_patient**2).sum()) / len(values))


def _two_sided(difference: float, error: float) -> float:
  if not error:
    return 1.0  # no variation seen on either side: nothing to judge by
  return math.erfc(abs(difference) / error / math.sqrt(2))


def _holm(p: Sequence[float]) -> list[float]:
  """Returns the p values corrected for their number (Holm 1979, Scand. J. Statist. 6:65)."""
  order, result, running = np.argsort(p, kind='stable'), [0.0] * len(p), 0.0
  for rank, place in enumerate(order):
    running = max(running, min(1.0, (len(p) - rank) * p[place]))
    result[place] = running
  return result


def _not_asked(
  frame: pd.DataFrame, columns: Mapping[str, pd.Series], too_few: Sequence[str]
) -> list[str]:
  result = []
  absent = [name for name in shortcuts.COLUMNS if name not in columns]
  if absent:
    result.append(
      f'Metadata that is in no column, or the same for all images: {", ".join(absent)}.'
    )
  if too_few:
    result.append(
      f'What predicts {", ".join(too_few)}: fewer than {shortcuts.FEWEST} patients have it, or have '
      'it not.'
    )
  for group, count in stand_ins_for_patients(frame).items():
    result.append(
      f'Patients: for {count:,} images the source names none and the {group} stands in, so the same '
      'person may be on two sides unseen.'
    )
  return result
