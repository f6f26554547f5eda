"""Class weights w_p and w_n: what makes the two classes of a label pull equally."""

import numpy as np


def compute(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the class weights of each label: call it on training rows only.

  w_p = negatives / total and w_n = positives / total over the known labels, so the two sum to 1; a
  soft label counts as a positive by its value and as a negative by the rest. A label of one class
  only has weight 0 for the class it has: it teaches nothing. A label never known has weights 0, 0.

  Args:
    values: f32[N, L] in [0, 1].
    mask: f32[N, L], 0 where the label is unknown.

  Returns:
    w_p f32[L] for positives and w_n f32[L] for negatives.
  """
  positives, negatives = _counts(values, mask)
  known = positives + negatives
  total = np.where(known > 0, known, 1)
  return (negatives / total).astype(np.float32), (positives / total).astype(np.float32)


def count(values: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
  """Returns what a loss may ask of the training targets, by the names of its parameters, f32[L].

  'positive_weight' and 'negative_weight' as of `compute`; 'positives' and 'negatives', how many
  known entries of each label are so; 'class_weight', n / (L n_c) of L exclusive classes, 0 for one
  without examples. Arguments as of `compute`.
  """
  positive_weight, negative_weight = compute(values, mask)
  positives, negatives = _counts(values, mask)
  class_weight = np.where(positives > 0, positives.mean() / np.maximum(positives, 1e-30), 0.0)
  return {
    'class_weight': class_weight.astype(np.float32),
    'positive_weight': positive_weight,
    'negative_weight': negative_weight,
    'positives': positives.astype(np.float32),
    'negatives': negatives.astype(np.float32),
  }


def _counts(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns how many known entries of each label are positive and negative, f64[L] each."""
  positives = (values * mask).sum(axis=0, dtype=np.float64)
  return positives, mask.sum(axis=0, dtype=np.float64) - positives
