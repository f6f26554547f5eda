"""The audit command, start to end, on generated films with faults planted in them."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from medjax import audit
from medjax import config as configs
from medjax.data import study
from medjax.data.phantom import chest
from medjax.report import audit_page

CONFIG = """
from medjax.config import Config, Data, Model, Split

def get_config(arg=''):
  return Config(
    data=Data(source='csv', root={root!r}, labels=('Edema',), image_size=32),
    split=Split(test=0.25, validation=0.25, seed=1),
    model=Model('resnet_tiny'),
  )
"""


def write(root, table):
  """Writes a study of these images and its config; returns the config."""
  table.to_csv(root / 'labels.csv', index=False)
  (root / 'config.py').write_text(CONFIG.format(root=str(root)))
  return root / 'config.py'


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  """A folder with one film of each of 200 patients, and its table, in which nothing is wrong."""
  root = tmp_path_factory.mktemp('films') / 'phantom'
  chest.generate(root, images=800, image_size=64, seed=5)
  rng = np.random.default_rng(0)
  rows = []
  for patient in sorted(root.glob('*/patient*'))[:200]:
    film = sorted(patient.glob('*/*.jpg'))[0].relative_to(root).as_posix()
    rows.append(
      {
        'image': film,
        'patient': patient.name,
        'view': rng.choice(['AP', 'PA']),
        'site': rng.choice(['a', 'b']),
        'Edema': int(rng.random() < 0.4),
      }
    )
  table = pd.DataFrame(rows)
  write(root, table)
  return root, table


@pytest.fixture(scope='module')
def planted(films, tmp_path_factory):
  """A copy of the folder with copies under new patients and a resolution that gives the label away."""
  root, table = films
  other = tmp_path_factory.mktemp('planted') / 'set'
  shutil.copytree(root, other)
  table = table.copy()
  for row in np.flatnonzero(table['Edema']):
    with Image.open(other / table['image'][row]) as film:
      film.resize((80, 80)).save(other / table['image'][row], quality=90)
  copies = []
  for number, name in enumerate(('renamed.jpg', 'again.jpg', 'smaller.png', 'flipped.png')):
    source = table.iloc[20 * number].copy()
    with Image.open(other / source['image']) as film:
      if number == 0:
        shutil.copy(other / source['image'], other / name)
      elif number == 1:
        film.save(other / name, quality=60)
      elif number == 2:
        film.resize((40, 40)).save(other / name)
      else:
        ImageOps.mirror(film).save(other / name)
    if number == 1:
      source['Edema'] = 1 - source['Edema']
    copies.append({**source, 'image': name, 'patient': f'new{number}'})
  table = pd.concat([table, pd.DataFrame(copies)], ignore_index=True)
  write(other, table)
  return other, table


def sides(table, path, **changes):
  """Writes a split file in which every fourth patient is tested, but for changes image → split."""
  number = pd.factorize(table['patient'])[0]
  split = pd.Series(np.where(number % 4 == 0, 'test', 'train'), table['image'])
  split.loc[list(changes)] = list(changes.values())
  split.rename('split').reset_index().to_csv(path, index=False)
  return path


def test_nothing_is_found_where_nothing_was_planted(command, films, tmp_path):
  root, _ = films
  done = command('audit', f'--config={root}/config.py', f'--output={tmp_path}/out', check=True)
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  assert result['warnings'] == [] and result['copies']['pairs'] == []
  assert result['table']['overlap']['patient']['shared'] == 0
  assert result['facts']['Opened'] == '200 images'
  assert 'nothing that it looks for' in done.stdout
  page = (tmp_path / 'out' / 'index.html').read_text()
  assert 'Not a split by patient' not in page and 'data:image' not in page


def test_everything_planted_is_found(command, planted, tmp_path):
  root, table = planted
  images = list(table['image'])
  # The copies are tested, what they are copies of trains.
  changes = {each: 'test' for each in images[200:]} | {images[20 * n]: 'train' for n in range(4)}
  split = sides(table, tmp_path / 'paper.csv', **changes)
  done = command(
    'audit',
    f'--config={root}/config.py',
    f'--split={split}',
    f'--output={tmp_path}/out',
    check=True,
  )
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  pairs = {tuple(pair['images']): pair for pair in result['copies']['pairs']}
  names = ('renamed.jpg', 'again.jpg', 'smaller.png', 'flipped.png')
  assert set(pairs) == {(images[20 * n], name) for n, name in enumerate(names)}
  kinds = [pairs[images[20 * n], name]['kind'] for n, name in enumerate(names)]
  assert kinds == ['file', 'near', 'near', 'mirrored']
  assert all(pair['crossing'] for pair in pairs.values())
  assert result['copies']['across']['test']['train'] == 4
  assert result['copies']['two_patients'] == 4 and result['copies']['conflicts'] == {'Edema': 1}
  strongest = result['table']['predicts'][0]
  assert (strongest['column'], strongest['flagged']) == ('size of the file', True)
  # `view`, `site` and the ending of the file have nothing to do with it.
  flagged = {each['column'] for each in result['table']['predicts'] if each['flagged']}
  assert flagged == {'size of the file'}
  for words in (
    '4 images of test show the same as images of train',
    'size of the file tells Edema',
  ):
    assert words in done.stdout
  page = (tmp_path / 'out' / 'index.html').read_text()
  assert len(re.findall('<img src="data:image/png;base64,', page)) == 8
  assert 'src="http' not in page and '<script' not in page


@pytest.fixture(scope='module')
def deep(films, tmp_path_factory):
  """Thirty of the films as PNGs of 16 bits that hold 11, two of them under two names; and the config."""
  source, table = films
  root = tmp_path_factory.mktemp('deep') / 'deep'
  root.mkdir()
  table = table.iloc[:30].assign(image=[f'{n}.png' for n in range(30)])
  for number, name in enumerate(films[1]['image'].head(30)):
    with Image.open(source / name) as film:
      pixels = np.asarray(film.convert('L')).astype(np.uint16) * 8
    Image.fromarray(pixels).save(root / f'{number}.png')
    if number < 2:
      Image.fromarray(pixels[::-1].T.copy()).save(root / f'again{number}.png')
  again = table.iloc[:2].assign(image=['again0.png', 'again1.png'], patient=['x', 'y'])
  config = write(root, pd.concat([table, again], ignore_index=True))
  config.write_text(
    config.read_text().replace('image_size=32', "image_size=32, intensity='0..2040'")
  )
  return config


def test_of_deep_greys_pairs_are_found_and_drawn_as_the_config_shows_them(command, deep, tmp_path):
  done = command('audit', f'--config={deep}', f'--output={tmp_path}/out', check=True)
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  pairs = {(*pair['images'], pair['kind']) for pair in result['copies']['pairs']}
  assert pairs == {(f'{n}.png', f'again{n}.png', 'turned by 90°') for n in range(2)}
  page = (tmp_path / 'out' / 'index.html').read_text()
  assert len(re.findall('<img src="data:image/png;base64,', page)) == 4
  assert 'The same picture, turned by 90°' in page and 'The same picture, mirrored' not in page
  assert 'cannot be read' not in done.stdout


def test_each_of_two_sets_is_read_as_its_own_config_says(command, films, deep, tmp_path):
  done = command(
    'audit', f'--config={films[0]}/config.py', f'--other={deep}', f'--output={tmp_path}/out',
    check=True,
  )  # fmt: skip
  assert 'deep and phantom share 30 pictures' in done.stdout
  assert 'cannot be read' not in done.stdout


def test_what_could_not_be_read_or_has_no_row_is_said(command, films, deep, tmp_path):
  root = tmp_path / 'set'
  shutil.copytree(films[0], root)
  (root / films[1]['image'][3]).write_bytes(b'no image')
  rows = set(films[1]['image'])
  strays = [
    each for each in root.glob('*/*/*/*.jpg') if each.relative_to(root).as_posix() not in rows
  ]
  (tmp_path / 'nowhere').mkdir()
  shutil.copy(deep.parent / 'labels.csv', tmp_path / 'nowhere')
  done = command(
    'audit', f'--config={write(root, films[1])}', f'--other={deep}', f'--output={tmp_path}/out',
    f'--other_root={tmp_path}/nowhere', check=True,
  )  # fmt: skip
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  unread = f'1 of 200 images cannot be read, and copies of them not be found; the first: {root}'
  uncompared = 'Nothing was compared with the second set: no image of it is under'
  page = (tmp_path / 'out' / 'index.html').read_text()
  first_screen = page.partition('<main')[0]
  for words in (unread, uncompared):
    assert words in done.stdout and words in first_screen
    assert any(each.startswith(words) for each in result['warnings'])
  assert result['facts']['Opened'] == '199 images'
  unseen = ' '.join(result['not_looked_at'])
  assert f'{len(strays):,} images under {root} in no row of the table' in unseen
  assert 'cropped, given borders' in unseen


def test_a_picture_that_cannot_be_drawn_is_left_out_of_the_page():
  pictures = pd.DataFrame({'path': ['nowhere.png'], 'intensity': ['file']})
  assert audit._drawn(pictures, [0]) == {}
  pair = {
    'rows': [0, 1], 'images': ['a', 'b'], 'kind': 'near', 'correlation': 0.98, 'sides': ['', ''],
    'patients': ['1', '2'], 'sets': ['s', 's'], 'conflicts': {}, 'crossing': False,
  }  # fmt: skip
  drawn = str(audit_page._pair(pair, {1: 'data:image/png;base64,x'}, False))
  assert drawn.count('could not be drawn') == 1 and drawn.count('<img') == 1


def test_patients_on_both_sides_end_with_two(command, films, tmp_path):
  root, table = films
  again = table.iloc[:6].assign(image=[f'{n}.jpg' for n in range(6)])
  folder = tmp_path / 'set'
  shutil.copytree(root, folder)
  for number, source in enumerate(table['image'][100:106]):
    shutil.copy(root / source, folder / f'{number}.jpg')
  table = pd.concat([table, again], ignore_index=True)
  config = write(folder, table)
  changes = {f'{n}.jpg': 'val' for n in range(5)} | {'5.jpg': 'train', table['image'][5]: 'train'}
  split = sides(table, tmp_path / 'paper.csv', **changes)
  arguments = ('audit', f'--config={config}', f'--split={split}', f'--output={tmp_path}/out')
  done = command(*arguments, '--nopixels')
  assert done.returncode == 2, done.stderr
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  assert result['table']['overlap']['patient']['shared'] == 5
  assert result['copies'] is None and 'no image was opened' in result['not_looked_at'][0]
  page = (tmp_path / 'out' / 'index.html').read_text()
  assert 'Not a split by patient: 5 patients on more than one side' in page


def test_a_published_split_that_leaks_is_audited_where_training_refuses_it(
  command, films, tmp_path
):
  _, table = films
  parts = np.where(np.arange(len(table)) % 4 == 0, 'test', 'train')
  table = table.assign(official_split=parts)
  table.loc[:1, 'patient'] = 'one'
  config = write(tmp_path, table)  # There is no image in this folder.
  arguments = (f'--config={config}', '--config.split.test=official', f'--output={tmp_path}/out')
  done = command('audit', *arguments)
  assert done.returncode == 2 and '1 patient on more than one side' in done.stdout
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  assert '200 of 200 images are not there' in result['not_looked_at'][1]
  refused = command('split', *arguments)
  assert refused.returncode == 1 and 'more than one side' in refused.stderr


def test_images_of_two_sets_and_the_split_of_a_work_directory(command, films, planted, tmp_path):
  root, _ = films
  config = f'--config={root}/config.py'
  command('split', config, f'--output={tmp_path}/run', check=True)
  written = pd.read_csv(tmp_path / 'run' / 'split.csv')
  done = command(
    'audit', config, f'--split={tmp_path}/run', f'--other={planted[0]}/config.py',
    f'--output={tmp_path}/out', check=True,
  )  # fmt: skip
  result = json.loads((tmp_path / 'out' / 'audit.json').read_text())
  assert 'phantom and set share 200 pictures' in done.stdout
  counts = {side: of['images'] for side, of in result['table']['sides'].items()}
  assert counts == written['split'].value_counts().to_dict()


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('image,part\na.jpg,test\n', ["no column 'split'", 'paper.csv']),
    ('image,split\na.jpg,tset\n', ['paper.csv: row 2', "'tset'", "did you mean 'test'?"]),
    ('image,split\na.jpg,test\n', ['none of its 1 images is in the table', 'a.jpg']),
  ],
)
def test_a_split_file_that_does_not_fit(command, films, tmp_path, text, words):
  (tmp_path / 'paper.csv').write_text(text)
  done = command(
    'audit', f'--config={films[0]}/config.py', f'--split={tmp_path}/paper.csv', '--nopixels',
    f'--output={tmp_path}/out',
  )  # fmt: skip
  assert done.returncode == 1 and not (tmp_path / 'out').exists()
  assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
  for word in words:
    assert word in done.stderr


def test_training_says_what_the_table_gives_away(films, tmp_path):
  _, table = films
  sizes = np.where(table['Edema'] == 1, '2048', '1024')
  path = write(tmp_path, table.assign(width=sizes, height='1024'))
  data, _ = study.make(configs.load(str(path)))
  assert any('size tells Edema with an AUROC of 1.00' in note for note in data.proof['notes'])
  path = write(tmp_path, table)
  assert not any('tells' in note for note in study.make(configs.load(str(path)))[0].proof['notes'])
