"""A folder of DICOM files with a table of labels beside them."""

import hashlib
import hmac

import numpy as np
import pandas as pd
import pydicom
import pytest
from dicom_files import dataset, write
from PIL import Image

from medjax.config import Data
from medjax.data import datasets
from medjax.errors import InputError

SECRET = 'Doe^Jane'


def fill(root, patients=3, films=2):
  """Two films of each of three patients, a report, a DICOMDIR, and labels by path and by id."""
  lines, by_name = ['Mass,image,Edema'], {}
  for patient in range(patients):
    for film in range(films):
      pixels = np.full((20, 30), 60 * patient + film, np.uint8)
      name = f'p{patient}/IM{film}' + ('.dcm' if film else '')
      one = write(
        root / name, pixels, PatientID=f'H{patient}', StudyInstanceUID=f'1.2.{patient}',
        ViewPosition='PA' if film else 'LL', PatientSex='F', PatientAge='040Y', PatientName=SECRET,
      )  # fmt: skip
      by_name[name] = one
      lines.append(f'{patient % 2},{one.SOPInstanceUID if film else name},{"" if film else 1}')
  report = dataset(np.zeros((4, 4), np.uint8), PatientID='H0')
  for name in ('PixelData', 'Rows', 'Columns'):
    delattr(report, name)
  pydicom.dcmwrite(root / 'report.dcm', report, enforce_file_format=True)
  (root / 'DICOMDIR').write_bytes((root / 'report.dcm').read_bytes())
  Image.new('L', (8, 8)).save(root / 'logo.png')
  (root / 'labels.csv').write_text('\n'.join(lines))
  return by_name


def read(root, **settings):
  return datasets.read(Data('dicom', str(root), ('Mass', 'Edema'), settings=settings))


def test_the_study_table_joins_headers_and_labels_by_path_or_instance(tmp_path):
  by_name = fill(tmp_path)
  table = read(tmp_path).set_index('image')
  assert set(table.index) == set(by_name) and len(table) == 6
  for name, one in by_name.items():
    row = table.loc[name]
    patient = int(one.PatientID[1:])
    assert row['patient'] == one.PatientID and row['study'] == one.StudyInstanceUID
    assert row['view'] == one.ViewPosition and row['sex'] == 'F' and row['age'] == '40'
    assert (row['width'], row['height'], row['grouped_by']) == ('30', '20', 'patient')
    assert row['Mass'] == patient % 2
    assert np.isnan(row['Edema']) if name.endswith('.dcm') else row['Edema'] == 1
  assert not (table == SECRET).any(axis=None)


def test_a_patient_s_id_missing_is_named_unless_images_are_to_stand_alone(tmp_path):
  fill(tmp_path)
  one = pydicom.dcmread(tmp_path / 'p1/IM0')
  del one.PatientID
  one.save_as(tmp_path / 'p1/IM0')
  with pytest.raises(
    InputError, match=r"p1/IM0: no PatientID \(1 such files\).*grouped_by='image'"
  ):
    read(tmp_path)
  table = read(tmp_path, grouped_by='image')
  assert (table['patient'] == table['image']).all() and (table['grouped_by'] == 'image').all()


def test_pseudonyms_are_keyed_and_the_same_for_the_same_key(tmp_path):
  fill(tmp_path / 'data')
  (tmp_path / 'key').write_bytes(bytes(range(32)))
  table = read(tmp_path / 'data', pseudonym_key=str(tmp_path / 'key'))
  plain = read(tmp_path / 'data')
  for column in ('patient', 'study'):
    expected = [
      hmac.digest(bytes(range(32)), value.encode(), hashlib.sha256).hex()[:16]
      for value in plain[column]
    ]
    assert table[column].tolist() == expected
  assert table['patient'].nunique() == 3
  (tmp_path / 'key').write_bytes(b'short')
  with pytest.raises(InputError, match=r'pseudonym_key.*holds 5 bytes'):
    read(tmp_path / 'data', pseudonym_key=str(tmp_path / 'key'))
  with pytest.raises(InputError, match=r'pseudonym_key.*nowhere.*urandom'):
    read(tmp_path / 'data', pseudonym_key=str(tmp_path / 'nowhere'))


def edited(root, change):
  frame = pd.read_csv(root / 'labels.csv', dtype=str, keep_default_na=False)
  change(frame).to_csv(root / 'labels.csv', index=False)


def rename_row(frame):
  frame.loc[3, 'image'] = 'p9/IM9'
  return frame


def unknown_code(frame):
  frame.loc[2, 'Edema'] = 'maybe'
  return frame


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (rename_row, r"labels\.csv: row 5: 'p9/IM9' is neither a DICOM image"),
    (unknown_code, r"labels\.csv: row 4, column 'Edema': unknown code; allowed"),
    (lambda frame: pd.concat([frame, frame[:1]]), r"row 8: image 'p0/IM0' is listed twice"),
    (
      lambda frame: frame.rename(columns={'image': 'Image'}),
      r"no column 'image'; did you mean 'Image'",
    ),
  ],
)
def test_a_table_that_does_not_fit_is_named_with_its_row(tmp_path, change, words):
  fill(tmp_path)
  edited(tmp_path, change)
  with pytest.raises(InputError, match=words):
    read(tmp_path)


def test_an_instance_in_two_files_is_named(tmp_path):
  fill(tmp_path)
  (tmp_path / 'copy.dcm').write_bytes((tmp_path / 'p0/IM1.dcm').read_bytes())
  with pytest.raises(InputError, match=r'row 3.*several files.*\(copy\.dcm, p0/IM1\.dcm\)'):
    read(tmp_path)


def test_a_damaged_file_or_an_empty_folder_is_named(tmp_path):
  fill(tmp_path / 'data')
  whole = (tmp_path / 'data/p0/IM0').read_bytes()
  (tmp_path / 'data/p0/IM0').write_bytes(whole[:150])
  with pytest.raises(InputError, match=r'labels\.csv: row 2: .*p0/IM0: is cut off'):
    read(tmp_path / 'data')
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'empty/labels.csv').write_text('image,Mass,Edema\na,1,0\n')
  with pytest.raises(InputError, match=r'empty: no DICOM image'):
    read(tmp_path / 'empty')
  with pytest.raises(InputError, match=r'nowhere: no such folder'):
    read(tmp_path / 'nowhere')


def test_free_text_of_headers_and_labels_does_not_come_out(tmp_path):
  fill(tmp_path)
  write(
    tmp_path / 'named.dcm', np.full((20, 30), 90, np.uint8), PatientID='H9',
    StudyInstanceUID='1.2.9', ViewPosition='DOE JANE', Manufacturer=f'Siemens for {SECRET}',
    ManufacturerModelName=SECRET,
  )  # fmt: skip
  labels = tmp_path / 'labels.csv'
  labels.write_text(labels.read_text() + '\n1,named.dcm,0')
  table = read(tmp_path)
  assert not any('doe' in str(cell).lower() for cell in table.to_numpy().ravel())
  (scanner,) = set(table['scanner']) - {''}
  assert scanner.startswith('Siemens ')
  known = read(tmp_path, scanners=(f'Siemens for {SECRET} {SECRET}',))
  assert set(known['scanner']) == {'', f'Siemens for {SECRET} {SECRET}'}
  labels.write_text(labels.read_text() + f'\n{SECRET},p0/IM0,0')
  with pytest.raises(InputError, match=r"column 'Mass': unknown code; allowed") as refused:
    read(tmp_path)
  assert 'Doe' not in str(refused.value)
