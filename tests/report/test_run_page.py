"""The report: well-formed, self-contained, escaped, with all figures and their weaknesses."""

import dataclasses
import math
import re

import numpy as np
import pytest
import synthetic_summary
from parsed_page import Page

from medjax.config.protocol import Protocol
from medjax.evaluation import assessment, wording
from medjax.evaluation.surest import Example
from medjax.report import markup, run_page

LABELS = ['T1 < 2 cm & "N0"', 'Edema', 'Fracture']
PICTURE = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'


def proof(shared=0):
  per_label = {'known': 150, 'positive': 30, 'prevalence': 0.2, 'positive_patients': 17}
  names = ('train', 'validation', 'test')
  return {
    'splits': {
      name: {'patients': 75, 'images': 150, 'labels': dict.fromkeys(LABELS, per_label)}
      for name in names
    }
    | {'unused': {'patients': 0, 'images': 0, 'labels': {}}},
    'patient_overlap': {
      one: {other: 75 if one == other else shared for other in names} for one in names
    },
    'table_sha256': 'a' * 64,
    'split_sha256': 'b' * 64,
    'settings': {'test': 0.1, 'seed': 0},
    'how': {'test': {'from': 'drawn'}},
    'notes': [],
    'not_checked': ['Pixels are not compared.'],
  }


@pytest.fixture(scope='module')
def given():
  history = [
    {'step': step, 'split': 'train', 'loss': 1 / step, 'learning_rate': 1e-4}
    for step in range(1, 1000)
  ]
  history += [
    {'step': 300, 'split': 'validation', 'loss': 0.5, 'auroc_mean': 0.71, 'auroc': {'Edema': 0.7}},
    {'step': 600, 'split': 'validation', 'loss': 0.4, 'auroc_mean': 0.83, 'auroc': {'Edema': 0.8}},
    {'step': 900, 'split': 'validation', 'loss': math.nan, 'auroc_mean': None, 'auroc': None},
  ]
  example = Example(
    kind='false positive', label='Edema', row=0, image='a/<1>.jpg', patient='p&q',
    probability=0.91, threshold=0.3, truth=0, picture=PICTURE, heat=PICTURE,
  )  # fmt: skip
  return {
    'title': 'Chest <b>films</b>',
    'result': synthetic_summary.evaluated(LABELS, absent=('Fracture',)),
    'history': history,
    'split_proof': proof(),
    'config': {
      'data': {'root': '/data/<x>', 'labels': ['a', 'b']}, 'note': None, 'seed': 0,
      'evaluation': {'calibration': 'platt'},
    },
    'facts': {
      'source': 'https://example.org/films',
      'model': 'densenet121',
      'best step': '300',
      'images set aside': '7',
      'notes': ['Labels were read from reports & not by eye.'],
      'versions': {'jax': '0.10.2'},
    },
    'sections': [('Subgroups', markup.section('For <whom>', markup.tag('p', 'By sex.')))],
    'pictures': [example],
  }  # fmt: skip


@pytest.fixture(scope='module')
def page(given):
  return Page(run_page.render(**given))


def test_well_formed_and_accessible(page):
  assert page.elements[0] == ('html', {'lang': 'en'})
  assert page.count('title') > 1 and page.count('h1') == 1 and page.count('main') == 1
  drawings = [attributes for tag, attributes in page.elements if tag == 'svg']
  assert len(drawings) > 6
  for attributes in drawings:
    assert attributes.get('aria-hidden') or (
      attributes['role'] in ('img', 'group') and attributes['aria-label']
    )
  identities = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
  assert len(identities) == len(set(identities))
  for tag, attributes in page.elements:
    assert tag != 'a' or attributes['href'][1:] in identities
    if attributes.get('class') == 'hit' and attributes['tabindex'] == '0':
      assert 'threshold' in attributes['aria-label']


def test_needs_nothing_from_outside(given, page):
  text = run_page.render(**given)
  assert 'https://example.org/films' in page.text()  # as words only
  for tag, attributes in page.elements:
    assert tag not in ('script', 'link', 'iframe', 'object')
    for name, value in attributes.items():
      assert name != 'style' and not name.startswith('on')
      assert name != 'src' or value.startswith('data:image/')
      assert name != 'href' or value.startswith('#')
      assert 'http' not in (value or '') or name in ('http-equiv', 'aria-label')
  assert 'url(' not in text and '@import' not in text


