"""Copies under other names, against imagehash, scipy and what was planted."""

import shutil

import imagehash
import numpy as np
import pytest
import scipy.fft
from PIL import Image, ImageOps

from medjax.data.leakage import duplicates, near_hashes
from medjax.data.phantom import chest


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  """Files of one generated film of each of 40 patients."""
  root = tmp_path_factory.mktemp('films') / 'phantom'
  chest.generate(root, images=160, image_size=128, seed=3)
  firsts = [sorted(patient.glob('*/*.jpg'))[0] for patient in sorted(root.glob('*/patient*'))]
  return [str(path) for path in firsts[:40]]


def test_hashes_are_those_of_imagehash_bit_for_bit(films):
  kinds = [relation.kind for relation in duplicates.RELATIONS]
  hashed = dict(zip(kinds, duplicates.hashes(duplicates.look(films).thumbnails)))
  for number, path in enumerate(films):
    with Image.open(path) as film:
      assert str(imagehash.phash(film)) == f'{hashed["near"][number]:016x}'
      assert str(imagehash.phash(ImageOps.mirror(film))) == f'{hashed["mirrored"][number]:016x}'


def _related(relation, pixels):
  """Returns the picture uint8[..., H, W] that bears this relation to another."""
  if relation.transposed:
    pixels = pixels.swapaxes(-1, -2)
  down, across = (-1 if flip else 1 for flip in relation.flipped)
  return (255 - pixels if relation.inverted else pixels)[..., ::down, ::across]


def test_hashes_of_related_pictures_are_those_of_the_pictures_themselves(films):
  thumbnails = duplicates.look(films).thumbnails
  assert len({kind[1:] for kind in duplicates.RELATIONS}) == 16
  for relation, hashed in zip(duplicates.RELATIONS, duplicates.hashes(thumbnails)):
    themselves = duplicates.hashes(np.ascontiguousarray(_related(relation, thumbnails)))[0]
    np.testing.assert_array_equal(hashed, themselves)


TURNS = {
  'FLIP_LEFT_RIGHT': 'mirrored',
  'FLIP_TOP_BOTTOM': 'flipped top to bottom',
  'ROTATE_90': 'turned by 90°',
  'ROTATE_180': 'turned by 180°',
  'ROTATE_270': 'turned by 90°',
  'TRANSPOSE': 'turned by 90° and mirrored',
  'TRANSVERSE': 'turned by 90° and mirrored',
}


def test_turned_and_inverted_copies_are_found_whichever_comes_first_and_nothing_else(
  films, tmp_path
):
  expected, before, after = [], [], []
  for number, (turn, kind) in enumerate([('', ''), *TURNS.items()] * 2):
    inverted = number > len(TURNS)
    if not (turn or inverted):
      continue
    with Image.open(films[number]) as film:
      copy = film.transpose(Image.Transpose[turn]) if turn else film
      copy = (ImageOps.invert(copy) if inverted else copy).resize((90, 70))
      path = str(tmp_path / f'{number}.jpg')
      copy.save(path, quality=70)
    (before if number % 2 else after).append(path)
    words = ', '.join(word for word in (kind, 'inverted' if inverted else '') if word)
    expected.append((films[number], path, words))
  paths = [*before, *films, *after]
  pairs = duplicates.find(duplicates.look(paths))
  relation_of = {
    (frozenset((paths[a], paths[b])), kind)
    for a, b, kind in zip(*map(pairs.get, ('a', 'b', 'kind')))
  }
  assert relation_of == {(frozenset(pair), kind) for *pair, kind in expected}
  assert len(relation_of) == 15 and (pairs['a'] < pairs['b']).all()


def test_of_a_picture_that_is_its_own_mirror_image_a_copy_is_just_that(films, tmp_path):
  with Image.open(films[0]) as film:
    half = np.asarray(film.convert('L'))[:, :64]
  symmetric = Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1))
  symmetric.save(tmp_path / 'one.png')
  symmetric.resize((256, 256), Image.Resampling.NEAREST).save(tmp_path / 'other.png')
  looks = duplicates.look([str(tmp_path / 'one.png'), str(tmp_path / 'other.png')])
  assert duplicates.find(looks)['kind'].tolist() == ['near']


def test_each_file_may_have_an_intensity_of_its_own(films, tmp_path):
  with Image.open(films[0]) as film:
    shallow = np.asarray(film.convert('L')).astype(np.uint16) * 8  # 11 bits of 16
  Image.fromarray(shallow).save(tmp_path / 'shallow.png')
  paths = [films[0], str(tmp_path / 'shallow.png')]
  assert list(duplicates.look(paths).broken) == [1]
  looks = duplicates.look(paths, ['file', '0..2040'])
  assert not looks.broken and duplicates.find(looks)['kind'].tolist() == ['pixels']


def test_details_are_pixels_without_their_lowest_and_highest_frequencies(films):
  thumbnails = duplicates.look(films[:6]).thumbnails
  vectors, strength = duplicates.details(thumbnails)
  kept = np.zeros((32, 32))
  kept[:16, :16], kept[:5, :5] = 1, 0
  spectrum = scipy.fft.dctn(thumbnails.astype(float), axes=(1, 2), norm='ortho') * kept
  filtered = scipy.fft.idctn(spectrum, axes=(1, 2), norm='ortho').reshape(6, -1)
  np.testing.assert_allclose(vectors @ vectors.T, np.corrcoef(filtered), atol=1e-5)
  np.testing.assert_allclose(strength, filtered.std(axis=1), rtol=1e-5)


