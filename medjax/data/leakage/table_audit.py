"""What in a study table can make a test flatter: no image is opened here.

- Who is on both sides of the split: patients, studies, lesions, slides.
- What differs between the sides: the prevalence of the labels, and the metadata.
- What of the metadata predicts a label on its own (medjax.data.leakage.shortcuts).

Many questions are asked of one table, so a finding must be both large, by a margin that is stated, and
more than chance after correction for the number of questions. Images of one patient count as one
witness throughout: errors are summed by patient.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.leakage import shortcuts
from medjax.data.split.by_patient import SPLITS
from medjax.data.table import stand_ins_for_patients

SIDES = SPLITS[:-1]  # an unused image is on no side
GROUPS = ('patient', 'study', 'lesion', 'slide')
PLURALS = {'study': 'studies'}
LEVEL = 0.05  # chance of any false difference among all
# Standardised mean difference, or the share of images to exchange for two sides to be alike (total
# variation). 0.1 is the usual limit of balance (Austin 2009, Statistics in Medicine 28:3083).
DIFFERENT = 0.1
DEALS = 199  # of patients to the sides at random
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
    'differences': what differs 'between' two sides: 'what', 'measure', 'effect', 'p' corrected
      for all of them, 'flagged', 'words'; the largest effect first.
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
  binned = {name: shortcuts.bins(name, values, patients) for name, values in columns.items()}
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
    'differences': _differences(patients, side, _questions(labels, truth, known, columns, binned)),
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
      plural = PLURALS.get(group, f'{group}s')
      result.append(
        f'{of["shared"]:,} {plural if of["shared"] > 1 else group} on more than one side of the split '
        f"({_pairs_of(of['matrix'])}), such as '{of['examples'][0]['name']}'."
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


class _Question(NamedTuple):
  """What may differ: values f64[N, K], NaN where not known, a share of images or a mean in each column.

  `names` are of the columns, '' where there is one.
  """

  what: str
  is_share: bool
  values: np.ndarray
  names: list[str]


def _questions(
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
  columns: Mapping[str, pd.Series],
  binned: Mapping[str, tuple[np.ndarray, list[str]]],
) -> list[_Question]:
  prevalences = np.where(known, truth, np.nan)
  asked = [
    _Question(f'prevalence of {label}', True, prevalences[:, [column]], [''])
    for column, label in enumerate(labels)
  ]
  for name, values in columns.items():
    numbers = shortcuts.numbers(name, values)
    if numbers is not None:
      asked.append(_Question(name, False, numbers[:, None], ['']))
    else:
      codes, names = binned[name]
      asked.append(_Question(name, True, (codes[:, None] == range(len(names))) * 1.0, names))
  return asked


def _differences(patients: np.ndarray, side: np.ndarray, asked: Sequence[_Question]) -> list[dict]:
  pairs = [
    (a, b) for a, b in itertools.combinations(SIDES, 2) if (side == a).any() and (side == b).any()
  ]
  found = []
  for a, b in pairs:
    inside = (side == a) | (side == b)
    of_pair = [each._replace(values=each.values[inside]) for each in asked]
    found += _between(a, b, patients[inside], side[inside] == a, of_pair, len(pairs))
  return sorted(found, key=lambda each: -each['effect'])


def _between(
  a: str, b: str, patients: np.ndarray, in_a: np.ndarray, asked: Sequence[_Question], pairs: int
) -> list[dict]:
  found, columns, of_column = [], [], []
  for each in asked:
    one, other = each.values[in_a], each.values[~in_a]
    exists = ~np.isnan(each.values[:, 0])
    if not (exists[in_a].any() and exists[~in_a].any()):
      continue
    means = np.nanmean(one, axis=0), np.nanmean(other, axis=0)
    if len(each.names) > 1:
      effect = float(np.abs(means[0] - means[1]).sum() / 2)
    else:
      spread = math.sqrt((np.nanvar(one) + np.nanvar(other)) / 2)
      if not spread:
        continue
      effect = float(abs(means[0] - means[1])[0] / spread)
    most = int(np.abs(means[0] - means[1]).argmax())
    shown = [
      f'{mean[most]:.1%}' if each.is_share else f'{mean[most]:.1f} on average' for mean in means
    ]
    of_column += [len(found)] * len(each.names)
    columns.append(each.values)
    found.append(
      {
        'what': each.what,
        'between': [a, b],
        'measure': 'total variation' if len(each.names) > 1 else 'standardised mean difference',
        'effect': effect,
        'words': f'{each.names[most]}{": " if each.names[most] else ""}{shown[0]} in {a} and '
        f'{shown[1]} in {b}',
      }
    )
  if found:
    chance = _chance(np.concatenate(columns, axis=1), np.array(of_column), patients, in_a)
    for each, p in zip(found, chance):
      each['p'] = min(1.0, float(p) * pairs)
      each['flagged'] = bool(each['p'] < LEVEL and each['effect'] >= DIFFERENT)
  return found


def _chance(
  values: np.ndarray, question: np.ndarray, patients: np.ndarray, in_a: np.ndarray
) -> np.ndarray:
  """Returns the p value of each question, corrected for all of them, f64[questions].

  The patients are dealt anew to two sides of as many patients, many times. The largest deviation of
  any question in each deal is what chance can do (Westfall & Young 1993, the single-step maxT).

  Args:
    values: f64[N, K], NaN where not known.
    question: int[K], to which question a column belongs; its largest deviation counts.
    patients: int[N].
    in_a: bool[N], on the one side or the other; a patient on both counts as two.
  """
  units, of_image = np.unique(patients * 2 + in_a, return_inverse=True)
  exists = ~np.isnan(values)
  centred = np.where(exists, values - np.nanmean(values, axis=0), 0)
  sums, counts = (
    np.stack([np.bincount(of_image, weights=column) for column in each.T], axis=1)
    for each in (centred, exists)
  )
  rng = np.random.default_rng(0)
  truly = (units % 2).astype(np.float32)
  dealt = np.stack([truly, *(rng.permutation(truly) for _ in range(DEALS))])
  there, counted = dealt @ sums.astype(np.float32), dealt @ counts.astype(np.float32)
  with np.errstate(invalid='ignore', divide='ignore'):
    difference = there / counted - (sums.sum(axis=0) - there) / (counts.sum(axis=0) - counted)
    spread = np.nanstd(difference[1:], axis=0)
    deviation = np.nan_to_num(np.abs(difference) / spread, nan=0, posinf=0)
  by_question = np.stack(
    [deviation[:, question == each].max(axis=1) for each in range(question.max() + 1)], axis=1
  )
  largest = by_question[1:].max(axis=1)
  reached = (largest[:, None] >= by_question[0] * (1 - 1e-9)).sum(axis=0)
  return (1 + reached) / (1 + DEALS)


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
