"""Consensus of readers against published estimates, another library, and planted errors."""

import numpy as np
import pandas as pd
import pytest
import SimpleITK

from medjax.data import labels
from medjax.data.reference import consensus as reader_consensus
from medjax.data.reference import reader_errors
from medjax.errors import InputError

NOTHING = np.nan


def readings(text, *names):
  """Lines 'image reader answer…', one answer per label; '-' is not read."""
  rows = [line.split() for line in text.strip().splitlines()]
  frame = pd.DataFrame([row[:2] for row in rows], columns=['image', 'reader'])
  for place, name in enumerate(names):
    answers = [NOTHING if row[2 + place] == '-' else float(row[2 + place]) for row in rows]
    frame[name] = np.float32(answers)
  return frame


THREE = readings(
  """
  a r1 1 0
  a r2 1 1
  a r3 0 0
  b r1 1 0
  b r2 0 0
  c r3 - 1
  """,
  'Mass',
  'Edema',
)


@pytest.mark.parametrize(
  ('ties', 'called', 'how'),
  [
    ('uncertain', -1, 'Mass: tie of 2 readers; Edema: majority of 2 readers'),
    ('positive', 1, 'Mass: tie of 2 readers, called positive; Edema: majority of 2 readers'),
    ('negative', 0, 'Mass: tie of 2 readers, called negative; Edema: majority of 2 readers'),
  ],
)
def test_majority_and_the_rule_for_ties(ties, called, how):
  standard = reader_consensus.consensus(THREE, ties=ties)
  assert standard['image'].tolist() == ['a', 'b', 'c']
  np.testing.assert_array_equal(standard['Mass'], np.float32([1, called, NOTHING]))
  np.testing.assert_array_equal(standard['Edema'], np.float32([0, 0, 1]))
  assert standard['reference'].tolist() == [
    'majority of 3 readers',
    how,
    'Edema: majority of 1 reader',
  ]
  assert standard['Mass'].dtype == np.float32


def test_a_share_is_a_soft_label_that_training_takes_and_evaluation_rounds():
  standard = reader_consensus.consensus(THREE, method='share')
  np.testing.assert_allclose(standard['Mass'], [2 / 3, 0.5, NOTHING], rtol=1e-6)
  assert standard['reference'][0] == 'share of 3 readers'
  table = standard.assign(patient=standard['image'])
  values, mask = labels.resolve(table, ['Mass'], 'ignore', 'ignore')
  np.testing.assert_allclose(values[:, 0], [2 / 3, 0.5, 0], rtol=1e-6)
  np.testing.assert_array_equal(mask[:, 0], [1, 1, 0])
  truth, known = labels.reference(table, ['Mass'], 'ignore')
  assert truth[:, 0].tolist() == [1, 0, 0] and known[:, 0].tolist() == [True, False, False]


@pytest.mark.parametrize('method', reader_consensus.METHODS)
def test_a_definitive_test_outranks_every_reader(method):
  definitive = pd.DataFrame(
    {'image': ['a', 'z'], 'Mass': [0, 1], 'test': ['histopathology', '']}
  ).astype({'Mass': np.float32})
  standard = reader_consensus.consensus(THREE, method=method, definitive=definitive)
  assert standard['image'].tolist() == ['a', 'b', 'c', 'z']
  assert standard['Mass'][0] == 0 and standard['Mass'][3] == 1 and np.isnan(standard['Edema'][3])
  assert standard['reference'][0].startswith('Mass: histopathology; Edema: ')
  assert standard['reference'][3] == 'Mass: definitive test'
  # The readers are measured against it: two of three called mass where there was none.
  rates = reader_consensus.estimate(
    THREE[THREE['image'] == 'a'], method=method, definitive=definitive
  )
  of_mass = rates.readers[rates.readers['label'] == 'Mass'].set_index('reader')
  assert of_mass['specificity'].tolist() == [0, 0, 1] and of_mass['sensitivity'].isna().all()


