"""Predictions and truth of two files: joined by name; errors name file, row and column."""

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evaluation import joining

PREDICTED = 'image,prob_Edema,prob_Mass\nb.png,0.75,0.5\na.png,0.25,1\n'
TRUTH = 'image,Mass,patient,Edema,sex\na.png,1,7,0,F\nb.png,-1,8,1,M\n'


def read(tmp_path, predicted, truth=None, labels=()):
  path, other = tmp_path / 'predictions.csv', tmp_path / 'truth.csv'
  path.write_text(predicted)
  if truth is not None:
    other.write_text(truth)
  return joining.read(path, None if truth is None else other, labels)


def test_images_and_labels_are_joined_by_name(tmp_path):
  joined = read(tmp_path, PREDICTED, TRUTH)
  assert joined.images == ['b.png', 'a.png'] and joined.patients == ['8', '7']
  assert joined.labels == ['Edema', 'Mass']
  np.testing.assert_array_equal(joined.probabilities, [[0.75, 0.5], [0.25, 1]])
  np.testing.assert_array_equal(joined.truth, [[1, 0], [0, 1]])
  np.testing.assert_array_equal(joined.known, [[True, False], [True, True]])
  assert joined.about.to_dict('list') == {'sex': ['M', 'F']}


def test_bare_columns_are_labels_where_the_truth_has_them_too(tmp_path):
  joined = read(
    tmp_path, 'image,scanner,Edema\na,GE,0.5\nb,GE,0.125\n', 'image,true_Edema\nb,1\na,0\n'
  )
  assert joined.labels == ['Edema'] and joined.patients == ['a', 'b']
  assert joined.about.to_dict('list') == {'scanner': ['GE', 'GE']}
  np.testing.assert_array_equal(joined.truth, [[0], [1]])


def test_one_file_may_hold_both(tmp_path):
  joined = read(tmp_path, 'image,patient,prob_X,true_X,view\na,1,0.5,1,PA\nb,2,0.25,,AP\n')
  assert joined.labels == ['X'] and joined.patients == ['1', '2']
  np.testing.assert_array_equal(joined.known, [[True], [False]])
  assert joined.about.to_dict('list') == {'view': ['PA', 'AP']}


def test_some_of_the_labels(tmp_path):
  assert read(tmp_path, PREDICTED, TRUTH, ['Mass']).labels == ['Mass']


@pytest.mark.parametrize(
  'predicted, truth, named',
  [
    (PREDICTED.replace('0.75', '1.75'), TRUTH, ['predictions.csv', 'row 2', 'prob_Edema', '1.75']),
    (PREDICTED.replace('0.75', 'nan'), TRUTH, ['predictions.csv', 'row 2', 'prob_Edema', 'nan']),
    (PREDICTED.replace('0.75', ''), TRUTH, ['predictions.csv', 'row 2', 'prob_Edema', 'empty']),
    (PREDICTED + 'a.png,0,0\n', TRUTH, ['predictions.csv', 'row 4', 'row 3', "'a.png'"]),
    (PREDICTED + 'c.png,0,0\n', TRUTH, ['predictions.csv', "'c.png'", 'row 4', 'truth.csv']),
    (PREDICTED, TRUTH + 'c.png,0,1,0,F\n', ['truth.csv', "'c.png'", 'row 4', 'predictions.csv']),
    (PREDICTED, TRUTH.replace('Mass', 'Masses'), ['truth.csv', "'true_Mass'", "'Masses'"]),
    (PREDICTED, TRUTH.replace('a.png,1', 'a.png,2'), ['truth.csv', 'row 2', "'Mass'", "'2'"]),
    (PREDICTED, TRUTH.replace(',8,', ',,'), ['truth.csv', 'row 3', 'patient', 'empty']),
    ('image,A\na,0\n', 'image,B\na,1\n', ['no label in common', 'A', 'B']),
    ('image,A\na,0\n', None, ['prob_<label>', '--truth']),
    ('image,patient,prob_A\na,1,0\n', 'image,patient,A\na,2,1\n', ["patient '1'", "'2'", "'a'"]),
    ('prob_A\n0\n', None, ["no column 'image'"]),
  ],
)
def test_refusals(tmp_path, predicted, truth, named):
  with pytest.raises(InputError) as error:
    read(tmp_path, predicted, truth)
  for word in named:
    assert word in str(error.value), error.value
  assert '\n' not in str(error.value)
