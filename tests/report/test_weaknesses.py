"""What weakens an answer: the gravest first, five of them shown."""

import ast
import dataclasses
import re

import numpy as np
import pytest
import synthetic_summary
from conftest import PROJECT
from frozen_evaluation import evaluate
from parsed_page import Page

from medjax.report import first_screen, markup, weaknesses


def test_the_order_is_by_what_a_sentence_makes_of_the_figures():
  # Sentences as evaluations of such predictions make them, not copies of their words.
  validation, test = (synthetic_summary.predicted(seed, ['Mass'], 60) for seed in (0, 1))
  met_again = evaluate(validation, test, replicates=20)
  strangers = validation._replace(patients=[f'v{name}' for name in validation.patients])
  few = evaluate(strangers, test, replicates=20)
  absent = evaluate(strangers, test._replace(truth=np.zeros_like(test.truth)), replicates=20)
  gravest, small = met_again.notes[0], few.notes[0]
  missing = next(note for note in absent.notes if note not in few.notes)
  assert 'in both' in gravest and 'Only 30' in small and 'No positives' in missing
  unknown = 'Something that nobody has ranked.'
  assert weaknesses.ranked([unknown, small, missing, gravest, small]) == [
    gravest, missing, small, unknown,
  ]  # fmt: skip


def test_an_enriched_test_set_is_no_shortcut():
  # Both speak of predicting.
  shortcut = (
    'Without any image, scanner tells Mass with an AUROC of 0.90 (0.85–0.95): a network may'
  )
  enriched = (
    "The test set was enriched to meet the floor for Mass: its prevalence is not the source's, and "
    'neither are the predictive values that follow from it.'
  )
  few = 'Only 12 test patients: intervals from so few tend to be too narrow.'
  assert weaknesses.ranked([enriched, few, shortcut]) == [shortcut, few, enriched]
  both = weaknesses.of_both(('a b', 'c'), [few, shortcut], [few])
  assert both == [f'Of a\N{NO-BREAK SPACE}b: {shortcut}', f'Of both: {few}']


def test_calibration_that_made_a_label_worse_is_told():
  result = synthetic_summary.evaluated(['Mass', 'Edema'])
  tested = result.labels['Mass']
  before = dataclasses.replace(tested.uncalibrated.test, brier=0.9 * tested.brier.value)
  worse = dataclasses.replace(
    tested, uncalibrated=dataclasses.replace(tested.uncalibrated, test=before)
  )
  better = dataclasses.replace(before, brier=1.1 * result.labels['Edema'].brier.value)
  fine = dataclasses.replace(
    result.labels['Edema'], uncalibrated=dataclasses.replace(worse.uncalibrated, test=better)
  )
  result = dataclasses.replace(result, labels={'Mass': worse, 'Edema': fine})
  (sentence,) = weaknesses.calibrated_worse(result)
  assert f'Mass {before.brier:.3f} before, {tested.brier.value:.3f} after' in sentence
  assert 'Edema' not in sentence and sentence in weaknesses.of_run(result, {}, {})
  assert sentence in Page(first_screen.first_screen('Films', result, {}, {}, {})).text()


def test_five_are_shown_and_the_others_folded():
  box = markup.findings('Weak', [f'number {at}' for at in range(8)], 'none')
  shown, folded = box.split('<details>')
  assert 'number 4' in shown and 'number 5' not in shown
  assert '3 more' in folded and 'number 7' in folded
  assert '<details>' not in markup.findings('Weak', ['one'], 'none')
  assert Page(box).count('li') == 8


# What sentences have filled in.
FILLED = ('7', 'positives', 'test', 'validation', '3 pictures', '3 comparisons', '3 test patients')


@pytest.fixture(scope='module')
def said():
  """Every text of the package but those of the ladder itself, filled in with each of `FILLED`."""
  texts = []
  for path in (PROJECT / 'medjax').rglob('*.py'):
    for node in ast.parse(path.read_text()).body:
      if not isinstance(node, ast.AnnAssign):  # as the ladder is
        texts += texts_of(node)
  return texts


def texts_of(node):
  """Yields the texts of a program but its docstrings, an f-string as one."""
  if isinstance(node, ast.JoinedStr):
    for filled in FILLED:
      yield ''.join(p.value if isinstance(p, ast.Constant) else filled for p in node.values)
  elif isinstance(node, ast.Constant) and isinstance(node.value, str):
    yield node.value
  elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
    for child in ast.iter_child_nodes(node):
      yield from texts_of(child)


def test_every_phrase_that_ranks_is_said_somewhere(said):
  phrases = [phrase for line in (*weaknesses.LADDER, *weaknesses.LEAST) for phrase in line]
  assert [phrase for phrase in phrases if not any(re.search(phrase, text) for text in said)] == []
