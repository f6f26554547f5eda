"""The checklist: every item once, and nothing called documented that this run does not hold."""

import dataclasses

import pytest
import synthetic_summary

from medjax.report import checklist
from medjax.report.checklist import HERE, PARTLY, YOURS

NAMES = [
  'Patients', 'Labels', 'Operating points', 'Curves', 'Calibration', 'Subgroups', 'Readers',
  'Localisation',
  'Levels and ensembles', 'Examples', 'Learning', 'Split', 'Configuration', 'Versions',
]  # fmt: skip
FACTS = {'source': 'chexpert', 'model': 'densenet121', 'weights': 'timm', 'best step': '900'}
PROOF = {'splits': {'train': {}}, 'patient_overlap': {'test': {'train': 0, 'test': 9}}}
CONFIG = {'data': {'root': 'x'}}


def checklist_items(
  result=None, proof=PROOF, config=CONFIG, facts=FACTS, names=NAMES, explained=True
):
  result = result or synthetic_summary.evaluated(['Edema', 'Mass'])
  return checklist.items(result, proof, config, facts, names, explained)


def item(items, number, which='claim'):
  (one,) = (entry for entry in items if number in getattr(entry, which))
  return one


def test_every_item_of_both_lists_stands_once():
  # CLAIM 2024 has 44 items; STARD-AI 40, of which these five have parts (its table 2).
  claim = [str(number) for number in range(1, 45)]
  parts = {'15': 'abcd', '16': 'abc', '17': 'ab', '26': 'ab', '40': 'ab'}
  stard = [str(n) + part for n in range(1, 41) for part in parts.get(str(n), [''])]
  items = checklist_items()
  assert sorted(number for entry in items for number in entry.claim) == sorted(claim)
  assert sorted(number for entry in items for number in entry.stard) == sorted(stard)
  assert all(entry.claim or entry.stard for entry in items)


def test_a_full_run_documents_what_it_holds():
  items = checklist_items()
  for number in ('19', '20', '23', '24', '25', '26', '28', '29', '31', '32', '38'):
    assert item(items, number).status == HERE, number
  for number in ('18', '22', '30', '37', '39', '40'):
    assert item(items, number).status == PARTLY, number
  for number in ('1', '3', '15', '21', '33', '41', '44'):
    assert item(items, number).status == YOURS, number
  for entry in items:
    assert set(entry.where) <= {*NAMES, 'First screen'}
    assert entry.status == YOURS or entry.where, entry.asks


def test_a_bare_evaluation_documents_little():
  bare = synthetic_summary.evaluated(['Edema'], absent=('Edema',))
  bare = dataclasses.replace(bare, replicates=0, variants=())
  names = ['Labels', 'Operating points', 'Curves', 'Calibration', 'Learning', 'Split']
  model = {'model': 'the model of these predictions'}
  items = checklist_items(bare, {}, {}, model, names, False)
  for number in (
    '7', '9', '12', '18', '19', '20', '22', '23', '24', '26', '27', '29', '31', '37', '38', '39',
  ):  # fmt: skip
    assert item(items, number).status == YOURS, number
    assert not item(items, number).where
  assert item(items, '15c', 'stard').status == YOURS


@pytest.mark.parametrize(
  'change, words',
  [
    ({'proof': {**PROOF, 'patient_overlap': {'test': {'train': 3}}}}, '3 also in train'),
    (
      {'proof': {**PROOF, 'patient_overlap': {'train': {'validation': 2}}}},
      'Training and validation',
    ),
    ({'facts': {**FACTS, 'notes': ['No patient identifiers in test: …']}}, 'stands in for'),
    ({'proof': {**PROOF, 'notes': ['The source names no patients: …']}}, 'stands in for'),
  ],
)
def test_overlap_and_missing_patients_are_not_a_split_by_patient(change, words):
  partitions = item(checklist_items(**change), '20')
  assert partitions.status == PARTLY and words in partitions.words


def test_nothing_is_claimed_that_the_run_lacks():
  labels = ['Edema', 'Mass']
  assert item(checklist_items(names=['Labels', 'Examples'], explained=False), '31').status == YOURS
  words = item(checklist_items(facts={**FACTS, 'best step': 'the last one'}), '26').words
  assert words.startswith('The last one')
  alone = dataclasses.replace(synthetic_summary.evaluated(labels), validation=None)
  assert item(checklist_items(alone), '37').status == YOURS
  in_test = item(checklist_items(proof={}), '26a', 'stard')
  assert 'in the test set' in in_test.words and 'Split' not in in_test.where


def test_the_section_counts_and_links():
  text = checklist.section(checklist_items())
  here = sum(len(entry.claim) for entry in checklist_items() if entry.status == HERE)
  assert f'Of the 44 items of CLAIM, {here} are documented here' in text
  assert 'Of the 48 items and parts of items of STARD-AI' in text
  assert 'href="#operating-points"' in text and 'href="#first"' in text
