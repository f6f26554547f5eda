"""The predictions file: the same bits back, and every refusal names file, row and column."""

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evaluation import predictions

LABELS = ['Edema', 'a, "b" & <c>', 'Ödem ≥ 2']


def example(images=50):
  rng = np.random.default_rng(0)
  shape = (images, len(LABELS))
  return predictions.Predictions(
    [f'p{i // 2}/view {i},1.jpg' for i in range(images)],
    [f'{i // 2:05d}' for i in range(images)],
    LABELS,
    rng.random(shape, np.float32) ** 9,
    rng.integers(0, 2, shape).astype(np.float32),
    rng.random(shape) < 0.8,
  )


def test_same_bits_back(tmp_path):
  path = tmp_path / 'new' / 'test.csv'
  given = example()
  given.probabilities[:4, 0] = 0, 1, np.nextafter(np.float32(0), np.float32(1)), np.float32(1) / 3
  predictions.write(path, given)
  back = predictions.read(path)
  assert back[:3] == given[:3]
  assert back.patients[0] == '00000'  # a patient is a string, not a number
  np.testing.assert_array_equal(
    back.probabilities.view(np.uint32), given.probabilities.view(np.uint32)
  )
  np.testing.assert_array_equal(back.known, given.known)
  np.testing.assert_array_equal(back.truth, np.where(given.known, given.truth, 0))
  assert [child.name for child in path.parent.iterdir()] == ['test.csv']


def test_columns_and_empty_truth(tmp_path):
  path = tmp_path / 'p.csv'
  given = predictions.Predictions(
    ['a.jpg', 'b.jpg'], ['1', '2'], ['X', 'Y'],
    np.array([[0.5, 0.25], [1, 0]]), np.array([[1, np.nan], [0, 0]]), np.array([[1, 0], [1, 1]]),
  )  # fmt: skip
  predictions.write(path, given)
  assert path.read_text().splitlines() == [
    'image,patient,prob_X,prob_Y,true_X,true_Y', 'a.jpg,1,0.5,0.25,1,', 'b.jpg,2,1,0,0,0',
  ]  # fmt: skip


@pytest.mark.parametrize(
  'field, value, named',
  [
    ('probabilities', 1.5, ["row 4, column 'prob_Edema'", '1.5', '[0, 1]']),
    ('probabilities', np.nan, ["row 4, column 'prob_Edema'", 'nan']),
    ('truth', 0.7, ["row 4, column 'true_Edema'", '0.7', 'not known']),
  ],
)
def test_nothing_is_written_that_read_would_refuse(tmp_path, field, value, named):
  given = example()
  given.known[2, 0] = True
  getattr(given, field)[2, 0] = value
  path = tmp_path / 'test.csv'
  with pytest.raises(InputError) as error:
    predictions.write(path, given)
  for word in [str(path), *named]:
    assert word in str(error.value)
  assert not list(tmp_path.iterdir())


def test_shapes_and_lengths_must_agree(tmp_path):
  given = example()
  for broken in (
    given._replace(truth=given.truth[:, :2]),
    given._replace(patients=given.patients[1:]),
    given._replace(labels=['Edema', 'Edema', 'X']),
  ):
    with pytest.raises(InputError, match=r'test\.csv'):
      predictions.write(tmp_path / 'test.csv', broken)


@pytest.mark.parametrize(
  'text, named',
  [
    ('image,patient,prob_X,true_X\na,1,0.5,1\nb,1,1.01,0\n', ["row 3, column 'prob_X'", '1.01']),
    ('image,patient,prob_X,true_X\na,1,-0.1,1\n', ["row 2, column 'prob_X'", '-0.1']),
    ('image,patient,prob_X,true_X\na,1,,1\n', ["row 2, column 'prob_X'", 'not a number']),
    ('image,patient,prob_X,true_X\na,1,nan,1\n', ["row 2, column 'prob_X'", "'nan'"]),
    ('image,patient,prob_X,true_X\na,1,high,1\n', ["row 2, column 'prob_X'", "'high'"]),
    ('image,patient,prob_X,true_X\na,1,0.5,-1\n', ["row 2, column 'true_X'", "'-1'"]),
    ('image,patient,prob_X,true_X\na,1,0.5,1\na,2,0.5,1\n', ["row 3, column 'image'", 'row 2']),
    ('image,patient,prob_X,true_X\na,,0.5,1\n', ['row 2: the patient is empty']),
    ('image,patient,prob_X\na,1,0.5\n', ["no column 'true_X'"]),
    ('image,patient,prob_X,true_X,true_Y\na,1,0.5,1,1\n', ["no column 'prob_Y'"]),
    ('image,prob_X,true_X\na,0.5,1\n', ["no column 'patient'"]),
    ('image,patient\na,1\n', ["no column 'prob_<label>'"]),
  ],
)
def test_read_names_file_row_and_column(tmp_path, text, named):
  path = tmp_path / 'test.csv'
  path.write_text(text)
  with pytest.raises(InputError) as error:
    predictions.read(path)
  for word in [str(path), *named]:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_no_such_file(tmp_path):
  with pytest.raises(InputError, match='no such file'):
    predictions.read(tmp_path / 'none.csv')
