"""Label policies against hand-worked tables, the papers' definitions and the lecture's patients."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from medjax.data import labels
from medjax.errors import InputError

NAN = np.nan
TABLE = pd.DataFrame(
  {
    'image': ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'],
    'patient': ['1', '1', '2', '3'],
    'Edema': np.array([1, 0, -1, NAN], np.float32),
    'Mass': np.array([NAN, -1, -1, 1], np.float32),
  }
)
BOTH = ('Edema', 'Mass')


@pytest.mark.parametrize(
  'uncertain, blank, edema, edema_mask',
  [
    ('ignore', 'ignore', [1, 0, 0, 0], [1, 1, 0, 0]),
    ('ignore', 'zeros', [1, 0, 0, 0], [1, 1, 0, 1]),
    ('zeros', 'ignore', [1, 0, 0, 0], [1, 1, 1, 0]),
    ('ones', 'zeros', [1, 0, 1, 0], [1, 1, 1, 1]),
    ('0.9..0.9', 'ignore', [1, 0, np.float32(0.9), 0], [1, 1, 1, 0]),
  ],
)
def test_policies(uncertain, blank, edema, edema_mask):
  values, mask = labels.resolve(TABLE, ('Edema',), uncertain, blank)
  assert values.dtype == mask.dtype == np.float32
  np.testing.assert_array_equal(values[:, 0], np.array(edema, np.float32))
  np.testing.assert_array_equal(mask[:, 0], edema_mask)


def test_each_label_has_its_own_policies():
  values, mask = labels.resolve(
    TABLE, ('Mass', 'Edema'), {'Edema': 'ones'}, {'Mass': 'zeros', 'default': 'ignore'}
  )
  # Mass is not named, so its uncertain entries are ignored; columns come in the order asked for.
  np.testing.assert_array_equal(values, [[0, 1], [0, 0], [0, 1], [1, 0]])
  np.testing.assert_array_equal(mask, [[1, 1], [0, 1], [0, 1], [1, 0]])


def test_default_stands_for_the_labels_not_named():
  values, mask = labels.resolve(TABLE, BOTH, {'Edema': 'zeros', 'default': 'ones'}, 'ignore')
  np.testing.assert_array_equal(values, [[1, 0], [0, 1], [0, 1], [0, 1]])
  np.testing.assert_array_equal(mask, [[1, 0], [1, 1], [1, 1], [0, 1]])


def test_a_policy_for_a_label_left_out_of_the_run_is_no_mistake():
  values, _ = labels.resolve(TABLE, ('Edema',), {'Mass': 'ones', 'Edema': 'zeros'}, 'ignore')
  np.testing.assert_array_equal(values[:, 0], [1, 0, 0, 0])


def _uncertain_table(images):
  codes = np.full(len(images), -1, np.float32)
  return pd.DataFrame({'image': images, 'patient': images, 'Edema': codes, 'Mass': codes})


def _splitmix64(image, label):
  """The draw in Python's own integers, f64 in [0, 1)."""

  def hashed(text):
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'little')

  z, bits = hashed(image) ^ hashed(label), (1 << 64) - 1
  z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & bits
  z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & bits
  return ((z ^ (z >> 31)) >> 11) / 2**53


def test_smoothed_draws_belong_to_image_and_label():
  images = [f'{i}.jpg' for i in range(50)]
  values, mask = labels.resolve(_uncertain_table(images), BOTH, '0.55..0.85', 'ignore')
  assert mask.all()
  expected = [[0.55 + 0.3 * _splitmix64(image, label) for label in BOTH] for image in images]
  np.testing.assert_allclose(values, expected, rtol=1e-6)
  other, _ = labels.resolve(
    _uncertain_table(['new.jpg', *images[::-1]]), ('Mass',), {'Mass': '0.55..0.85'}, 'zeros'
  )
  np.testing.assert_array_equal(other[:0:-1, 0], values[:, 1])