def test_readers_against_the_majority():
  # Ties are left out; every image's majority by hand: a 1, b 0, c tie.
  answers = readings('a r1 1\na r2 1\na r3 0\nb r1 0\nb r2 0\nb r3 1\nc r1 1\nc r2 0', 'Mass')
  rates = reader_consensus.estimate(answers).readers.set_index('reader')
  assert rates['reads'].tolist() == [3, 3, 2]
  assert rates['sensitivity'].tolist() == [1, 1, 0] and rates['specificity'].tolist() == [1, 1, 0]


def test_it_joins_a_study_table_by_image():
  table = pd.DataFrame({'image': ['c', 'a', 'q'], 'patient': ['1', '2', '3']})
  joined = table.merge(
    reader_consensus.consensus(THREE), on='image', how='left', validate='one_to_one'
  )
  assert joined['Edema'].tolist()[:2] == [1, 0] and np.isnan(joined['Edema'][2])


# Dawid & Skene's own data (their table 1): 45 patients, five anaesthetists, the first of whom was
# asked three times, grades 1 to 4. One word per patient.
ANAESTHETISTS = """
  1111111 3334334 1122122 2223121 2223222 2223322 1222111
  3333433 2222223 2322223 4444444 2223343 1111111
  2223212 1211111 1112111 1111111 1111111 2222221 2221322
  2222222 2222221 2223222 2212222 1111111 1111111
  2322222 1111111 1111111 1121121 1111111 3333233 1111111
  2222222 2223232 4334343 2212232 2323233 3333432
  1111111 1111111 1212111 2322222 1211111 2222222
"""


def test_dawid_and_skenes_own_example():
  answers = [
    (i, max(j - 2, 0), int(grade) - 1)
    for i, w in enumerate(ANAESTHETISTS.split())
    for j, grade in enumerate(w)
  ]
  reads = reader_errors.Reads(*np.array(answers).T, images=45, readers=5, classes=4)
  truth = reader_errors.dawid_skene(reads, np.full(45, -1), prior=0)
  np.testing.assert_allclose(truth.prevalence, [0.40, 0.42, 0.11, 0.07], rtol=0, atol=0.005)
  rates = truth.confusion[0] / truth.confusion[0].sum(axis=1, keepdims=True)
  published = [[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]]
  np.testing.assert_allclose(rates, published, rtol=0, atol=0.0051)


def planted(prevalence, sensitivity, specificity, images=6000, share=1.0, seed=0):
  """Returns (reads, truth): readers that err as said, each reading a share of the images."""
  rng = np.random.default_rng(seed)
  truth = rng.random(images) < prevalence
  yes = np.where(truth[:, None], sensitivity, 1 - np.asarray(specificity))
  image, reader = np.nonzero(rng.random(yes.shape) < share)
  answer = (rng.random(yes.shape) < yes)[image, reader].astype(int)
  return reader_errors.Reads(image, reader, answer, images, len(sensitivity)), truth


SENSITIVITY, SPECIFICITY = (0.95, 0.85, 0.7, 0.6, 0.55), (0.9, 0.97, 0.8, 0.95, 0.7)


@pytest.mark.parametrize('share', [1, 0.7])
@pytest.mark.parametrize('method', [reader_errors.dawid_skene, reader_errors.staple])
def test_planted_errors_are_recovered(method, share):
  reads, truth = planted(0.3, SENSITIVITY, SPECIFICITY, share=share)
  estimate = method(reads, np.full(reads.images, -1))
  rates = reader_errors.sensitivity_specificity(estimate.confusion, 1)
  np.testing.assert_allclose(rates, [SENSITIVITY, SPECIFICITY], rtol=0, atol=0.04)
  read = np.isin(np.arange(reads.images), reads.image)
  assert np.isnan(estimate.probability[~read]).all()
  voted = reader_errors.vote(reads, np.full(reads.images, -1)).probability[read, 1] > 0.5
  better = (estimate.probability[read, 1] > 0.5) == truth[read]
  assert better.mean() > (voted == truth[read]).mean() + 0.01


