"""For whom: the same figures by sex, age, view, site, scanner or any other column, and their gaps.

A gap is a value's figure less that of the value with most patients, the reference. It is not taken from
all others together: so all gaps of a column have one measure and can be compared with each other, each
comparison is counted once, and no images are ranked beside those of the values themselves.

All intervals are percentile intervals over the same replicates of patients, drawn as in
medjax.evaluation.statistics.intervals. A patient may be in several groups, as with views, and is then drawn into
all of them together, so that a gap's interval knows that its two sides share patients.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from medjax.data import units
from medjax.evaluation import wording
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import intervals, metrics

FEW = 10  # patients of a class, below which a figure is not told
MOST = 12  # values of a column that are told apart, and different numbers that are no bands yet
SAID = 2  # gaps that the notes tell one by one
NOT_TOLD, OTHER = 'not told', 'other'
# Years. The bands are ours: children, then adults in steps of twenty years.
AGES = ((0, 17), (18, 39), (40, 59), (60, 79), (80, 120))
# Names, though some write them in digits: no number of a site lies between two others.
NAMES = ('view', 'site', 'scanner', 'dataset')
NEEDS = {  # the classes that a figure rests on; the precisions, on how common each of them is
  'auroc': ('positive', 'negative'),
  'auprc': ('positive', 'negative'),
  'sensitivity': ('positive',),
  'specificity': ('negative',),
  'ppv': ('positive', 'negative'),
  'npv': ('positive', 'negative'),
  'brier': (),
}
AT_THRESHOLD = ('sensitivity', 'specificity', 'ppv', 'npv')
GAPS = ('auroc', 'sensitivity', 'specificity')


class _Group(NamedTuple):
  """The images of one value of a column, ready to be weighed by how often patients are drawn.

  Attributes:
    patients: int[P], which of all patients they are of.
    rankings: for each label the ranking of its images, `order` reading from `patients`, or None.
    adds: sparse f64[5 · L, P]: images of each patient that are positive, negative, rightly called
      positive, rightly called negative, and their squared errors, each of every label.
    undecided: bool[L], labels without a threshold.
  """

  patients: np.ndarray
  rankings: list[metrics.Ranking | None]
  adds: sparse.csr_array
  undecided: np.ndarray


def summarise(
  test: Predictions,
  thresholds: Mapping[str, float | None],
  columns: Sequence[str],
  *,
  replicates: int = 2000,
  seed: int = 0,
  level: float = 0.95,
) -> tuple[dict[str, list[dict]], list[str]]:
  """Evaluates every value of every column by itself, and beside the value with most patients.

  Args:
    test: the predictions, of images or of whatever they were aggregated to.
    thresholds: label → its frozen operating point, a score at or above which is called positive; None
      where it has none.
    columns: of `test.about`. Those that it does not have, or that tell fewer than two values, are
      passed over.
    replicates: of the bootstrap over all patients of the test; 0 for no intervals.
    seed: of the bootstrap; with the seed of the evaluation the replicates are the same.
    level: of the intervals.

  Returns:
    What JSON can hold, and the sentences of `notes` on it. A figure is {'value', 'interval', …} as
    `medjax.evaluation.statistics.intervals.figure` makes it.

      {column: [group, …]}, values in rising order if they start with a number, else those with most
      patients first; then 'other' for all but the twelve largest; then 'not told'. A group is
        'value', 'images', 'patients', 'merged': how many values 'other' stands for, else 1,
        'reference': whether gaps are taken from it,
        'labels': {label: {'images', 'patients', 'positives', 'negatives', 'positive_patients',
          'negative_patients', 'prevalence', a figure for each name in `NEEDS`, and
          'gaps': {'auroc', 'sensitivity', 'specificity': figures}, or None of the reference}},
        'mean_auroc': figure, and 'mean_labels', those with an AUROC, of which it is the mean,
        'mean_gap': figure, and 'gap_labels', those with an AUROC in the reference too; or None.
  """
  test = Predictions(*test)
  unique, patient = np.unique(np.asarray(test.patients), return_inverse=True)
  cutoffs = np.array(
    [np.nan if thresholds.get(each) is None else thresholds[each] for each in test.labels], float
  )
  found: dict[str, list[dict]] = {}
  rows_of: list[np.ndarray] = []
  for column in columns:
    if test.about is None or column not in test.about:
      continue
    values = bands(column, units.text(test.about[column]))
    if len(set(values) - {NOT_TOLD}) < 2:
      continue
    found[column] = []
    for group, rows in _split(values, patient):
      found[column].append(group | _describe(test, patient, rows))
      rows_of.append(rows)
  groups = [_group(test, patient, rows, cutoffs) for rows in rows_of]

  def compute(counts: np.ndarray) -> dict[str, np.ndarray]:
    of_groups = intervals.in_threads(lambda group: _figures(group, counts), groups)
    return {str(place): of_group for place, of_group in enumerate(of_groups)}

  once = compute(np.ones((1, len(unique))))
  drawn = intervals.replicate(
    compute, len(unique), len(patient), replicates=replicates, seed=seed
  ) or {place: of_group[:0] for place, of_group in once.items()}
  numbered = iter(zip(once.values(), drawn.values()))
  for of_column in found.values():
    replicated = [next(numbered) for _ in of_column]
    _fill(of_column, replicated, test.labels, cutoffs, level)
  return found, notes(found, level)


def bands(column: str, values: Sequence[str]) -> list[str]:
  """Returns the group that each image is in by its value in a column.

  Ages, the column 'age', become bands of years. Another column of more than twelve different numbers,
  if it is none of `NAMES`, is cut at its quartiles, each band named by its least and greatest number. Other
  values stay as they are. '' becomes 'not told', and so does an age below 0 or above 120.
  """
  series = pd.Series(list(values), dtype=object).astype(str).str.strip()
  told = series[series != '']
  numbers = pd.to_numeric(told, errors='coerce')
  result = series.where(series != '', NOT_TOLD)
  if column == 'age':
    for low, high in AGES:
      name = f'{low}+' if high == AGES[-1][1] else f'{low}-{high}'
      result[numbers.index[(numbers >= low) & (numbers < high + 1)]] = name
    result[numbers.index[(numbers < 0) | (numbers >= AGES[-1][1] + 1)]] = NOT_TOLD
  elif column not in NAMES and np.isfinite(numbers).all() and numbers.nunique() > MOST:
    quartiles = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
    for _, part in numbers.groupby(np.searchsorted(quartiles, numbers)):
      low, high = part.min(), part.max()
      result[part.index] = f'{low:g}' if low == high else f'{low:g} to {high:g}'
  return result.tolist()


def notes(found: Mapping[str, Sequence[Mapping]], level: float = 0.95) -> list[str]:
  """Returns what a reader must know of the gaps: those whose interval excludes zero, and of how many.

  Args:
    found: what `summarise` returns.
    level: of the intervals.
  """
  said = []
  for column, groups in found.items():
    for group in groups:
      if group['merged'] > 1:
        several = len(groups) - 1 + group['merged'] - any(g['value'] == NOT_TOLD for g in groups)
        said.append(
          f'{wording.capital(column)} has {several} values; the {group["merged"]} with the fewest patients '
          f"are told together as '{OTHER}'."
        )
  every = list(comparisons(found))
  apart = [each for each in every if excludes_zero(each[3])]
  # The furthest from zero, in widths of its own interval, comes first.
  apart.sort(key=lambda each: -_distance(each[3]))
  for column, group, words, gap in apart[:SAID]:
    reference = next(each['value'] for each in found[column] if each['reference'])
    low, high = gap['interval']
    said.append(
      f'{wording.capital(words)} differs by {column}: {wording.signed(gap["value"])} ({wording.signed(low)} to '
      f'{wording.signed(high)}) for {group["value"]} beside {reference}.'
    )
  if apart:
    more = f'; the other {len(apart) - SAID} are in the tables' if len(apart) > SAID else ''
    said.append(f'{in_words(len(every), len(apart), level)}{more}.')
  return said


def in_words(compared: int, apart: int, level: float) -> str:
  """Returns how many comparisons were made, and how many would stand out by chance; no full stop."""
  chance = compared * (1 - level)
  return (
    f'Of {wording.count(compared, "comparison")} between subgroups, {apart or "none"} '
    f'{"have" if apart > 1 else "has"} an interval that excludes zero, where about {chance:.1f} would by '
    'chance if there were no gaps'
  )


def comparisons(
  found: Mapping[str, Sequence[Mapping]],
) -> Iterator[tuple[str, Mapping, str, Mapping]]:
  """Yields (column, group, the figure in words, the gap) for every gap that has an interval."""
  for column, groups in found.items():
    for group in groups:
      several = len(group['labels']) > 1
      if several and group['mean_gap'] and group['mean_gap']['interval']:
        yield column, group, 'mean AUROC', group['mean_gap']
      for label, of in group['labels'].items():
        for name, gap in (of['gaps'] or {}).items():
          if gap['interval']:
            words = 'AUROC' if name == 'auroc' else name
            yield column, group, f'{words} of {label}' if several else words, gap


def excludes_zero(gap: Mapping) -> bool:
  """Whether a gap's interval lies on one side of zero."""
  return bool(gap['interval']) and (gap['interval'][0] > 0 or gap['interval'][1] < 0)


