"""The truth behind several readers' answers to one question, and each reader's errors.

Every function takes `reads` and `known`, int[N]: the class of images whose truth a more definitive
test has settled, -1 elsewhere. Those truths are held fixed, and the readers are measured against
them too.
"""

from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-8  # of a probability, between two rounds
ROUNDS = 10_000
SMALLEST = 1e-10  # an answer that nobody has given yet is rare, not impossible
# Images of each class that a reader is taken to have read before, and the share read rightly.
PRIOR, RIGHT = 2.0, 0.8
TIED = 1e-6  # probabilities closer than this are a tie
FEWEST = (
  0.5  # images of a class, in expectation, below which the reads say nothing of an error rate
)


class Reads(NamedTuple):
  """The answers to one question, one entry for each of M reads.

  Attributes:
    image: int[M] in [0, images).
    reader: int[M] in [0, readers).
    answer: int[M] in [0, classes).
    images, readers, classes: how many there are: N, R and K.
  """

  image: np.ndarray
  reader: np.ndarray
  answer: np.ndarray
  images: int
  readers: int
  classes: int = 2


class Truth(NamedTuple):
  """What the reads say of the truth and of the readers.

  Attributes:
    probability: f64[N, K] of each class for each image; a row sums to 1, or is NaN for an image
      that has neither reads nor a known truth.
    prevalence: f64[K].
    confusion: f64[R, K, K]: how many images each reader read, by true class (rows) and answer.
    held: bool[N], the images whose readers all agree and would have been overruled.
  """

  probability: np.ndarray
  prevalence: np.ndarray
  confusion: np.ndarray
  held: np.ndarray


def vote(reads: Reads, known: np.ndarray) -> Truth:
  """Each class's share of the answers.

  The readers are measured against what most answered, images with a tie left out. That includes the
  reader's own answer, so they look better than they are.
  """
  answers = _answers(reads)
  probability = _fixed(_shares(answers, reads), known)
  most = leading(probability)
  winner = np.where(most.sum(axis=1, keepdims=True) == 1, most, False).astype(np.float64)
  read = answers.any(axis=1)
  prevalence = probability[read].sum(axis=0) / max(read.sum(), 1)
  held = np.zeros(reads.images, bool)  # A vote overrules nobody.
  return Truth(probability, prevalence, _confusion(answers, winner), held)


def dawid_skene(reads: Reads, known: np.ndarray, prior: float = PRIOR) -> Truth:
  """The model of Dawid & Skene (Applied Statistics 28:20, 1979), fitted by EM.

  The start is the shares of votes.
  Each reader has a K x K table of error rates of their own, the readers err independently of each
  other given the truth, and the prevalence of the classes is estimated with the rest. Estimates
  mean little where readers err alike (they share a teacher, or a hard image), and three reads of an
  image are the fewest from which they follow at all without a known truth.

  Readers are estimated with those they share images with, however many steps apart; others would
  share nothing but the prevalence, and panels are often given images of different prevalence.

  The estimate is the maximum a posteriori: every reader is taken to have read `prior` images of
  each class before, `RIGHT` of them rightly. Of few images the likelihood alone goes to extremes:
  of three readers who find nine in ten and call 15 % of the others, of 100 images two of them with
  the finding, the worst of twelve draws had 69 % right, and with the prior 93 %. The confusion
  returned counts reads only.

  Readers who agree are never overruled. The likelihood alone would do so: a reader who was shown no
  image without the finding has a specificity that no answer speaks for, so it may sink to 0 without
  any cost, and a rare finding is likelier than a frequent one. No prior of a few images outweighs
  that, for the gain grows with every such image. Where the estimate contradicts all (two or more)
  readers of an image, it is therefore made anew with their answer held fixed.
  """
  return _expectation_maximisation(reads, known, prior, estimates_prevalence=True)


def staple(reads: Reads, known: np.ndarray, prior: float = PRIOR) -> Truth:
  """STAPLE (Warfield, Zou & Wells, IEEE TMI 23:903, 2004) for a label of the whole image.

  STAPLE was made for the voxels of a segmentation. Here an image takes the place of a voxel, and it
  has no neighbours, so the method's optional spatial prior has no part. With two classes a reader's
  errors are the two parameters sensitivity and specificity. What is left is the model of
  `dawid_skene` with one difference: the prevalence is not estimated but fixed beforehand at the
  share of each class among all reads of readers who share images, one prior for all these images.
  Where readers over-call, that prior is too high and stays so; where reads are few, it is steadier.
  """
  return _expectation_maximisation(reads, known, prior, estimates_prevalence=False)


