"""Whether another set holds what a network has seen: by name within a set, by content across."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.images import content
from medjax.data.leakage import other_set
from medjax.data.phantom import chest


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
  """A seen set and another one of other patients under the same names."""
  folder = tmp_path_factory.mktemp('sets')
  for name, seed in (('seen', 0), ('other', 1)):
    chest.generate(folder / name, images=24, image_size=64, seed=seed)
  return folder


def table(root):
  paths = sorted(path.relative_to(root).as_posix() for path in root.rglob('*.jpg'))
  return pd.DataFrame({'image': paths, 'patient': [path.split('/')[1] for path in paths]})


def seen_of(root, splits=('train', 'validation', 'test')):
  seen = table(root)
  names = seen['patient'].unique()
  split = {name: splits[place % len(splits)] for place, name in enumerate(names)}
  return seen.assign(
    split=seen['patient'].map(split),
    root=str(root),
    sha256=[content.digest(root / image) for image in seen['image']],
  )


def find(root, seen, images=None, **settings):
  images = table(root) if images is None else images
  paths = [str(root / image) for image in images['image']]
  return other_set.find(images, paths, str(root), seen, **settings)


def test_other_people_of_the_same_names_are_other_people(sets):
  met = find(sets / 'other', seen_of(sets / 'seen'))
  assert not met.split.any() and met.first == ''
  # Which is counted: they need not be other people.
  seen = seen_of(sets / 'seen')
  trained = set(seen.loc[seen['split'] != 'test', 'patient'])
  assert met.namesakes == len(trained & set(table(sets / 'other')['patient'])) > 0
  assert met.compared.startswith(
    'byte for byte with 24 images of 24 images seen before, and by what'
  )


def test_the_same_set_is_known_by_its_patients(sets):
  seen = seen_of(sets / 'seen')
  met = find(sets / 'seen', seen, pixels=False)
  expected = dict(zip(seen['image'], seen['split']))
  assert met.split.tolist() == [expected[image] for image in table(sets / 'seen')['image']]
  assert 'trained this model' in met.first and '--nopixels' in met.compared


def test_a_new_image_of_a_known_patient_is_met_within_a_set_alone(sets, tmp_path):
  seen = seen_of(sets / 'seen')
  patient = seen.loc[seen['split'] == 'train', 'patient'].iloc[0]
  new = pd.DataFrame({'image': ['new.jpg'], 'patient': [patient]})
  assert find(sets / 'seen', seen, new, pixels=False).split.tolist() == ['train']
  assert find(tmp_path, seen, new, pixels=False).split.tolist() == ['']


@pytest.mark.parametrize(
  ('trained', 'tested', 'counted'),
  [
    ('P001', 'P001', 1),
    ('P001', 'p-1', 1),  # as another hand writes it
    ('P001', 'P002', 0),
    ('nih:P001', 'P001', 1),  # of one of several sets
    ('P001', 'nih:P001', 1),
    ('nih:P001', 'padchest:P001', 0),
  ],
)
def test_follow_up_images_of_training_patients_are_counted(tmp_path, trained, tested, counted):
  # Of the same hospital, years later: no image has a name or content that was seen.
  seen = pd.DataFrame(
    {
      'image': ['P001_2019.png', 'alone.png'],
      'patient': [trained, 'alone.png'],
      'split': 'train',
      'root': str(tmp_path / 'before'),
      'sha256': 'x',
    }
  )
  new = pd.DataFrame(
    {'image': ['P001_2021.png', 'b.png', 'alone.png'], 'patient': [tested, tested, 'alone.png']}
  )
  for name in new['image']:
    (tmp_path / name).write_bytes(name.encode())
  met = find(tmp_path, seen, new, pixels=False)
  assert not met.split.any() and met.namesakes == counted
  tested_only = find(tmp_path, seen.assign(split='test'), new, pixels=False)
  assert tested_only.namesakes == 0


@pytest.mark.parametrize('several', ['seen', 'tested'])
def test_a_set_among_several_is_the_same_set(sets, several):
  seen = seen_of(sets / 'seen').assign(sha256='')
  trained = seen.loc[seen['split'] == 'train', 'patient'].iloc[0]
  root, prefix = sets / 'seen', ''
  if several == 'seen':
    seen = seen.assign(
      root=str(sets), image='seen/' + seen['image'], patient='a:' + seen['patient']
    )
  else:
    root, prefix = sets, 'seen/'
  new = pd.DataFrame(
    {
      'image': [f'{prefix}train/new.jpg', 'other/new.jpg'],
      'patient': ['a:' * (several == 'tested') + trained, 'b:' + trained],
    }
  )
  if several == 'seen':
    new = new[:1]
  assert find(root, seen, new, pixels=False).split.tolist()[0] == 'train'
  assert find(root, seen, new, pixels=False).split.tolist()[1:] in ([], [''])


def test_a_copy_under_another_name_is_met_across_sets(sets, tmp_path):
  seen = seen_of(sets / 'seen')
  trained = seen[seen['split'] == 'train']['image'].iloc[0]
  shutil.copy(sets / 'seen' / trained, tmp_path / 'copy.jpg')
  new = pd.DataFrame({'image': ['copy.jpg'], 'patient': ['somebody']})
  met = find(tmp_path, seen, new, pixels=False)
  assert met.split.tolist() == ['train'] and 'is byte for byte' in met.first


@pytest.mark.parametrize('how', ['saved anew', 'mirrored', 'smaller'])
def test_a_picture_saved_anew_is_met_by_what_it_shows(sets, tmp_path, how):
  seen = seen_of(sets / 'seen')
  trained = seen[seen['split'] == 'validation']['image'].iloc[0]
  picture = Image.open(sets / 'seen' / trained)
  if how == 'mirrored':
    picture = Image.fromarray(np.asarray(picture)[:, ::-1])
  if how == 'smaller':
    picture = picture.resize((56, 56), Image.Resampling.LANCZOS)
  picture.save(tmp_path / 'anew.png')
  new = pd.DataFrame({'image': ['anew.png'], 'patient': ['somebody']})
  assert find(tmp_path, seen, new, pixels=False).split.tolist() == ['']
  met = find(tmp_path, seen, new)
  assert met.split.tolist() == ['validation'] and 'which chose this model' in met.first


def test_a_file_that_cannot_be_read_makes_no_set_the_same(sets, tmp_path):
  root = tmp_path / 'other'
  shutil.copytree(sets / 'other', root)
  next(root.rglob('*.jpg')).write_bytes(b'no picture')
  assert not find(root, seen_of(sets / 'seen'), pixels=False).split.any()


def test_a_set_of_which_nothing_is_left_counts_as_the_same(sets):
  gone = seen_of(sets / 'seen').assign(root='/nowhere', sha256='')
  assert find(sets / 'other', gone, pixels=False).split.any()


def test_files_that_are_gone_are_said(sets, tmp_path):
  seen = seen_of(sets / 'seen').assign(root=str(tmp_path / 'gone'))
  met = find(sets / 'other', seen)
  assert met.compared.endswith('with 0 images of these (the files of the others are gone)')