def test_the_prevalence_is_estimated_by_dawid_skene_and_fixed_by_staple():
  reads, _ = planted(0.1, SENSITIVITY, SPECIFICITY)
  unknown = np.full(reads.images, -1)
  assert reader_errors.dawid_skene(reads, unknown).prevalence[1] == pytest.approx(0.1, abs=0.01)
  assert reader_errors.staple(reads, unknown).prevalence[1] == np.mean(reads.answer)


def test_staple_equals_simple_itks():
  reads, _ = planted(0.3, SENSITIVITY, SPECIFICITY, images=400)
  answers = np.zeros((reads.readers, reads.images), np.uint8)
  answers[reads.reader, reads.image] = reads.answer
  oracle = SimpleITK.STAPLEImageFilter()
  oracle.SetForegroundValue(1)
  picture = oracle.Execute([SimpleITK.GetImageFromArray(row[None]) for row in answers])
  ours = reader_errors.staple(reads, np.full(reads.images, -1), prior=0)
  simple_itks = SimpleITK.GetArrayFromImage(picture)[0]
  np.testing.assert_allclose(ours.probability[:, 1], simple_itks, rtol=0, atol=1e-5)
  sensitivity, specificity = reader_errors.sensitivity_specificity(ours.confusion, 1)
  np.testing.assert_allclose(sensitivity, oracle.GetSensitivity(), rtol=0, atol=1e-5)
  np.testing.assert_allclose(specificity, oracle.GetSpecificity(), rtol=0, atol=1e-5)


@pytest.mark.parametrize('method', ['dawid_skene', 'staple'])
def test_readers_who_agree_are_not_overruled_without_a_definitive_test(method):
  # A, B and C were shown 40 images with the finding and none without; D, E and F 20 and 80.
  rows = [(f'a{n}', reader, 1) for n in range(40) for reader in 'ABC']
  rows += [(f'b{n}', reader, int(n < 20)) for n in range(100) for reader in 'DEF']
  readings = pd.DataFrame(rows, columns=['image', 'reader', 'x']).astype({'x': np.float32})
  standard = reader_consensus.estimate(readings, method=method)
  assert standard.labels['x'].sum() == 60
  rates = standard.readers.set_index('reader')
  assert rates['sensitivity'].tolist() == pytest.approx([1] * 6, abs=1e-4)
  assert rates['specificity'].isna().tolist() == [True] * 3 + [False] * 3
  assert rates['specificity'][3:].tolist() == pytest.approx([1] * 3, abs=1e-4)
  assert standard.notes == ('The specificity of A, B, C is unknown: they read no image without x.',)
  # A definitive test overrules anybody.
  test = pd.DataFrame({'image': ['a0', 'a1'], 'x': np.float32([0, 0])})
  overruled = reader_consensus.estimate(readings, method=method, definitive=test)
  assert overruled.labels['x'].sum() == 58
  assert overruled.readers.set_index('reader')['specificity'][['A', 'B', 'C']].tolist() == [0, 0, 0]


def test_many_readers_of_few_images_each():
  # 3 of 17 readers an image, as a public table has them: unanimous images keep their answer.
  rng = np.random.default_rng(0)
  truth = rng.random(3000) < 0.5
  specificity = rng.uniform(0.3, 0.95, 17)
  image = np.repeat(np.arange(3000), 3)
  reader = np.concatenate([rng.choice(17, 3, replace=False) for _ in range(3000)])
  said = np.where(truth[image], rng.random(9000) < 0.97, rng.random(9000) > specificity[reader])
  reads = reader_errors.Reads(image, reader, said.astype(int), 3000, 17)
  votes = np.bincount(image, said, 3000)
  for method in (reader_errors.dawid_skene, reader_errors.staple):
    called = method(reads, np.full(3000, -1)).probability[:, 1] > 0.5
    assert called[votes == 3].all() and not called[votes == 0].any()
    assert (called == truth).mean() > ((votes >= 2) == truth).mean()


