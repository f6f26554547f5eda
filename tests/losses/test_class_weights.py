"""The weights that balance the classes of a label."""

import numpy as np

from medjax.losses import class_weights


def test_class_weights_of_the_eight_patients():
  values = np.array([[0, 0, 0, 1, 0, 0, 1, 0]], np.float32).T
  w_p, w_n = class_weights.compute(values, np.ones_like(values))
  np.testing.assert_allclose(w_p, [6 / 8])
  np.testing.assert_allclose(w_n, [2 / 8])


def test_class_weights_count_known_labels_and_parts_of_soft_ones():
  values = np.array([[1, 0.75, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1]], np.float32)
  mask = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1]], np.float32)
  w_p, w_n = class_weights.compute(values, mask)
  np.testing.assert_allclose(w_p, [1 / 2, 1.25 / 2, 0, 0])
  np.testing.assert_allclose(w_n, [1 / 2, 0.75 / 2, 0, 1])


def test_class_weights_do_not_lose_count_over_many_images():
  values = np.full((1_000_000, 2), 0.7, np.float32)
  w_p, w_n = class_weights.compute(values, np.ones_like(values))
  np.testing.assert_allclose(w_n, [0.7, 0.7], rtol=1e-6)
  np.testing.assert_allclose(w_p, [0.3, 0.3], rtol=1e-6)
