"""Digests of images against coreutils and h5py's arrays, and images of one side on another."""

import hashlib
import shutil
import subprocess

import h5py
import numpy as np
import pandas as pd
import pytest

from medjax.data.images import content


@pytest.mark.skipif(shutil.which('sha256sum') is None, reason='needs coreutils')
def test_the_digest_of_a_file_is_that_of_sha256sum(tmp_path):
  path = tmp_path / 'a.png'
  path.write_bytes(np.random.default_rng(0).bytes(100_000))
  said = subprocess.run(['sha256sum', path], capture_output=True, text=True, check=True).stdout
  assert content.digest(path) == said.split()[0]
  assert content.digest(tmp_path / 'none.png') == content.digest(tmp_path) == ''


def test_the_digest_in_a_container_is_of_that_image_alone(tmp_path):
  images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
  images[2] = images[0]
  with h5py.File(tmp_path / 'scans.h5', 'w') as file:
    file['x'] = images
  digests = [content.digest(f'{tmp_path}/scans.h5#{row}') for row in range(4)]
  assert digests[0] == digests[2] == hashlib.sha256(b'(8, 8, 3)' + images[0].tobytes()).hexdigest()
  assert digests[1] not in (digests[0], '') and digests[3] == ''


def test_images_of_one_side_on_another_are_those_of_a_plain_search():
  rng = np.random.default_rng(0)
  sides = rng.choice(['train', 'validation', 'test'], 60)
  table = pd.DataFrame(
    {
      'image': [f'{row}.png' for row in range(60)],
      'split': sides,
      'sha256': rng.integers(0, 40, 60).astype(str),
    }
  )
  counts, sentences = content.across_sides(table)
  of_side = {side: table[table['split'] == side] for side in set(sides)}
  for pair, number in counts.items():
    one, other = pair.split(' in ')
    known = set(of_side[other]['sha256'])
    assert number == sum(digest in known for digest in of_side[one]['sha256']) > 0
  assert len(counts) == len(sentences) == 3 and sentences[0].startswith(
    f'{counts["test in train"]}'
  )
  assert content.across_sides(table.assign(sha256=range(60))) == (dict.fromkeys(counts, 0), [])
