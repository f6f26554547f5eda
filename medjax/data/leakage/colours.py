"""Whether two sets of pictures differ in colour as a whole: red and blue exchanged, inverted, grey.

A program that reads BGR as RGB gives every picture of a set the colours of none of the other, and
whatever was learnt of one is then asked of another world.
"""

import itertools
from collections.abc import Sequence

import numpy as np

FEW = 10  # pictures, below which the mean of a set says little
LEAST = 8.0  # grey levels between two means: about what encoders and scanners of one kind differ by
LARGE = 1.0  # standard deviations between pictures of one set
CLOSE = 0.25  # of what the means differ by: what is left once one of them is changed back
SLIGHT = 4.0  # levels between the channels' means of pictures in grey


def sentences(names: Sequence[str], means: np.ndarray) -> list[str]:
  """Returns a sentence for each two sets whose mean colours differ systematically.

  Args:
    names: N, the set of each picture; '' of those in none.
    means: f[N, 3], the mean red, green and blue of each picture, 0 to 255.
  """
  set_of_picture = np.asarray(names, object)
  sets = {
    name: means[set_of_picture == name]
    for name in dict.fromkeys(names)
    if name and np.sum(set_of_picture == name) >= FEW
  }
  sentences = [_sentence(*pair) for pair in itertools.combinations(sets.items(), 2)]
  return [sentence for sentence in sentences if sentence]


def _sentence(one: tuple[str, np.ndarray], other: tuple[str, np.ndarray]) -> str:
  first, second = (colours.mean(axis=0) for _, colours in (one, other))
  apart = np.abs(first - second).max()
  # By how much red exceeds blue varies less from picture to picture than either does.
  asked = [np.column_stack([colours, colours[:, 0] - colours[:, 2]]) for _, colours in (one, other)]
  spread = np.sqrt((asked[0].var(axis=0) + asked[1].var(axis=0)) / 2)
  effect = np.abs(asked[0].mean(axis=0) - asked[1].mean(axis=0)) / np.maximum(spread, 1)
  if apart < LEAST or effect.max() < LARGE:
    return ''
  numbers = [', '.join(f'{channel:.0f}' for channel in mean) for mean in (first, second)]
  words = f'Mean red, green and blue are {numbers[0]} in {one[0]} and {numbers[1]} in {other[0]}: '
  grey = [np.ptp(mean) < SLIGHT for mean in (first, second)]
  if grey[0] != grey[1]:
    return words + 'one is in colour and the other in grey.'
  left, why = min(
    (np.abs(changed - second).max(), why)
    for changed, why in (
      (first[::-1], 'red and blue look exchanged in one of them.'),
      (255 - first, 'one looks inverted.'),
    )
  )
  return words + (why if left < CLOSE * apart else 'colour alone tells them apart.')
