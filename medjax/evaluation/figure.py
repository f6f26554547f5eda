"""`Figure`: a number with its interval, or why it has none."""

import dataclasses

Interval = tuple[float, float]

ROUNDING = 1e-12  # of a difference of means: one so small is 0


@dataclasses.dataclass(frozen=True)
class Figure:
  """A number with its interval, or why it has none.

  Attributes:
    value: None where the figure does not exist.
    interval: (low, high), the percentile interval of the bootstrap; of AUROCs DeLong's by patient,
      see medjax.evaluation.statistics.delong; of sensitivity, specificity, predictive values and
      accuracy Wilson's over patients, see medjax.evaluation.statistics.proportions; of the
      calibration error, whose replicates are biased, that of `bca`. None where there is none, which
      is so where the replicates agree.
    bca: (low, high) of the bias-corrected and accelerated bootstrap, or None.
    valid_replicates: of the bootstrap, those in which the figure exists.
    reason: '' where there is an interval, else a phrase that says why not.
  """

  value: float | None
  interval: Interval | None = None
  bca: Interval | None = None
  valid_replicates: int = 0
  reason: str = ''

  def __repr__(self) -> str:
    text = 'None' if self.value is None else f'{self.value:.4g}'
    if self.interval is not None:
      return f'Figure(value={text}, interval=({self.interval[0]:.4g}, {self.interval[1]:.4g}))'
    return f'Figure(value={text}, interval=None, reason={self.reason!r})'


def excludes_zero(interval: Interval) -> bool:
  """Whether an interval lies on one side of 0, by more than its bounds are rounded."""
  return interval[0] > ROUNDING or interval[1] < -ROUNDING
