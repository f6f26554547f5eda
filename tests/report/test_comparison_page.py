"""The page that compares two runs: the answer first, well-formed, escaped, with its verdict."""

import dataclasses
import html.parser

import numpy as np
import pytest
from compared_runs import compare, runs

from medjax.evaluation import wording
from medjax.report import comparison_page


class Reader(html.parser.HTMLParser):
  """Checks that elements close in order, and gathers text and addresses."""

  def __init__(self):
    super().__init__()
    self.open, self.text, self.tags = [], [], set()

  def handle_starttag(self, name, attributes):
    self.tags.add(name)
    assert not {'src', 'href'} & {key for key, _ in attributes}
    if name != 'meta':
      self.open.append(name)

  def handle_endtag(self, name):
    assert self.open.pop() == name

  def handle_data(self, text):
    self.text.append(text)


def read(page):
  reader = Reader()
  reader.feed(page)
  assert not reader.open and 'script' not in reader.tags
  return ' '.join(' '.join(reader.text).split())


def test_the_page_says_the_answer_first_and_escapes_what_it_is_given():
  one, other = (run._replace(labels=['T1 < 2 & N0', 'Mass', 'Fracture']) for run in runs())
  compared = compare(one, other, between=('runs/<b>new', 'runs/old'))
  page = comparison_page.render(
    compared,
    facts={'Checkpoint': 'step 9'},
    notes=['The runs split their patients differently.'],
    warning='Not a fair test.',
  )
  text = read(page)
  assert '<b>new' not in page and 'runs/<b>new against runs/old' in text
  assert 'T1 < 2 & N0' in text and 'Checkpoint step 9' in text
  order = [
    'Not a fair test.',
    'Difference in mean AUROC of 3 labels',
    '95% interval',
    'split their',
  ]
  places = [text.index(words) for words in order]
  assert places == sorted(places)
  for contrast in (compared.mean, *compared.labels.values()):
    assert wording.signed(contrast.auroc.difference.value, 3) in text


@pytest.mark.parametrize('verdict', comparison_page.WORDS)
def test_the_page_has_a_sentence_for_every_verdict(verdict):
  compared = compare(*runs(gains=(0.5,)), between=('A', 'B'))
  mean = dataclasses.replace(compared.mean, verdict=verdict)
  compared = dataclasses.replace(compared, mean=mean)
  text = read(comparison_page.render(compared))
  assert comparison_page.in_words(compared)[1] in text
  assert ('A is' in text.split('What weakens')[0]) == (verdict not in ('undecided', 'not compared'))
  assert 'Mean of' not in text  # of one label


def test_the_answer_in_words_begins_with_the_numbers():
  one, other = (run._replace(patients=run.images) for run in runs(gains=(0.5,)))
  compared = compare(one, other, between=('A', 'B'))
  first, _, *notes = comparison_page.in_words(compared)
  auroc = compared.mean.auroc

  def signed(value):
    return wording.signed(value, 3)

  value, bounds = auroc.difference.value, auroc.difference.interval
  one, other = (wording.plain(figure, 3) for figure in (auroc.one, auroc.other))
  assert first.startswith(f'AUROC of Edema: A {one}, B {other}, difference ')
  assert first.endswith(
    f'{signed(value)} (95% interval {signed(bounds[0])} to {signed(bounds[1])})'
  )
  assert notes[0].startswith('note: No patient identifiers')


def test_the_page_without_any_figure():
  one, other = (run._replace(known=np.zeros_like(run.known)) for run in runs())
  text = read(comparison_page.render(compare(one, other, margin=0)))
  assert comparison_page.in_words(compare(one, other))[0] == (
    'No difference in AUROC: no label has both classes'
  )
  assert 'No interval: no label has both classes.' in text and 'No verdict' in text


def test_signs_and_small_p_values():
  assert [wording.signed(x, 3) for x in (0.0121, -0.0004, -0.02, None)] == [
    '+0.012',
    '−0.0004',
    '−0.020',
    '–',
  ]
  assert comparison_page.p_value(1e-9, 0.05).startswith('<')
  assert comparison_page.p_value(0.04, 0.05) == '0.040'


def test_the_page_counts_what_is_tested():
  for unit, words in (('study', 'studies'), ('image', 'images')):
    compared = compare(*runs(), unit=unit)
    text = read(comparison_page.render(compared))
    assert f'{compared.test.images:,} {words} in the test set' in text


def test_each_run_has_its_interval_its_curve_and_its_decisions():
  one, other = runs()
  thresholds = {label: 0.5 for label in one.labels}
  compared = compare(one, other, between=('A', 'B'), thresholds=(thresholds, thresholds))
  page = comparison_page.render(compared, settings=[('seed', '0', '1'), ('steps', '9', '10')])
  text = read(page)
  for contrast in (compared.mean, *compared.labels.values()):
    for figure in (contrast.auroc.one, contrast.auroc.other):
      assert figure.interval and wording.plain(figure, 3) in text
  for contrast in compared.labels.values():
    for pair in (contrast.sensitivity, contrast.specificity):
      assert f'{wording.signed(pair.difference.value, 2)} (' in text
  assert page.count('class="line first"') == len(compared.labels) + 1  # and in the legend
  assert 'seed 0 1 steps 9 10' in text and 'nobody can say which' in text
  alone = read(comparison_page.render(compare(one, other)))
  assert 'no frozen thresholds are known' in alone and 'a file of predictions' in alone
