"""What it means for a study that two of its images show the same.

Who is on both sides of the split, and whose label is wrong.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from medjax.data import table as study_table
from medjax.data.leakage import duplicates, spanning_pairs
from medjax.data.leakage.findings import SIDES, Copies, CopyPair

KINDS = {
  'file': 'the same file',
  'pixels': 'the same pixels in another file',
  'near': 'the same picture, saved anew',
}
KINDS |= {
  relation.kind: f'the same picture, {relation.kind}'
  for relation in duplicates.RELATIONS
  if relation.kind not in KINDS
} | {kind: f'the same picture, {kind}' for kind in (duplicates.EXCHANGED, duplicates.GREY)}


def apart(pictures: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
  """Returns what pairs must be told apart by, f64[C, N], for `duplicates.find`.

  That is whether an image is on each side of the split, its set, its patient, and its truths.

  Args:
    pictures, truth: as of `findings`.
  """
  side, dataset, patient = (pictures[name].to_numpy(object) for name in ('side', 'set', 'patient'))
  sides = [np.where(side == '', np.nan, side == name) for name in SIDES]
  people = pd.factorize(pd.MultiIndex.from_arrays([dataset, patient]))[0]
  return np.vstack([*sides, pd.factorize(dataset)[0], people, truth.T])


def findings(
  pairs: pd.DataFrame, pictures: pd.DataFrame, labels: Sequence[str], truth: np.ndarray
) -> Copies:
  """Returns what pairs of images that show the same say about a study.

  Args:
    pairs: from `duplicates.find`.
    pictures: one row for each of N images, with the columns image, patient, side ('' for none),
      set and named, whether the source names the patient; without the last it names all.
    labels: the L labels.
    truth: f32[N, L], 1 or 0, NaN where not known.
  """
  group = spanning_pairs.groups(pairs, len(pictures))
  member = np.flatnonzero(group >= 0)
  side, dataset, patient = (pictures[name].to_numpy(object) for name in ('side', 'set', 'patient'))
  across = _across(group[member], side[member])
  person = np.array([f'{s}\0{p}' for s, p in zip(dataset[member], patient[member])], object)
  within = pd.DataFrame({'group': group[member], 'set': dataset[member], 'person': person})
  named = pictures['named'].to_numpy(bool)[member] if 'named' in pictures else member >= 0
  people = within[named].groupby(['group', 'set'])['person'].nunique()
  sets = within.groupby('group')['set'].unique()
  shared_sets = pd.Series(
    [pair for names in sets for pair in itertools.combinations(sorted(names), 2)]
  )
  return Copies(
    kinds={kind: int((pairs['kind'] == kind).sum()) for kind in KINDS},
    groups=int(group.max(initial=-1)) + 1,
    images=len(member),
    across=across,
    sets={' and '.join(pair): int(n) for pair, n in shared_sets.value_counts().items()},
    two_patients=int((people > 1).groupby('group').any().sum()) if len(people) else 0,
    conflicts=_conflicts(group[member], labels, truth[member]),
    pairs=_listed(pairs, pictures, labels, truth),
  )


def of_identical(
  images: pd.DataFrame, table: pd.DataFrame, labels: Sequence[str], truth: np.ndarray
) -> Copies:
  """Returns what images that are byte for byte the same say about a study.

  Args:
    images: M rows with the columns split and sha256, '' where not known; indexed by their rows in
      the table.
    table: a study table of N images.
    labels: the L labels.
    truth: f32[N, L], 1 or 0, NaN where not known.
  """
  rows = images.index.to_numpy()
  group, _ = pd.factorize(images['sha256'].where(images['sha256'] != ''))
  order = np.argsort(group, kind='stable')
  same = (np.diff(group[order]) == 0) & (group[order][1:] >= 0)
  a, b = order[:-1][same], order[1:][same]
  pictures = table.iloc[rows][['image', 'patient']].assign(
    side=images['split'].to_numpy(),
    set=table['dataset'].iloc[rows] if 'dataset' in table else '',
    named=study_table.names_patient(table)[rows],
  )
  pairs = pd.DataFrame({'a': a, 'b': b, 'kind': 'file', 'correlation': 1.0})
  return findings(pairs, pictures, labels, truth[rows])


def sentences(copies: Copies) -> list[str]:
  """Returns what was found in plain sentences, the gravest first."""
  result = []
  for a, b in itertools.combinations(SIDES, 2):
    images = copies.across[b][a]
    if images:
      show = 'shows' if images == 1 else 'show'
      result.append(f'{_count(images, "image")} of {b} {show} the same as images of {a}.')
  exchanged = [pair.rows for pair in copies.pairs if pair.kind == duplicates.EXCHANGED]
  if images := len({row for rows in exchanged for row in rows}):
    result.append(f'{_count(images, "image")} show the same as others with red and blue exchanged.')
  for pair, groups in copies.sets.items():
    result.append(f'{pair} share {_count(groups, "picture")}.')
  return result + contradictions(copies)


def contradictions(copies: Copies) -> list[str]:
  """Returns sentences on pictures of which the table says two things."""
  result = []
  if copies.two_patients:
    result.append(
      f'{_count(copies.two_patients, "picture")} under the names of several patients: one of the '
      'names may be wrong, and with it the split by patient.'
    )
  if copies.conflicts:
    words = ', '.join(f'{label} {groups:,}' for label, groups in copies.conflicts.items())
    result.append(f'Pictures with a label both present and absent: {words}.')
  return result


def _count(number: int, thing: str) -> str:
  return f'{number:,} {thing}' if number == 1 else f'{number:,} {thing}s'


def _across(group: np.ndarray, side: np.ndarray) -> dict[str, dict[str, int]]:
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
    if disputed := has & lacks:
      result[label] = len(disputed)
  return result


def _listed(
  pairs: pd.DataFrame, pictures: pd.DataFrame, labels: Sequence[str], truth: np.ndarray
) -> tuple[CopyPair, ...]:
  image, patient, side, dataset = (
    pictures[name].to_numpy(object) for name in ('image', 'patient', 'side', 'set')
  )
  result = []
  for a, b, kind, correlation in pairs[['a', 'b', 'kind', 'correlation']].itertuples(index=False):
    differing = np.flatnonzero(
      (truth[a] == 1) & (truth[b] == 0) | (truth[a] == 0) & (truth[b] == 1)
    )
    result.append(
      CopyPair(
        rows=(int(a), int(b)),
        images=(image[a], image[b]),
        kind=kind,
        correlation=round(float(correlation), 4),
        sides=(side[a], side[b]),
        patients=(patient[a], patient[b]),
        sets=(dataset[a], dataset[b]),
        conflicts={
          labels[int(column)]: (int(truth[a, column]), int(truth[b, column]))
          for column in differing
        },
        crossing=bool(side[a] and side[b] and side[a] != side[b]),
      )
    )
  return tuple(sorted(result, key=_gravity))


def _gravity(pair: CopyPair) -> tuple:
  """Sorts pairs across the split first, then those of two sets, two patients, two truths."""
  return (
    not pair.crossing,
    pair.sets[0] == pair.sets[1],
    pair.patients[0] == pair.patients[1],
    not pair.conflicts,
    -pair.correlation,
  )
