"""Names that hold the sign they are joined by come apart as they went in."""

import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.config import Data
from medjax.data import datasets, joined_names, labels, missing_files, table
from medjax.data.images import containers
from medjax.data.images.lists import Item
from medjax.data.leakage import seen_before, shortcuts, table_audit

AWKWARD = ['Effusion|Mass', 'a', '|', '\\', 'a\\|b', '\\|', 'Lung Lesion', 'é|', 'x\ny']


def test_they_come_apart():
  assert joined_names.separate('') == []
  assert joined_names.join(['Edema', 'Mass']) == 'Edema|Mass'  # As NIH writes it.
  for first in AWKWARD:
    for second in AWKWARD:
      assert joined_names.separate(joined_names.join([first, second])) == [first, second]


@pytest.mark.parametrize('name', ['Effusion|Mass', 'Effusion\\', 'a|b|c'])
def test_a_class_of_such_a_name_is_unknown_where_its_cell_is_empty(tmp_path, name):
  cells = ['' if row % 5 == 0 else (name, 'Normal')[row % 2] for row in range(60)]
  frame = pd.DataFrame({'image': [f'{row}.png' for row in range(60)], 'dx': cells})
  frame.assign(patient=range(60)).to_csv(tmp_path / 'labels.csv', index=False)
  settings = {'columns': {'class': 'dx'}}
  study = datasets.read(Data('csv', str(tmp_path), (name, 'Normal'), settings=settings))
  truth, known = labels.reference(study, [name, 'Normal'], 'zeros')
  assert known.sum(axis=0).tolist() == [48, 48]
  np.testing.assert_array_equal(truth[:, 0] == 1, [cell == name for cell in cells])


def test_sets_with_such_labels_are_joined():
  values = pd.DataFrame({'A|B': [1.0, np.nan], 'A': [np.nan, 0.0], 'B': [0.0, np.nan]})
  unlabelled = table.unlabelled(values)
  assert [joined_names.separate(text) for text in unlabelled] == [['A'], ['A|B', 'B']]


def test_studies_of_patients_with_such_names_are_not_one():
  # 'a b' with study 'c' and 'a' with study 'b c'.
  patients = ['a b', 'a'] + [f'p{number}' for number in range(20)] * 2
  studies = ['c', 'b c'] + ['s1'] * 40
  frame = pd.DataFrame({'patient': patients, 'study': studies})
  frame['image'] = [f'{row}.png' for row in range(len(frame))]
  split = np.array(['train', 'test', *['train'] * 40], object)
  values = np.zeros((len(frame), 1), np.float32)
  audit = table_audit.tables(frame, split, ['x'], values, values == 0)
  assert audit.overlap['study'].shared == 0


def test_columns_are_joined_as_their_rows_are():
  texts = ['a', 'b|c', 'd\\', '\\|', 'é']
  rows = list(itertools.product(texts, texts))
  columns = [pd.Series(column, dtype=str) for column in zip(*rows)]
  joined = joined_names.join_columns(*columns)
  assert joined.tolist() == [joined_names.join(row) for row in rows]
  columns[1][3] = None
  assert joined_names.join_columns(*columns).isna().to_numpy().nonzero()[0].tolist() == [3]


def test_a_hash_sign_in_a_file_s_name_is_part_of_it(tmp_path):
  name = 'scan#2.png'
  Image.fromarray(np.arange(4096).reshape(64, 64).astype(np.uint8)).save(tmp_path / name)
  np.savez(tmp_path / 'set#1.npz', images=np.zeros((3, 8, 8), np.uint8))
  inside = f'{tmp_path}/set#1.npz#images/2'
  assert containers.container_of(f'{tmp_path}/{name}') == f'{tmp_path}/{name}'
  assert containers.container_of(inside) == f'{tmp_path}/set#1.npz'
  missing, _ = missing_files.compare([name, 'set#1.npz#0', 'gone#1.png', 'set#1.png'], tmp_path)
  assert missing.tolist() == [2, 3]
  frame = pd.DataFrame({'image': [name, 'a.jpg', 'set#1.npz#images/2']})
  assert list(shortcuts.metadata(frame)['file type']) == ['.png', '.jpg', '.npz']
  # A picture of the same name in another folder, which shows something else, is not the one seen.
  seen = pd.DataFrame(
    {'image': [name], 'patient': ['p'], 'split': ['train'], 'root': [str(tmp_path)]}
  ).assign(sha256='')
  other = tmp_path / 'other'
  other.mkdir()
  Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(other / name)
  assert seen_before.find_seen([Item(name, str(other / name), '')], seen)[0] == 0
  assert seen_before.find_seen([Item(name, str(tmp_path / name), '')], seen)[0] == 1
