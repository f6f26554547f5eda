"""From images to studies, patients and slides, by worked examples and against pandas."""

import numpy as np
import pandas as pd
import pytest

from medjax import config as configs
from medjax.errors import InputError
from medjax.evaluation import classes, levels, notes
from medjax.evaluation.predictions import Predictions

# Ten patches of slide A, four of B; two labels.
A = [[0.1, 0.9], [0.2, 0.8], [0.3, 0.1], [0.4, 0.1], [0.5, 0.1], [0.6, 0.1], [0.7, 0.1], [0.8, 0.1],
     [0.9, 0.1], [0.2, 0.1]]  # fmt: skip
B = [[0.25, 1.0], [0.75, 0.0], [0.5, 0.5], [0.5, 0.5]]


def made(images, patients, probabilities, truth, known=None, labels=None, **about):
  probabilities = np.asarray(probabilities, np.float32)
  return Predictions(
    images=list(images),
    patients=list(patients),
    labels=labels or [f'label{index}' for index in range(probabilities.shape[1])],
    probabilities=probabilities,
    truth=np.asarray(truth, np.float32),
    known=np.ones(probabilities.shape, bool) if known is None else np.asarray(known, bool),
    about=pd.DataFrame(about) if about else None,
  )


def drawn(images=500, labels=3, seed=0):
  """Images of 40 patients, who number their studies alike, a tenth of the truths unknown."""
  rng = np.random.default_rng(seed)
  patients = rng.integers(0, 40, images)
  return made(
    [f'i{index}' for index in range(images)],
    [f'p{patient}' for patient in patients],
    rng.random((images, labels)),
    rng.random((images, labels)) < 0.2,
    rng.random((images, labels)) > 0.1,
    study=[f's{study}' for study in rng.integers(1, 4, images)],
    sex=np.where(patients % 2, 'F', 'M'),
    view=rng.choice(['PA', 'AP'], images),
  )


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
  slides = ['B', *['A'] * 5, 'B', *['A'] * 5, 'B', 'B']
  rows = [B[0], *A[:5], B[1], *A[5:], *B[2:]]
  patches = made(range(14), slides, rows, np.zeros((14, 2)))
  units = levels.of_units(patches, slides, text)
  assert units.images == ['B', 'A']
  np.testing.assert_allclose(units.probabilities, [of_b, of_a], rtol=1e-6)


def test_a_share_of_a_whole_number_takes_that_many():
  values = np.linspace(0, 1, 100)[:, None]
  assert 0.07 * 100 > 7  # In floating point.
  np.testing.assert_allclose(levels.top_share(values, np.array([0]), 0.07), [[values[-7:].mean()]])


@pytest.mark.parametrize('aggregate', ['max', 'mean', 'top:0.3'])
@pytest.mark.parametrize('level', ['study', 'patient'])
def test_against_pandas(level, aggregate):
  images = drawn()
  by = [images.patients] + ([images.about['study']] if level == 'study' else [])
  units = levels.to_level(images, level, aggregate)
  aggregated = {
    'max': 'max',
    'mean': 'mean',
    'top:0.3': lambda x: x.nlargest(int(np.ceil(0.3 * len(x)))).mean(),
  }[aggregate]
  expected = (
    pd.DataFrame(images.probabilities.astype(float)).groupby(by, sort=False).agg(aggregated)
  )
  np.testing.assert_allclose(units.probabilities, expected, rtol=1e-6)
  names = expected.index
  assert units.images == ([f'{p}/{s}' for p, s in names] if level == 'study' else list(names))
  assert units.patients == [name[0] if level == 'study' else name for name in names]
  truth = pd.DataFrame(np.where(images.known, images.truth == 1, None)).astype('boolean')
  whole = truth.notna().groupby(by, sort=False).all()
  either = truth.groupby(by, sort=False).any() & whole
  np.testing.assert_array_equal(units.known, whole)
  np.testing.assert_array_equal(units.truth, either.astype(float))
  assert units.truth.dtype == np.float32
  for column in images.about:
    alike = (
      images.about[column]
      .groupby(by, sort=False)
      .agg(lambda x: x.iloc[0] if x.nunique() == 1 else '')
    )
    assert units.about[column].tolist() == alike.tolist()
  assert set(units.about['sex']) == {'F', 'M'} and '' in set(units.about['view'])


def test_images_stay_as_they_are():
  images = drawn(20)
  assert levels.to_level(images, 'image', 'mean') is images


def test_the_order_of_images_does_not_matter():
  images, order = drawn(), np.random.default_rng(1).permutation(500)
  mixed = images._replace(
    images=[images.images[row] for row in order],
    patients=[images.patients[row] for row in order],
    probabilities=images.probabilities[order],
    truth=images.truth[order],
    known=images.known[order],
    about=images.about.iloc[order],  # its index no longer counts from 0
  )
  for aggregate in ('max', 'mean', 'top:0.1'):
    one, other = (
      levels.to_level(predictions, 'study', aggregate) for predictions in (images, mixed)
    )
    place = [other.images.index(name) for name in one.images]
    np.testing.assert_allclose(other.probabilities[place], one.probabilities, rtol=1e-6)
    np.testing.assert_array_equal(other.truth[place], one.truth)
    assert other.about['view'].iloc[place].tolist() == one.about['view'].tolist()


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
  value, certain = levels.any_of(
    np.array(truth)[:, None], np.array(known, bool)[:, None], np.array([0])
  )
  assert (bool(value[0, 0]), bool(certain[0, 0])) == expected


