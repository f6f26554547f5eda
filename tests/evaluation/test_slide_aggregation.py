"""From patches to slides and patients, by worked examples."""

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evaluation import slides
from medjax.evaluation.predictions import Predictions

# Ten patches of slide A, four of B; two labels.
A = [[0.1, 0.9], [0.2, 0.8], [0.3, 0.1], [0.4, 0.1], [0.5, 0.1], [0.6, 0.1], [0.7, 0.1], [0.8, 0.1],
     [0.9, 0.1], [0.2, 0.1]]  # fmt: skip
B = [[0.25, 1.0], [0.75, 0.0], [0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
  ('text', 'of_a', 'of_b'),
  [
    ('max', [0.9, 0.9], [0.75, 1.0]),
    ('mean', [0.47, 0.25], [0.5, 0.5]),
    ('top:0.2', [(0.9 + 0.8) / 2, (0.9 + 0.8) / 2], [0.75, 1.0]),  # 2 of 10; 0.8 of 4, so 1
    ('top:0.25', [(0.9 + 0.8 + 0.7) / 3, (0.9 + 0.8 + 0.1) / 3], [0.75, 1.0]),  # 2.5, so 3; 1
    ('top:0.5', [(0.9 + 0.8 + 0.7 + 0.6 + 0.5) / 5, 0.4], [(0.75 + 0.5) / 2, 0.75]),
    ('top:0.001', [0.9, 0.9], [0.75, 1.0]),  # the highest at least
    ('top:1', [0.47, 0.25], [0.5, 0.5]),
  ],
)
def test_worked_examples(text, of_a, of_b):
  groups = ['B', *['A'] * 5, 'B', *['A'] * 5, 'B', 'B']
  rows = np.array([B[0], *A[:5], B[1], *A[5:], *B[2:]], np.float32)
  names, values = slides.aggregate(rows, groups, slides.method(text))
  assert names == ['B', 'A']
  np.testing.assert_allclose(values, [of_b, of_a], rtol=1e-6)


def test_a_share_of_a_whole_number_takes_that_many():
  values = np.linspace(0, 1, 100)[:, None]
  assert 0.07 * 100 > 7  # In floating point.
  np.testing.assert_allclose(slides.top_share(values, 0.07), [values[-7:].mean()])


def test_the_order_of_patches_does_not_matter():
  rng = np.random.default_rng(0)
  rows, order = rng.random((50, 2)), rng.permutation(50)
  for text in ('max', 'mean', 'top:0.1'):
    of = slides.method(text)
    np.testing.assert_allclose(of(rows), of(rows[order]), rtol=1e-12)


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('maximum', 'allowed: max, mean, top; did you mean'),
    ('top', "give a share in (0, 1], such as 'top:0.05'"),
    ('top:0', 'give a share'),
    ('top:5%', 'give a share'),
    ('top:nan', 'give a share'),
    ('mean:0.5', "only 'top' takes a share"),
  ],
)
def test_unknown_methods_are_named(text, words):
  with pytest.raises(InputError) as error:
    slides.method(text)
  assert words in str(error.value) or words.partition(';')[0] in str(error.value)


@pytest.mark.parametrize(
  ('truth', 'known', 'expected'),
  [
    ([0, 0, 1], [1, 1, 1], (True, True)),
    ([0, 0, 0], [1, 1, 1], (False, True)),
    ([0, 0, 0], [1, 0, 1], (False, False)),  # the unknown part may have it
    ([0, 0, 1], [1, 0, 1], (True, True)),
    ([1, 1, 1], [0, 0, 0], (False, False)),
  ],
)
def test_a_whole_has_what_any_of_its_parts_has(truth, known, expected):
  value, certain = slides.any_of(np.array(truth)[:, None], np.array(known, bool)[:, None])
  assert (bool(value[0]), bool(certain[0])) == expected


def test_slides_and_their_patients():
  # Patient P has two slides, one with tumour; Q has one, of which nobody knows.
  patches = Predictions(
    images=list('abcdef'),
    patients=['P', 'P', 'P', 'P', 'Q', 'Q'],
    labels=['tumor'],
    probabilities=np.array([[0.9], [0.1], [0.2], [0.2], [0.6], [0.8]], np.float32),
    truth=np.array([[1], [0], [0], [0], [0], [0]], np.float32),
    known=np.ones((6, 1), bool),
  )
  yes, no, unknown = ((np.array([v]), np.array([k])) for v, k in ((1, True), (0, True), (1, False)))
  found = slides.to_slides(
    patches,
    ['s1', 's1', 's2', 's2', 's3', 's3'],
    slides.average,
    {'s1': yes, 's2': no, 's3': unknown},
  )
  assert found.images == ['s1', 's2', 's3'] and found.patients == ['P', 'P', 'Q']
  np.testing.assert_allclose(found.probabilities[:, 0], [0.5, 0.2, 0.7], rtol=1e-6)
  np.testing.assert_array_equal(found.truth[:, 0], [1, 0, 0])
  np.testing.assert_array_equal(found.known[:, 0], [True, True, False])
  of_patients = slides.to_patients(found)
  assert of_patients.images == ['P', 'Q']
  np.testing.assert_allclose(of_patients.probabilities[:, 0], [0.5, 0.7], rtol=1e-6)
  np.testing.assert_array_equal(of_patients.truth[:, 0], [1, 0])
  np.testing.assert_array_equal(of_patients.known[:, 0], [True, False])
