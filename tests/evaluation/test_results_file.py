"""Results as JSON and back, and the page that documents them."""

import dataclasses
import json
import pathlib
import re
import typing

import pytest
import synthetic_summary

from medjax.data.leakage.findings import Audit
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.contrasts import Comparison
from medjax.evaluation.external.result import ExternalResult
from medjax.evaluation.figure import Figure
from medjax.evaluation.repeated_result import FoldsResult, SeedsResult
from medjax.evaluation.result import Result
from medjax.evaluation.search_result import SearchResult
from medjax.evaluation.statistics.agreement import Agreement
from medjax.evaluation.test_size import Plan
from medjax.whole_slides import results as slide_results
from medjax.whole_slides.results import SlideResults

ROOTS = (
  Result, Comparison, Agreement, Audit, SlideResults, Plan, ExternalResult,
  SearchResult, FoldsResult, SeedsResult,
)  # fmt: skip
DOCS = pathlib.Path(__file__).parents[2] / 'docs' / 'results.md'


def _dataclasses_of(kind):
  """Every dataclass that a value of this type may hold, itself included, by name."""
  if dataclasses.is_dataclass(kind):
    kinds = {kind.__name__: kind}
    for hint in typing.get_type_hints(kind).values():
      kinds |= _dataclasses_of(hint)
    return kinds
  return {
    name: value
    for argument in typing.get_args(kind)
    for name, value in _dataclasses_of(argument).items()
  }


@pytest.mark.parametrize('head', ['sigmoid', 'softmax', 'ordinal'])
def test_a_file_gives_back_an_equal_result(tmp_path, head):
  result = synthetic_summary.evaluated(['Edema', 'Mass', 'None'], head, absent=('None',))
  path = tmp_path / 'test.json'
  results_file.save(path, result)
  assert results_file.load(path, Result, 'test again') == result
  content = json.loads(path.read_text())
  assert content['schema'] == 3 and content['confidence'] == 0.95
  assert content['labels']['Edema']['auroc']['interval'][0] < 1


@pytest.mark.parametrize(
  ('spoil', 'words'),
  [
    (lambda content: content.pop('schema'), 'no schema number'),
    (lambda content: content.update(schema=1), 'schema 1'),
    (lambda content: content.pop('mean'), 'required field missing @ $.mean'),
    (lambda content: content.update(level=0.95), 'extra fields found'),
    (lambda content: content['mean']['auroc'].update(value='0.9'), '$.mean.auroc.value'),
    (lambda content: content['mean']['auroc'].update(interval=[0.1]), '$.mean.auroc.interval'),
    (lambda content: content['labels'].update(Edema=[]), "$.labels['Edema']"),
    (lambda content: content['mean']['auroc'].pop('interval'), 'missing'),
    (lambda content: content.update(notes='Few patients.'), 'no list'),
    (lambda content: content['mean'].update(labels={}), 'no list'),
  ],
)
def test_another_file_is_one_line_that_says_what_to_do(tmp_path, spoil, words):
  path = tmp_path / 'test.json'
  results_file.save(path, synthetic_summary.evaluated(['Edema']))
  content = json.loads(path.read_text())
  spoil(content)
  path.write_text(json.dumps(content))
  with pytest.raises(InputError) as error:
    results_file.load(path, Result, 'delete it and test the run again')
  message = str(error.value)
  assert message.startswith(f'{path}: ') and message.endswith('delete it and test the run again')
  assert words in message and '\n' not in message


def test_results_of_slides_are_refused_in_another_schema(tmp_path):
  result = synthetic_summary.evaluated(['tumor'])
  path = tmp_path / 'slides.json'
  results_file.save(path, SlideResults('max', 'patches', None, result, None))
  assert slide_results.read(path) == SlideResults('max', 'patches', None, result, None)
  path.write_text(path.read_text().replace('"schema": 3', '"schema": 1'))
  with pytest.raises(InputError, match='schema 1, and this one reads schema 3'):
    slide_results.read(path)


def test_figures_are_short_to_read():
  assert repr(Figure(0.91234, (0.87312, 0.94311))) == (
    'Figure(value=0.9123, interval=(0.8731, 0.9431))'
  )
  assert repr(Figure(None, reason='no positives')) == (
    "Figure(value=None, interval=None, reason='no positives')"
  )


def test_a_table_has_a_row_for_each_label():
  result = synthetic_summary.evaluated(['Edema', 'Mass', 'None'], absent=('None',))
  table = result.to_frame()
  assert list(table.index) == ['Edema', 'Mass', 'None']
  edema = result.labels['Edema']
  row = table.loc['Edema']
  assert (row['auroc_low'], row['auroc_high']) == edema.auroc.interval
  assert row['auroc'] == edema.auroc.value and row['positives'] == edema.positives
  assert row['threshold'] == edema.operating_points[0].threshold
  assert row['sensitivity'] == edema.operating_points[0].sensitivity.value
  assert table['auroc'].isna().tolist() == [False, False, True]


def test_the_page_documents_every_field_of_every_dataclass():
  sections = re.split(r'^## ', DOCS.read_text(), flags=re.M)[1:]
  documented = {
    section.split('\n')[0]: re.findall(r'^- `(\w+)` \(.+\): \S', section, flags=re.M)
    for section in sections
  }
  expected = {
    name: [field.name for field in dataclasses.fields(kind)]
    for root in ROOTS
    for name, kind in _dataclasses_of(root).items()
  }
  assert documented == expected
