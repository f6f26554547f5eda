"""What a head asks of the labels: many questions, one of several classes, or a grade.

A head turns the labels of the study table into what the network's logits are trained on;
medjax.models.heads turns the logits back into a probability for each label. 'sigmoid': each label
is a question of its own. 'softmax': an image has exactly one of the labels. 'ordinal': the labels
are grades in rising order, of which an image has one; output k answers "beyond grade k, given that
it reaches k?", so that any loss for questions serves and the grades' probabilities cannot
contradict each other (Shi, Cao and Raschka 2021, arXiv 2111.08851, CORN).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medjax.errors import InputError


def outputs(head: str, labels: int) -> int:
  """Returns how many logits the head of a network for so many labels has."""
  return labels - 1 if head == 'ordinal' else labels


def targets(head: str, values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Turns labels into what the logits are trained on.

  Args:
    head: 'sigmoid', 'softmax' or 'ordinal'.
    values: f32[N, L] in [0, 1].
    mask: f32[N, L], 1 where the label is known.

  Returns:
    values and mask f32[N, K], K being `outputs(head, L)`. A masked value is 0.
  """
  if head != 'ordinal':
    return values, mask
  reached = np.cumsum(values[:, ::-1], axis=1)[:, ::-1]  # 1 for every grade up to the image's
  asked = mask[:, 1:] * (reached[:, :-1] > 0)
  return (reached[:, 1:] * asked).astype(np.float32), asked.astype(np.float32)


def check_one_label_each(
  table: pd.DataFrame, labels: Sequence[str], values: np.ndarray, mask: np.ndarray
) -> None:
  """Raises InputError naming an image that has not exactly one of the labels, or none known at
  all.
  """
  known = np.asarray(mask) > 0
  counts = ((values == 1) & known).sum(axis=1)
  soft = ((values != 0) & (values != 1) & known).any(axis=1)
  wrong = known.any(axis=1) & (~known.all(axis=1) | (counts != 1) | soft)
  if not wrong.any():
    return
  row = int(np.flatnonzero(wrong)[0])
  cells = ', '.join(
    f'{label} {values[row, at]:g}' if known[row, at] else f'{label} unknown'
    for at, label in enumerate(labels)
  )
  raise InputError(
    f"config.model.head: image '{table['image'].iloc[row]}' must have exactly one of the labels, "
    'or all '
    f'of them unknown, and has {cells} ({int(wrong.sum()):,} such images)'
  )
