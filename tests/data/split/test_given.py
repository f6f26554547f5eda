"""Splits that the user has already: a column, a file, a date; joined as pandas joins them."""

import datetime
import io

import numpy as np
import pandas as pd
import pydicom
import pytest
from split_studies import make, study

from medjax.config import Data, Split
from medjax.data import cells, datasets
from medjax.data.split import by_patient, given
from medjax.errors import InputError

WORDS = {
  'train': ['train', 'Training', 'TRN'],
  'validation': ['validation', 'val', 'valid', 'dev', 'Validate'],
  'test': ['test', 'TEST', 'tst', ' testing '],
  '': ['', 'unused'],
}


@pytest.mark.parametrize('part', WORDS)
def test_words(part):
  assert {cells.part(word) for word in WORDS[part]} == {part}
  for word in ('0', '1.0', 'fold 1', 'trian', 'holdout'):
    with pytest.raises(ValueError, match='names no part'):
      cells.part(word)


def test_days():
  day = datetime.date(2024, 5, 31)
  header = pydicom.Dataset()
  header.StudyDate = day
  file = io.BytesIO()
  pydicom.dcmwrite(file, header, implicit_vr=True, little_endian=True)
  file.seek(0)
  written = pydicom.dcmread(file, force=True).StudyDate
  for text in (str(written), day.isoformat(), str(pd.Timestamp(day)), '2024-05-31T13:45:00'):
    assert cells.day(text) == day
  for text in ('31/05/2024', '05-31-2024', '2024-13-01', '2024-02-30', '2024', '', '45443'):
    with pytest.raises(ValueError, match='is no date'):
      cells.day(text)


def parts_of(table, root, **settings):
  made, notes = given.with_official(table, root, Split(**{'test': 'official'} | settings))
  return made['official_split'], notes


def drawn(seed=0):
  """A study of 200 patients, and a part for each of them."""
  made = study(200)
  names = made[0]['patient'].unique()
  parts = np.random.default_rng(seed).choice(['train', 'val', 'tst', 'unused'], len(names))
  return made, pd.DataFrame({'patient': names, 'split': parts})


PLAIN = {'val': 'validation', 'tst': 'test', 'unused': '', 'train': 'train'}


def test_a_file_by_patient_or_by_image(tmp_path):
  made, by_name = drawn()
  table = made[0]
  expected = table.merge(by_name, on='patient', how='left')['split'].map(PLAIN)
  by_name.sample(frac=1, random_state=0).to_csv(tmp_path / 'split.csv', index=False)
  got, notes = parts_of(table, tmp_path, file='split.csv')
  assert got.tolist() == expected.tolist() and notes == []
  by_image = table.merge(by_name, on='patient')[['image', 'split']].sample(frac=1, random_state=1)
  by_image.to_csv(tmp_path / 'images.tsv', sep='\t', index=False)
  got, notes = parts_of(table, tmp_path, file='images.tsv')
  assert got.tolist() == expected.tolist() and notes == []
  split, _ = make((table.assign(official_split=got), *made[1:]), 'official', 'official')
  assert (split == expected.replace('', 'unused').to_numpy()).all()


def test_what_a_file_does_not_name_is_unused_and_noted(tmp_path):
  (table, *_), by_name = drawn()
  by_name[:150].to_csv(tmp_path / 'split.csv', index=False)
  with open(tmp_path / 'split.csv', 'a') as file:
    file.write('stranger,test\n')
  got, notes = parts_of(table, tmp_path, file='split.csv')
  assert set(got[~table['patient'].isin(by_name['patient'][:150])]) == {''}
  assert notes == [
    'Named in the table but not in split.csv, so on no side: 50 patients.',
    "Named in split.csv but not in the table: 1 patient, such as 'stranger'.",
  ]


def test_a_date_tests_the_later_images_and_leaves_earlier_ones_of_the_same_patients_unused(
  tmp_path,
):
  table, truth, known = study(200)
  days = pd.to_datetime('2020-01-01') + pd.to_timedelta(
    np.random.default_rng(2).integers(0, 1000, len(table)), 'D'
  )
  table['date'] = days.strftime('%Y%m%d')
  first = pd.Timestamp('2021-06-01')
  assert (days == first).any()
  got, notes = parts_of(table, tmp_path, date='2021-06-01')
  last = days.to_series(index=table.index).groupby(table['patient']).transform('max')
  assert (
    got.tolist() == np.where(days >= first, 'test', np.where(last >= first, '', 'train')).tolist()
  )
  earlier = (days < first) & (last >= first)
  patients = table['patient'][earlier].nunique()
  assert notes == [
    'From before 2021-06-01 and unused, because their patients are tested: '
    f'{earlier.sum()} images of {patients} patients.'
  ]
  made = table.assign(official_split=got)
  split, _ = make((made, truth, known), 'official', 10)
  by_patient.check_overlap(made, split)
  assert (split[days >= first] == 'test').all() and (split[earlier] == 'unused').all()


def test_a_column_of_any_name_and_words(tmp_path):
  (tmp_path / 'labels.csv').write_text(
    'image,patient,fold,x\na,1,0,1\nb,2,4,0\nc,3,,1\nd,4,dev,1\n'
  )
  columns = {'official_split': 'fold'}
  table = datasets.read(Data('csv', str(tmp_path), ('x',), settings={'columns': columns}))
  with pytest.raises(
    InputError, match=r"labels\.csv: row 2, column 'official_split': '0' names no part.*names=\{'0'"
  ):
    parts_of(table, tmp_path)
  got, _ = parts_of(table, tmp_path, names={'0': 'train', '4': 'test'})
  assert got.tolist() == ['train', 'test', '', 'validation']


@pytest.mark.parametrize(
  ('text', 'settings', 'words'),
  [
    ('patient,split\n1,train\n1,test\n', {}, r"row 3: patient '1' is on two sides"),
    ('patient,split\n1,train\n2,3\n', {}, r"split\.csv: row 3, column 'split': '3' names no part"),
    ('patient,split\n7,test\n', {}, r"none of its patients is in the table, such as '7'"),
    ('image,split\nq,test\n', {}, r"none of its 1 images is in the table, such as 'q'"),
    ('name,split\na,test\n', {}, r"no column 'image' or 'patient' beside 'split'"),
    ('patient,side\n1,test\n', {}, r"no column 'split'"),
    ('patient,split\n1,test\n', {'test': 0.1}, r'file is set, but test and validation are drawn'),
    ('patient,split\n1,test\n', {'date': '2024-01-01'}, 'file and date are both set'),
    ('patient,split\n1,test\n', {'names': {'0': 'trian'}}, r"names\['0'\] is 'trian'; allowed"),
    ('', {'file': '', 'date': '1/1/24'}, r"config\.split\.date: '1/1/24' is no date"),
    ('', {'file': '', 'date': '2024-01-01'}, r"labels\.csv: row 3, column 'date': '' is no date"),
  ],
)
def test_mistakes_are_named(tmp_path, text, settings, words):
  (tmp_path / 'labels.csv').write_text('image,patient,date,x\na,1,2024-01-02,1\nb,2,,0\n')
  table = datasets.read(Data('csv', str(tmp_path), ('x',)))
  (tmp_path / 'split.csv').write_text(text)
  with pytest.raises(InputError, match=words):
    parts_of(table, tmp_path, **{'file': 'split.csv'} | settings)