def _expectation_maximisation(
  reads: Reads, known: np.ndarray, prior: float, *, estimates_prevalence: bool
) -> Truth:
  # Images with the same answers have the same truth: far fewer patterns than images.
  patterns, place, images = np.unique(
    np.column_stack([_answers(reads), known]), axis=0, return_inverse=True, return_counts=True
  )
  answers, known = patterns[:, :-1], patterns[:, -1].astype(int)
  images = images[:, None]
  shares = _shares(answers, reads)
  held = known.copy()
  probability = _fixed(shares, known)
  confusion = np.zeros((reads.readers, reads.classes, reads.classes))
  prevalence = np.zeros(reads.classes)
  off = (1 - RIGHT) / (reads.classes - 1)
  before = prior * np.where(np.eye(reads.classes) == 1, RIGHT, off)
  panel = _panels(answers, reads)
  for number in range(panel.max(initial=-1) + 1):
    rows = np.flatnonzero(panel == number)
    fixed = None
    if not estimates_prevalence:
      counts = (answers[rows] * images[rows]).reshape(-1, reads.classes).sum(axis=0)
      fixed = counts / counts.sum()
    part = (answers[rows], images[rows], shares[rows])
    agreed = (shares[rows].max(axis=1) == 1) & (answers[rows].sum(axis=1) > 1)
    said = shares[rows].argmax(axis=1)
    while True:
      truth = _fitted(*part, held[rows], fixed, before)
      overruled = agreed & (held[rows] < 0) & (truth.probability.argmax(axis=1) != said)
      if not overruled.any():
        break
      held[rows] = np.where(overruled, said, held[rows])
    probability[rows] = truth.probability
    confusion += truth.confusion
    prevalence += truth.prevalence * images[rows].sum()
  at = place.ravel()
  prevalence /= max(images[panel >= 0].sum(), 1)
  return Truth(probability[at], prevalence, confusion, (held != known)[at])


def _panels(answers: np.ndarray, reads: Reads) -> np.ndarray:
  """Returns int[P], the panel that read each pattern of answers, -1 where nobody did.

  Readers are of one panel who share an image, or are linked by others who do.
  """
  from scipy import sparse  # A third of a second, which sources without readers do not wait for.
  from scipy.sparse import csgraph

  by = answers.reshape(-1, reads.readers, reads.classes).sum(axis=2) > 0
  links = sparse.csr_array(by.astype(np.int64))
  _, of_reader = csgraph.connected_components(links.T @ links, directed=False)
  read = by.any(axis=1)
  panel = np.where(read, of_reader[by.argmax(axis=1)], -1)
  _, panel[read] = np.unique(panel[read], return_inverse=True)
  return panel


def _fitted(
  answers: np.ndarray,
  images: np.ndarray,
  shares: np.ndarray,
  known: np.ndarray,
  fixed: np.ndarray | None,
  read_before: np.ndarray,
) -> Truth:
  """Returns the fixed point of EM for P patterns of answers, at least one in each.

  Args:
    answers: f64[P, R * K], see `_answers`.
    images: f64[P, 1], how many have the pattern.
    shares: f64[P, K], of the answers: where EM starts.
    known: int[P], -1 where the truth is estimated.
    fixed: f64[K], the prevalence, or None to estimate it.
    read_before: f64[K, K], a prior on each reader's answers by class, in images.
  """
  probability = _fixed(shares, known)
  classes = shares.shape[1]
  for _ in range(ROUNDS):
    before = probability
    weight = probability * images
    prevalence = weight.sum(axis=0) / max(weight.sum(), 1) if fixed is None else fixed
    confusion = _confusion(answers, weight)
    counts = confusion + read_before + SMALLEST
    rates = np.log(counts / counts.sum(axis=2, keepdims=True))
    logits = answers @ rates.swapaxes(1, 2).reshape(-1, classes)
    logits += np.log(np.maximum(prevalence, SMALLEST))
    likelihood = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = likelihood / likelihood.sum(axis=1, keepdims=True)
    probability = _fixed(probability, known)
    if np.abs(probability - before).max() < TOLERANCE:
      break
  return Truth(probability, prevalence, confusion, np.zeros(len(probability), bool))


def leading(probability: np.ndarray) -> np.ndarray:
  """Returns bool[N, K]: the class, or the tied classes, that most speaks for; none where NaN."""
  return probability >= probability.max(axis=1, keepdims=True) - TIED


def sensitivity_specificity(confusion: np.ndarray, positive: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns both f64[R] of class `positive` against all others; NaN below `FEWEST` such images."""
  confusion = np.asarray(confusion, np.float64)
  own = confusion[:, positive]
  others = np.delete(confusion, positive, axis=1).sum(axis=1)
  rates = []
  for counts, hits in (
    (own, own[:, positive]),
    (others, np.delete(others, positive, axis=1).sum(axis=1)),
  ):
    total = counts.sum(axis=1)
    rates.append(hits / np.where(total >= FEWEST, total, np.nan))
  return rates[0], rates[1]


def _answers(reads: Reads) -> np.ndarray:
  """Returns f64[N, R * K]: how often each reader gave each answer, to each image."""
  shape = (reads.images, reads.readers, reads.classes)
  places = np.ravel_multi_index((reads.image, reads.reader, reads.answer), shape)
  counts = np.bincount(places, minlength=int(np.prod(shape)))
  return counts.reshape(reads.images, -1).astype(np.float64)


def _shares(answers: np.ndarray, reads: Reads) -> np.ndarray:
  counts = answers.reshape(-1, reads.readers, reads.classes).sum(axis=1)
  total = counts.sum(axis=1, keepdims=True)
  return counts / np.where(total > 0, total, np.nan)


def _fixed(probability: np.ndarray, known: np.ndarray) -> np.ndarray:
  certain = np.eye(probability.shape[1])[np.maximum(known, 0)]
  return np.where((known >= 0)[:, None], certain, probability)


def _confusion(answers: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """Returns each reader's answers by the image's class, whose weight counts, f64[R, K, K]."""
  classes = weight.shape[1]
  counts = answers.T @ weight
  return counts.reshape(-1, classes, classes).swapaxes(1, 2)
