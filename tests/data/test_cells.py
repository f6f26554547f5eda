"""What a cell says: against pandas, numpy, pydicom, and the values that standards list."""

import io
import math

import numpy as np
import pandas as pd
import pydicom
import pytest
from pandas._libs.parsers import STR_NA_VALUES

from medjax.config import Data
from medjax.data import cells, datasets
from medjax.data.leakage import shortcuts
from medjax.data.reference import reader_table
from medjax.errors import InputError
from medjax.evaluation import joining, predictions, value_groups


@pytest.mark.parametrize(
  ('text', 'years'),
  [
    # PS3.5 6.2, AS: "018M" represents an age of 18 months.
    ('018M', 1), ('045Y', 45), ('003W', 0), ('052W', 0), ('010D', 0), ('400D', 1), ('119Y', 119),
    ('45', 45), ('45.0', 45), ('45.5', 45.5), ('045', 45), (' 45 ', 45), ('4.5e+01', 45),
    ('45y', 45), ('45 Y', 45), ('45 years', 45), ('45 years old', 45), ('45 y.o.', 45),
    ('18 months', 1), ('23m', 1), ('6 weeks', 0), ('1 year', 1), ('45,5 years', 45.5),
    # 45 CFR 164.514(b)(2)(i)(C): all ages over 89 become a single category of age 90 or older.
    ('90+', 90), ('>89', 90), ('> 89', 90), ('≥90', 90), ('>=90', 90), ('90 or older', 90),
    ('over 89', 90), ('090Y+', 90), ('89+', 89),
  ],
)  # fmt: skip
def test_ages(text, years):
  assert cells.years(text) == years and cells.age(text) == f'{years:g}'


def test_ages_that_pydicom_writes():
  for age in ('000D', '011M', '012M', '051W', '099Y'):
    header = pydicom.Dataset()
    header.PatientAge = age
    file = io.BytesIO()
    pydicom.dcmwrite(file, header, implicit_vr=True, little_endian=True)
    file.seek(0)
    written = pydicom.dcmread(file, force=True).PatientAge
    days = {'D': 1, 'W': 7, 'M': 365.25 / 12, 'Y': 365.25}[age[3]] * int(age[:3])
    assert cells.years(written) == days // 365.25


@pytest.mark.parametrize('text', ['', ' ', 'nan', 'NA', 'unknown', 'Unknown', 'N/A', '?', '-', '.'])
def test_an_age_or_a_sex_that_is_not_known(text):
  assert math.isnan(cells.years(text)) and cells.age(text) == '' and cells.sex(text) == ''


@pytest.mark.parametrize('text', ['old', '40-49', '045X', '45 46', '1.2.3', '<40', '45 kg', 'F'])
def test_what_is_no_age(text):
  with pytest.raises(ValueError, match='no age'):
    cells.years(text)


@pytest.mark.parametrize(
  ('sex', 'texts'),
  [
    # DICOM PS3.3 C.7.1.1: M, F, O. FHIR: male, female, other, unknown. HL7 v2 table 0001: U.
    ('M', ['M', 'm', 'Male', 'male', 'MALE', ' M ', 'man', 'männlich']),
    ('F', ['F', 'f', 'Female', 'female', 'FEMALE', 'W', 'w', 'Woman', 'weiblich']),
    ('O', ['O', 'o', 'Other', 'other', 'divers', 'non-binary']),
    ('', ['U', 'unknown', 'Unknown', 'UNK', 'not reported', 'Not Recorded']),
  ],
)
def test_sexes(sex, texts):
  assert {cells.sex(text) for text in texts} == {sex}


@pytest.mark.parametrize('text', ['1', '2', '0', 'H', 'MF', 'mael', '045Y', 'X'])
def test_what_is_no_sex_or_may_be_either(text):
  with pytest.raises(ValueError, match='no sex'):
    cells.sex(text)


def test_codes_as_programs_write_them():
  truth = np.array([1.0, 0.0, -1.0])
  for written in (['%d'], ['%.1f'], ['%.2f'], ['%.18e'], ['%g'], [' %d '], ['%+d']):
    texts = [written[0] % value for value in truth]
    assert [cells.code(text, cells.LABELS) for text in texts] == truth.tolist()
  booleans = pd.Series([True, False]).to_csv(index=False, header=False).split()
  assert [cells.code(text, cells.BINARY) for text in booleans] == [1, 0]
  for text in STR_NA_VALUES - {
    '#N/A',
    '#N/A N/A',
    '#NA',
    '-1.#IND',
    '-1.#QNAN',
    '1.#IND',
    '1.#QNAN',
  }:
    assert math.isnan(cells.code(text, cells.ANSWERS))


