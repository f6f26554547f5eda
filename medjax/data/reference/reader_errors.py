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


def dawid_skene(reads: Reads, known: np.ndarray) -> Truth:
  """The model of Dawid & Skene (Applied Statistics 28:20, 1979), fitted by EM.

  The start is the shares of votes.
  Each reader has a K x K table of error rates of their own, the readers err independently of each
  other given the truth, and the prevalence of the classes is estimated with the rest. Estimates
  mean little where readers err alike (they share a teacher, or a hard image), and three reads of an
  image are the fewest from which they follow at all without a known truth.

  Readers who agree are never overruled. The likelihood alone would do so: a reader who was shown no
  image without the finding has a specificity that no answer speaks for, so it may sink to 0 without
  any cost, and a rare finding is likelier than a frequent one. No prior of a few images on the
  errors outweighs that, for the gain grows with every such image. Where the estimate contradicts
  all (two or more) readers of an image, it is therefore made anew with their answer held fixed.
  """
  return _expectation_maximisation(reads, known, None)


def staple(reads: Reads, known: np.ndarray) -> Truth:
  """STAPLE (Warfield, Zou & Wells, IEEE TMI 23:903, 2004) for a label of the whole image.

  STAPLE was made for the voxels of a segmentation. Here an image takes the place of a voxel, and it
  has no neighbours, so the method's optional spatial prior has no part. With two classes a reader's
  errors are the two parameters sensitivity and specificity. What is left is the model of
  `dawid_skene` with one difference: the prevalence is not estimated but fixed beforehand at the
  share of each class among all reads, one prior for all images. Where readers over-call, that prior
  is too high and stays so; where reads are few, it is steadier.
  """
  counts = np.bincount(reads.answer, minlength=reads.classes)
  return _expectation_maximisation(reads, known, counts / max(counts.sum(), 1))


def _expectation_maximisation(reads: Reads, known: np.ndarray, prior: np.ndarray | None) -> Truth:
  # Images with the same answers have the same truth: far fewer patterns than images.
  patterns, place, images = np.unique(
    np.column_stack([_answers(reads), known]), axis=0, return_inverse=True, return_counts=True
  )
  answers, known = patterns[:, :-1], patterns[:, -1].astype(int)
  images = (images * answers.any(axis=1))[:, None]
  shares = _shares(answers, reads)
  agreed = (shares.max(axis=1) == 1) & (answers.sum(axis=1) > 1)
  held = known
  while True:
    truth = _fitted(answers, images, shares, held, prior)
    overruled = agreed & (held < 0) & (truth.probability.argmax(axis=1) != shares.argmax(axis=1))
    if not overruled.any():
      at = place.ravel()
      return truth._replace(probability=truth.probability[at], held=(held != known)[at])
    held = np.where(overruled, shares.argmax(axis=1), held)


def _fitted(
  answers: np.ndarray,
  images: np.ndarray,
  shares: np.ndarray,
  known: np.ndarray,
  prior: np.ndarray | None,
) -> Truth:
  """Returns the fixed point of EM for P patterns of answers.

  Args:
    answers: f64[P, R * K], see `_answers`.
    images: f64[P, 1], how many have the pattern.
    shares: f64[P, K], of the answers: where EM starts.
    known: int[P], -1 where the truth is estimated.
    prior: f64[K], or None to estimate the prevalence.
  """
  probability = _fixed(shares, known)
  classes = shares.shape[1]
  silent = np.isnan(probability)
  for _ in range(ROUNDS):
    before = probability
    weight = np.nan_to_num(probability) * images
    prevalence = weight.sum(axis=0) / max(weight.sum(), 1) if prior is None else prior
    confusion = _confusion(answers, weight) + SMALLEST
    rates = np.log(confusion / confusion.sum(axis=2, keepdims=True))
    logits = answers @ rates.swapaxes(1, 2).reshape(-1, classes)
    logits += np.log(np.maximum(prevalence, SMALLEST))
    likelihood = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = likelihood / likelihood.sum(axis=1, keepdims=True)
    probability = _fixed(np.where(silent, np.nan, probability), known)
    if np.nanmax(np.abs(probability - before), initial=0) < TOLERANCE:
      break
  return Truth(probability, prevalence, confusion - SMALLEST, np.zeros(len(probability), bool))


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
