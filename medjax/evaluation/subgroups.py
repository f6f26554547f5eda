"""For whom: the same figures by sex, age, view, site, scanner or any other column, and their gaps.

A gap is a value's figure less that of the value with most patients, the reference. It is not taken
from all others together: so all gaps of a column have one measure and can be compared with each
other, each comparison is counted once, and no images are ranked beside those of the values
themselves.

Intervals of AUROCs and of their gaps are those of medjax.evaluation.statistics.delong, of
proportions those of medjax.evaluation.statistics.proportions; all others are percentile intervals
over the same replicates of patients. A patient may be in several groups, as with views, and a gap's
interval knows that its two sides share patients.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.data import units
from medjax.evaluation import subgroup_draws, subgroup_notes, value_groups, wording
from medjax.evaluation.counts import count
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_figures import with_interval
from medjax.evaluation.label_result import Counts
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Gaps, SubgroupLabel, SubgroupResult
from medjax.evaluation.statistics import delong, intervals, proportions
from medjax.evaluation.subgroup_draws import FEW, Group, Pair, parts_of
from medjax.evaluation.subgroup_notes import NOT_RECORDED, OTHER

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


class _Value(NamedTuple):
  """One value of a column: its name, how many values that stands for, whether gaps are from it."""

  name: str
  merged: int
  reference: bool
  rows: np.ndarray


def summarise(
  test: Predictions,
  thresholds: Mapping[str, float | None],
  columns: Sequence[str],
  *,
  replicates: int = 2000,
  seed: int = 0,
  confidence: float = 0.95,
) -> tuple[dict[str, tuple[SubgroupResult, ...]], list[str]]:
  """Evaluates every value of every column by itself, and its gap from the value with most patients.

  Args:
    test: the predictions, of images or of whatever they were aggregated to.
    thresholds: label → its frozen operating point, a score at or above which is called positive;
      None where it has none.
    columns: of `test.about`. Those that it does not have, or that have fewer than two values, are
      ignored.
    replicates: of the bootstrap over all patients of the test; 0 for no intervals.
    seed: of the bootstrap; with the seed of the evaluation the replicates are the same.
    confidence: of the intervals.

  Returns:
    column → its values, in rising order if they start with a number, else those with most patients
    first; then 'other' for all but the twelve largest; then 'not recorded'. And the sentences of
    `subgroup_notes.notes` on them.
  """
  test = Predictions(*test)
  unique, patient = np.unique(np.asarray(test.patients), return_inverse=True)
  cutoffs = np.array(
    [np.nan if (at := thresholds.get(label)) is None else at for label in test.labels], float
  )
  values_of: dict[str, list[_Value]] = {}
  for column in columns:
    if test.about is None or column not in test.about:
      continue
    names = value_groups.of_values(column, units.text(test.about[column]))
    if len(set(names) - {NOT_RECORDED}) >= 2:
      values_of[column] = _split(names, patient)
  groups = intervals.in_threads(
    lambda value: subgroup_draws.prepare(test, patient, value.rows, cutoffs),
    [value for values in values_of.values() for value in values],
  )

  def compute(counts: np.ndarray) -> dict[str, np.ndarray]:
    by_patient = np.ascontiguousarray(counts.T)
    of_groups = intervals.in_threads(
      lambda group: subgroup_draws.figures(group, by_patient), groups
    )
    return {str(place): of_group for place, of_group in enumerate(of_groups)}

  once = compute(np.ones((1, len(unique))))
  drawn = intervals.replicate(
    compute, len(unique), len(patient), replicates=replicates, seed=seed
  ) or {place: of_group[:0] for place, of_group in once.items()}
  numbered = iter(zip(groups, once.values(), drawn.values()))
  results = {
    column: _of_column(test, patient, values, [next(numbered) for _ in values], cutoffs, confidence)
    for column, values in values_of.items()
  }
  return results, subgroup_notes.notes(results, confidence)


def _split(names: Sequence[str], patient: np.ndarray) -> list[_Value]:
  """Returns the values in the order of the report."""
  of_row = np.asarray(names, object)
  size = {name: len(np.unique(patient[of_row == name])) for name in dict.fromkeys(names)}
  by_size = sorted((name for name in size if name != NOT_RECORDED), key=lambda name: -size[name])
  kept, merged = by_size[: value_groups.MOST], by_size[value_groups.MOST :]
  reference = kept[0]
  numbers = [re.match(r'-?\d+(\.\d+)?(e[+-]?\d+)?', name) for name in kept]
  if all(numbers):
    number_of = {name: float(match.group()) for name, match in zip(kept, numbers) if match}
    kept.sort(key=lambda name: number_of[name])
  ordered = [(name, [name]) for name in kept]
  if len(merged) == 1:
    ordered.append((merged[0], merged))
  elif merged:
    ordered.append((OTHER, merged))
  if NOT_RECORDED in size:
    ordered.append((NOT_RECORDED, [NOT_RECORDED]))
  return [
    _Value(name, len(members), name == reference, np.flatnonzero(np.isin(of_row, members)))
    for name, members in ordered
  ]


def _of_column(
  test: Predictions,
  patient: np.ndarray,
  values: Sequence[_Value],
  replicated: Sequence[tuple[Group, np.ndarray, np.ndarray]],
  cutoffs: np.ndarray,
  confidence: float,
) -> tuple[SubgroupResult, ...]:
  """Returns the values of one column with their figures and gaps.

  Args:
    test: the predictions.
    patient: int[N], whose image it is.
    values: as `_split` made them.
    replicated: of each its group, its figures f64[1, figures, L], and those of the replicates
      [R, figures, L].
    cutoffs: f64[L] of the labels' thresholds.
    confidence: of the intervals.
  """
  labels = [
    _of_value(test, patient, value.rows, group, (once, drawn), cutoffs, confidence)
    for value, (group, once, drawn) in zip(values, replicated)
  ]
  at = next(place for place, value in enumerate(values) if value.reference)
  results = []
  for place, (value, (group, once, drawn)) in enumerate(zip(values, replicated)):
    aurocs = {label: part.auroc for label, part in labels[place].items()}
    mean_auroc, mean_labels = _mean(once[0, 0], drawn[:, 0], aurocs, confidence)
    mean_auroc = delong.with_interval(
      mean_auroc, parts_of(group, test.labels, mean_labels), confidence
    )
    of_labels = labels[place]
    mean_gap: Figure | None = None
    gap_labels: tuple[str, ...] = ()
    if place != at:
      reference, *of_reference = replicated[at]
      gaps = (once - of_reference[0], drawn - of_reference[1])
      pair = Pair(group, reference, test.labels)
      of_labels = {
        label: dataclasses.replace(
          part, gaps=_gaps(part, labels[at][label], values[at].name, gaps, index, pair, confidence)
        )
        for index, (label, part) in enumerate(labels[place].items())
      }
      auroc_gaps = {label: part.gaps.auroc for label, part in of_labels.items() if part.gaps}
      mean_gap, gap_labels = _mean(gaps[0][0, 0], gaps[1][:, 0], auroc_gaps, confidence)
      mean_gap = pair.with_interval(mean_gap, gap_labels, confidence)
    results.append(
      SubgroupResult(
        value=value.name,
        images=len(value.rows),
        patients=len(np.unique(patient[value.rows])),
        merged=value.merged,
        reference=value.reference,
        labels=of_labels,
        mean_auroc=mean_auroc,
        mean_labels=mean_labels,
        mean_gap=mean_gap,
        gap_labels=gap_labels,
      )
    )
  return tuple(results)


def _of_value(
  test: Predictions,
  patient: np.ndarray,
  rows: np.ndarray,
  group: Group,
  replicated: tuple[np.ndarray, np.ndarray],
  cutoffs: np.ndarray,
  confidence: float,
) -> dict[str, SubgroupLabel]:
  """Returns every label of one value, without gaps; arguments as of `_of_column`."""
  once, drawn = replicated
  of_labels = {}
  for index, label in enumerate(test.labels):
    known = rows[np.asarray(test.known[rows, index], bool)]
    counts = count(patient[known], test.truth[known, index])
    figures: dict[str, Any] = {}
    called = np.asarray(test.probabilities[known, index], np.float64) >= cutoffs[index]
    rates = proportions.rates(patient[known], test.truth[known, index] == 1, called, confidence)
    for place, name in enumerate(NEEDS):
      value = float(once[0, place, index])
      reason = _too_little(counts, name, cutoffs[index], value)
      figures[name] = intervals.figure(
        np.nan if reason else value, drawn[:, place, index], reason, confidence
      )
      if name in rates and not reason:
        figures[name] = with_interval(figures[name], rates[name])
    figures['auroc'] = delong.with_interval(
      figures['auroc'], parts_of(group, test.labels, (label,)), confidence
    )
    of_labels[label] = SubgroupLabel(**vars(counts), **figures, gaps=None)
  return of_labels


def _gaps(
  part: SubgroupLabel,
  reference: SubgroupLabel,
  name_of_reference: str,
  gaps: tuple[np.ndarray, np.ndarray],
  index: int,
  pair: Pair,
  confidence: float,
) -> Gaps:
  """Returns one label's gaps from the reference.

  Args:
    part, reference: the label in either.
    name_of_reference: the value that it is.
    gaps: of all labels, f64[1, figures, L], and those of the replicates [R, figures, L].
    index: of the label.
    pair: the groups of both.
    confidence: of the intervals.
  """
  figures = {}
  for name in GAPS:
    place, reason = list(NEEDS).index(name), ''
    own, other = getattr(part, name), getattr(reference, name)
    if own.value is None:
      reason = own.reason
    elif other.value is None:
      reason = f'{name_of_reference}: {other.reason}'
    value = np.nan if reason else float(gaps[0][0, place, index])
    figures[name] = intervals.figure(value, gaps[1][:, place, index], reason, confidence)
  figures['auroc'] = pair.with_interval(
    figures['auroc'], pair.labels[index : index + 1], confidence
  )
  return Gaps(**figures)


def _mean(
  values: np.ndarray, drawn: np.ndarray, figures: Mapping[str, Figure], confidence: float
) -> tuple[Figure, tuple[str, ...]]:
  """Averages over the labels that have a value; returns the figure and those labels.

  Args:
    values: f64[L], one for each label.
    drawn: f64[R, L], the same in every replicate.
    figures: label → its figure, in the same order.
    confidence: of the interval.
  """
  labels = tuple(label for label, figure in figures.items() if figure.value is not None)
  if not labels:
    reasons = {figure.reason for figure in figures.values()}
    reason = reasons.pop() if len(reasons) == 1 else 'no label has enough patients of both classes'
    return intervals.figure(np.nan, np.full(len(drawn), np.nan), reason, confidence), ()
  # A replicate counts only if every label has its figure: else each would average other labels.
  columns = [list(figures).index(label) for label in labels]
  mean = intervals.figure(
    float(values[columns].mean()), drawn[:, columns].mean(axis=1), '', confidence
  )
  return mean, labels


def _too_little(counts: Counts, name: str, threshold: float, value: float) -> str:
  """Returns why a label's figure is not reported, '' if it is."""
  if counts.patients < FEW and not NEEDS[name]:
    return f'too few: {wording.count(counts.patients, "patient")}'
  for kind in NEEDS[name]:
    patients = getattr(counts, f'{kind}_patients')
    if not patients:
      return f'no {kind}s'
    if patients < FEW:
      return f'too few {kind}s: {wording.count(patients, "patient")}'
  if name in AT_THRESHOLD and np.isnan(threshold):
    return 'no operating point'
  if np.isnan(value):  # What is left: none of these images was called so.
    return f'none was called {"positive" if name == "ppv" else "negative"}'
  return ''
