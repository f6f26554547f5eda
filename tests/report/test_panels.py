"""Plots: the words of a point."""

import re

from medjax.evaluation.readers.study import Curve
from medjax.report import panels
from medjax.report.markup import tag


def test_a_long_name_is_broken_within_the_plot():
  name = 'Reader of the second department of radiology, twelve years of practice'
  mark = panels.Mark(0.2, 0.8, tag('g'), (name, 'sensitivity 0.80'))
  curve = Curve(false_positive_rate=(0.0, 1.0), sensitivity=(0.0, 1.0))
  drawn = str(panels.roc('Edema', curve, '0.900', marks=[mark]))
  frame = re.search(r'<rect x="(\d+)"', drawn)
  spans = re.findall(r'<tspan x="(-?[\d.]+)"[^>]*>([^<]*)', drawn)
  lines = [text for _, text in spans]
  start = lines.index('Reader of the second')
  assert ' '.join(lines[start : lines.index('sensitivity 0.80')]) == name
  assert all(float(x) >= int(frame[1]) for x, _ in spans)