def _distance(gap: Mapping) -> float:
  low, high = gap['interval']
  return max(low, -high) / max(high - low, 1e-12)


def _split(values: Sequence[str], patient: np.ndarray) -> list[tuple[dict, np.ndarray]]:
  """Returns the groups in the order of the report, each with its rows int[n]."""
  names = np.asarray(values, object)
  size = {name: len(np.unique(patient[names == name])) for name in dict.fromkeys(values)}
  told = sorted((name for name in size if name != NOT_TOLD), key=lambda name: -size[name])
  kept, merged = told[:MOST], told[MOST:]
  reference = kept[0]
  if all(re.match(r'-?\d', name) for name in kept):
    kept.sort(key=lambda name: float(re.match(r'-?\d+(\.\d+)?(e[+-]?\d+)?', name).group()))
  ordered = [(name, [name]) for name in kept]
  if len(merged) == 1:
    ordered.append((merged[0], merged))
  elif merged:
    ordered.append((OTHER, merged))
  if NOT_TOLD in size:
    ordered.append((NOT_TOLD, [NOT_TOLD]))
  return [
    (
      {'value': name, 'merged': len(of), 'reference': name == reference},
      np.flatnonzero(np.isin(names, of)),
    )
    for name, of in ordered
  ]


def _describe(test: Predictions, patient: np.ndarray, rows: np.ndarray) -> dict:
  """Counts images and patients of a group, in all and by label."""
  labels = {}
  for index, label in enumerate(test.labels):
    known = rows[np.asarray(test.known[rows, index], bool)]
    positive = test.truth[known, index] == 1
    labels[label] = {
      'images': len(known),
      'patients': len(np.unique(patient[known])),
      'positives': int(positive.sum()),
      'negatives': int((~positive).sum()),
      'positive_patients': len(np.unique(patient[known[positive]])),
      'negative_patients': len(np.unique(patient[known[~positive]])),
      'prevalence': float(positive.mean()) if len(known) else None,
    }
  return {'images': len(rows), 'patients': len(np.unique(patient[rows])), 'labels': labels}


