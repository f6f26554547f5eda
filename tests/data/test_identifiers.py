"""One person under several spellings, and spellings that name nobody, in every table of people."""

import string

import numpy as np
import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES

import medjax
from medjax.config import Data
from medjax.data import datasets, identifiers, table
from medjax.data.images import lists
from medjax.data.leakage import seen_before
from medjax.data.reference import reader_table
from medjax.errors import InputError
from medjax.evaluation import joining, predictions
from medjax.whole_slides import slide_tables

# What spreadsheets, pandas, keyboards and operating systems make of one identifier.
SPELLINGS = [
  ('0007', '7'),
  ('7', '7.0'),
  ('7', '7.00'),
  ('7', '7.'),
  ('1,234', '1234'),
  ('1,234.00', '1234'),
  ("'0007", '7'),
  ('“7”', '7'),
  ('P7', 'p7'),
  ('P007', 'P7'),
  ('P-007', 'P 7'),
  ('P_7', 'P–7'),
  ('P-12345', 'P12345'),
  ('+7', '7'),
  ('#007', '7'),
  ('12/345', '12-345'),
  ('12/345', '12345'),
  ('-7', '\u22127'),
  ('123-45-67', '1234567'),
  ('123-04-67', '1230467'),
  ('12/045', '12045'),
  ('1-07', '107'),
  ('P-007', 'P7'),
  ('+7.0', '7'),
  ('#1,234', '1234'),
  ('12:345', '12-345'),
  ('12\\345', '12/345'),
  ('(7)', '7'),
  ('="007"', '7'),
  ('site01_pat007', 'site1-pat7'),
  ('Jos\u00e9', 'Jose\u0301'),
  ('p1', 'p1\u200b'),
  ('p1', '\ufeffp1'),
  ('p 1', 'p\u00a01'),
  ('７', '7'),
  ('٧', '7'),
  ('Straße 1', 'STRASSE 1'),
]
OTHERS = [
  ('7', '70'),
  ('07', '70'),
  ('P7', 'Q7'),
  ('1-23', '12-3'),
  ('12-045', '1245'),
  ('1-07', '17'),
  ('1.5', '1.05'),
  ('1.2.840.10', '1.2.840.1'),
  ('a00b1', 'a0b1'),
  ('7', 'a7'),
]


@pytest.mark.parametrize(('one', 'other'), SPELLINGS)
def test_spellings_of_one_look_alike(one, other):
  assert identifiers.look_alikes([one, 'x', other, one]) == [[one, other]]
  assert list(identifiers.joined(pd.Series([other, 'x', one]))) == [other, 'x', other]


@pytest.mark.parametrize(('one', 'other'), [*SPELLINGS, *(pair[::-1] for pair in SPELLINGS)])
def test_one_is_found_under_the_other(one, other):
  assert identifiers.finder({'x': 1, one: 2})(other) == 2


@pytest.mark.parametrize(('one', 'other'), OTHERS)
def test_others_do_not(one, other):
  assert identifiers.look_alikes([one, other]) == []
  assert identifiers.finder({one: 1})(other) is None


def test_parts_of_numbers_are_two_people_without_a_name_that_is_both():
  assert identifiers.look_alikes(['1-23', '12-3', '1-2-3']) == []
  assert identifiers.look_alikes(['1-23', '123']) == [['1-23', '123']]


def test_what_two_spellings_of_one_may_be_is_all_one():
  names = ['1-7', '17', '1-07', '107', '1-8']
  assert identifiers.look_alikes(names) == [names[:4]]
  assert identifiers.look_alikes(['1-23', '12-3', '123']) == [['1-23', '12-3', '123']]


@pytest.mark.parametrize(
  'names',
  [
    [str(number) for number in range(3000)],
    [f'{number:08d}' for number in range(3000)],
    [f'patient{number:05d}' for number in range(3000)],
    [f'TCGA-A{number % 9}-{number:04d}' for number in range(3000)],
    [f'{number}_{side}' for number in range(1500) for side in ('left', 'right')],
    [f'1.2.840.113619.2.{number}' for number in range(3000)],
    list(string.ascii_lowercase),
  ],
)
def test_identifiers_of_published_sets_are_all_different(names):
  assert identifiers.look_alikes(names) == []
  assert len({identifiers.key(name) for name in names}) == len(names)
  assert not any(map(identifiers.is_unknown, names))


def test_random_identifiers_of_one_width_never_look_alike():
  rng = np.random.default_rng(0)
  # Three characters, two of them zero or one: every way to move zeros about is among them.
  digits = rng.choice(list('0001ab'), (20_000, 6))
  names = sorted({''.join(row) for row in digits})
  assert len(names) > 3000 and identifiers.look_alikes(names) == []


