"""Which slides there are: any folder's, and Camelyon16's in its published layout."""

import pytest

from medjax.config import Data
from medjax.data import datasets
from medjax.data.datasets import camelyon16
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError
from medjax.whole_slides import slide_tables

REFERENCE = 'test_001,Tumor,IDC,Macro\ntest_002,Normal,None,None\n'


def touch(root, *names, content=''):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content)


@pytest.fixture
def camelyon(tmp_path):
  touch(
    tmp_path,
    'training/normal/normal_001.tif', 'training/normal/normal_002.tif',
    'training/tumor/tumor_001.tif', 'training/tumor/tumor_010.tif',
    'training/lesion_annotations/tumor_001.xml', 'training/lesion_annotations/tumor_010.xml',
    'testing/images/test_001.tif', 'testing/images/test_002.tif', 'testing/images/test_049.tif',
    'testing/lesion_annotations/test_001.xml',
    'testing/evaluation/evaluation_masks/test_001_evaluation_mask.tif',
  )  # fmt: skip
  touch(tmp_path, 'testing/reference.csv', content=REFERENCE)
  return tmp_path


def test_camelyon16(camelyon):
  table = datasets.read(Data('camelyon16', str(camelyon), ('tumor',)))
  assert table['slide'].tolist() == [
    'normal_001', 'normal_002', 'test_001', 'test_002', 'tumor_001', 'tumor_010',
  ]  # fmt: skip
  assert table['tumor'].tolist() == [0, 0, 1, 0, 1, 1]
  assert table['official_split'].tolist() == ['train', 'train', 'test', 'test', 'train', 'train']
  assert all((camelyon / image).is_file() for image in table['image'])
  assert stand_ins_for_patients(table) == {'slide': 6}
  assert camelyon16.outlines(camelyon)['test_001'].name == 'test_001.xml'


def test_camelyon16_s_slides_to_cut(camelyon):
  table = slide_tables.find(camelyon, 'camelyon16').set_index('slide')
  assert table['outlines'].str.endswith('.xml').to_dict() == {
    'normal_001': False, 'normal_002': False, 'test_001': True, 'test_002': False,
    'tumor_001': True, 'tumor_010': True,
  }  # fmt: skip
  # tumor_010 has tumour that nobody outlined.
  assert table.index[~table['wholly']].tolist() == ['tumor_010']
  assert len(camelyon16.PARTLY_OUTLINED) == 21


def test_camelyon16_in_older_copies(tmp_path):
  touch(tmp_path, 'Train_Normal/Normal_001.tif', 'Train_Tumor/Tumor_101.tif', 'XML/tumor_101.xml')
  table = slide_tables.find(tmp_path, 'camelyon16')
  assert table['slide'].tolist() == ['normal_001', 'tumor_101']
  assert table['tumor'].tolist() == [0, 1] and table['outlines'].iloc[1].endswith('tumor_101.xml')


@pytest.mark.parametrize(
  ('reference', 'words'),
  [
    (None, ['no reference.csv']),
    ('test_001,Tumor,IDC,Macro\n', ['test_002.tif', "no row for 'test_002'"]),
    (REFERENCE + 'test_003,Normal,None,None\n', ['row 3', "no slide 'test_003.tif'"]),
    (REFERENCE + 'test_001,Normal\n', ["slide 'test_001' is listed twice, in row 1 and row 3"]),
    ('test_001,Tumour,IDC,Macro\n', ['row 1, column 2', "'tumour'", "mean 'tumor'"]),
  ],
)
def test_camelyon16_s_mistakes_are_named(camelyon, reference, words):
  (camelyon / 'testing/reference.csv').unlink()
  if reference:
    touch(camelyon, 'testing/reference.csv', content=reference)
  with pytest.raises(InputError) as error:
    camelyon16.read(camelyon)
  for word in words:
    assert word in str(error.value)


def test_camelyon16_s_reference_in_another_encoding_is_named(camelyon):
  (camelyon / 'testing/reference.csv').write_bytes('test_001,Tumor,é\n'.encode('latin-1'))
  with pytest.raises(InputError, match=r'reference\.csv: cannot be read as text in UTF-8'):
    camelyon16.read(camelyon)


def test_a_slide_twice_and_none_at_all(camelyon, tmp_path_factory):
  touch(camelyon, 'copy/Tumor_001.tif')
  with pytest.raises(InputError, match='the same slide as'):
    camelyon16.read(camelyon)
  with pytest.raises(InputError, match=r'holds no slides such as training/tumor/tumor_001\.tif'):
    camelyon16.read(tmp_path_factory.mktemp('none'))


def test_any_folder(tmp_path):
  touch(tmp_path, 'in/a/x.svs', 'in/b/y.tiff', 'in/b/notes.txt', 'xml/deep/y.xml')
  table = slide_tables.find(tmp_path / 'in', outlines=tmp_path / 'xml')
  assert table['slide'].tolist() == ['x', 'y'] and table['patient'].tolist() == ['x', 'y']
  assert set(table['grouped_by']) == {'slide'} and table['tumor'].isna().all()
  assert table['outlines'].iloc[0] == '' and table['outlines'].iloc[1].endswith('y.xml')
  touch(tmp_path, 't.csv', content='slide,patient,tumor,site\ny,P2,1,u\nx,P1,,v\n')
  table = slide_tables.find(tmp_path / 'in', table_file=tmp_path / 't.csv')
  assert table['patient'].tolist() == ['P1', 'P2'] and table['site'].tolist() == ['v', 'u']
  assert set(table['grouped_by']) == {'patient'} and table['tumor'].fillna(-9).tolist() == [-9, 1]


@pytest.mark.parametrize(
  ('files', 'table', 'words'),
  [
    (['a/x.svs', 'b/x.tif'], None, ['b/x.tif', 'has the name of', 'a/x.svs']),
    (['notes.txt'], None, ['holds no slides']),
    (['x.svs'], 'slide\nx\nz\n', ['t.csv: row 3', "no slide 'z'"]),
    (['x.svs', 'y.svs'], 'slide\nx\n', ['y.svs', 't.csv has no row']),
    (['x.svs'], 'slide\nx\nx\n', ['row 3', 'listed twice']),
    (['x.svs'], 'name\nx\n', ["no column 'slide'"]),
    (['x.svs'], 'slide,tumor\nx,maybe\n', ['row 2', "'tumor'", "'maybe'"]),
    (['x.svs'], 'slide,patient\nx,\n', ['row 2', 'the patient is empty']),
  ],
)
def test_mistakes_are_named(tmp_path, files, table, words):
  touch(tmp_path / 'in', *files)
  if table:
    touch(tmp_path, 't.csv', content=table)
  with pytest.raises(InputError) as error:
    slide_tables.find(tmp_path / 'in', table_file=tmp_path / 't.csv' if table else None)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_outlines_of_no_slide_are_named(tmp_path):
  touch(tmp_path, 'in/tumor_1.svs', 'xml/tumour_1.xml')
  with pytest.raises(InputError, match=r"tumour_1\.xml: there is no slide .* mean 'tumor_1'"):
    slide_tables.find(tmp_path / 'in', outlines=tmp_path / 'xml')
  with pytest.raises(InputError, match="--source is 'camelyon'; allowed: folder, camelyon16"):
    slide_tables.find(tmp_path / 'in', 'camelyon')
  with pytest.raises(InputError, match='no such folder'):
    slide_tables.find(tmp_path / 'nowhere')
