"""Generated films with faults planted in them, for the tests of the audit."""

import shutil

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from medjax.data.phantom import chest

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


def films(root):
  """Fills a folder with films of 200 patients; returns their table, without faults."""
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
  return table


def planted(root, table, other):
  """Copies the folder, adds copies under new patients and a size that gives the label away."""
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
  return table


def sides(table, path, **changes):
  """Writes a split file in which every fourth patient is tested, but for changes image → split."""
  number = pd.factorize(table['patient'])[0]
  split = pd.Series(np.where(number % 4 == 0, 'test', 'train'), table['image'])
  split.loc[list(changes)] = list(changes.values())
  split.rename('split').reset_index().to_csv(path, index=False)
  return path


def deep(source, table, root):
  """Thirty films as PNGs of 16 bits that hold 11, two of them twice; returns the config."""
  root.mkdir()
  names = table['image'].head(30)
  table = table.iloc[:30].assign(image=[f'{n}.png' for n in range(30)])
  for number, name in enumerate(names):
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
