"""Readers' answers from files, and anybody's CSV that takes its labels from them."""

import numpy as np
import pandas as pd
import pytest

from medjax.config import Data
from medjax.data import datasets, labels
from medjax.data.reference import reader_table
from medjax.errors import InputError

NOTHING = np.nan


def test_one_row_per_answer_is_read_like_one_row_per_reader(tmp_path):
  (tmp_path / 'wide.csv').write_text(
    'image,reader,patient,x,y\na,r1,p,1,0\n./a,r2,p,,1\nb,r1,q,0,\n'
  )
  (tmp_path / 'long.csv').write_text(
    'image,reader,patient,label,value\na,r1,p,x,1\na,r1,p,y,0\na,r2,p,y,1\nb,r1,q,x,0\n'
  )
  wide, long = (reader_table.read(tmp_path / f'{name}.csv') for name in ('wide', 'long'))
  pd.testing.assert_frame_equal(wide, long, check_like=True)
  assert reader_table.labels_of(wide) == ['x', 'y']


STUDY = 'image,patient\na.png,1\nb.png,1\nc.png,2\nd.png,3\n'
READS = 'image,reader,x\na.png,r1,1\na.png,r2,1\na.png,r3,0\nb.png,r1,1\nb.png,r2,0\n./c.png,r1,0\n'


def from_csv(root, wanted=('x',), reads=READS, definitive=None, **settings):
  (root / 'labels.csv').write_text(STUDY)
  (root / 'reads.csv').write_text(reads)
  if definitive is not None:
    (root / 'definitive.csv').write_text(definitive)
    settings['definitive_file'] = 'definitive.csv'
  settings = {'readers_file': 'reads.csv', **settings}
  return datasets.read(Data('csv', str(root), wanted, image_size=32, settings=settings))


def test_anybodys_table_takes_its_labels_from_readers(tmp_path):
  table = from_csv(tmp_path)
  np.testing.assert_array_equal(table['x'], np.float32([1, -1, 0, NOTHING]))
  assert table['reference'].tolist() == [
    'majority of 3 readers',
    'tie of 2 readers',
    'majority of 1 reader',
    '',
  ]
  assert from_csv(tmp_path, ties='positive')['x'][1] == 1
  soft = from_csv(tmp_path, consensus='share')
  np.testing.assert_allclose(soft['x'], [2 / 3, 0.5, 0, NOTHING], rtol=1e-6)
  definitive = from_csv(tmp_path, definitive='image,x,test\na.png,0,CT\nd.png,1,CT\nb.png,,CT\n')
  np.testing.assert_array_equal(definitive['x'], np.float32([0, -1, 0, 1]))
  assert definitive['reference'].tolist()[0] == definitive['reference'].tolist()[3] == 'CT'


def test_classes_from_readers(tmp_path):
  reads = 'image,reader,dx\na.png,r1,mel\na.png,r2,mel\nb.png,r1,nv\nb.png,r2,mel\nc.png,r1,nv\n'
  settings = {'reads': reads, 'columns': {'class': 'dx'}}
  table = from_csv(tmp_path, ('nv', 'mel'), **settings)
  np.testing.assert_array_equal(table['mel'], np.float32([1, NOTHING, 0, NOTHING]))
  np.testing.assert_array_equal(table['nv'], np.float32([0, NOTHING, 1, NOTHING]))
  with pytest.raises(InputError, match=r"reads\.csv: row 2, column 'dx': unknown code 'mel'"):
    from_csv(tmp_path, ('nv', 'bcc'), **settings)


@pytest.mark.parametrize(
  ('changed', 'words'),
  [
    ({'reads': READS + 'q.png,r1,1\n'}, r"reads\.csv: row 8: image 'q\.png' is not in the study"),
    (
      {'reads': READS + 'a.png,r1,1\n'},
      r"reads\.csv: row 8: reader 'r1' reads image 'a\.png' twice",
    ),
    ({'reads': READS + 'd.png,r1,maybe\n'}, r"row 8, column 'x': unknown code 'maybe'"),
    ({'reads': READS + 'd.png,,1\n'}, r'reads\.csv: row 8: the reader is empty'),
    ({'reads': READS.replace(',x', ',z')}, r"reads\.csv: the label column is 'x'; allowed: z"),
    ({'readers_file': 'nowhere.csv'}, r'nowhere\.csv: no such file'),
    ({'consensus': 'stapel'}, "config.data.settings.consensus.*did you mean 'staple'"),
    ({'ties': 'maybe'}, 'config.data.settings.ties'),
    ({'readers_file': '', 'definitive': 'image,x\na.png,1\n'}, 'definitive_file'),
    ({'definitive': 'image,x\nq.png,1\n'}, r"definitive\.csv: row 2: image 'q\.png' is not in"),
    ({'definitive': 'image,x\na.png,2\n'}, r"definitive\.csv: row 2, column 'x': unknown code '2'"),
    ({'definitive': 'image,x\na.png,1\na.png,1\n'}, r"row 3: image 'a\.png' is listed twice"),
  ],
)
def test_bad_readers_of_a_table_are_named(tmp_path, changed, words):
  with pytest.raises(InputError, match=words):
    from_csv(tmp_path, **changed)


@pytest.mark.parametrize(
  'text',
  [
    'image,reader,lesion,mass\na,r1,1,0\n',
    'image,reader,label,value\na,r1,lesion,1\na,r1,mass,1\n',
    'image,reader,mass,lesion\na,r1,1,yes\n',
  ],
)
def test_answers_called_as_a_column_that_is_no_label_are_not_lost(tmp_path, text):
  (tmp_path / 'reads.csv').write_text(text)
  with pytest.raises(InputError, match=r"reads\.csv: 'lesion' is the name of a column .*rename it"):
    reader_table.read(tmp_path / 'reads.csv')
  (tmp_path / 'reads.csv').write_text(text.replace('lesion', 'test'))
  with pytest.raises(InputError, match=r"reads\.csv: 'test' is the name of a column"):
    reader_table.read(tmp_path / 'reads.csv')


def test_a_definitive_answer_called_so_is_not_lost_either(tmp_path):
  with pytest.raises(InputError, match=r"definitive\.csv: 'slide' is the name of a column"):
    from_csv(tmp_path, definitive='image,x,slide,test\na.png,0,1,CT\n')


def test_what_nobody_read_is_unknown_whatever_the_policy_for_blanks(tmp_path):
  _, known = labels.reference(from_csv(tmp_path), ('x',), 'zeros')
  assert known[:, 0].tolist() == [True, False, True, False]
  reads = 'image,reader,dx\na.png,r1,mel\n'
  table = from_csv(tmp_path, ('nv', 'mel'), reads=reads, columns={'class': 'dx'})
  _, known = labels.reference(table, ('nv', 'mel'), 'zeros')
  assert known.tolist() == [[True, True]] + [[False, False]] * 3


def test_one_reader_twice_in_the_long_layout(tmp_path):
  path = tmp_path / 'long.csv'
  path.write_text('image,reader,label,value\na,r1,x,1\na,r1,y,1\na,r1,x,0\n')
  with pytest.raises(InputError, match=r"row 4: reader 'r1' reads image 'a' twice for 'x'"):
    reader_table.read(path)