@pytest.mark.parametrize(
  ('texts', 'value'),
  [
    (['TRUE', 'true', 'T', 'yes', 'Yes', 'y', 'positive', 'Pos', 'present'], 1),
    (['FALSE', 'false', 'f', 'no', 'No', 'N', 'negative', 'NEG', 'absent'], 0),
    (['uncertain', '−1', '-1.00'], -1),
  ],
)
def test_words_for_codes(texts, value):
  assert {cells.code(text, cells.LABELS) for text in texts} == {value}


def test_grades_are_no_yes_or_no_and_names_come_first():
  grades = {str(grade): grade for grade in range(5)} | {'': -1}
  assert [cells.code(text, grades) for text in ('2.0', '3.00', ' 4', 'NaN', '')] == [
    2,
    3,
    4,
    -1,
    -1,
  ]
  classes = {'none': 0, 'mild': 1, '': -1}
  assert [cells.code(text, classes) for text in ('None', 'MILD', 'none')] == [0, 1, 0]
  for text, codes in [
    ('True', grades), ('yes', grades), ('5', grades), ('1.5', grades), ('NA', classes),
    ('-1', cells.ANSWERS), ('uncertain', cells.ANSWERS), ('', cells.BINARY), ('2', cells.LABELS),
    ('#N/A', cells.LABELS), ('unknown', cells.LABELS), ('m', {'m': 1, 'M': 2} | {'x': 3, 'X': 4}),
    ('1', {}), ('maybe', cells.LABELS),
  ]:  # fmt: skip
    if text == 'm':
      assert cells.code(text, codes) == 1
      continue
    with pytest.raises(KeyError):
      cells.code(text, codes)


FORMS = ['1', '1.0', '1.00', ' 1', 'True', 'yes', 'Positive']


def test_sources_readers_and_commands_read_the_same_forms(tmp_path):
  path = tmp_path / 'labels.csv'
  rows = [f'{n}.png,{n},{form},0.5' for n, form in enumerate(FORMS)]
  path.write_text('image,patient,true_x,prob_x\n' + '\n'.join(rows))
  np.testing.assert_array_equal(joining.read(path, None).truth[:, 0], 1)
  np.testing.assert_array_equal(predictions.read(path).truth[:, 0], 1)
  columns = {'class': 'true_x'}
  graded = datasets.read(
    Data('csv', str(tmp_path), ('0', '1'), settings={'columns': columns, 'grouped_by': 'patient'})
  )
  np.testing.assert_array_equal(graded['1'], 1)
  path.write_text(path.read_text().replace('true_x', 'x'))
  assert datasets.read(Data('csv', str(tmp_path), ('x',)))['x'].tolist() == [1] * len(FORMS)
  path.write_text('image,reader,x\n' + '\n'.join(f'{n}.png,R1,{f}' for n, f in enumerate(FORMS)))
  assert reader_table.read(path)['x'].tolist() == [1] * len(FORMS)


def test_a_source_s_ages_and_sexes_are_read_or_refused_by_row(tmp_path):
  path = tmp_path / 'labels.csv'
  path.write_text(
    'image,patient,PatientAge,PatientSex,x\na,1,045Y,Male,1\nb,2,>89,w,0\nc,3,018M,Other,0\nd,4,,U,1\n'
  )
  columns = {'age': 'PatientAge', 'sex': 'PatientSex'}
  data = Data('csv', str(tmp_path), ('x',), settings={'columns': columns})
  table = datasets.read(data)
  assert table['age'].tolist() == ['45', '90', '1', '']
  assert table['sex'].tolist() == ['M', 'F', 'O', '']
  for old, new, words in (
    ('>89', 'old', r"labels\.csv: row 3, column 'age': 'old' is no age that is understood; write"),
    ('Other', '2', r"labels\.csv: row 4, column 'sex': '2' is no sex that is understood; write M"),
  ):
    text = path.read_text()
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
      datasets.read(data)
    path.write_text(text)


def test_groups_do_not_depend_on_how_ages_and_sexes_are_written():
  ages = np.arange(0, 110)
  bands = pd.cut(
    ages, [0, 18, 40, 60, 80, 121], right=False, labels=['0-17', '18-39', '40-59', '60-79', '80+']
  ).tolist()
  for form in ('{:d}', '{:03d}Y', '{:.1f}', '{:d}y', '{:d} years'):
    assert value_groups.of_values('age', [form.format(age) for age in ages]) == bands
  assert value_groups.of_values('age', ['>89', 'adult', '', '999']) == [
    '80+', 'adult', 'not recorded', 'not recorded',
  ]  # fmt: skip
  assert value_groups.of_values('sex', ['M', 'Male', 'm', 'female', 'F', 'U', '2', 'H']) == [
    'M', 'M', 'M', 'F', 'F', 'not recorded', '2', 'H',
  ]  # fmt: skip
  assert shortcuts.numbers('age', pd.Series(['045Y', '018M', '45', 'x', ''])).tolist()[:3] == [
    45,
    1,
    45,
  ]
