"""What a reader must know of subgroups: which gaps exclude zero, and of how many comparisons."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.figure import excludes_zero as excludes_zero_of
from medjax.evaluation.result import SubgroupResult

SAID = 2  # gaps that the notes name one by one
NOT_RECORDED, OTHER = 'not recorded', 'other'

Subgroups = Mapping[str, Sequence[SubgroupResult]]


class Comparison(NamedTuple):
  """A gap that has an interval.

  Attributes:
    column: of the table.
    value: of the column.
    figure: in words, such as 'sensitivity of Edema'.
    gap: of the value from the reference.
    low, high: of the gap's interval.
  """

  column: str
  value: str
  figure: str
  gap: Figure
  low: float
  high: float


def notes(subgroups: Subgroups, confidence: float = 0.95) -> list[str]:
  """Returns sentences on the gaps whose interval excludes zero, and of how many they are.

  Args:
    subgroups: column → its values.
    confidence: of the intervals.
  """
  sentences = []
  for column, groups in subgroups.items():
    for group in groups:
      if group.merged > 1:
        are_not_recorded = any(other.value == NOT_RECORDED for other in groups)
        several = len(groups) - 1 + group.merged - are_not_recorded
        sentences.append(
          f'{wording.capital(column)} has {several} values; the {group.merged} with the fewest '
          f"patients are reported together as '{OTHER}'."
        )
  every = list(comparisons(subgroups))
  apart = [comparison for comparison in every if excludes_zero(comparison.gap)]
  # The furthest from zero, in widths of its own interval, comes first.
  apart.sort(
    key=lambda item: -max(item.low, -item.high) / max(item.high - item.low, 1e-12),
  )
  for column, value, figure, gap, low, high in apart[:SAID]:
    reference = next(group.value for group in subgroups[column] if group.reference)
    sentences.append(
      f'{wording.capital(figure)} differs by {column}: {wording.signed(gap.value)} '
      f'({wording.signed(low)} to {wording.signed(high)}) for {value} against {reference}.'
    )
  if apart:
    more = f'; the other {len(apart) - SAID} are in the tables' if len(apart) > SAID else ''
    sentences.append(f'{in_words(len(every), len(apart), confidence)}{more}.')
  return sentences


def in_words(compared: int, apart: int, confidence: float) -> str:
  """Returns how many comparisons there are, and how many stand out by chance; no full stop."""
  chance = compared * (1 - confidence)
  return (
    f'Of {wording.count(compared, "comparison")} between subgroups, {apart or "none"} '
    f'{"have" if apart > 1 else "has"} an interval that excludes zero, where about {chance:.1f} '
    'would by chance if there were no gaps'
  )


def comparisons(subgroups: Subgroups) -> Iterator[Comparison]:
  """Yields every gap that has an interval."""
  for column, groups in subgroups.items():
    for group in groups:
      several = len(group.labels) > 1
      gaps = [('mean AUROC', group.mean_gap)] if several and group.mean_gap else []
      for label, result in group.labels.items():
        if result.gaps is not None:
          named = {
            'AUROC': result.gaps.auroc,
            'sensitivity': result.gaps.sensitivity,
            'specificity': result.gaps.specificity,
          }
          gaps += [(f'{name} of {label}' if several else name, gap) for name, gap in named.items()]
      for figure, gap in gaps:
        if gap.interval:
          yield Comparison(column, group.value, figure, gap, *gap.interval)


def excludes_zero(gap: Figure) -> bool:
  """Whether a gap's interval lies on one side of zero."""
  return gap.interval is not None and excludes_zero_of(gap.interval)
