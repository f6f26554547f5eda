"""Figures of two samples of other patients: the interval of their difference, and of a product.

Where two estimates are independent, what is known of each is in its own interval, and that of their
difference follows from the four bounds (Zou & Donner, Stat. Med. 27:1693, 2008: MOVER, the method
of variance estimates recovery; for two proportions it is Newcombe, Stat. Med. 17:873, 1998, method
10). Bounds that are not symmetric stay so, which a normal approximation loses and which a second
bootstrap would only repeat.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from medjax.evaluation.figure import Figure, Interval


def difference(one: Figure, other: Figure, names: tuple[str, str]) -> Figure:
  """Returns the first less the second, with the interval of equation 3 of Zou & Donner.

  Args:
    one, other: of other patients each.
    names: of the two samples, for the reason why there is no difference or no interval.
  """
  for figure, name in zip((one, other), names):
    if figure.value is None:
      return Figure(None, reason=f'{name}: {figure.reason}')
  assert one.value is not None and other.value is not None
  value = one.value - other.value
  for figure, name in zip((one, other), names):
    if figure.interval is None:
      return Figure(value, reason=f'{name}: {figure.reason}')
  assert one.interval is not None and other.interval is not None
  low, high = total((one.value, -other.value), (one.interval, _negative(other.interval)))
  return Figure(value, (low, high))


def total(values: Sequence[float], bounds: Sequence[Interval]) -> Interval:
  """Returns the interval of a sum of independent estimates, each with its own interval."""
  below = np.sqrt(sum((value - low) ** 2 for value, (low, _) in zip(values, bounds)))
  above = np.sqrt(sum((high - value) ** 2 for value, (_, high) in zip(values, bounds)))
  middle = sum(values)
  return float(middle - below), float(middle + above)


def _negative(interval: Interval) -> Interval:
  return -interval[1], -interval[0]


def predictive_values(
  sensitivity: Figure, specificity: Figure, prevalence: Figure
) -> tuple[Figure, Figure]:
  """Returns (PPV, NPV) by Bayes' theorem, the prevalence being an estimate too.

  On the scale of log odds a predictive value is a sum: logit(PPV) = logit(prevalence) +
  log(sensitivity) − log(1 − specificity), and logit(NPV) = −logit(prevalence) + log(specificity) −
  log(1 − sensitivity). Its three parts are of other patients each: of those with the finding, of
  those without it, and of the sample that the prevalence is of.

  Args:
    sensitivity, specificity, prevalence: in [0, 1], with their intervals.
  """
  return (
    _predictive(prevalence, sensitivity, specificity, 'nothing is called positive'),
    _predictive(_rest(prevalence), specificity, sensitivity, 'everything is called positive'),
  )


def _rest(share: Figure) -> Figure:
  interval = share.interval
  return Figure(
    None if share.value is None else 1 - share.value,
    None if interval is None else (1 - interval[1], 1 - interval[0]),
    reason=share.reason,
  )


def _predictive(share: Figure, hits: Figure, rejects: Figure, nothing: str) -> Figure:
  """Returns share · hits / (share · hits + (1 − share) · (1 − rejects))."""
  parts = share, hits, rejects
  lacking = [part.reason for part in parts if part.value is None]
  if lacking:
    return Figure(None, reason=lacking[0])
  p, right, rejected = (part.value or 0.0 for part in parts)
  if p in (0, 1):
    return Figure(None, reason='no patients with and without the finding')
  called, alarms = p * right, (1 - p) * (1 - rejected)
  if not called + alarms > 0:
    return Figure(None, reason=nothing)
  value = called / (called + alarms)
  without = [part.reason for part in parts if part.interval is None]
  if without:
    return Figure(value, reason=without[0])
  if not (called > 0 and alarms > 0):
    return Figure(value, reason='a part of it is 0 or 1, whose log odds have no bounds')
  of_share, of_hits, of_rejects = (np.array(part.interval) for part in parts)
  values = special.logit(p), np.log(right), -np.log1p(-rejected)
  with np.errstate(divide='ignore'):
    ends = special.logit(of_share), np.log(of_hits), -np.log1p(-of_rejects)
  bounds = [(float(low), float(high)) for low, high in ends]
  low, high = special.expit(total(values, bounds))
  return Figure(float(value), (float(low), float(high)))
