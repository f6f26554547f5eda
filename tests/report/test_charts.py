"""Charts: round ticks, and lines thinned without changing their mean."""

import numpy as np
import pytest

from medjax.report import charts


@pytest.mark.parametrize(
  'low, high, expected',
  [
    (0, 20_000, [0, 5_000, 10_000, 15_000, 20_000]),
    (0.62, 0.83, [0.6, 0.7, 0.8, 0.9]),
    (0.013, 0.087, [0, 0.02, 0.04, 0.06, 0.08, 0.1]),
    (0, 300, [0, 100, 200, 300]),
  ],
)
def test_ticks_are_round_and_enclose(low, high, expected):
  assert charts.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize('value', [0.0, 0.5, -2.0])
def test_ticks_of_a_single_value(value):
  ticks = charts.ticks(value, value)
  assert ticks[0] <= value <= ticks[-1] and len(ticks) > 1


def test_thinned_lines_keep_their_mean():
  points = [(float(step), float(step % 7)) for step in range(9_000)]
  thin = charts.thinned(points)
  assert len(thin) <= charts.LINE_POINTS
  assert np.mean(thin, axis=0) == pytest.approx(np.mean(points, axis=0))
  assert charts.thinned(points[:5]) == points[:5]
