"""p values of many questions asked at once, adjusted for how many there are."""

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
  """Returns p values f64[K] adjusted so that even one false claim among K is as rare as one alone.

  Holm, Scandinavian Journal of Statistics 6:65, 1979. NaN stays NaN and does not count.
  """
  adjusted = np.array(p, np.float64)
  size = int(np.isfinite(adjusted).sum())
  order = np.argsort(adjusted, kind='stable')[:size]  # NaN sorts last
  steps = np.maximum.accumulate((size - np.arange(size)) * adjusted[order])
  adjusted[order] = np.minimum(steps, 1)
  return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
  """Returns p values f64[K] adjusted so that of claims below 0.05 some 5% at most are false.

  That is the share to expect over many such sets of claims, at 0.05 as at any other bound.
  Benjamini & Hochberg, J. R. Stat. Soc. B 57:289, 1995. NaN stays NaN and does not count.
  """
  adjusted = np.array(p, np.float64)
  size = int(np.isfinite(adjusted).sum())
  falling = np.argsort(adjusted, kind='stable')[:size][::-1]  # NaN sorts last
  steps = adjusted[falling] * (size / np.arange(size, 0, -1))
  adjusted[falling] = np.minimum(np.minimum.accumulate(steps), 1)
  return adjusted