def test_everything_is_escaped(given, page):
  text = run_page.render(**given)
  assert '<b>films' not in text and 'Chest <b>films</b>' in page.text()
  assert 'T1 < 2' not in text and LABELS[0] in page.text()
  assert '/data/<x>' in page.text() and 'For <whom>' in page.text() and '<1>' not in text
  labels = [attributes.get('aria-label', '') for _, attributes in page.elements]
  assert any(LABELS[0] in label for label in labels)


def test_first_screen_says_question_patients_answer_and_weaknesses(given, page):
  text = page.text()
  mean = given['result'].mean
  first = text[: text.index('Every label on the test set')]
  for words in (
    'How well does densenet121 read 3 labels', '200 patients, 400 images in the test set',
    'none of them in training or validation',
    'Mean test AUROC of 2 labels',
    *(
      f'{getattr(mean, name).value:.{digits}f}95% interval '
      f'{getattr(mean, name).interval[0]:.{digits}f} to '
      f'{getattr(mean, name).interval[1]:.{digits}f}'
      for name, digits in (('auroc', 3), ('sensitivity', 2), ('specificity', 2))
    ),
    'Without Fracture: no positives or no negatives on test', 'Worst: ',
    'What weakens this answer', 'could not be read: 7',
    'Labels were read from reports & not by eye.', *given['result'].notes,
  ):  # fmt: skip
    assert words in first


def test_contents_lead_to_every_part(page):
  links = [attributes['href'] for tag, attributes in page.elements if tag == 'a']
  assert links.pop(0) == '#patients'  # of the first screen
  parts = [attributes['id'] for _, attributes in page.elements if attributes.get('class') == 'part']
  assert links[: len(parts)] == [f'#{part}' for part in parts]
  assert parts == [
    'patients', 'labels', 'operating-points', 'curves', 'calibration', 'usefulness',
    'subgroups', 'levels-and-ensembles', 'examples', 'learning', 'split', 'checklist',
    'configuration', 'versions',
  ]  # fmt: skip
  assert '#label-1' in links and '#label-3' not in links  # Fracture has no curves


def test_every_figure_is_there(given, page):
  text = page.text()

  def shown(number, digits):
    text = f'{number:.{digits}f}'
    if float(text) in (-1, 0, 1) and float(text) != number:
      return shown(number, digits + 1)
    return text.replace('-', '−')

  def printed(figure, digits):
    low, high = (shown(bound, digits) for bound in figure.interval)
    between = ' to ' if figure.interval[0] < 0 else '–'
    return f'{shown(figure.value, digits)} ({low}{between}{high})'

  for label in LABELS[:2]:
    label_result = given['result'].labels[label]
    for name, digits in (
      ('auroc', 3), ('auprc', 3), ('brier', 3), ('ece', 3), ('calibration_slope', 2),
      ('calibration_intercept', 2),
    ):  # fmt: skip
      assert printed(getattr(label_result, name), digits) in text
    assert f'before {label_result.uncalibrated.test.brier:.3f}' in text
    for point in label_result.operating_points:
      assert f'{point.threshold:.3f}' in text
      for name in ('sensitivity', 'specificity', 'ppv', 'npv', 'f1'):
        assert printed(getattr(point, name), 2) in text
      assert f'at 2.0%: {printed(point.at_prevalence.ppv, 3)}' in text
      counts = point.confusion
      called = counts.true_positives + counts.false_positives
      assert f'{counts.true_positives} of {called}' in text
    low, high = label_result.auroc.interval
    assert f'{low:.3f}–{high:.3f}' in text
    assert f'{label_result.prevalence:.1%} {label_result.positives} of 400' in text
  assert 'Youden, makes the decisions' in text and 'Sensitivity of 0.9' in text
  assert 'no positives' in text and 'Not drawn, for want of a class: Fracture.' in text
  assert 'By Platt scaling, fitted for each label on validation' in text
  assert 'mean of 5 checkpoints' in text and '200 studies' in text
  for words in (
    'a' * 64, 'b' * 64, 'Pixels are not compared.', 'data.root', '0.10.2',
    'drawn by patient; 10% of the patients',
    'Worst false alarms', 'patient p&q', '91.0% threshold 30.0%',
  ):  # fmt: skip
    assert words in text
  assert 'unused' not in text and 'nan' not in text


