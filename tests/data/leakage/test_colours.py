"""Sets and copies in other colours: red and blue exchanged, grey, inverted, or neither."""

import numpy as np
import pandas as pd
import planted_films
import pytest
import scipy.ndimage
from PIL import Image, ImageOps

from medjax import config as configs
from medjax.data.leakage import colours, copies, duplicates, inspect, seen_before
from medjax.errors import InputError
from medjax.report import audit_files


def pictures(seed, count, colour=(190, 120, 90)):
  """Returns uint8[count, 96, 96, 3], whose channels show different things."""
  rng = np.random.default_rng(seed)
  noise = scipy.ndimage.gaussian_filter(rng.normal(0, 1, (count, 96, 96, 3)), (0, 2, 2, 0))
  light = rng.normal(0, 8, (count, 1, 1, 1))
  return np.clip(np.array(colour) + light + 150 * noise, 0, 255).astype(np.uint8)


def saved(folder, arrays, change=lambda picture: picture, quality=90):
  folder.mkdir()
  paths = []
  for number, array in enumerate(arrays):
    path = folder / f'{number}.jpg'
    change(Image.fromarray(array)).save(path, quality=quality, subsampling=0)
    paths.append(str(path))
  return paths


def exchanged(picture):
  return Image.merge('RGB', picture.split()[::-1])


CHANGES = {
  'near': lambda picture: picture.resize((160, 160)),
  'red and blue exchanged': exchanged,
  'in grey': lambda picture: picture.convert('L'),
  'inverted': ImageOps.invert,
  'mirrored': ImageOps.mirror,
}


@pytest.mark.parametrize('kind', CHANGES)
@pytest.mark.parametrize('order', [1, -1])
def test_copies_are_named_by_what_was_done_to_them(tmp_path, kind, order):
  arrays = pictures(0, 12)
  paths = [saved(tmp_path / 'a', arrays), saved(tmp_path / 'b', arrays, CHANGES[kind], 80)]
  pairs = duplicates.find(duplicates.look([path for part in paths[::order] for path in part]))
  assert list(zip(pairs['a'], pairs['b'])) == [(number, number + 12) for number in range(12)]
  assert set(pairs['kind']) == {kind} and kind in copies.KINDS
  assert duplicates.same_picture(paths[0][0], paths[1][0])
  assert not duplicates.same_picture(paths[0][0], paths[1][1])


def test_channels_alike_but_for_their_light_are_told_by_their_colours(tmp_path):
  # As grey pictures such copies are the same, so only the colours say what was done.
  arrays = pictures(1, 12)[..., :1] * np.array([1, 0.7, 0.4])
  arrays = arrays.round().astype(np.uint8)
  plain = saved(tmp_path / 'a', arrays)
  for name, change, kind in (
    ('b', exchanged, duplicates.EXCHANGED),
    ('c', CHANGES['near'], 'near'),
  ):
    pairs = duplicates.find(duplicates.look([*plain, *saved(tmp_path / name, arrays, change, 70)]))
    assert len(pairs) == 12 and set(pairs['kind']) == {kind}


def test_a_slight_tint_is_no_colour(tmp_path):
  grey = pictures(2, 12)[..., :1]
  tinted = np.clip(grey + np.array([1, 0, -1]), 0, 255).astype(np.uint8)
  looks = duplicates.look([
    *saved(tmp_path / 'a', tinted), *saved(tmp_path / 'b', tinted, exchanged),
  ])  # fmt: skip
  assert not looks.coloured.any() and set(duplicates.find(looks)['kind']) == {'near'}


def said(one, other):
  names = ['one'] * len(one) + ['other'] * len(other)
  means = np.concatenate([part.reshape(len(part), -1, 3).mean(axis=1) for part in (one, other)])
  return colours.sentences(names, means)


def test_sets_that_differ_as_a_whole():
  first, second = pictures(3, 40), pictures(4, 40)
  assert said(first, second) == []
  grey = np.repeat(second.mean(axis=-1, keepdims=True), 3, axis=-1)
  for changed, words in (
    (second[..., ::-1], 'red and blue look exchanged in one of them.'),
    (255 - second, 'one looks inverted.'),
    (grey, 'one is in colour and the other in grey.'),
    (pictures(5, 40, (150, 120, 110)), 'colour alone tells them apart.'),
  ):
    (sentence,) = said(first, changed)
    means = [
      ', '.join(f'{mean:.0f}' for mean in part.mean(axis=(0, 1, 2))) for part in (first, changed)
    ]
    start = f'Mean red, green and blue are {means[0]} in one and {means[1]} in other: '
    assert sentence == start + words
  assert said(first, second[:5, ..., ::-1]) == []  # too few to say
  # Sets of any colours, whose means differ by chance.
  rng = np.random.default_rng(0)
  assert colours.sentences(['a'] * 30 + ['b'] * 30, rng.uniform(0, 255, (60, 3))) == []


def test_a_set_of_copies_with_red_and_blue_exchanged_is_named(tmp_path):
  arrays, roots = pictures(6, 40), []
  for name, change in (('ours', lambda picture: picture), ('theirs', exchanged)):
    root = tmp_path / name
    saved(root, arrays, change)
    images = [f'{number}.jpg' for number in range(40)]
    patients = [f'{name}{number}' for number in range(40)]
    table = pd.DataFrame({'image': images, 'patient': patients, 'Edema': np.arange(40) % 2})
    planted_films.write(root, table)
    roots.append(root)
  ours, theirs = (configs.load(str(root / 'config.py'), ()) for root in roots)
  inspection = inspect.audit(ours, other=theirs)
  audit_files.write(tmp_path / 'out', 'title', inspection)
  first_screen = (tmp_path / 'out/index.html').read_text().partition('<main')[0]
  for words in (
    '80 images show the same as others with red and blue exchanged.',
    'ours and theirs share 40 pictures.',
    'red and blue look exchanged in one of them.',
  ):
    assert words in first_screen and any(words in said for said in inspection.audit.warnings)
  assert inspection.audit.copies.kinds['red and blue exchanged'] == 40
  # Weights that trained on one of the folders have seen the other.
  seen = pd.DataFrame(
    {'image': images, 'patient': patients, 'split': 'train', 'root': str(roots[0])}
  )
  split = np.array(['test'] * 40)
  with pytest.raises(InputError, match='40 of the 40 test patients'):
    seen_before.check_unseen(table, split, str(roots[1]), seen)
