"""The report of exclusive classes: their figures, the confusion matrix and escaped names."""

import pytest
import synthetic_summary
from parsed_page import Page

from medjax.report import run_page

CLASSES = ['Naevus <i>', 'Melanoma', 'Wart & "co"']


def report_of(head, absent=()):
  result = synthetic_summary.evaluated(CLASSES, head, absent=absent)
  text = run_page.render(
    title='x', result=result, history=[], split_proof={}, config={}, facts={'model': 'resnet50'}
  )
  return result.classes, text, Page(text)


@pytest.mark.parametrize('head, kappa', [('softmax', 'kappa'), ('ordinal', 'quadratic_kappa')])
def test_classes_have_their_figures_and_a_place_on_the_first_screen(head, kappa):
  label_result, _, page = report_of(head)
  text = page.text()
  things = 'grades' if head == 'ordinal' else 'classes'
  first, section = text.split(f'Decision between {things} on the test set')
  assert f'How well does resnet50 tell 3 {things} apart' in first
  assert f'Mean test AUROC of 3 {things}' in first
  for name in ('accuracy', 'balanced_accuracy', kappa):
    low, high = getattr(label_result, name).interval
    assert f'{getattr(label_result, name).value:.3f} ({low:.3f}–{high:.3f})' in section
    on_first = name == 'balanced_accuracy' or name == 'quadratic_kappa'
    interval = f'{getattr(label_result, name).value:.3f}95% interval {low:.3f} to {high:.3f}'
    assert (interval in first) == on_first
  assert label_result.decision in section and 'against all others' in section
  assert ('Quadratic kappa' in text) == (head == 'ordinal')


def test_thresholds_of_classes_never_decide_between_them():
  page = report_of('softmax')[2]
  text = page.text()
  assert 'makes the decisions' not in text and 'the threshold that decides' not in text
  assert 'Youden, one against rest' in text and 'Sensitivity, against rest' in text
  assert text.count('play no part') == 2
  alone = run_page.render(
    title='x', result=synthetic_summary.evaluated(CLASSES), history=[], split_proof={}, config={},
    facts={},
  )  # fmt: skip
  assert 'Youden, makes the decisions' in alone and 'against rest' not in alone


def test_the_confusion_matrix_is_a_table_that_can_be_heard():
  label_result, text, page = report_of('softmax')
  start = text.index('<table class="matrix')
  matrix = Page(text[start : text.index('</table>', start) + len('</table>')])
  scopes = [attributes['scope'] for tag, attributes in matrix.elements if tag == 'th']
  assert scopes == ['col', 'colgroup', *['col'] * 3, *['row'] * 3]
  assert matrix.count('caption') == 1 and matrix.count('td') == 9
  expected = ''
  for label, row in zip(CLASSES, label_result.confusion):
    shares = (f'{count / sum(row):.1%}' if count else '' for count in row)
    expected += f'{label}{sum(row)} images'
    expected += ''.join(f'{count}{share}' for count, share in zip(row, shares))
  assert matrix.text().endswith(expected)
  cells = [attributes for tag, attributes in matrix.elements if tag == 'td']
  framed = [at for at, cell in enumerate(cells) if 'right' in cell.get('class', '')]
  assert framed == [0, 4, 8]
  regions = [attributes for _, attributes in page.elements if attributes.get('role') == 'region']
  assert regions[0]['aria-label'] and regions[0]['tabindex'] == '0'


def test_names_of_classes_are_escaped_and_nothing_is_fetched():
  _, text, page = report_of('ordinal')
  assert '<i>' not in text and CLASSES[0] in page.text() and CLASSES[2] in page.text()
  for tag, attributes in page.elements:
    assert tag != 'script' and not {'src', 'style'} & set(attributes)
  assert page.elements[0] == ('html', {'lang': 'en'})


def test_a_class_without_images_is_said_where_its_figure_would_stand():
  label_result, _, page = report_of('ordinal', absent=(CLASSES[2],))
  first, section = page.text().split('Decision between grades on the test set')
  assert (
    label_result.balanced_accuracy.value is None and label_result.quadratic_kappa.value is not None
  )
  for part in (first, section):
    assert f'no image is of class {CLASSES[2]}' in part
  assert f'{label_result.quadratic_kappa.value:.3f}' in first
  assert 'nan' not in page.text() and 'None%' not in page.text()