def test_what_is_unknown_of_some_images_does_not_raise_the_prevalence():
  # A tenth of 4,000 patients are ill, 3 images each, 30 % of whose truths are missing at random.
  rng = np.random.default_rng(0)
  ill = rng.random(4000) < 0.1
  truth, known = np.repeat(ill, 3), rng.random(12000) < 0.7
  scores = np.where(truth, rng.beta(4, 3, 12000), rng.beta(2, 5, 12000))
  patients = np.repeat(np.arange(4000), 3).astype(str)
  images = made(range(12000), patients, scores[:, None], (truth & known)[:, None], known[:, None])
  units = levels.to_level(images, 'patient', 'max')
  kept, called = units.known[:, 0], units.probabilities[:, 0] >= 0.6
  assert kept.sum() == pytest.approx(4000 * 0.7**3, rel=0.05)
  assert units.truth[kept, 0].mean() == pytest.approx(ill.mean(), abs=0.02)
  assert units.truth[kept & called, 0].mean() == pytest.approx(ill[called].mean(), abs=0.04)
  positive, others = levels.partly_known(images, 'patient')
  partly = 1 - 0.7**3 - 0.3**3
  assert positive[0] == pytest.approx(4000 * 0.1 * partly, rel=0.1)
  assert others[0] == pytest.approx(4000 * 0.9 * partly, rel=0.05)
  [note] = notes.partly_known(images, 'patient')
  assert f'{positive[0]:,} with the finding and {others[0]:,} others (patients of the test)' in note
  assert notes.partly_known(images, 'image') == []


def test_a_study_labelled_as_a_whole_keeps_its_label():
  # As CheXpert's, where every image of a study has the labels of its report.
  images = drawn()
  study = pd.factorize(pd.Series(images.patients) + images.about['study'])[0]
  truth = np.random.default_rng(2).integers(0, 2, (study.max() + 1, 3))
  units = levels.to_level(
    images._replace(truth=truth[study].astype(np.float32), known=np.ones((500, 3), bool)), 'study'
  )
  np.testing.assert_array_equal(units.truth, truth)
  assert units.known.all()


def test_slides_and_their_patients():
  # Patient P has two slides, one with tumour; Q has one, of which nobody knows.
  patches = made(
    'abcdef', 'PPPPQQ', [[0.9], [0.1], [0.2], [0.2], [0.6], [0.8]], [[1], [0], [0], [0], [0], [0]],
    [[1], [1], [1], [1], [0], [1]], slide=['s1', 's1', 's2', 's2', 's3', 's3'],
  )  # fmt: skip
  units = levels.to_level(patches, 'slide', 'mean')
  assert units.images == ['s1', 's2', 's3'] and units.patients == ['P', 'P', 'Q']
  np.testing.assert_allclose(units.probabilities[:, 0], [0.5, 0.2, 0.7], rtol=1e-6)
  np.testing.assert_array_equal(units.truth[:, 0], [1, 0, 0])
  np.testing.assert_array_equal(units.known[:, 0], [True, True, False])
  of_patients = levels.to_level(units, 'patient', 'max')
  assert of_patients.images == ['P', 'Q']
  np.testing.assert_allclose(of_patients.probabilities[:, 0], [0.5, 0.7], rtol=1e-6)
  np.testing.assert_array_equal(of_patients.truth[:, 0], [1, 0])
  np.testing.assert_array_equal(of_patients.known[:, 0], [True, False])
  assert of_patients.about['slide'].tolist() == ['', 's3']


