"""Decimals that say no more than the number does: what is not 0 or 1 never reads so."""

from collections.abc import Sequence

_NOISE = 1e-9  # nearer than this a number of ours is taken for what it is near to
_MOST = 10  # decimals that tell any two apart that are not


def decimal(value: float, digits: int, apart: Sequence[float] = (-1, 0, 1)) -> str:
  """Writes a number with so many decimals, or with as many more as keep it apart from others.

  An AUROC of 0.99996 is no '1.000', and an interval from 0.0004 is not one from '0.000'.

  Args:
    value: the number.
    digits: decimals.
    apart: numbers that it must not read as unless it is them.
  """
  near = [number for number in apart if abs(value - number) > _NOISE]
  for more in range(digits, _MOST + 1):
    text = f'{value:.{more}f}'
    if all(float(text) != float(f'{number:.{more}f}') for number in near):
      break
  return text.removeprefix('-') if float(text) == 0 else text


def percent(share: float, digits: int = 1) -> str:
  """Writes 0.123 as '12.3%', and 0.9997 as '99.97%' rather than as all."""
  return f'{decimal(100 * share, digits, (0, 100))}%'
