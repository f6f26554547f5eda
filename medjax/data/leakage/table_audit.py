"""What in a study table can make a test flatter: no image is opened here.

- Who is on both sides of the split: patients, studies, lesions, slides.
- What differs between the sides: the prevalence of the labels, and the metadata.
- What of the metadata predicts a label on its own (medjax.data.leakage.shortcuts).

Many questions are asked of one table, so a finding must be both large, by a stated margin, and more
than chance after correction for the number of questions. Images of one patient count as one witness
throughout: errors are summed by patient.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import joined_names
from medjax.data.leakage import differences, shortcuts
from medjax.data.leakage.findings import (
  SIDES,
  Difference,
  Overlap,
  Predictor,
  Prevalence,
  SharedName,
  SideSize,
  TableAudit,
)
from medjax.data.table import stand_ins_for_patients

GROUPS = ('patient', 'study', 'lesion', 'slide')
PLURALS = {'study': 'studies'}
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
) -> TableAudit:
  """Returns everything that the table part of an audit finds.

  Args:
    table: a checked study table of N rows.
    split: str[N] of `SPLITS`; unused images are left out of everything.
    labels: the L labels.
    truth: f32[N, L], 1 where positive (`labels.reference`).
    known: bool[N, L], where the truth is known.
    further: name → N values, '' where unknown, of metadata that is in no column of the table.
    groups: name → N values, '' where none, of what else must not be on two sides.
  """
  used = np.flatnonzero(np.isin(split, SIDES))
  frame, side = table.iloc[used].reset_index(drop=True), np.asarray(split)[used]
  truth, known = truth[used] > 0.5, known[used]
  patients, _ = pd.factorize(frame['patient'])
  columns = shortcuts.metadata(frame)
  for name, values in (further or {}).items():
    columns[name] = shortcuts.text(values.iloc[used].reset_index(drop=True))
  columns = _distinct({name: values for name, values in columns.items() if values.nunique() > 1})
  binned = {name: shortcuts.bins(name, values, patients) for name, values in columns.items()}
  within = _groups(frame)
  for name, values in (groups or {}).items():
    within[name] = _names(values.iloc[used].reset_index(drop=True))
  predicts, too_few = shortcuts.predictions(patients, labels, truth, known, binned)
  questions = differences.questions(labels, truth, known, columns, binned)
  return TableAudit(
    sides={
      name: SideSize(
        patients=int(frame.loc[side == name, 'patient'].nunique()),
        images=int((side == name).sum()),
      )
      for name in SIDES
    },
    unused=len(table) - len(used),
    overlap={name: _overlap(keys, side) for name, keys in within.items()},
    prevalence=_prevalence(labels, side, truth, known),
    differences=differences.between_sides(patients, side, questions),
    predicts=predicts,
    not_asked=_not_asked(frame, columns, too_few),
  )


def table_findings(
  table: pd.DataFrame,
  split: np.ndarray,
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
  further: Mapping[str, pd.Series] | None = None,
) -> list[str]:
  """Returns the warnings of the table part in plain sentences, the gravest first; see `tables`."""
  return sentences(tables(table, split, labels, truth, known, further=further))


def sentences(audit: TableAudit) -> list[str]:
  """Returns what `tables` found in plain sentences, the gravest first: at most one of each kind."""
  result = []
  for group, overlap in audit.overlap.items():
    if overlap.shared:
      plural = PLURALS.get(group, f'{group}s')
      result.append(
        f'{overlap.shared:,} {plural if overlap.shared > 1 else group} on more than one side of '
        f"the split ({_pairs_of(overlap.matrix)}), such as '{overlap.examples[0].name}'."
      )
  flagged = [difference for difference in audit.differences if difference.flagged]
  if flagged:
    result.append(
      f'The sides differ: {_some([_difference_words(difference) for difference in flagged])}; a '
      'figure of one side may not hold for the other.'
    )
  strong = [predictor for predictor in audit.predicts if shortcuts.warns(predictor)]
  technical = [_predicts_words(predictor) for predictor in strong if not _personal(predictor)]
  if technical:
    result.append(
      f'Without any image, {_some(technical)}: a network may '
      'read that in place of the disease; look at the figures within one value of it.'
    )
  personal = [_predicts_words(predictor) for predictor in strong if _personal(predictor)]
  if personal:
    result.append(
      f'Without any image, {_some(personal)}; what the network adds is what exceeds that.'
    )
  return result


def _pairs_of(matrix: Mapping[str, Mapping[str, int]]) -> str:
  return ', '.join(
    f'{matrix[a][b]:,} in {a} and {b}' for a, b in itertools.combinations(matrix, 2) if matrix[a][b]
  )


def _some(words: Sequence[str], most: int = 3) -> str:
  more = f' and {len(words) - most:,} more' if len(words) > most else ''
  return f'{", ".join(words[:most])}{more}'


def _difference_words(difference: Difference) -> str:
  return f'{difference.what} ({difference.words})'


def _personal(predictor: Predictor) -> bool:
  return predictor.column in shortcuts.PERSONAL


def _predicts_words(predictor: Predictor) -> str:
  return (
    f'{predictor.column} tells {predictor.label} with an AUROC of {predictor.auroc:.2f} '
    f'({predictor.positive:,} of {predictor.images:,} images positive; p = {predictor.p:.3f})'
  )


def _distinct(columns: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
  """Returns the columns without those that tell the same images apart as an earlier one."""
  distinct: dict[bytes, tuple[str, pd.Series]] = {}
  for name, values in columns.items():
    distinct.setdefault(pd.factorize(values)[0].tobytes(), (name, values))
  return dict(distinct.values())


def _groups(frame: pd.DataFrame) -> dict[str, pd.Series]:
  """Returns name → the group of each image, NaN where it has none."""
  groups = {name: _names(frame[name]) for name in GROUPS if name in frame}
  groups = {name: keys for name, keys in groups.items() if keys.notna().any()}
  if 'study' in groups and _named_within_patients(frame, groups['study']):
    groups['study'] = joined_names.join_columns(frame['patient'], groups['study'])
  return groups


def _names(values: pd.Series) -> pd.Series:
  names = shortcuts.text(values)
  return names.where(names != '')


def _named_within_patients(frame: pd.DataFrame, studies: pd.Series) -> bool:
  """Whether each patient has their own study1: then many names occur with several patients."""
  if stand_ins_for_patients(frame):
    return False
  patients = frame['patient'][studies.notna()].groupby(studies[studies.notna()]).nunique()
  return float((patients > 1).mean()) > 0.01


def _overlap(keys: pd.Series, side: np.ndarray) -> Overlap:
  codes, names = pd.factorize(keys, sort=True)
  members = np.zeros((len(names), len(SIDES)), bool)
  for column, name in enumerate(SIDES):
    members[codes[(side == name) & (codes >= 0)], column] = True
  twice = np.flatnonzero(members.sum(axis=1) > 1)
  shared = members.astype(np.int64).T @ members
  return Overlap(
    names=len(names),
    shared=len(twice),
    matrix={a: {b: int(shared[i, j]) for j, b in enumerate(SIDES)} for i, a in enumerate(SIDES)},
    examples=tuple(
      SharedName(
        name=str(names[row]),
        images={
          name: int(((codes == row) & (side == name)).sum())
          for name, inside in zip(SIDES, members[row])
          if inside
        },
      )
      for row in twice[:_EXAMPLES]
    ),
  )


def _prevalence(
  labels: Sequence[str], side: np.ndarray, truth: np.ndarray, known: np.ndarray
) -> dict[str, dict[str, Prevalence]]:
  result: dict[str, dict[str, Prevalence]] = {label: {} for label in labels}
  for name in SIDES:
    rows = side == name
    total = known[rows].sum(axis=0)
    positive = (known & truth)[rows].sum(axis=0)
    for label, k, p in zip(labels, total, positive):
      result[label][name] = Prevalence(
        known=int(k), positive=int(p), prevalence=float(p / k) if k else None
      )
  return result


def _not_asked(
  frame: pd.DataFrame, columns: Mapping[str, pd.Series], too_few: Sequence[str]
) -> tuple[str, ...]:
  result = []
  absent = [name for name in shortcuts.COLUMNS if name not in columns]
  if absent:
    result.append(
      f'Metadata that is in no column, or the same for all images: {", ".join(absent)}.'
    )
  if too_few:
    result.append(
      f'What predicts {", ".join(too_few)}: fewer than {shortcuts.FEWEST} patients have it, or '
      'have it not.'
    )
  for group, count in stand_ins_for_patients(frame).items():
    result.append(
      f'Patients: for {count:,} images the source names none and the {group} stands in, so the '
      'same person may be on two sides unseen.'
    )
  return tuple(result)
