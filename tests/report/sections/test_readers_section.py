"""The section of readers: what the study says and draws, with curves and without."""

import html.parser

import numpy as np
import synthetic_summary
from drawn_readings import LABELS, SCORES, compared, drawn, predicted

from medjax.report import markup
from medjax.report.sections import readers as readers_section


class Page(html.parser.HTMLParser):
  """Collects text and classes, and fails at an element closed out of turn."""

  def __init__(self, text):
    super().__init__()
    self.open, self.words, self.classes = [], [], []
    self.feed(text)
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attrs):
    self.open.append(tag)
    self.classes += dict(attrs).get('class', '').split()

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.words.append(data)


def test_the_section_says_and_draws_the_study():
  test, answers = drawn(seed=11, missing=0)
  answers[:, 0, 0] = [1, 0, np.nan]
  study = compared(test, answers)
  page = Page(readers_section.section(study, synthetic_summary.evaluated(['Edema'])))
  text = ''.join(page.words)
  for label in LABELS:
    below = study.labels[label].below
    assert f'The curve lies above {below.count.value:.0f} of 3 readers for {label}.' in text
  average = study.below.average
  assert f'{average.value:.1f} ({average.interval[0]:.1f}–' in text
  assert 'averaged over 2 labels' in text
  for note in study.notes:
    assert note in text
  assert '1 tied' in text and '1 not answered' in text and '<2' not in text
  marks = page.classes.count('reader-mark')
  drawn_marks = 2 * (3 + 1)  # of both labels: the readers and the majority; the rest is the legend
  assert drawn_marks < marks <= drawn_marks + 2 * 3
  assert page.classes.count('cross') == drawn_marks
  for reader in study.labels['Edema'].readers:  # the words of its mark
    low, high = reader.specificity.interval
    assert f'specificity {reader.specificity.value:.2f} ({low:.2f}–{high:.2f})' in text
    assert 'below the curve' in text
  assert 'cdn' not in markup.style('reader_section.css') and 'url(' not in markup.style(
    'reader_section.css'
  )


def test_the_section_stands_without_curves_and_thresholds():
  study = compared(predicted(SCORES, [0] * 7), [[0] * 7], labels=['Edema'], thresholds={})
  page = Page(readers_section.section(study, synthetic_summary.evaluated(['Edema'])))
  text = ''.join(page.words)
  assert 'No curve to compare readers with.' in text
  assert 'no positives among the images read' in text and 'None' not in text
