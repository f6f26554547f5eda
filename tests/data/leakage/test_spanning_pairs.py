"""Few of all pairs tell what all of them would, against scipy's graphs and what all pairs say."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csgraph, csr_array

from medjax.data.leakage import copies, duplicates, spanning_pairs
from medjax.data.leakage.spanning_pairs import SpanningPairs

COUNT = 60


def drawn(seed):
  """Returns every pair of some clusters: a < b, kind and correlation of each, in any order."""
  rng = np.random.default_rng(seed)
  cluster = rng.integers(0, 3, COUNT)
  a, b = np.triu_indices(COUNT, 1)
  some = (cluster[a] == cluster[b]) & (rng.random(len(a)) < 0.7)
  order = rng.permutation(np.flatnonzero(some))
  kind = rng.choice(['near', 'mirrored', 'exchanged'], len(order), p=[0.8, 0.15, 0.05])
  return pd.DataFrame(
    {'a': a[order], 'b': b[order], 'kind': kind, 'correlation': rng.uniform(0.97, 1, len(order))}
  )


def properties(seed):
  """Returns f64[3, COUNT]: a side and a truth, not always known, and a patient."""
  rng = np.random.default_rng(seed)
  values = [rng.integers(0, 2, COUNT), rng.integers(0, 2, COUNT), rng.integers(0, 9, COUNT)]
  values = np.array(values, np.float64)
  values[:2][rng.random((2, COUNT)) < 0.3] = np.nan
  return values


def kept(pairs, apart, blocks=7):
  spanning = SpanningPairs(apart, rare='exchanged')
  for block in np.array_split(np.arange(len(pairs)), blocks):
    for kind, some in pairs.iloc[block].groupby('kind', sort=False):
      spanning.add(some['a'].to_numpy(), some['b'].to_numpy(), kind, some['correlation'].to_numpy())
  return spanning.result()


@pytest.fixture(params=[2**20, 3], ids=['at once', 'in passing'])
def held(request, monkeypatch):
  """How many pairs are held before those that tell nothing new are let go."""
  monkeypatch.setattr(spanning_pairs, '_HELD', request.param)


def graph(pairs, weights):
  return csr_array((weights, (pairs['a'], pairs['b'])), (COUNT, COUNT))


@pytest.mark.parametrize('seed', range(5))
def test_a_spanning_tree_of_the_most_alike_is_kept(held, seed):
  pairs = drawn(seed).assign(kind='near')
  found = kept(pairs, np.empty((0, COUNT)))
  number, component = csgraph.connected_components(graph(pairs, np.ones(len(pairs))))
  assert len(found) == COUNT - number
  np.testing.assert_array_equal(
    csgraph.connected_components(graph(found, np.ones(len(found))))[1], component
  )
  tree = csgraph.minimum_spanning_tree(graph(pairs, 2 - pairs['correlation']))
  assert found['correlation'].sum() == pytest.approx(2 * len(found) - tree.sum())


@pytest.mark.parametrize('seed', range(5))
def test_of_every_image_all_is_told_that_any_of_its_pairs_tells(held, seed):
  pairs, apart = drawn(seed), properties(seed)
  found = kept(pairs, apart)
  assert len(found) < COUNT * 3 < len(pairs)
  assert not found.duplicated(['a', 'b']).any()

  def told(some):
    """Returns {(image, what it differs in from an image that shows the same)}."""
    result = set()
    for a, b, kind, _ in some.itertuples(index=False):
      differs = [row for row, (one, other) in enumerate(apart[:, [a, b]]) if abs(one - other) > 0]
      result |= {(image, what) for image in (a, b) for what in differs}
      result |= {(image, kind) for image in (a, b) if kind == 'exchanged'}
    return result

  assert told(found) == told(pairs) and told(pairs)
  of_pair = {(a, b): (kind, alike) for a, b, kind, alike in pairs.itertuples(index=False)}
  for a, b, kind, alike in found.itertuples(index=False):
    assert of_pair[a, b] == (kind, alike)


def test_a_pair_of_several_kinds_is_the_rare_one_or_else_the_most_alike(held):
  pairs = pd.DataFrame(
    [(0, 1, 'near', 0.98), (0, 1, 'mirrored', 0.99), (0, 1, 'turned', 0.99),
     (2, 3, 'near', 0.999), (2, 3, 'exchanged', 0.97)],
    columns=['a', 'b', 'kind', 'correlation'],
  )  # fmt: skip
  found = kept(pairs, np.empty((0, COUNT)), blocks=1)
  assert found['kind'].tolist() == ['mirrored', 'exchanged']


def test_groups_are_connected_components():
  pairs = drawn(1)[::9]
  groups = spanning_pairs.groups(pairs, COUNT)
  _, scipys = csgraph.connected_components(graph(pairs, np.ones(len(pairs))))
  paired = np.unique(pairs[['a', 'b']])
  assert (groups[np.setdiff1d(np.arange(COUNT), paired)] == -1).all()
  same = groups[paired][:, None] == groups[paired]
  np.testing.assert_array_equal(same, scipys[paired][:, None] == scipys[paired])


def frames(folder, count):
  """Writes frames of one sweep, nearly equal, and two files of the first and of the last."""
  rng = np.random.default_rng(0)
  y, x = np.mgrid[:64, :64]
  base = 90 + 60 * np.sin(x / 5) * np.cos(y / 7) + 40 * np.sin((x + y) / 3)
  paths = [str(folder / f'{number}.png') for number in range(count)]
  for path in paths:
    Image.fromarray((base + rng.normal(0, 2, base.shape)).clip(0, 255).astype(np.uint8)).save(path)
  for number, name in ((0, 'first.png'), (count - 1, 'last.png')):
    paths.append(str(folder / name))
    Image.open(paths[number]).save(paths[-1])
  return paths


def test_frames_of_a_sweep_are_told_by_one_pair_less_than_frames(tmp_path):
  paths = frames(tmp_path, 150)
  looks = duplicates.look(paths)
  found = duplicates.find(looks)
  assert len(found) == len(paths) - 1
  assert found['kind'].value_counts().to_dict() == {'near': 149, 'file': 2}


def test_every_image_that_leaks_is_in_a_pair_that_leaks(tmp_path):
  count = 40
  paths = frames(tmp_path, count)
  # One image is tested; the copies of the first and last frame are, and of another patient.
  side = np.array(['train'] * (count + 2), object)
  side[[7, count, count + 1]] = 'test'
  patient = np.array([f'p{number // 20}' for number in range(count)] + ['q', 'q'], object)
  pictures = pd.DataFrame({'image': paths, 'patient': patient, 'side': side, 'set': 'one'})
  truth = np.zeros((count + 2, 1))
  truth[3] = 1
  pairs = duplicates.find(duplicates.look(paths), copies.apart(pictures, truth))
  found = copies.findings(pairs, pictures, ['x'], truth)
  assert (found.groups, found.images, found.two_patients) == (1, count + 2, 1)
  assert found.across['test']['train'] == 3 and found.across['train']['test'] == count - 1
  assert found.conflicts == {'x': 1}
  crossing = {image for pair in found.pairs if pair.crossing for image in pair.images}
  assert crossing == set(paths)  # Each of them shows the same as one of the other side.
  contradicting = {image for pair in found.pairs if pair.conflicts for image in pair.images}
  assert contradicting == set(paths)
  two_patients = {
    image for pair in found.pairs if pair.patients[0] != pair.patients[1] for image in pair.images
  }
  assert two_patients == set(paths)
  assert len(found.pairs) < 4 * len(paths)


def test_identical_files_are_told_apart_too(tmp_path):
  path = frames(tmp_path, 1)[0]
  # Six names of one file: each is linked to the next, and the two of the test to one that trains.
  pictures = pd.DataFrame(
    {
      'image': list('abcdef'),
      'patient': list('112233'),
      'side': ['train', 'test', 'test', 'test', 'train', 'train'],
      'set': 'one',
    }
  )
  truth = np.array([[1.0], [1], [1], [np.nan], [0], [0]])
  looks = duplicates.look([path] * 6)
  found = copies.findings(
    duplicates.find(looks, copies.apart(pictures, truth)), pictures, ['x'], truth
  )
  assert found.kinds['file'] == len(found.pairs)
  for told in (
    lambda pair: pair.crossing,
    lambda pair: pair.patients[0] != pair.patients[1],
  ):
    assert {image for pair in found.pairs if told(pair) for image in pair.images} == set('abcdef')
  contradicting = {image for pair in found.pairs if pair.conflicts for image in pair.images}
  assert contradicting == set('abcef')  # The truth of d is not known.
  assert duplicates.find(looks)[['a', 'b']].to_numpy().tolist() == [[n, n + 1] for n in range(5)]
