"""How often metadata that tell nothing look as if they told something, and what does is found."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from medjax.data.leakage import shortcuts

PATIENTS = 300


def tables(seed, ill, images, told=0.0):
  """Returns (patients, truth bool[N, 4], codes int[N, 4]): 4 labels, 4 columns with 4 values.

  Args:
    seed: of the draws.
    ill: patients with each label, most of whose images have it.
    images: of each patient, int[PATIENTS]; 'more' for the first label's patients to have more.
    told: share of the first label's patients that the first column gives away.
  """
  rng = np.random.default_rng(seed)
  has = np.stack([rng.permutation(PATIENTS) < ill for _ in range(4)], axis=1)
  if isinstance(images, str):
    images = np.where(has[:, 0], rng.geometric(0.2, PATIENTS), rng.geometric(0.5, PATIENTS))
  patients = np.repeat(np.arange(PATIENTS), images)
  # Half of the columns vary from image to image, the others from patient to patient.
  codes = rng.integers(0, 4, (PATIENTS, 4))[patients]
  codes[:, ::2] = rng.integers(0, 4, (len(patients), 2))
  gives_away = has[:, 0] & (rng.random(PATIENTS) < told)
  codes[gives_away[patients], 0] = 0
  truth = has[patients] & (
    rng.random((len(patients), 4)) < (0.8 if len(patients) > PATIENTS else 1)
  )
  return patients, truth, codes


ONE = np.ones(PATIENTS, int)
# One patient has half of the images.
UNEQUAL = np.where(np.arange(PATIENTS) == 7, PATIENTS, 1 + np.arange(PATIENTS) % 3)


@pytest.mark.parametrize(
  ('ill', 'images'),
  [(15, ONE), (15, UNEQUAL), (30, ONE), (30, 'more')],
  ids=['15', '15 unequal', '30', '30 ill'],
)
def test_chance_alone_is_called_more_than_chance_in_a_twentieth_of_the_tables(ill, images):
  trials, called = 80, 0
  for seed in range(trials):
    patients, truth, codes = tables(seed, ill, images)
    dealt = shortcuts.dealt_aurocs(patients, codes, truth, np.ones_like(truth), deals=39)
    called += (shortcuts.by_chance(dealt) <= 0.05).any()
  # What a share of 0.05 leaves once in a thousand.
  assert stats.binom.ppf(0.0005, trials, 0.05) <= called <= stats.binom.ppf(0.9995, trials, 0.05)


@pytest.mark.parametrize(('ill', 'told'), [(15, 0.95), (30, 0.8), (60, 0.5)])
def test_what_gives_a_label_away_is_found(ill, told):
  found = 0
  for seed in range(12):
    patients, truth, codes = tables(seed, ill, ONE, told)
    p = shortcuts.by_chance(
      shortcuts.dealt_aurocs(patients, codes, truth, np.ones_like(truth), deals=59)
    )
    found += p[0, 0] <= 0.05
  assert found >= 9


def test_p_is_that_of_the_exact_test():
  rng = np.random.default_rng(0)
  for told in (0.0, 0.2, 0.3):
    truth = np.arange(120) < 40
    codes = (rng.random(120) < np.where(truth, 0.4 + told, 0.4)).astype(int)
    dealt = shortcuts.dealt_aurocs(
      np.arange(120), codes[:, None], truth[:, None], np.ones((120, 1), bool), deals=999
    )
    assert dealt[0, 0, 0] == pytest.approx(0.5 + abs(codes[:40].mean() - codes[40:].mean()) / 2)
    # Of the images with value 1, how many can be positive by chance, and how far apart that is.
    ones = int(codes.sum())
    hits = np.arange(41)
    apart = np.abs(hits / 40 - (ones - hits) / 80)
    chances = stats.hypergeom.pmf(hits, 120, 40, ones)
    exact = chances[apart >= apart[codes[:40].sum()] - 1e-9].sum()
    assert shortcuts.by_chance(dealt)[0, 0] == pytest.approx(exact, abs=0.04)


def test_labels_are_dealt_alike_however_many_are_counted_at_once():
  patients, truth, codes = tables(0, 60, UNEQUAL)
  known = np.random.default_rng(1).random((len(truth), 12)) < 0.7
  many = np.tile(truth, 3)
  dealt = shortcuts.dealt_aurocs(patients, codes, many & known, known, deals=5)
  for label in range(12):
    one = slice(label, label + 1)
    alone = shortcuts.dealt_aurocs(
      patients, codes, (many & known)[:, one], known[:, one], deals=5
    )  # fmt: skip
    np.testing.assert_array_equal(dealt[..., one], alone)


def test_labels_that_are_not_known_go_with_their_patient():
  patients, truth, codes = tables(0, 60, UNEQUAL)
  known = np.random.default_rng(1).random(truth.shape) < 0.7
  dealt = shortcuts.dealt_aurocs(patients, codes, truth & known, known, deals=9)
  for column, label in np.ndindex(4, 4):
    rows = known[:, label]
    counts = [
      np.bincount(codes[rows & (truth[:, label] == value), column], minlength=4)
      for value in (True, False)
    ]
    shares = counts[0] / (counts[0] + counts[1])
    hits, misses = (np.repeat(shares, some) for some in counts)
    expected = stats.mannwhitneyu(hits, misses).statistic / (len(hits) * len(misses))
    assert dealt[0, column, label] == pytest.approx(expected)
  assert np.isfinite(dealt).all() and (dealt.std(axis=0) > 0).all()


def test_deals_are_counted_as_one_image_at_a_time():
  rng = np.random.default_rng(3)
  images = np.array([1, 1, 2, 3, 4, 5, 7, 9, 1, 12])
  patients = rng.permutation(np.repeat(np.arange(len(images)), images))
  codes = np.stack([rng.integers(0, size, len(patients)) for size in (3, 2, 60, 5)], axis=1)
  codes[:4] = np.array([2, 1, 59, 4])  # the largest of each is there
  known = rng.random((len(patients), 7)) < 0.8
  truth = known & (rng.random(known.shape) < 0.5)
  dealt = shortcuts.dealt_aurocs(patients, codes, truth, known, deals=6)

  rows = [np.flatnonzero(patients == patient) for patient in range(len(images))]
  draws = np.random.default_rng(0)
  expected = np.full_like(dealt, np.nan)
  for deal in range(7):
    giver, shift = np.arange(len(images)), np.zeros(len(images), int)
    if deal:
      for number in range(1, 5):  # of 1, of 2 and 3, of 4 to 7, and of 8 to 15 images
        alike = np.flatnonzero((images >= 2 ** (number - 1)) & (images < 2**number))
        giver[alike] = draws.permutation(alike)
      shift = draws.integers(12, size=len(images))
    source = np.empty(len(patients), int)
    for patient, own in enumerate(rows):
      given = rows[giver[patient]]
      source[own] = [given[(place + shift[patient]) % len(given)] for place in range(len(own))]
    for column, label in itertools.product(range(4), range(7)):
      keep = known[source, label]
      value, answer = codes[keep, column], truth[source[keep], label]
      if answer.any() and not answer.all():
        score = np.array([answer[value == one].mean() for one in value])
        expected[deal, column, label] = metrics.roc_auc_score(answer, score)
  np.testing.assert_allclose(dealt, expected, atol=1e-12)