def test_grades_take_the_rule_for_every_p_of_at_least_a_grade():
  # Two eyes of P, grades 0 and 2; two of Q, one without a grade; two of R, one of the highest
  # grade.
  eyes = made(
    range(6), 'PPQQRR',
    [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.5, 0], [0, 1, 0], [0.2, 0.2, 0.6], [0.3, 0, 0.7]],
    [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]],
    [[1, 1, 1]] * 3 + [[0, 0, 0]] + [[1, 1, 1], [0, 0, 0]],
  )  # fmt: skip
  units = levels.to_level(eyes, 'patient', 'max', 'ordinal')
  # P(grade >= 1) is 0.9 of P's worse eye and P(grade >= 2) 0.6; of R they are of different eyes.
  np.testing.assert_allclose(
    units.probabilities, [[0.1, 0.3, 0.6], [0, 1, 0], [0.2, 0.1, 0.7]], atol=1e-6
  )
  np.testing.assert_array_equal(units.truth, [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
  np.testing.assert_array_equal(units.known[:, 0], [True, False, False])
  classes.check(units, 'test')
  mean = levels.to_level(eyes, 'patient', 'mean', 'ordinal')
  np.testing.assert_allclose(
    mean.probabilities, eyes.probabilities.reshape(3, 2, 3).mean(axis=1), atol=1e-6
  )
  for aggregate in ('max', 'mean', 'top:0.4'):
    rng = np.random.default_rng(3)
    many = made(
      range(300), rng.integers(0, 50, 300), rng.dirichlet(np.ones(5), 300),
      np.eye(5)[rng.integers(0, 5, 300)]
    )  # fmt: skip
    whole = levels.to_level(many, 'patient', aggregate, 'ordinal')
    classes.check(whole, 'test')
    worst = pd.Series(many.truth.argmax(axis=1)).groupby(many.patients, sort=False).max()
    np.testing.assert_array_equal(whole.truth.argmax(axis=1), worst)


def test_exclusive_classes_take_the_mean_and_have_no_truth_where_images_differ():
  images = made(
    range(4), 'PPQQ', [[0.7, 0.3], [0.1, 0.9], [0.5, 0.5], [0, 1]],
    [[1, 0], [0, 1], [0, 1], [0, 1]],
  )  # fmt: skip
  units = levels.to_level(images, 'patient', 'mean', 'softmax')
  classes.check(units, 'test')
  np.testing.assert_allclose(units.probabilities, [[0.4, 0.6], [0.25, 0.75]], rtol=1e-6)
  np.testing.assert_array_equal(units.known, [[False, False], [True, True]])
  np.testing.assert_array_equal(units.truth, [[0, 0], [0, 1]])
  for aggregate in ('max', 'top:0.5'):
    with pytest.raises(InputError, match=r"set aggregate='mean'") as error:
      levels.to_level(images, 'patient', aggregate, 'softmax')
    assert '\n' not in str(error.value)


def test_the_levels_that_group_something():
  images = drawn()
  assert levels.available(images) == ['study', 'patient']
  assert levels.available(images._replace(about=None)) == ['patient']
  apart = images._replace(patients=images.images)
  assert levels.available(apart) == []
  holed = images.about.assign(study=['', *images.about['study'][1:]], slide=images.patients)
  assert levels.available(images._replace(about=holed)) == ['patient', 'slide']


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
    levels.method(text)
  assert words in str(error.value) or words.partition(';')[0] in str(error.value)
  assert str(error.value).startswith('aggregate')
  with pytest.raises(InputError, match=r'^--aggregate'):
    levels.method(text, '--aggregate')


@pytest.mark.parametrize(
  ('level', 'about', 'words'),
  [
    ('studies', {'study': 'abcd'}, "did you mean 'study'"),
    ('study', {}, "no column 'study' that says which study an image is of"),
    ('study', {'sex': 'FFFF'}, "no column 'study'"),
    ('slide', {'study': 'abcd'}, "no column 'slide'"),
    ('study', {'study': ['a', '', 'b', ' ']}, r"image 'i1' has no study \(2 such images\)"),
    ('study', {'study': ['a', None, 'b', 'c']}, r"image 'i1' has no study \(1 such"),
    ('slide', {'slide': ['a', 'b', 'c', 'b']}, "slide 'b' is of the patients 'P' and 'P/x'"),
    ('study', {'study': ['x/1', '2', '3', '1']}, "study 'P/x/1' is of the patients 'P' and 'P/x'"),
  ],
)
def test_a_level_without_a_column_is_one_line(level, about, words):
  images = made(
    ['i0', 'i1', 'i2', 'i3'], ['P', 'P', 'P/x', 'P/x'], np.ones((4, 1)), np.ones((4, 1)),
    **{name: list(values) for name, values in about.items()},
  )  # fmt: skip
  with pytest.raises(InputError, match=words) as error:
    levels.to_level(images, level)
  assert '\n' not in str(error.value)


def test_nothing_gives_nothing():
  none = made([], [], np.zeros((0, 2)), np.zeros((0, 2)), study=[])
  for aggregate in ('max', 'mean', 'top:0.5'):
    units = levels.to_level(none, 'study', aggregate)
    assert units.images == [] and units.probabilities.shape == units.known.shape == (0, 2)


@pytest.mark.parametrize(
  ('override', 'words'),
  [
    ('evaluation.level=studies', "config.evaluation.level is 'studies'"),
    ('evaluation.aggregate=maximum', "config.evaluation.aggregate is 'maximum'"),
    ('evaluation.aggregate=top:2', 'config.evaluation.aggregate=top:2: give a share'),
  ],
)
def test_the_config_names_what_is_wrong(override, words):
  with pytest.raises(InputError, match=words):
    configs.load('configs/phantom.py', [override])


def test_the_config_says_what_to_set_for_exclusive_classes():
  softmax = ['model.head=softmax', 'loss.name=cross_entropy']
  configs.load('configs/phantom.py', softmax)  # of images nothing is made one
  configs.load('configs/phantom.py', ['model.head=ordinal', 'evaluation.level=patient'])
  with pytest.raises(InputError, match=r"set config.evaluation.aggregate='mean'"):
    configs.load('configs/phantom.py', [*softmax, 'evaluation.level=study'])
  configs.load(
    'configs/phantom.py', [*softmax, 'evaluation.level=study', 'evaluation.aggregate=mean']
  )
