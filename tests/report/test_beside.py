"""What lies beside a page: drawings that other programs read, and tables with all figures."""

import csv
import io
import xml.etree.ElementTree as ET

import pytest
import synthetic_summary
from compared_runs import compare, runs

from medjax.report import beside, comparison_page, run_page

LABELS = ['T1 < 2 cm & "N0"', 'Edema']
SVG = '{http://www.w3.org/2000/svg}'


@pytest.fixture(scope='module')
def result():
  return synthetic_summary.evaluated(LABELS)


@pytest.fixture(scope='module')
def drawn(result):
  history = [
    {'step': step, 'split': split, 'loss': 1 / step}
    for step in (1, 2, 3)
    for split in ('train', 'validation')
  ]
  page = run_page.render(
    title='x', result=result, history=history, split_proof={}, config={}, facts={}
  )
  return beside.figures(page)


def rows(text):
  return list(csv.DictReader(io.StringIO(text)))


def test_drawings_are_whole_files_of_their_own(drawn):
  assert {'roc-curve-of-edema.svg', 'loss-over-steps.svg'} <= set(drawn)
  assert {'decision-curve-of-edema.svg', 'probabilities-of-edema.svg'} <= set(drawn)
  assert len(drawn) == 6 * len(LABELS) + 1
  for text in drawn.values():
    root = ET.fromstring(text)
    assert root.tag == f'{SVG}svg' and float(root.get('width')) > 100
    # No variables and no marks to be pointed at: other programs know neither.
    assert 'var(' not in text and 'class="tip"' not in text and ':hover' not in text
    assert len([*root.iter(f'{SVG}path'), *root.iter(f'{SVG}rect')]) > 2


def test_learning_curves_name_their_axes_and_lines(drawn):
  words = [element.text for element in ET.fromstring(drawn['loss-over-steps.svg']).iter()]
  for name in ('optimizer step', 'loss, nats per image', 'training loss', 'validation loss'):
    assert name in words


def test_tables_hold_the_figures_of_the_result(result):
  tables = beside.of_result(result)
  labels = {row['label']: row for row in rows(tables['labels.csv'])}
  assert set(labels) == {*LABELS, 'mean'}
  for label, tested in result.labels.items():
    row = labels[label]
    assert float(row['auroc']) == tested.auroc.value
    assert (float(row['auroc_low']), float(row['auroc_high'])) == tested.auroc.interval
    assert int(row['positive_patients']) == tested.positive_patients
  points = rows(tables['operating_points.csv'])
  assert len(points) == sum(len(tested.operating_points) for tested in result.labels.values())
  assert int(points[0]['confusion_true_positives']) == (
    result.labels[LABELS[0]].operating_points[0].confusion.true_positives
  )


def test_tables_hold_what_1000_come_to_and_the_decision_curves(result):
  tables = beside.of_result(result)
  edema = result.labels['Edema'].usefulness
  (row,) = (
    row
    for row in rows(tables['of_1000.csv'])
    if row['label'] == 'Edema' and row['of_test'] == 'True' and row['rule'] == 'youden'
  )
  assert float(row['missed_high']) == edema.of_thousand[0].missed.interval[1]
  points = [row for row in rows(tables['decision_curves.csv']) if row['label'] == 'Edema']
  assert [float(row['threshold']) for row in points] == list(edema.decision_curve.threshold)
  assert float(points[3]['net_benefit_low']) == edema.decision_curve.model.low[3]


def test_classes_have_their_confusion_matrix():
  graded = synthetic_summary.evaluated(['none', 'some'], 'ordinal')
  matrix = rows(beside.of_result(graded)['confusion_matrix.csv'])
  assert [int(matrix[0][name]) for name in ('none', 'some')] == list(graded.classes.confusion[0])


def test_what_an_earlier_page_left_goes(tmp_path):
  page = tmp_path / 'against_b.html'
  compared = compare(*runs())
  text = comparison_page.render(compared)
  folder = tmp_path / 'against_b_files'
  folder.mkdir()
  (folder / 'old.svg').write_text('')
  beside.write(page, text, beside.of_comparison(compared))
  assert not (folder / 'old.svg').exists()
  (row,) = (r for r in rows((folder / 'comparison.csv').read_text()) if r['label'] == 'Edema')
  assert float(row['auroc_difference']) == compared.labels['Edema'].auroc.difference.value
  assert (folder / 'roc-curves-of-edema.svg').is_file()
