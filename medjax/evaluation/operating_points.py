"""Operating points: the threshold at which a score becomes a decision, chosen on validation.

A rule says how it is chosen:

  'youden'           the largest sensitivity + specificity - 1 (Youden, Cancer 3:32, 1950).
  'sensitivity=0.9'  the highest threshold with a sensitivity of at least 0.9, so the best specificity.
  'specificity=0.9'  the lowest threshold with a specificity of at least 0.9, so the best sensitivity.
  'cost=5'           the least cost where a missed positive costs as much as 5 false alarms, at the
                     prevalence of these images.
  'threshold=0.5'    this one; nothing is chosen.

A decision is `score >= threshold`. The threshold lies midway between the lowest score called positive
and the next lower one: on these images every threshold in that gap decides alike, and on new ones the
middle favours neither class, where the score itself would lie at the very edge. Among equally good
thresholds the lowest is taken, which has the higher sensitivity. Where calling every image positive is
best, it is the lowest score; where calling none is, it is the next number above the highest score.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from medjax.errors import InputError, nearest
from medjax.evaluation.statistics import metrics

NEEDS = {  # the classes without which a rule has no threshold
  'youden': ('positives', 'negatives'),
  'sensitivity': ('positives',),
  'specificity': ('negatives',),
  'cost': ('positives', 'negatives'),
  'threshold': (),
}
EXAMPLES = ('youden', 'sensitivity=0.9', 'specificity=0.9', 'cost=5', 'threshold=0.5')
_RANGES = {
  'sensitivity': (lambda value: 0 < value <= 1, 'a share in (0, 1]'),
  'specificity': (lambda value: 0 < value <= 1, 'a share in (0, 1]'),
  'cost': (lambda value: 0 < value < math.inf, 'how many false alarms a missed positive outweighs'),
  'threshold': (lambda value: 0 <= value <= 1, 'a probability in [0, 1]'),
}


def check(rule: str, what: str = 'config.evaluation.operating_points') -> None:
  """Raises InputError naming `what`, the rule and the nearest right one, for a rule that is none."""
  _parse(rule, what)


def check_all(rules: Sequence[str], what: str = 'config.evaluation.operating_points') -> None:
  """Raises InputError for a rule that is none, for one given twice, and where there is none at all."""
  if not rules:
    raise InputError(f"{what} is empty; name at least one rule, such as 'youden'")
  seen: dict = {}
  for rule in rules:
    parsed = _parse(rule, what)
    if parsed in seen:
      raise InputError(f"{what}: '{rule}' and '{seen[parsed]}' are the same rule; give it once")
    seen[parsed] = rule


def choose(rule: str, scores: np.ndarray, truth: np.ndarray) -> float:
  """Returns the threshold that a rule chooses on these images; decide with `score >= threshold`.

  Ties are exact: scores that are equal fall on the same side, and shares and costs are compared as
  whole numbers, so that 9 of 10 are a sensitivity of 0.9.

  Args:
    rule: see above.
    scores: f[N], higher means more likely positive.
    truth: [N] of 0 and 1.

  Returns:
    The threshold, NaN if the class is absent that the rule needs; see `lacking`.

  Raises:
    InputError: no such rule.
  """
  name, value = _parse(rule)
  if name == 'threshold':
    return float(value)
  true_positives, false_positives, distinct = metrics.counts_at_scores(scores, truth)
  if lacking(rule, truth):
    return float('nan')
  # The first candidate calls nothing positive, the one at k the k highest of the distinct scores.
  true_positives, false_positives = (
    np.concatenate(([0], counts)).astype(object) for counts in (true_positives, false_positives)
  )
  positives, negatives = true_positives[-1], false_positives[-1]
  if name == 'sensitivity':
    enough = true_positives * value.denominator >= positives * value.numerator
    called = int(np.argmax(enough))
  elif name == 'specificity':
    spared = negatives - false_positives
    enough = spared * value.denominator >= negatives * value.numerator
    called = int(np.flatnonzero(enough)[-1])
  elif name == 'cost':
    missed = positives - true_positives
    called = _last_lowest(missed * value.numerator + false_positives * value.denominator)
  else:
    called = _last_lowest(false_positives * positives - true_positives * negatives)
  return _between(distinct, called)


def youden(scores: np.ndarray, truth: np.ndarray) -> float:
  """Returns the threshold with the largest sensitivity + specificity - 1; see `choose`."""
  return choose('youden', scores, truth)


def lacking(rule: str, truth: np.ndarray) -> str:
  """Returns which class a rule needs and these images lack, as 'no positives'; '' if none."""
  there = {'positives': np.any(np.asarray(truth) == 1), 'negatives': np.any(np.asarray(truth) == 0)}
  absent = [kind for kind in NEEDS[_parse(rule)[0]] if not there[kind]]
  return f'no {" and no ".join(absent)}' if absent else ''


def in_words(rule: str) -> str:
  """Returns how a rule chooses, as the report says it."""
  name, value = _parse(rule)
  if name == 'youden':
    return 'largest sensitivity + specificity on validation (Youden)'
  if name == 'threshold':
    return f'fixed at {float(value):g}'
  if name == 'cost':
    return f'least cost on validation, a miss costing as much as {float(value):g} false alarms'
  return f'{name} at least {float(value):g} on validation'


def _parse(
  rule: str, what: str = 'config.evaluation.operating_points'
) -> tuple[str, Fraction | None]:
  name, equals, text = (part.strip() for part in rule.partition('='))
  if name not in NEEDS:
    valued = [each for each in NEEDS if each != 'youden']
    spelt = ['youden', *(f'{each}={text}' for each in valued)] if equals else EXAMPLES
    raise InputError(
      f"{what}: no rule '{rule}'; rules: {', '.join(EXAMPLES)}{nearest(rule, spelt)}"
    )
  if name == 'youden':
    if equals:
      raise InputError(f"{what}: '{rule}': Youden's rule takes no value; did you mean 'youden'?")
    return name, None
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  inside, words = _RANGES[name]
  if not inside(value):
    example = next(example for example in EXAMPLES if example.startswith(name))
    if name in ('sensitivity', 'specificity') and 1 < value <= 100:
      example = f'{name}={value / 100:g}'
    raise InputError(f"{what}: '{rule}': the value is {words}; did you mean '{example}'?")
  # The decimal that was written, not the binary number next to it: 0.9 is then 9 of 10.
  return name, Fraction(str(value))


def _last_lowest(values: np.ndarray) -> int:
  """Returns the last place of the lowest value."""
  return len(values) - 1 - int(np.argmin(values[::-1]))


def _between(distinct: np.ndarray, called: int) -> float:
  """Returns the threshold that calls the `called` highest of the falling scores positive."""
  if called == 0:
    return float(np.nextafter(distinct[0], np.inf))
  lowest = distinct[called - 1]
  if called == len(distinct):
    return float(lowest)
  below = distinct[called]
  middle = below + (lowest - below) / 2
  # Between two neighbouring floating-point numbers there is no middle.
  return float(middle if middle > below else lowest)
