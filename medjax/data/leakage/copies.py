"""What it means for a study that two of its images show the same: who leaks, and whose label is wrong."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data.leakage import duplicates
from medjax.data.leakage.table_audit import SIDES

KINDS = {
  'file': 'the same file',
  'pixels': 'the same pixels in another file',
  'near': 'the same picture, saved anew',
}
KINDS |= {
  each.kind: f'the same picture, {each.kind}'
  for each in duplicates.RELATIONS
  if each.kind not in KINDS
}


def findings(
  pairs: pd.DataFrame, pictures: pd.DataFrame, labels: Sequence[str], truth: np.ndarray
) -> dict:
  """Returns what pairs of images that show the same say about a study, ready for JSON.

  Args:
    pairs: from `duplicates.find`.
    pictures: one row for each of N images, with the columns image, patient, side and set; '' on no side.
    labels: the L labels.
    truth: f32[N, L], 1 or 0, NaN where not known.

  Returns:
    'kinds': kind → pairs. 'groups', 'images': of images that show the same. 'across': side → side →
    images of the one with a copy in the other. 'sets': two sets → groups in both. 'two_patients': groups
    of a set's images that bear the names of several patients. 'conflicts': label → groups that have it
    both present and absent. 'pairs': the gravest first, with 'images', 'kind', 'correlation', 'sides',
    'patients', 'sets', 'conflicts' (label → its two values) and 'crossing', of two sides.
  """
  group = duplicates.groups(pairs, len(pictures))
  member = np.flatnonzero(group >= 0)
  side, of_set, patient = (pictures[name].to_numpy(object) for name in ('side', 'set', 'patient'))
  across = _across(group[member], side[member])
  person = np.array([f'{s}\0{p}' for s, p in zip(of_set[member], patient[member])], object)
  within = pd.DataFrame({'group': group[member], 'set': of_set[member], 'person': person})
  people = within.groupby(['group', 'set'])['person'].nunique()
  sets = within.groupby('group')['set'].unique()
  shared_sets = pd.Series(
    [pair for each in sets for pair in itertools.combinations(sorted(each), 2)]
  )
  return {
    'kinds': {kind: int((pairs['kind'] == kind).sum()) for kind in KINDS},
    'groups': int(group.max(initial=-1)) + 1,
    'images': len(member),
    'across': across,
    'sets': {' and '.join(pair): int(n) for pair, n in shared_sets.value_counts().items()},
    'two_patients': int((people > 1).groupby('group').any().sum()) if len(people) else 0,
    'conflicts': _conflicts(group[member], labels, truth[member]),
    'pairs': _listed(pairs, pictures, labels, truth),
  }


def sentences(found: Mapping) -> list[str]:
  """Returns what `findings` found in plain sentences, the gravest first."""
  result = []
  for a, b in itertools.combinations(SIDES, 2):
    images = found['across'][b][a]
    if images:
      result.append(
        f'{images:,} {_count(images, "image")} of {b} {"shows" if images == 1 else "show"} the same as '
        f'images of {a}.'
      )
  for pair, groups in found['sets'].items():
    result.append(f'{pair} share {groups:,} {_count(groups, "picture")}.')
  if found['two_patients']:
    groups = found['two_patients']
    result.append(
      f'{groups:,} {_count(groups, "picture")} under the names of several patients: one of the names may '
      'be wrong, and with it the split by patient.'
    )
  if found['conflicts']:
    words = ', '.join(f'{label} {groups:,}' for label, groups in found['conflicts'].items())
    result.append(f'Pictures with a label both present and absent: {words}.')
  return result


def _count(number: int, thing: str) -> str:
  return thing if number == 1 else f'{thing}s'


def _across(group: np.ndarray, side: np.ndarray) -> dict:
  counts = np.zeros((int(group.max(initial=-1)) + 1, len(SIDES)), np.int64)
  for column, name in enumerate(SIDES):
    np.add.at(counts[:, column], group[side == name], 1)
  return {
    a: {b: int(counts[counts[:, j] > int(i == j), i].sum()) for j, b in enumerate(SIDES)}
    for i, a in enumerate(SIDES)
  }


def _conflicts(group: np.ndarray, labels: Sequence[str], truth: np.ndarray) -> dict[str, int]:
  result = {}
  for column, label in enumerate(labels):
    has, lacks = (set(group[truth[:, column] == value]) for value in (1, 0))
    if both := has & lacks:
      result[label] = len(both)
  return result


def _listed(
  pairs: pd.DataFrame, pictures: pd.DataFrame, labels: Sequence[str], truth: np.ndarray
) -> list[dict]:
  image, patient, side, of_set = (
    pictures[name].to_numpy(object) for name in ('image', 'patient', 'side', 'set')
  )
  result = []
  for a, b, kind, correlation in pairs[['a', 'b', 'kind', 'correlation']].itertuples(index=False):
    differing = np.flatnonzero(
      (truth[a] == 1) & (truth[b] == 0) | (truth[a] == 0) & (truth[b] == 1)
    )
    result.append(
      {
        'rows': [int(a), int(b)],
        'images': [image[a], image[b]],
        'kind': kind,
        'correlation': round(float(correlation), 4),
        'sides': [side[a], side[b]],
        'patients': [patient[a], patient[b]],
        'sets': [of_set[a], of_set[b]],
        'conflicts': {
          labels[column]: [int(truth[a, column]), int(truth[b, column])] for column in differing
        },
        'crossing': bool(side[a] and side[b] and side[a] != side[b]),
      }
    )
  return sorted(
    result,
    key=lambda pair: (
      not pair['crossing'],
      pair['sets'][0] == pair['sets'][1],
      pair['patients'][0] == pair['patients'][1],
      not pair['conflicts'],
      -pair['correlation'],
    ),
  )