def _group(test: Predictions, patient: np.ndarray, rows: np.ndarray, cutoffs: np.ndarray) -> _Group:
  patients, place = np.unique(patient[rows], return_inverse=True)
  tallies = np.zeros((5, len(test.labels), len(patients)))
  rankings: list[metrics.Ranking | None] = []
  for index, threshold in enumerate(cutoffs):
    known = np.asarray(test.known[rows, index], bool)
    of, positive = place[known], test.truth[rows, index][known] == 1
    scores = np.asarray(test.probabilities[rows, index], np.float64)[known]
    enough = min(len(np.unique(of[positive])), len(np.unique(of[~positive]))) >= FEW
    ranking = metrics.rank(scores, positive) if enough else None
    rankings.append(ranking and ranking._replace(order=of[ranking.order]))
    flagged = scores >= threshold
    for tally, weights in zip(
      tallies[:, index],
      (positive, ~positive, flagged & positive, ~flagged & ~positive, (scores - positive) ** 2),
    ):
      tally[:] = np.bincount(of, weights=weights, minlength=len(patients))
  adds = sparse.csr_array(tallies.reshape(-1, len(patients)))
  return _Group(patients, rankings, adds, np.isnan(cutoffs))


def _figures(group: _Group, counts: np.ndarray) -> np.ndarray:
  """Returns every figure of a group, f64[R, figures, L], NaN where one does not exist.

  Args:
    group: of P patients.
    counts: f64[R, all patients], how often each is drawn.
  """
  drawn = counts[:, group.patients]
  areas = np.full((2, len(drawn), len(group.rankings)), np.nan)
  for index, ranking in enumerate(group.rankings):
    if ranking is not None:
      areas[0, :, index], areas[1, :, index] = metrics.areas(ranking, drawn)
  with np.errstate(invalid='ignore', divide='ignore'):
    sums = (group.adds @ drawn.T).reshape(5, -1, len(drawn)).swapaxes(1, 2)
    sums[2:4, :, group.undecided] = np.nan
    positives, negatives, hits, rejected, errors = sums
    return np.stack(
      [
        *areas,
        hits / positives,
        rejected / negatives,
        hits / (hits + negatives - rejected),
        rejected / (rejected + positives - hits),
        errors / (positives + negatives),
      ],
      axis=1,
    )