def test_what_pandas_takes_for_missing_names_nobody():
  for name in (*STR_NA_VALUES, *(name.lower() for name in STR_NA_VALUES)):
    assert identifiers.is_unknown(name), name
  for name in ('#REF!', '#VALUE!', '#DIV/0!', 'unknown', 'Unknown', '?', '-', '—', '...', 'n.a.'):
    assert identifiers.is_unknown(name), name
  for name in ('0', '-1', '#7', 'NAN1', 'Nano', 'P?', 'Ana'):
    assert not identifiers.is_unknown(name), name


def write(path, names, column='patient'):
  rows = [f'{number}.png,{name},{number % 2}' for number, name in enumerate(names)]
  path.write_text('\n'.join([f'image,{column},x', *rows]), 'utf-8')
  return path


def read(root, **settings):
  return datasets.read(Data('csv', str(root), ('x',), settings={'table_file': 't.csv'}, **settings))


@pytest.mark.parametrize(
  ('one', 'other'), [('0007', '7'), ('P7', 'p7'), ('Jos\u00e9', 'Jose\u0301')]
)
def test_a_study_table_is_refused_by_both_spellings_and_rows_or_joined(tmp_path, one, other):
  write(tmp_path / 't.csv', [one, 'b', other, 'c'])
  with pytest.raises(InputError) as raised:
    read(tmp_path)
  message = str(raised.value)
  assert 't.csv: row 2 and row 4: the patients ' in message and "data.ids='normalise'" in message
  assert ascii(one)[1:-1] in message and ascii(other)[1:-1] in message and '\n' not in message
  joined = read(tmp_path, ids='normalise')
  assert list(joined['patient']) == [one, 'b', one, 'c']
  assert list(joined['patient_as_written']) == [one, 'b', other, 'c']
  [note] = table.note_on_identifiers(joined)
  assert note.startswith(f"1 patient written in several ways, such as '{one}' and '{other}', was")


@pytest.mark.parametrize('name', ['N/A', '#REF!', 'unknown', '?', '-', 'ANONYMOUS'])
def test_a_word_for_nobody_is_no_patient(tmp_path, name):
  write(tmp_path / 't.csv', ['a', name, 'b', name])
  with pytest.raises(InputError) as raised:
    read(tmp_path)
  assert f"t.csv: row 3: the patient is '{name}', which names nobody (2 such rows)" in str(
    raised.value
  )


def test_a_number_that_a_spreadsheet_has_shortened_is_no_patient(tmp_path):
  write(tmp_path / 't.csv', ['1', '1.23457E+11'])
  with pytest.raises(InputError, match=r"row 3: the patient '1\.23457E\+11' is a number"):
    read(tmp_path)


@pytest.mark.parametrize('column', ['study', 'lesion', 'slide', 'reader'])
def test_other_identifiers_follow_the_same_rule(column):
  frame = pd.DataFrame(
    {'image': list('abcd'), 'patient': ['1', '1', '2', '2'], column: ['S1', 's01', 'N/A', 'S2']}
  )
  checked = table.check(frame, 'x.csv')
  assert list(checked[column]) == ['S1', 's01', '', 'S2']
  with pytest.raises(InputError, match=rf"x\.csv: row 2 and row 3: the {column}s 'S1' and 's01'"):
    table.with_identifiers(checked, 'x.csv')
  assert list(table.with_identifiers(checked, 'x.csv', 'normalise')[column]) == [
    *('S1', 'S1', '', 'S2')
  ]
  # Patients number their studies each in their own way.
  frame['patient'] = ['1', '2', '3', '4']
  settled = table.check(frame, 'x.csv')
  if column == 'study':
    assert list(table.with_identifiers(settled, 'x.csv')['study']) == ['S1', 's01', '', 'S2']


def test_images_that_stand_in_for_patients_are_left_alone(tmp_path):
  (tmp_path / 't.csv').write_text('image,x\nimg1.png,1\nIMG01.png,0\n')
  data = Data('csv', str(tmp_path), ('x',), settings={'table_file': 't.csv', 'grouped_by': 'image'})
  assert len(datasets.read(data)) == 2


def test_predictions_of_another_program(tmp_path):
  def write(name, patients):
    frame = pd.DataFrame({'image': list('abcd'), 'patient': patients})
    frame.assign(prob_x=0.5, true_x=[0, 1, 0, 1]).to_csv(tmp_path / name, index=False)
    return tmp_path / name

  for reader in (predictions.read, lambda path: joining.read(path, None)):
    with pytest.raises(InputError, match=r"row 2 and row 3: the patients '5' and '5\.0' look"):
      reader(write('test.csv', ['5', '5.0', '6', '7']))
    with pytest.raises(InputError, match=r"row 4: the patient is '\?', which names nobody"):
      reader(write('test.csv', ['5', '6', '?', '7']))
  assert joining.read(write('test.csv', list('abcd')), None).patients == list('abcd')