def test_known_truths_make_up_for_too_few_readers():
  # Two readers do not determine their five unknowns; a tenth of the images with a known truth does.
  reads, truth = planted(0.3, (0.9, 0.6), (0.85, 0.97), images=8000)
  known = np.where(np.arange(8000) % 10 == 0, truth, -1)
  estimate = reader_errors.dawid_skene(reads, known)
  rates = reader_errors.sensitivity_specificity(estimate.confusion, 1)
  np.testing.assert_allclose(rates, [(0.9, 0.6), (0.85, 0.97)], rtol=0, atol=0.05)
  assert (estimate.probability[known >= 0, 1] == truth[known >= 0]).all()


@pytest.mark.parametrize('method', ['majority', 'dawid_skene', 'staple'])
def test_grades(method):
  rng = np.random.default_rng(0)
  truth = rng.integers(0, 3, 8000)
  answers = []
  for right in (0.9, 0.8, 0.7, 0.7):
    shifted = (truth + rng.integers(1, 3, 8000)) % 3
    answers.append(np.where(rng.random(8000) < right, truth, shifted))
  frame = pd.DataFrame(
    {
      'image': np.tile(np.arange(8000).astype(str), 4),
      'reader': np.repeat(list('abcd'), 8000),
      'grade': np.concatenate(answers).astype(np.float32),
    }
  )
  standard = reader_consensus.estimate(frame, method=method, classes=('none', 'mild', 'severe'))
  known = standard.labels['grade'] >= 0
  assert (standard.labels['grade'] == truth)[known].mean() > 0.93
  rates = standard.readers.pivot(index='reader', columns='label', values='sensitivity')
  assert set(rates) == {'none', 'mild', 'severe'}
  if method != 'majority':
    right = np.repeat([[0.9, 0.8, 0.7, 0.7]], 3, axis=0).T
    np.testing.assert_allclose(rates.to_numpy(), right, rtol=0, atol=0.05)


def test_ties_between_grades():
  frame = readings('a r1 2\na r2 1\nb r1 0\nb r2 1\nb r3 2\nc r1 1', 'grade')
  classes = ('none', 'mild', 'severe')
  for ties, called in (
    ('uncertain', [-1, -1, 1]),
    ('positive', [2, 2, 1]),
    ('negative', [1, 0, 1]),
  ):
    assert reader_consensus.consensus(frame, ties=ties, classes=classes)['grade'].tolist() == called


@pytest.mark.parametrize('method', reader_consensus.METHODS)
def test_a_label_that_nobody_read_is_unknown(method):
  standard = reader_consensus.estimate(THREE.assign(Edema=np.float32(NOTHING)), method=method)
  assert standard.labels['Edema'].isna().all()
  assert not standard.labels['reference'].str.contains('Edema:').any()
  nobody = standard.readers[standard.readers['label'] == 'Edema']
  assert (nobody['reads'] == 0).all() and nobody['sensitivity'].isna().all()


@pytest.mark.parametrize(
  ('frame', 'settings', 'words'),
  [
    (THREE, {'method': 'majorty'}, "did you mean 'majority'"),
    (THREE, {'ties': 'yes'}, 'allowed: uncertain, positive, negative'),
    (THREE.drop(columns='reader'), {}, "no column 'reader'"),
    (THREE[['image', 'reader']], {}, 'no label column'),
    (pd.concat([THREE, THREE[1:2]]), {}, "row 8: reader 'r2' reads image 'a' twice"),
    (THREE.replace({'Edema': {1: 2}}), {}, "row 3, column 'Edema': unknown answer '2'"),
    (THREE, {'definitive': pd.DataFrame({'image': ['a'], 'Mas': [1]})}, "did you mean 'Mass'"),
    (THREE, {'classes': ('no', 'yes')}, 'one label column'),
    (THREE[['image', 'reader', 'Mass']], {'classes': ('no', 'yes'), 'method': 'share'}, 'share'),
  ],
)
def test_bad_input(frame, settings, words):
  with pytest.raises(InputError, match=words):
    reader_consensus.consensus(frame, **settings)