def test_a_curve_tells_threshold_and_figures_where_it_is_pointed_at(given):
  text = run_page.render(**given)
  row = text[text.index('id="label-2"') : text.index('Not drawn')]
  tips = re.findall(r'<g class="tip"><rect[^>]*></rect><text>(.*?)</text>', row)
  tips = [re.findall(r'>([^<]*)</tspan>', tip) for tip in tips]
  curve = given['result'].labels['Edema'].roc
  expected = {
    (f'threshold {wording.threshold(at)}', f'sensitivity {y:.2f}', f'specificity {1 - x:.2f}')
    for x, y, at in zip(
      *(getattr(curve, n) for n in ('false_positive_rate', 'sensitivity', 'threshold'))
    )
    if at is not None
  }
  shown = {tuple(tip) for tip in tips if len(tip) == 3 and 'specificity' in tip[2]}
  assert 20 < len(shown & expected) <= 60
  assert shown - expected <= {('above every probability', 'sensitivity 0.00', 'specificity 1.00')}
  point = given['result'].labels['Edema'].operating_points[0]
  assert any(tip[:2] == ['Youden', f'threshold {point.threshold:.3f}'] for tip in tips)


def test_fourteen_labels_stay_small():
  summary = synthetic_summary.evaluated(synthetic_summary.FINDINGS, images=2000)
  text = run_page.render(title='x', result=summary, history=[], split_proof={}, config={}, facts={})
  assert len(text.encode()) < 2e6


def test_the_named_best_step_is_marked(given):
  text = Page(run_page.render(**given)).text()
  assert 'best checkpoint: step 300, mean validation AUROC 0.710' in text
  text = Page(run_page.render(**{**given, 'facts': {}})).text()
  assert 'best checkpoint: step 600, mean validation AUROC 0.830' in text


def test_overlapping_patients_are_said_on_the_first_line(given):
  text = Page(run_page.render(**{**given, 'split_proof': proof(shared=3)})).text()
  assert text.index('Not a test on new patients') < text.index('medjax evaluation report')
  assert '3 also in train' in text and '3 patients in both train and test.' in text
  assert 'none of them in training' not in text
  note = 'The source names no patients: every image counts as a patient of its own.'
  size = dataclasses.replace(given['result'].test, patients=given['result'].test.images)
  alone = dataclasses.replace(given['result'], test=size)
  nobody = {**given, 'result': alone, 'split_proof': {**proof(shared=0), 'notes': [note]}}
  first = Page(run_page.render(**nobody)).text().partition('Split, by patient')[0]
  assert 'none of them in training' not in first
  assert 'On whom400 images in the test set. Patients are not named' in first
  warned = {**given, 'facts': {'warning': 'Trained on another split.'}}
  text = Page(run_page.render(**warned)).text()
  assert text.index('Trained on another split.') < text.index('medjax evaluation report')


@pytest.mark.parametrize('with_validation', [True, False])
def test_bare_evaluation_still_renders(with_validation):
  one = synthetic_summary.predicted(1, LABELS, 20)
  nothing = one._replace(known=np.zeros_like(one.known))
  for test in (one, nothing):
    assessed = assessment.assess(
      nothing if with_validation else None,
      test,
      Protocol(operating_points=('youden', 'threshold=0.5'), replicates=10),
    )
    text = Page(
      run_page.render(
        title='x', result=assessed.result, history=[], split_proof={}, config={}, facts={}
      )
    ).text()
    assert 'Learning curves' not in text and 'No split proof was given.' in text
    assert 'Whether they are also in training is not recorded.' in text
    assert 'chosen on validation' not in text and 'given as a number' in text
    assert 'nan' not in text and 'None)' not in text
  assert 'No AUROC' in text