def test_a_validation_file_that_writes_its_patients_otherwise(command, tmp_path):
  rng = np.random.default_rng(0)
  for part, ids in (('test', range(30)), ('validation', np.arange(30.0))):
    frame = pd.DataFrame({'image': [f'{part}{n}' for n in range(30)], 'patient': ids})
    frame.assign(prob_x=rng.random(30), true_x=np.arange(30) % 2).to_csv(
      tmp_path / f'{part}.csv', index=False
    )
  refused = command(
    'evaluate', f'--predictions={tmp_path}/test.csv', f'--validation={tmp_path}/validation.csv'
  )
  assert refused.returncode == 1 and refused.stderr.count('\n') == 1
  assert '--validation: row 2' in refused.stderr and 'test.csv: row 2' in refused.stderr
  assert "the patients '0.0' and '0' look like one" in refused.stderr


def test_readers_and_their_patients(tmp_path):
  path = tmp_path / 'reads.csv'
  path.write_text('image,reader,x\na,1,1\nb,1.0,0\na,2,1\n')
  with pytest.raises(InputError, match=r"reads\.csv: row 2 and row 3: the readers '1' and '1\.0'"):
    reader_table.read(path)
  path.write_text('image,reader,x\na,1,1\nb,unknown,0\n')
  with pytest.raises(InputError, match="row 3: the reader is 'unknown', which names nobody"):
    reader_table.read(path)


def test_slides_and_their_patients(tmp_path):
  for name in ('a', 'b'):
    (tmp_path / f'{name}.tif').write_bytes(b'')
  for names, words in ((('7', '07'), "'7' and '07'"), (('7', 'N/A'), "'N/A', which names nobody")):
    (tmp_path / 'facts.csv').write_text(f'slide,patient\na,{names[0]}\nb,{names[1]}\n')
    with pytest.raises(InputError, match=words):
      slide_tables.find(tmp_path, table_file=tmp_path / 'facts.csv')


def test_arrays_in_python():
  truth, scores = [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.7]
  with pytest.raises(medjax.InputError, match="row 0 and row 1: the patients 'P7' and 'p7'"):
    medjax.assess(truth, scores, patients=['P7', 'p7', 'c', 'd'])
  with pytest.raises(medjax.InputError, match="row 3: the patient is 'n/a', which names nobody"):
    medjax.assess(truth, scores, patients=['a', 'b', 'c', 'n/a'])
  frame = pd.DataFrame({'image': list('abcd'), 'patient': ['01', '1', '2', '3'], 'x': truth})
  with pytest.raises(medjax.InputError, match="the patients '01' and '1' look like one"):
    medjax.split_patients(frame, ['x'])


def test_images_that_stand_in_for_patients_are_told_apart_by_all_of_their_name(tmp_path):
  names = {'image': ['NORMAL/IM-0001.png'], 'patient': ['NORMAL/IM-0001.png']}
  seen = pd.DataFrame({**names, 'split': ['train'], 'root': [str(tmp_path)], 'sha256': ['']})
  other = pd.DataFrame({'image': ['normal/IM_1.png'], 'patient': ['normal/IM_1.png']})
  test = np.array(['test'], object)
  seen_before.check_unseen(other, test, str(tmp_path), seen)
  with pytest.raises(InputError, match='trained or chose'):
    seen_before.check_unseen(pd.DataFrame(names), test, str(tmp_path), seen)


def test_what_is_on_both_sides_of_one_split_is_a_matter_of_that_split(tmp_path):
  # A blank image among those that train and those that are tested: the proof counts it.
  seen = pd.DataFrame(
    {'image': ['blank.png', 'a.png'], 'patient': ['1', '2'], 'split': ['train', 'train']}
  ).assign(root=str(tmp_path), sha256=['b', 'a'])
  images = pd.DataFrame(
    {'image': ['blank.png', 'x.png'], 'split': ['train', 'test'], 'sha256': ['b', 'b']}
  )
  seen_before.check_new_images(images, seen)
  images.loc[1, 'sha256'] = 'a'
  with pytest.raises(InputError, match=r"1 of the 1 test images, such as 'x\.png', are byte for"):
    seen_before.check_new_images(images, seen)


def test_people_who_trained_are_known_under_every_spelling(tmp_path):
  seen = pd.DataFrame(
    {'image': ['a.png'], 'patient': ['0007'], 'split': ['train'], 'root': [str(tmp_path)]}
  ).assign(sha256='')
  images = pd.DataFrame({'image': ['other.png'], 'patient': ['7']})
  with pytest.raises(InputError, match=r"1 of the 1 test patients, such as '7', trained"):
    seen_before.check_unseen(images, np.array(['test'], object), str(tmp_path), seen)
  count, words = seen_before.find_seen(
    [lists.Item('new.png', str(tmp_path / 'new.png'), '7.0')], seen
  )
  assert count == 1 and "is of patient '7.0', who trained" in words
