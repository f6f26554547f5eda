"""CheXpert's test set beside train.csv: one row per image, or one per study as it is released."""

import shutil

import layouts
import numpy as np
import pandas as pd
import pytest

from medjax.config import Data
from medjax.data import datasets
from medjax.data.datasets import chexpert
from medjax.errors import InputError


def data(source, root, labels):
  return Data(source, str(root), labels, image_size=32)


def test_the_released_labels_of_the_test_set_are_the_official_test(phantom_root, tmp_path):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  order = [*chexpert.LABELS[::-1]]
  rows = [
    ['test/patient64741/study1/view1_frontal.jpg', *(int(name == 'Edema') for name in order)],
    ['test/patient64741/study1/view2_lateral.jpg', *(int(name == 'Fracture') for name in order)],
  ]
  truth = pd.DataFrame(rows, columns=['Path', *order])
  truth.to_csv(root / 'groundtruth.csv', index=False)
  table = datasets.read(data('chexpert', root, ('Edema',)))
  parts = table['image'].str.partition('/')[0]
  assert set(zip(parts, table['official_split'])) == {
    ('train', 'train'), ('valid', 'validation'), ('test', 'test'),
  }  # fmt: skip
  tested = table[parts == 'test']
  assert tested['Edema'].tolist() == [1, 0] and tested['Fracture'].tolist() == [0, 1]
  assert tested['view'].tolist() == ['frontal', 'lateral'] and set(tested['sex']) == {''}
  assert tested['patient'].tolist() == ['patient64741'] * 2
  assert set(tested['reference']) == {'consensus of 5 readers, as published'}
  truth.to_csv(root / 'test.csv', index=False)
  with pytest.raises(InputError, match=r'groundtruth\.csv and test\.csv, both of the test set'):
    datasets.read(data('chexpert', root, ('Edema',)))


# The first columns of the released file, which has Lung Lesion before Lung Opacity.
RELEASED = (
  'Study',
  'No Finding',
  'Enlarged Cardiomediastinum',
  'Cardiomegaly',
  'Lung Lesion',
  'Lung Opacity',
)


def test_the_released_groundtruth_has_a_row_for_each_study(phantom_root, tmp_path):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  views = {
    'patient64741/study1': ['view1_frontal.jpg'],
    'patient64742/study1': ['view1_frontal.jpg', 'view2_lateral.jpg'],
    'patient64742/study2': ['view1_frontal.jpg'],
  }
  for study, names in views.items():
    folder = root / 'test' / study
    folder.mkdir(parents=True)
    for name in (*names, '._view1_frontal.jpg', 'Thumbs.db', 'view1_frontal.jpg.part'):
      (folder / name).touch()
  order = [*RELEASED, *(name for name in chexpert.LABELS if name not in RELEASED)]
  truth = pd.DataFrame(0, index=range(3), columns=order)
  truth['Study'] = [f'CheXpert-v1.0/test/{study}' for study in views]
  truth['Lung Lesion'], truth['Edema'] = [1, 0, 0], [0, 1, 0]
  truth.to_csv(root / 'groundtruth.csv', index=False)
  table = datasets.read(data('chexpert', root, ('Edema',)))
  tested = table[table['official_split'] == 'test']
  expected = [f'test/{study}/{name}' for study, names in views.items() for name in names]
  assert tested['image'].tolist() == expected
  by_study = truth.set_index('Study')
  for column in ('Edema', 'Lung Lesion', 'Lung Opacity'):
    wanted = [
      by_study.loc[f'CheXpert-v1.0/{image.rpartition("/")[0]}', column] for image in expected
    ]
    np.testing.assert_array_equal(tested[column], wanted)
  assert tested['patient'].tolist() == ['patient64741'] + ['patient64742'] * 3
  assert tested['study'].tolist() == ['study1', 'study1', 'study1', 'study2']
  assert tested['view'].tolist() == ['frontal', 'frontal', 'lateral', 'frontal']
  assert [place.rpartition(' ')[2] for place in tested['named_in']] == ['2', '3', '3', '4']
  assert set(table['official_split']) == {'train', 'validation', 'test'}
  shutil.rmtree(root / 'test/patient64742/study2')
  with pytest.raises(
    InputError, match=r'groundtruth\.csv: row 4: no image of this study is in .*study2'
  ):
    datasets.read(data('chexpert', root, ('Edema',)))
  aside = Data('chexpert', str(root), ('Edema',), broken='set_aside')
  last = datasets.read(aside).iloc[-1]
  assert last['image'] == expected[-1] and last['patient'] == 'patient64742'
  truth.assign(Study='patient64741').to_csv(root / 'groundtruth.csv', index=False)
  with pytest.raises(InputError, match=r"row 2, column 'Study': 'patient64741' is not of the form"):
    datasets.read(data('chexpert', root, ('Edema',)))
