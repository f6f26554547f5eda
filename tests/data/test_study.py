"""What training and evaluation are told about the labels of a split."""

import numpy as np
import pytest
from conftest import TINY
from PIL import Image

from medjax import config
from medjax.data import study
from medjax.errors import InputError


def experiment(root, **overrides):
  assignments = [f'{name}={value}' for name, value in overrides.items()]
  tiny = [flag.removeprefix('--config.') for flag in TINY if 'data.settings' not in flag]
  return config.load('configs/phantom.py', [f'data.root={root}', *tiny, *assignments])


def test_negatives_that_nobody_ruled_out_are_said(tmp_path):
  # Every patient has one image that rules the mass out, one that mentions nothing, one that shows
  # it.
  lines = ['image,patient,Mass,Edema']
  for number in range(90):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f'{number}.png')
    lines.append(f'{number}.png,{number // 3},{("0", "", "1")[number % 3]},{number % 2}')
  (tmp_path / 'labels.csv').write_text('\n'.join(lines))
  settings = "{'table_file': 'labels.csv'}"
  labels = "('Mass','Edema')"
  flags = {'data.source': 'csv', 'data.labels': labels, 'data.settings': settings}
  flags |= {'split.test': 0.2}
  made, _ = study.make(experiment(tmp_path, **flags, **{'data.blank': 'zeros'}))
  images = np.count_nonzero(made.split == 'test')
  edema = np.count_nonzero((made.split == 'test') & (made.table['Edema'] == 0))
  share = images / 3 / (2 * images / 3 + edema)
  note = next(note for note in made.proof['notes'] if 'not mentioned' in note)
  assert f'{share:.0%} are findings that were not mentioned' in note and 'Mass, 50%' in note
  made, _ = study.make(experiment(tmp_path, **flags, **{'data.blank': 'ignore'}))
  assert not any('not mentioned' in note for note in made.proof['notes'])


def test_a_level_that_the_table_does_not_tell_is_refused_before_anything_is_trained(phantom_root):
  settings = {'data.settings': "{'images': 120, 'image_size': 32}"}
  study.make(experiment(phantom_root, **settings, **{'evaluation.level': 'study'}))
  with pytest.raises(InputError, match=r"evaluation.level='slide': there is no column 'slide'"):
    study.make(experiment(phantom_root, **settings, **{'evaluation.level': 'slide'}))
