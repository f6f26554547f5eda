"""The page of a search: every trial, and what the choice is worth."""

import dataclasses

import pytest
from parsed_page import Page

from medjax.evaluation.figure import Figure
from medjax.evaluation.search_result import (
  COMPLETE,
  FAILED,
  PRUNED,
  Parameter,
  SearchResult,
  SearchTrial,
  notes_on_choice,
  winner_of,
)
from medjax.report import search_page

SPACE = {
  'rate': Parameter('float', 1e-5, 1e-3, log=True),
  'width': Parameter('int', 1.0, 9.0, step=2.0),
  'augment': Parameter('categorical', choices=('none', 'chest')),
}


def trial(number, value=None, half=0.04, state=COMPLETE, rate=1e-4, width=5, reason=''):
  interval = (value - half, value + half) if state == COMPLETE else None
  parameters = {'rate': rate, 'width': width, 'augment': 'none'}
  return SearchTrial(
    number, state, parameters, {'optimizer.learning_rate': rate}, Figure(value, interval),
    step=None if value is None else 200, steps=400, reason=reason,
  )  # fmt: skip


TRIALS = (
  trial(0, 0.80),
  trial(1, 0.88, width=9),
  trial(2, 0.85),
  trial(3, state=FAILED, reason='step 7: the loss <is> nan'),
  trial(4, 0.95, state=PRUNED),
  trial(5, 0.88, rate=9e-4),
)


def result(*trials, **more):
  made = SearchResult(
    asked=6, seed=0, space=SPACE, chosen_by='the mean AUROC', split_sha256='ab' * 32,
    trials=trials, best=winner_of(trials), **more,
  )  # fmt: skip
  return dataclasses.replace(made, notes=notes_on_choice(made))


def test_the_winner_is_the_best_complete_trial_and_the_first_of_equals():
  assert winner_of(TRIALS) == 1
  assert winner_of(TRIALS[3:5]) is None and winner_of(()) is None


def test_what_weakens_the_choice_is_said():
  optimistic, near, edge = notes_on_choice(result(*TRIALS))
  assert 'among 6 trials (1 pruned, 1 failed)' in optimistic and '0.880 (0.840–0.920)' in optimistic
  # Of 0.80, 0.85 and 0.88, two are at least 0.84.
  assert near.startswith('Of the 3 other complete trials, 2 lie within')
  assert edge.startswith('The winner lies at an end of the search space: width 9 (1 to 9, in steps')
  (alone,) = notes_on_choice(result(trial(0, 0.9)))
  assert 'among 1 trial (0 pruned, 0 failed)' in alone
  assert notes_on_choice(result(TRIALS[3])) == ()


@pytest.mark.parametrize(
  ('value', 'is_at_an_end'), [(1.2e-5, True), (1.3e-5, False), (7e-4, False), (9e-4, True)]
)
def test_an_end_is_a_twentieth_of_the_scale(value, is_at_an_end):
  # Of two decades: 1e-5 to 1.26e-5, and 7.9e-4 to 1e-3.
  assert SPACE['rate'].is_at_an_end(value) == is_at_an_end
  assert not SPACE['augment'].is_at_an_end('none')


def test_the_page_shows_every_trial_and_links_the_winner_s_report():
  tested = result(*TRIALS, test=Figure(0.83, (0.78, 0.87)))
  page = Page(
    search_page.render(tested, title='A < B', warning='Phantom.', best='best/report/index.html')
  )
  text = page.text()
  for words in (
    'A < B', 'Phantom.', '6 trials (1 pruned, 1 failed)', '1, the winner', '0.830 (0.780–0.870)',
    'step 7: the loss <is> nan', '1e-05 to 0.001, logarithmic', 'one of none, chest',
    'Optimistic', tested.notes[1], 'optimizer.learning_rate', 'abababababab',
  ):  # fmt: skip
    assert words in text, words
  links = [attributes['href'] for name, attributes in page.elements if name == 'a']
  assert links == ['best/report/index.html']
  kinds = [attributes.get('class') for _, attributes in page.elements]
  # An interval of each complete trial with a dot, or the winner's diamond; a box of the pruned one;
  # of each one more in the legend.
  assert kinds.count('dot') == 3 + 1 and kinds.count('wilson') == 4 + 1
  assert kinds.count('hollow') == 1 + 1 and kinds.count('point') == 1 + 1


def test_a_search_that_has_not_ended_says_so():
  text = Page(search_page.render(result(*TRIALS[:2]), title='x')).text()
  assert '2 trials (0 pruned, 0 failed); 4 still to end' in text and 'not read yet' in text
  for trials in ((), (TRIALS[3],)):
    assert 'No trial is complete' in Page(search_page.render(result(*trials), title='x')).text()
