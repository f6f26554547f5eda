"""What a comparison of readers with the model returns.

Differences are model minus reader, on the same images in every replicate.
"""

import dataclasses

from medjax.evaluation.figure import Figure


@dataclasses.dataclass(frozen=True)
class Curve:
  """The points of a ROC curve, from (0, 0) to (1, 1).

  Attributes:
    false_positive_rate: 1 − specificity.
    sensitivity: at it.
  """

  false_positive_rate: tuple[float, ...]
  sensitivity: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ModelPoint:
  """The model at its frozen threshold, on all images that readers read.

  Attributes:
    threshold: at or above which a probability is called positive.
    sensitivity: share of positives that are called so.
    specificity: share of negatives that are called so.
  """

  threshold: float
  sensitivity: Figure
  specificity: Figure


@dataclasses.dataclass(frozen=True)
class Below:
  """How many readers of a label lie below the model's curve.

  Attributes:
    readers: with a curve to lie below.
    count: of them below.
    competition: likewise, as the CheXpert competition counted.
  """

  readers: int
  count: Figure
  competition: int


@dataclasses.dataclass(frozen=True)
class BelowOnAverage:
  """How many readers lie below the curve, averaged over labels.

  Attributes:
    labels: those averaged.
    readers: (fewest, most) of a label.
    average: of those below.
    competition: likewise, as the CheXpert competition counted.
  """

  labels: tuple[str, ...]
  readers: tuple[int, int]
  average: Figure
  competition: float


@dataclasses.dataclass(frozen=True)
class AtSpecificity:
  """The model at the reader's own specificity.

  Attributes:
    sensitivity: of the model; None where it does not exist.
    difference: the model's sensitivity less the reader's.
  """

  sensitivity: float | None
  difference: Figure


@dataclasses.dataclass(frozen=True)
class AtThreshold:
  """The model at its frozen threshold on the reader's images.

  Attributes:
    sensitivity: of the model; None without positives.
    sensitivity_difference: the model's less the reader's.
    specificity: of the model; None without negatives.
    specificity_difference: the model's less the reader's.
  """

  sensitivity: float | None
  sensitivity_difference: Figure
  specificity: float | None
  specificity_difference: Figure


@dataclasses.dataclass(frozen=True)
class Reader:
  """One reader of a label, or the majority of them, next to the model.

  Attributes:
    reader: the name.
    answered: of the images that readers read.
    unanswered: the others.
    images: answered, with known truth.
    positives, negatives: of these.
    sensitivity, specificity: the reader's.
    below: whether the reader lies below the model's curve; None where there is no curve.
    below_in_competition: likewise, as the CheXpert competition counted.
    at_specificity: the model at the reader's specificity.
    at_threshold: the model at its threshold; None where it has none.
    tied: of a majority, the images left out for a tie; None of one reader.
  """

  reader: str
  answered: int
  unanswered: int
  images: int
  positives: int
  negatives: int
  sensitivity: Figure
  specificity: Figure
  below: bool | None
  below_in_competition: bool | None
  at_specificity: AtSpecificity
  at_threshold: AtThreshold | None
  tied: int | None = None


@dataclasses.dataclass(frozen=True)
class CohenKappas:
  """Cohen's kappa, means over pairs; the others are None where the model has no threshold.

  Attributes:
    readers: pairs of readers.
    model: the model with each reader.
    with_model: all these pairs.
    difference: with minus without the model.
  """

  readers: Figure
  model: Figure | None = None
  with_model: Figure | None = None
  difference: Figure | None = None


@dataclasses.dataclass(frozen=True)
class FleissKappas:
  """Fleiss' kappa, on the images that all readers answered.

  Attributes:
    readers: of the readers alone.
    with_model: with the model as one more of them; None where it has no threshold.
    difference: `with_model` less `readers`; None likewise.
  """

  readers: Figure
  with_model: Figure | None = None
  difference: Figure | None = None


@dataclasses.dataclass(frozen=True)
class Kappas:
  """Agreement on a label.

  Attributes:
    cohen: Cohen's kappas, means over pairs.
    fleiss: Fleiss' kappas.
    images_of_all: images that all readers answered, on which Fleiss' kappas are.
  """

  cohen: CohenKappas
  fleiss: FleissKappas
  images_of_all: int


@dataclasses.dataclass(frozen=True)
class ReaderLabel:
  """The readers of one label.

  Attributes:
    images, positives, negatives: read, with known truth.
    auroc: of the model on them.
    roc: None without both classes.
    model: None without threshold.
    below: None where no reader has a curve to lie below.
    readers: who answered.
    majority: of three readers or more; None of fewer, or where it is the truth.
    kappa: agreement.
  """

  images: int
  positives: int
  negatives: int
  auroc: Figure
  roc: Curve | None
  model: ModelPoint | None
  below: Below | None
  readers: tuple[Reader, ...]
  majority: Reader | None
  kappa: Kappas

  @property
  def parties(self) -> tuple[Reader, ...]:
    """The readers and, where there is one, the majority after them."""
    return (*self.readers, self.majority) if self.majority else self.readers


@dataclasses.dataclass(frozen=True)
class ReaderStudy:
  """Readers and the model on the same images.

  Attributes:
    confidence: how often the intervals cover.
    replicates, seed: of the bootstrap over the patients whose images were read.
    method: how the intervals were made, in words.
    truth: 'given' or 'other readers'.
    images, patients: that any reader read.
    readers: their names.
    below: None where no label has a curve.
    labels: label → its readers.
    notes: sentences that weaken the answer, the gravest first.
  """

  confidence: float
  replicates: int
  seed: int
  method: str
  truth: str
  images: int
  patients: int
  readers: tuple[str, ...]
  below: BelowOnAverage | None
  labels: dict[str, ReaderLabel]
  notes: tuple[str, ...] = ()
