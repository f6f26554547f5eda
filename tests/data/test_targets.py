"""What the logits of each head are trained on."""

import numpy as np
import pandas as pd
import pytest

from medjax.data import targets
from medjax.errors import InputError

GRADES = np.eye(5, dtype=np.float32)  # an image of each of five grades


def test_an_ordinal_head_asks_each_question_of_the_images_that_reach_it():
  values, mask = targets.targets('ordinal', GRADES, np.ones_like(GRADES))
  # Shi, Cao and Raschka 2021: task k is trained on the examples of rank k and beyond.
  asked = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
  beyond = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
  np.testing.assert_array_equal(mask, asked)
  np.testing.assert_array_equal(values, beyond)


def test_an_image_of_unknown_grade_trains_no_output():
  values, mask = targets.targets('ordinal', GRADES * 0, np.zeros_like(GRADES))
  assert not values.any() and not mask.any()


@pytest.mark.parametrize(('head', 'outputs'), [('sigmoid', 5), ('softmax', 5), ('ordinal', 4)])
def test_outputs(head, outputs):
  assert targets.outputs(head, 5) == outputs
  assert targets.targets(head, GRADES, np.ones_like(GRADES))[0].shape == (5, outputs)


@pytest.mark.parametrize(
  ('values', 'mask', 'says'),
  [
    ([1, 1, 0], [1, 1, 1], 'nevus 1, melanoma 1, keratosis 0'),
    ([0, 0, 0], [1, 1, 1], 'nevus 0, melanoma 0'),
    ([1, 0, 0], [1, 1, 0], 'keratosis unknown'),
    ([0.5, 1, 0], [1, 1, 1], 'nevus 0.5'),
  ],
)
def test_an_image_without_exactly_one_label_is_named(values, mask, says):
  table = pd.DataFrame({'image': ['good.png', 'bad.png']})
  labels = ('nevus', 'melanoma', 'keratosis')
  values = np.array([[0, 1, 0], values], np.float32)
  with pytest.raises(InputError, match=r"'bad.png'.*") as raised:
    targets.check_one_label_each(table, labels, values, np.array([[1, 1, 1], mask], np.float32))
  assert says in str(raised.value)


def test_images_of_one_known_label_or_none_pass():
  table = pd.DataFrame({'image': ['a', 'b']})
  mask = np.array([[1, 1], [0, 0]], np.float32)
  targets.check_one_label_each(table, ('a', 'b'), np.array([[1, 0], [0, 0]], np.float32), mask)
  with pytest.raises(InputError):
    targets.check_one_label_each(table, ('a', 'b'), np.zeros((2, 2), np.float32), mask)