@pytest.mark.parametrize('radius', [0, 3, 7])
def test_search_finds_what_comparing_all_with_all_finds(radius):
  rng = np.random.default_rng(0)
  hashed = rng.integers(0, 2**63, 60, dtype=np.uint64)
  near = hashed.copy()
  for _ in range(6):
    near ^= np.uint64(1) << rng.integers(0, 64, 60, dtype=np.uint64)
  # Equal bytes in most hashes, as films have them: a pair must still come once.
  everything = np.concatenate([hashed, near, hashed & np.uint64(2**40 - 1), hashed[:5]])
  queries = rng.permutation(everything)
  pairs = [pair for i, j in near_hashes.search(everything, queries, radius) for pair in zip(i, j)]
  bits = [
    np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1) for hashes in (queries, everything)
  ]
  distance = (bits[0][:, None] != bits[1]).sum(axis=2)
  expected = {(i, j) for i, j in np.argwhere(distance <= radius) if i != j}
  assert len(pairs) == len(set(pairs)) and set(pairs) == expected and expected


def _planted(films, folder):
  """Writes copies of some films, each changed in one way; returns the files by that way."""
  changes = {
    'file': lambda film, path: None,
    'pixels': lambda film, path: film.save(path),
    'colour': lambda film, path: film.convert('RGB').save(path),
    'reencoded': lambda film, path: film.save(path, quality=60),
    'smaller': lambda film, path: film.resize((50, 50), Image.Resampling.BICUBIC).save(path),
    'larger': lambda film, path: film.resize((300, 280)).save(path, quality=60),
    'mirrored': lambda film, path: ImageOps.mirror(film).save(path, quality=80),
  }
  paths = {}
  for number, (name, change) in enumerate(changes.items()):
    lossless = name in ('pixels', 'colour', 'smaller')
    paths[name] = str(folder / f'{name}{".png" if lossless else ".jpg"}')
    if name == 'file':
      shutil.copy(films[number], paths[name])
    else:
      with Image.open(films[number]) as film:
        change(film, paths[name])
  return paths


def test_planted_copies_are_found_and_nothing_else(films, tmp_path):
  planted = _planted(films, tmp_path)
  pairs = duplicates.find(duplicates.look([*films, *planted.values()]))
  expected = {
    'file': 'file',
    'pixels': 'pixels',
    'colour': 'pixels',
    'reencoded': 'near',
    'smaller': 'near',
    'larger': 'near',
    'mirrored': 'mirrored',
  }
  assert list(zip(pairs['a'], pairs['b'], pairs['kind'])) == [
    (number, len(films) + number, expected[name]) for number, name in enumerate(planted)
  ]
  assert (pairs['correlation'] >= duplicates.SAME).all() and (pairs['correlation'] <= 1).all()


def test_of_identical_images_each_is_linked_to_the_next(films, tmp_path):
  copies = [str(tmp_path / f'{number}.jpg') for number in range(3)]
  for copy in copies:
    shutil.copy(films[0], copy)
  pairs = duplicates.find(duplicates.look([copies[0], films[1], copies[1], copies[2]]))
  assert pairs[['a', 'b']].to_numpy().tolist() == [[0, 2], [2, 3]]


def test_plain_pictures_are_the_same_only_if_identical(tmp_path):
  values = {'black': 0, 'black again': 0, 'grey': 90}
  paths = [str(tmp_path / f'{name}.png') for name in values]
  for path, value in zip(paths, values.values()):
    Image.new('L', (64, 64), value).save(path)
  looks = duplicates.look(paths)
  assert duplicates.find(looks)[['a', 'b', 'kind']].to_numpy().tolist() == [[0, 1, 'file']]
  assert duplicates.too_plain(looks).tolist() == [0, 1, 2]
  assert duplicates.same_picture(*paths[:2]) and not duplicates.same_picture(*paths[1:])


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(films, tmp_path):
  (tmp_path / 'broken.png').write_bytes(b'not an image')
  looks = duplicates.look([str(tmp_path / 'broken.png'), films[0], films[0], 'nowhere.png'])
  assert sorted(looks.broken) == [0, 3]
  assert 'broken.png' in looks.broken[0] and 'no such image' in looks.broken[3]
  assert duplicates.find(looks)[['a', 'b']].to_numpy().tolist() == [[1, 2]]
  assert looks.headers[1] == (128, 128, 'L', 'JPEG') and looks.headers[3] == (0, 0, '', '')


def test_a_copy_of_a_film_is_the_same_picture_and_another_film_is_not(films, tmp_path):
  with Image.open(films[0]) as film:
    film.resize((60, 60)).save(tmp_path / 'small.jpg', quality=70)
  assert duplicates.same_picture(films[0], str(tmp_path / 'small.jpg'))
  assert not any(duplicates.same_picture(films[0], other) for other in films[1:])


def test_copies_of_12_bits_are_compared_whatever_a_run_takes_for_white(tmp_path):
  film = np.arange(4096, dtype=np.uint16).reshape(64, 64)
  other = np.random.default_rng(0).permutation(film)
  for name, pixels in (('a.png', film), ('b.png', film), ('c.png', other)):
    Image.fromarray(pixels).save(tmp_path / name)
  a, b, c = (str(tmp_path / name) for name in ('a.png', 'b.png', 'c.png'))
  assert duplicates.same_picture(a, b) and not duplicates.same_picture(a, c)