def test_without_a_threshold_none_is_spoken_of():
  assessed = assessment.assess(
    None, synthetic_summary.predicted(1, LABELS, 60), Protocol(replicates=10)
  )
  text = Page(
    run_page.render(
      title='x', result=assessed.result, history=[], split_proof={}, config={}, facts={}
    )
  ).text()
  assert 'No threshold: no validation to choose it on.' in text
  for words in ('Youden', 'numbered points', 'frozen', 'Mean sensitivity', 'makes the decisions'):
    assert words not in text, words


def test_thresholds_say_where_each_comes_from():
  validation = synthetic_summary.predicted(2, LABELS, 200)
  validation = validation._replace(patients=[f'v{word}' for word in validation.patients])
  for rules, words in (
    (
      ('youden',),
      ['Each threshold was chosen on validation and frozen before this reading of the test set: a'],
    ),
    (('threshold=0.5',), ['Each threshold was given as a number: a']),
    (('youden', 'threshold=0.5'), ['before this reading of the test set, or given as a number: a']),
  ):
    assessed = assessment.assess(
      validation,
      synthetic_summary.predicted(1, LABELS, 60),
      Protocol(operating_points=rules, replicates=10),
    )
    text = Page(
      run_page.render(
        title='x', result=assessed.result, history=[], split_proof={}, config={}, facts={}
      )
    ).text()
    assert all(word in text for word in words)


def test_what_is_not_calibrated_is_said():
  validation = synthetic_summary.predicted(2, LABELS, 200)
  validation.truth[:, 0] = 0
  test = synthetic_summary.predicted(1, LABELS, 200)
  assessed = assessment.assess(validation, test, Protocol(calibration='platt', replicates=10))
  assert f'Not calibrated (no positives on validation): {LABELS[0]}.' in assessed.result.notes


def test_a_gap_of_nothing_has_no_sign():
  # Format alone writes '-0.000'.
  assert [wording.signed(x) for x in (-1e-17, 1e-17, -0.0, -0.0004, -0.12, None)] == [
    '0.000', '0.000', '0.000', '−0.0004', '−0.120', wording.DASH
  ]  # fmt: skip


def test_nothing_weakens():
  summary = synthetic_summary.evaluated(['Edema'], calibrated=False)
  text = Page(
    run_page.render(
      title='x', result=summary, history=[], split_proof=proof(), config={},
      facts={'images set aside': 0},
    )
  ).text()  # fmt: skip
  assert 'Nothing that medjax looks for.' in text and 'Test AUROC of Edema' in text
  assert 'nothing was fitted' in text and 'before calibration' not in text


def test_colours_can_be_read():
  """Against what W3C's contrast (WCAG 2.1, 1.4.3) asks of words: 4.5 to 1, in both themes."""
  css = markup.style('report.css')
  themes = [dict(re.findall(r'--([a-z]+): (#[0-9a-f]{6});', block))
            for block in re.findall(r':root \{(.*?)\}', css, re.S)]  # fmt: skip
  assert len(themes) == 2

  def light(colour):
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    parts = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return parts @ (0.2126, 0.7152, 0.0722) + 0.05

  for theme in themes:
    for ink in ('ink', 'quiet', 'first', 'second', 'alarm'):
      for paper in ('paper', 'sheet', 'warn'):
        low, high = sorted((light(theme[ink]), light(theme[paper])))
        assert high / low >= 4.5, (ink, paper)


def test_questions_of_their_own_have_no_matrix(given, page):
  assert 'Confusion matrix' not in page.text() and 'Balanced accuracy' not in page.text()
  assert given['result'].classes is None


def test_nobody_is_said_to_be_new_where_patients_are_not_named(given):
  source = {**proof(), 'notes': ['The source names no patients: every slide counts as a patient.']}
  text = Page(run_page.render(**{**given, 'split_proof': source})).text()
  assert 'none of them in training' not in text
  assert 'whether a person is in training too is not known' in text
  # Predictions of which no split is known either.
  size = dataclasses.replace(given['result'].test, patients=given['result'].test.images)
  nobody = dataclasses.replace(
    given['result'], test=size, notes=('No patient identifiers in test: every image counts.',)
  )
  text = Page(run_page.render(**{**given, 'result': nobody, 'split_proof': {}})).text()
  assert 'On whom400 images in the test set, their patients not named. Whether they' in text
