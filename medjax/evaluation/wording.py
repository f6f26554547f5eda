"""Numbers as the report and its notes write them."""

from collections.abc import Mapping, Sequence

DASH = '–'
CLASS_FIGURES = {
  'accuracy': 'accuracy',
  'balanced_accuracy': 'balanced accuracy',
  'kappa': 'kappa',
  'quadratic_kappa': 'quadratic kappa',
}


def things(summary: Mapping) -> tuple[str, str]:
  """Returns what the labels of an evaluation are called, one of them and several."""
  if summary['classes'] is None:
    return 'label', 'labels'
  return ('grade', 'grades') if summary['classes']['head'] == 'ordinal' else ('class', 'classes')


def capital(words: str) -> str:
  """Writes 'balanced accuracy' as 'Balanced accuracy', other capitals staying."""
  return words[:1].upper() + words[1:]


def count(number: int, thing: str) -> str:
  """Writes '1 patient' and '1,200 patients'."""
  return f'{number:,} {thing}' + ('' if number == 1 else 's')


def percent(share: float | None) -> str:
  """Writes 0.123 as '12.3%'."""
  return 'unknown' if share is None else f'{share:.1%}'


def number(value: float | None, digits: int) -> str:
  """Writes a figure with so many decimals, a dash for None."""
  return DASH if value is None else f'{value:.{digits}f}'


def bounds(interval: Sequence[float], digits: int) -> str:
  """Writes an interval as '0.81–0.92'."""
  return f'{interval[0]:.{digits}f}–{interval[1]:.{digits}f}'


def plain(figure: Mapping, digits: int) -> str:
  """Writes a figure of `medjax.evaluation.summary` with its interval, if it has one."""
  beside = f' ({bounds(figure["interval"], digits)})' if figure['interval'] else ''
  return number(figure['value'], digits) + beside
