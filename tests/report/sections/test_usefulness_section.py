"""The report's section on use: what it counts, draws, folds away, and says in place of a figure."""

import dataclasses
import re

import pytest
import synthetic_summary

from medjax.report import usefulness_panels
from medjax.report.sections import usefulness


@pytest.fixture(scope='module')
def result():
  return synthetic_summary.evaluated(['Edema', 'Mass', 'None'], absent=('None',))


def test_the_table_has_counts_intervals_prevalence_and_how_many_they_are_of(result):
  text = usefulness.usefulness(result)
  tested = result.labels['Edema']
  own = tested.usefulness.of_thousand[0]
  assert f'{tested.positives:,} with, {tested.negatives:,} without' in text
  assert '2.0%, stated or of the source' in text and '<b>20.0</b> have it' in text
  low, high = own.flagged.interval
  assert f'<b>{own.flagged.value:.0f}</b>' in text and f'({low:.0f} to {high:.0f})' in text
  assert text.count('The same: ') == 2  # operating points after the first
  assert 'No decision curve: None (no positives).' in text


def test_each_label_has_its_drawings_with_name_and_words(result):
  text = usefulness.usefulness(result)
  for name in ('Decision curve of Edema', 'Actions avoided for Mass', 'Probabilities of Edema'):
    assert f'<title>{name}</title>' in text
  assert text.count('class="band"') == 4
  edema = result.labels['Edema']
  assert f'{edema.positives} images with the finding above the line' in text
  places = re.search(r'class="line second"', text)
  assert places and 'class="bar first"' in text and 'class="bar second"' in text


def test_nothing_is_drawn_outside_its_frame(result):
  text = usefulness.usefulness(result)
  paths = re.findall(r'<path d="(M[^"]+)" class="(?:line \w+|band|chance)"', text)
  paths = [path for path in paths if path != 'M2,6L26,6']  # of the legend
  points = [point for path in paths for point in re.findall(r'(-?[\d.]+),(-?[\d.]+)', path)]
  assert len(points) > 100
  assert all(46 <= float(x) <= 246 and 8 <= float(y) <= 208 for x, y in points)


def test_a_line_is_not_drawn_along_the_edge_that_it_crosses(result):
  frame = usefulness_panels._Frame(1.0, -1.0, 1.0)
  crossing = frame.line((0, 0.25, 0.5, 0.75, 1), (0, 1, 5, 1, 0), 'first')
  assert 'd="M46,108L96,8M196,8L246,108"' in crossing
  assert frame.line((0, 1), (2, 2), 'first') is None


def test_many_labels_are_folded_away_and_few_are_not(result):
  assert '<details open="">' in usefulness.usefulness(result)
  many = usefulness.usefulness(synthetic_summary.evaluated(synthetic_summary.FINDINGS))
  assert 'open=""' not in many and 'The 1,000 images of each of 14 labels' in many


def test_results_of_earlier_versions_have_no_section(result):
  labels = {
    label: dataclasses.replace(tested, usefulness=None) for label, tested in result.labels.items()
  }
  assert usefulness.usefulness(dataclasses.replace(result, labels=labels)) is None


def test_curves_without_bounds_say_why(result):
  curve = result.labels['Edema'].usefulness.decision_curve
  nothing = (None,) * len(curve.threshold)
  bare = dataclasses.replace(
    curve,
    model=dataclasses.replace(curve.model, low=nothing, high=nothing),
    reason='all positives are of one patient',
  )
  part = dataclasses.replace(result.labels['Edema'].usefulness, decision_curve=bare)
  edema = dataclasses.replace(result.labels['Edema'], usefulness=part)
  text = usefulness.usefulness(dataclasses.replace(result, labels={'Edema': edema}))
  assert 'no interval: all positives are of one patient' in text
  assert text.count('class="band"') == 1  # of the actions avoided