def test_smoothed_draws_are_uniform_in_their_range():
  images = [f'train/patient{i:05}/study1/view1_frontal.jpg' for i in range(20_000)]
  values, _ = labels.resolve(_uncertain_table(images), BOTH, {'default': '0..0.3'}, 'ignore')
  assert values.min() >= 0 and values.max() <= np.float32(0.3)
  for column in values.T:
    counts = np.histogram(column, bins=10, range=(0, 0.3))[0]
    # 2000 expected in each bin, standard deviation 42.
    assert np.abs(counts - 2000).max() < 5 * 42
  assert abs(np.corrcoef(values.T)[0, 1]) < 5 / np.sqrt(20_000)


def test_definite_and_blank_labels_are_never_smoothed():
  values, mask = labels.resolve(TABLE, BOTH, '0.55..0.85', 'ignore')
  unsure = TABLE[list(BOTH)].to_numpy() == -1
  assert set(values[~unsure]) == {0, 1}
  assert ((values[unsure] > 0.55) & (values[unsure] < 0.85)).all()
  np.testing.assert_array_equal(mask == 0, np.isnan(TABLE[list(BOTH)].to_numpy()))


@pytest.mark.parametrize(
  'uncertain, blank, words',
  [
    ('one', 'zeros', ["config.data.uncertain is 'one'", "did you mean 'ones'"]),
    ('ignore', 'zero', ["config.data.blank is 'zero'", "did you mean 'zeros'"]),
    ('ignore', 'ones', ["config.data.blank is 'ones'", 'allowed: ignore, zeros']),
    ('ignore', '0..0.3', ["config.data.blank is '0..0.3'"]),
    ({'edema': 'ones'}, 'zeros', ["'edema'", 'no label', "did you mean 'Edema'"]),
    ({'Mass': 'Zeros'}, 'zeros', ["config.data.uncertain['Mass'] is 'Zeros'", "'zeros'"]),
    ({'default': 'maybe'}, 'zeros', ["config.data.uncertain['default'] is 'maybe'"]),
    ('0.85..0.55', 'zeros', ["'0.85..0.55'", 'low <= high']),
    ('0.5..1.5', 'zeros', ["'0.5..1.5'", 'high <= 1']),
    ('-0.5..0.5', 'zeros', ["'-0.5..0.5'", '0 <= low']),
    ('nan..0.5', 'zeros', ["'nan..0.5'"]),
    ('a..b', 'zeros', ["'a..b'", "such as '0.55..0.85'"]),
    ('0.1..0.2..0.3', 'zeros', ["'0.1..0.2..0.3'"]),
    (None, 'zeros', ["config.data.uncertain is 'None'"]),
  ],
)
def test_mistakes_in_policies(uncertain, blank, words):
  with pytest.raises(InputError) as error:
    labels.resolve(TABLE, BOTH, uncertain, blank)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_a_mistake_in_a_policy_that_no_label_uses_is_still_a_mistake():
  with pytest.raises(InputError, match='mabye'):
    labels.resolve(TABLE, ('Edema',), {'Edema': 'ones', 'default': 'mabye'}, 'zeros')


def test_an_unknown_label_is_named():
  with pytest.raises(InputError, match="'Edemma'; did you mean 'Edema'"):
    labels.resolve(TABLE, ('Edemma',), 'ignore', 'zeros')


def test_reference_counts_definite_labels_only():
  truth, known = labels.reference(TABLE, BOTH, {'Edema': 'zeros'})
  assert truth.dtype == np.float32 and known.dtype == bool
  np.testing.assert_array_equal(truth, [[1, 0], [0, 0], [0, 0], [0, 1]])
  np.testing.assert_array_equal(known, [[1, 0], [1, 0], [0, 0], [1, 1]])


def test_the_share_of_readers_trains_as_it_is_and_is_tested_as_most_say():
  shares = TABLE.assign(Edema=np.array([2 / 3, 0.5, 1 / 3, -1], np.float32))
  values, mask = labels.resolve(shares, ('Edema',), 'ignore', 'ignore')
  np.testing.assert_array_equal(values[:, 0], np.array([2 / 3, 0.5, 1 / 3, 0], np.float32))
  np.testing.assert_array_equal(mask[:, 0], [1, 1, 1, 0])
  truth, known = labels.reference(shares, ('Edema',), 'ignore')
  np.testing.assert_array_equal(truth[:, 0], [1, 0, 0, 0])
  np.testing.assert_array_equal(known[:, 0], [True, False, True, False])