def _fill(
  groups: list[dict],
  replicated: Sequence[tuple[np.ndarray, np.ndarray]],
  labels: Sequence[str],
  cutoffs: np.ndarray,
  level: float,
) -> None:
  """Adds figures and gaps to the groups of one column.

  Args:
    groups: as `_split` and `_describe` made them.
    replicated: of each group its figures f64[1, figures, L], and those of the replicates [R, figures, L].
    labels, cutoffs: L labels, and f64[L] of their thresholds.
    level: of the intervals.
  """
  reference = next(place for place, group in enumerate(groups) if group['reference'])
  for group, (once, drawn) in zip(groups, replicated):
    for index, label in enumerate(labels):
      of = group['labels'][label]
      for place, name in enumerate(NEEDS):
        value = once[0, place, index]
        reason = _too_little(of, name, cutoffs[index], value)
        value = np.nan if reason else value
        of[name] = intervals.figure(value, drawn[:, place, index], reason, level)
  theirs, (their_once, their_drawn) = groups[reference], replicated[reference]
  for group, (once, drawn) in zip(groups, replicated):
    aurocs = {label: group['labels'][label]['auroc'] for label in labels}
    group['mean_auroc'], group['mean_labels'] = _mean(once[0, 0], drawn[:, 0], aurocs, level)
    group['mean_gap'], group['gap_labels'] = None, []
    for label in labels:
      group['labels'][label]['gaps'] = None
    if group is theirs:
      continue
    gaps, drawn_gaps = once - their_once, drawn - their_drawn
    for index, label in enumerate(labels):
      of, beside = group['labels'][label], theirs['labels'][label]
      of['gaps'] = {}
      for name in GAPS:
        place, reason = list(NEEDS).index(name), ''
        if of[name]['value'] is None:
          reason = of[name]['reason']
        elif beside[name]['value'] is None:
          reason = f'{theirs["value"]}: {beside[name]["reason"]}'
        value = np.nan if reason else gaps[0, place, index]
        of['gaps'][name] = intervals.figure(value, drawn_gaps[:, place, index], reason, level)
    of_auroc = {label: group['labels'][label]['gaps']['auroc'] for label in labels}
    group['mean_gap'], group['gap_labels'] = _mean(gaps[0, 0], drawn_gaps[:, 0], of_auroc, level)


def _mean(
  values: np.ndarray, drawn: np.ndarray, figures: Mapping[str, Mapping], level: float
) -> tuple[dict, list[str]]:
  """Averages over the labels that have a value; returns the figure and those labels.

  Args:
    values: f64[L], one for each label.
    drawn: f64[R, L], the same in every replicate.
    figures: label → its figure, in the same order.
    level: of the interval.
  """
  columns = [index for index, each in enumerate(figures.values()) if each['value'] is not None]
  if not columns:
    reasons = {each['reason'] for each in figures.values()}
    reason = reasons.pop() if len(reasons) == 1 else 'no label has enough patients of both classes'
    return intervals.figure(np.nan, np.full(len(drawn), np.nan), reason, level), []
  # A replicate counts only if every label has its figure: else each would average other labels.
  mean = intervals.figure(values[columns].mean(), drawn[:, columns].mean(axis=1), '', level)
  return mean, [list(figures)[index] for index in columns]


def _too_little(of: Mapping, name: str, threshold: float, value: float) -> str:
  """Returns why a label's figure is not told, '' if it is."""
  if of['patients'] < FEW and not NEEDS[name]:
    return f'too few: {wording.count(of["patients"], "patient")}'
  for kind in NEEDS[name]:
    patients = of[f'{kind}_patients']
    if not patients:
      return f'no {kind}s'
    if patients < FEW:
      return f'too few {kind}s: {wording.count(patients, "patient")}'
  if name in AT_THRESHOLD and np.isnan(threshold):
    return 'no operating point'
  if np.isnan(value):  # What is left: none of these images was called so.
    return f'none was called {"positive" if name == "ppv" else "negative"}'
  return ''
