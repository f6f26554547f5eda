"""Numbers as the report and its notes write them."""

from collections.abc import Iterable, Sequence

from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import OperatingPoint
from medjax.evaluation.result import ClassesResult, Result
from medjax.runtime import rounding

DASH = '–'
NAMED = 3  # of many, then a count
CLASS_FIGURES = {
  'accuracy': 'accuracy',
  'balanced_accuracy': 'balanced accuracy',
  'kappa': 'kappa',
  'quadratic_kappa': 'quadratic kappa',
}


def things(result: Result) -> tuple[str, str]:
  """Returns what the labels of an evaluation are called, one of them and several."""
  if result.classes is None:
    return 'label', 'labels'
  return ('grade', 'grades') if result.classes.head == 'ordinal' else ('class', 'classes')


def against_rest(result: Result) -> str:
  """Returns the words before 'thresholds' of exclusive classes; '' where there are none to say.

  They ask of one class at a time whether it is there, and do not decide between the classes.
  """
  return '' if result.classes is None else 'one-against-rest '


def first_point(result: Result) -> str:
  """Says what the first operating point is for: it decides, but never between exclusive classes."""
  return 'makes the decisions' if result.classes is None else 'one against rest'


def capital(words: str) -> str:
  """Writes 'balanced accuracy' as 'Balanced accuracy', other capitals staying."""
  return words[:1].upper() + words[1:]


def plural(thing: str) -> str:
  """Writes 'study' as 'studies', 'patch' as 'patches', 'image' as 'images'."""
  if thing.endswith('dy'):
    return f'{thing[:-1]}ies'
  return f'{thing}es' if thing.endswith('ch') else f'{thing}s'


def count(number: int, thing: str) -> str:
  """Writes '1 patient' and '1,200 patients'."""
  return f'{number:,} {thing if number == 1 else plural(thing)}'


def some(names: Sequence[str], most: int | None = NAMED, between: str = ', ') -> str:
  """Writes the first `most` of the names and how many more there are; all where it is None."""
  more = 0 if most is None else len(names) - most
  return between.join(names[:most]) + (f' and {more:,} more' if more > 0 else '')


def aggregate(rule: str) -> str:
  """Writes what a study's probability is of those of its images: 'max' as 'the highest'."""
  if rule.startswith('top:'):
    return f'the mean of the highest {float(rule.removeprefix("top:")):.0%}'
  words = {
    'max': 'the highest',
    'mean': 'the mean',
    'attention': 'what learned attention makes',
  }
  return words.get(rule, rule)


def rule(name: str) -> str:
  """Writes how a threshold was chosen: 'sensitivity=0.9' as 'sensitivity of 0.9'."""
  what, _, value = name.partition('=')
  return {
    'youden': 'Youden',
    'cost': f'a miss costs {value} false alarms',
    'threshold': f'threshold {value} as given',
  }.get(what, f'{what} of {value}' if value else what)


def chosen(points: Iterable[OperatingPoint]) -> str:
  """Says where the thresholds of operating points come from; '' where there are none."""
  kinds = {point.rule.startswith('threshold=') for point in points if point.threshold is not None}
  words = {
    False: 'chosen on validation and frozen before this reading of the test set',
    True: 'given as a number',
  }
  return ', or '.join(words[is_fixed] for is_fixed in sorted(kinds))


def threshold(value: float | None) -> str:
  """Writes a threshold so that those of rare labels, 0.0042, do not all read 0.00."""
  if value is None:
    return DASH
  return f'{value:.2g}' if 0 < abs(value) < 0.01 else rounding.decimal(value, 3)


def percent(share: float | None) -> str:
  """Writes 0.123 as '12.3%'."""
  return 'unknown' if share is None else rounding.percent(share)


def number(value: float | None, digits: int) -> str:
  """Writes a figure with so many decimals, more near 0 and 1, a dash for None."""
  return DASH if value is None else rounding.decimal(value, digits).replace('-', '−')


def signed(value: float | None, digits: int = 3, apart: Sequence[float] = ()) -> str:
  """Writes a difference with its sign, a dash for None: '+0.012', '−0.004', '0.000' of 0 alone.

  Args:
    value: the difference.
    digits: decimals, more where it would read as 0, as 1 or as one of `apart`.
    apart: what it is compared with, such as a margin.
  """
  if value is None:
    return DASH
  text = rounding.decimal(value, digits, (-1, 0, 1, *apart))
  return text.replace('-', '−') if value < 0 or float(text) == 0 else f'+{text}'


def bounds(interval: Sequence[float], digits: int) -> str:
  """Writes an interval as '0.81–0.92', and '−0.16 to 0.09' where a dash would read as a minus."""
  between = ' to ' if interval[0] < 0 else '–'
  return between.join(number(bound, digits) for bound in interval)


def plain(figure: Figure, digits: int) -> str:
  """Writes a figure with its interval, if it has one."""
  interval = f' ({bounds(figure.interval, digits)})' if figure.interval else ''
  return number(figure.value, digits) + interval


def class_figures(classes: ClassesResult | None) -> list[tuple[str, str, Figure]]:
  """Returns (name, words, figure) of every figure that a decision between classes has."""
  figures = [(name, words, getattr(classes, name, None)) for name, words in CLASS_FIGURES.items()]
  return [(name, words, figure) for name, words, figure in figures if figure is not None]
