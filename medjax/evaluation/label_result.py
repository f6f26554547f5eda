"""`LabelResult`: what is said of one label on one test set.

medjax.evaluation.result has the whole; docs/results.md lists every field.
"""

import dataclasses

from medjax.evaluation.figure import Figure, Interval


@dataclasses.dataclass(frozen=True)
class Counts:
  """Images of one label whose truth is known, and their patients.

  Attributes:
    images: with known truth.
    patients: that these images are of.
    positives: images with the finding.
    negatives: images without it.
    positive_patients: patients with a positive image.
    negative_patients: patients with a negative image.
    prevalence: share of positives; None without images.
  """

  images: int
  patients: int
  positives: int
  negatives: int
  positive_patients: int
  negative_patients: int
  prevalence: float | None


@dataclasses.dataclass(frozen=True)
class Delong:
  """The interval of an AUROC without resampling.

  Attributes:
    interval: (low, high), of DeLong et al. 1988 or Obuchowski 1997, which that of `auroc` is where
      replicates were drawn; None where there is none.
    clustered: whether a patient has several of the images.
    reason: '' where there is an interval, else why not.
  """

  interval: Interval | None
  clustered: bool
  reason: str


@dataclasses.dataclass(frozen=True)
class RocCurve:
  """Points for drawing, three sequences of one length.

  Attributes:
    false_positive_rate: 1 − specificity.
    sensitivity: at it.
    threshold: at or above which a probability is called positive; None where nothing is.
  """

  false_positive_rate: tuple[float, ...]
  sensitivity: tuple[float, ...]
  threshold: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class PrecisionRecallCurve:
  """Points for drawing, three sequences of one length.

  Attributes:
    sensitivity: recall.
    ppv: precision at it.
    threshold: at or above which a probability is called positive.
  """

  sensitivity: tuple[float, ...]
  ppv: tuple[float, ...]
  threshold: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
  """One point of a reliability curve.

  Attributes:
    low: the lowest probability in the bin.
    high: the highest.
    images: how many are in it.
    mean_probability: of these images.
    share_positive: of these images.
    interval: Wilson's 95 % interval of that share, which takes the images for independent.
  """

  low: float
  high: float
  images: int
  mean_probability: float
  share_positive: float
  interval: Interval


@dataclasses.dataclass(frozen=True)
class Reliability:
  """Reliability curves, bins of equally many images.

  Attributes:
    before: of the probabilities before calibration; None where nothing was calibrated.
    after: of the probabilities that are tested.
  """

  before: tuple[ReliabilityBin, ...] | None
  after: tuple[ReliabilityBin, ...]


@dataclasses.dataclass(frozen=True)
class Confusion:
  """Decisions at a threshold, counted.

  Attributes:
    true_positives: positives that are called so.
    false_positives: negatives that are called positive.
    true_negatives: negatives that are called so.
    false_negatives: positives that are called negative.
  """

  true_positives: int
  false_positives: int
  true_negatives: int
  false_negatives: int


@dataclasses.dataclass(frozen=True)
class AtPrevalence:
  """Predictive values at another prevalence than the test set's, by Bayes' theorem.

  A stated one, such as the clinic's, or that of the source where a floor enriched the split.

  Attributes:
    prevalence: at which they are.
    ppv: positive predictive value.
    npv: negative predictive value.
  """

  prevalence: float
  ppv: Figure
  npv: Figure


@dataclasses.dataclass(frozen=True)
class Rates:
  """Plain figures at a threshold on validation.

  Attributes:
    sensitivity: None without positives.
    specificity: None without negatives.
  """

  sensitivity: float | None
  specificity: float | None


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
  """What one frozen threshold does on test.

  Attributes:
    rule: by which it was chosen, such as 'sensitivity=0.9'.
    threshold: at or above which a probability is called positive; None where the rule has none.
    reason: why there is no threshold, else ''.
    confusion: decisions, counted; None without threshold.
    sensitivity: share of positives that are called so.
    specificity: share of negatives that are called so.
    ppv: positive predictive value at the prevalence of the test set.
    npv: negative predictive value, likewise.
    f1: harmonic mean of sensitivity and PPV.
    at_prevalence: PPV and NPV at the prevalence that was stated; None where none was.
    validation: sensitivity and specificity on validation; None without validation.
  """

  rule: str
  threshold: float | None
  reason: str
  confusion: Confusion | None
  sensitivity: Figure
  specificity: Figure
  ppv: Figure
  npv: Figure
  f1: Figure
  at_prevalence: AtPrevalence | None
  validation: Rates | None


@dataclasses.dataclass(frozen=True)
class CalibrationValues:
  """Plain figures of probabilities, None where one does not exist.

  Attributes:
    brier: Brier score.
    ece: expected calibration error over 15 bins of equal width.
    calibration_slope: of a logistic regression of the truth on the logit; 1 is right.
    calibration_intercept: likewise with the slope fixed at 1; 0 is right.
  """

  brier: float | None
  ece: float | None
  calibration_slope: float | None
  calibration_intercept: float | None


@dataclasses.dataclass(frozen=True)
class Uncalibrated:
  """Figures of the probabilities before calibration.

  Attributes:
    test: on test.
    validation: on validation; None without validation.
  """

  test: CalibrationValues
  validation: CalibrationValues | None


@dataclasses.dataclass(frozen=True)
class ValidationResult(Counts, CalibrationValues):
  """One label on validation: counts and plain figures.

  Attributes:
    auroc: area under the ROC curve.
    auprc: area under the precision-recall curve.
  """

  auroc: float | None
  auprc: float | None


@dataclasses.dataclass(frozen=True)
class Band:
  """A curve with the interval of each point, sequences of one length.

  Attributes:
    value: of the test set.
    low: lower bounds over patients; None where there is none: all are, for the reason that stands
      beside, or of weighted images those of fewer than 20 patients.
    high: upper bounds, likewise.
  """

  value: tuple[float, ...]
  low: tuple[float | None, ...]
  high: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class DecisionCurve:
  """What acting on the probabilities is worth, see medjax.evaluation.statistics.net_benefit.

  Attributes:
    prevalence: share with the finding, of the source where a floor enriched the split.
    weighted: whether images were weighted to that source.
    threshold: probabilities at or above which one acts.
    treat_all: net benefit of acting on all, in found positives per image; acting on none has 0.
    model: net benefit of the model, likewise.
    standardised: the same divided by the prevalence, 1 at most; without an interval of its own, it
      is that of the net benefit so divided, the prevalence taken as known.
    avoided: actions spared per 100 images against acting on all, at the same net benefit.
    reason: why no point has an interval, else ''.
  """

  prevalence: float
  weighted: bool
  threshold: tuple[float, ...]
  treat_all: tuple[float, ...]
  model: Band
  standardised: tuple[float, ...]
  avoided: Band
  reason: str


@dataclasses.dataclass(frozen=True)
class Histogram:
  """How many images of each class have which probability.

  Attributes:
    edges: of the bins, one more than there are bins.
    positives: images with the finding in each bin.
    negatives: images without it in each bin.
  """

  edges: tuple[float, ...]
  positives: tuple[int, ...]
  negatives: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class OfThousand:
  """What 1,000 images come to at an operating point and a prevalence, which is taken as known.

  Attributes:
    rule: of the operating point.
    prevalence: share of the 1,000 with the finding.
    of_test: whether it is that of the test set; else a stated one, or that of the source.
    flagged: called positive.
    true_positives: called positive and with the finding.
    missed: with the finding and not called positive.
    false_alarms: called positive and without the finding.
  """

  rule: str
  prevalence: float
  of_test: bool
  flagged: Figure
  true_positives: Figure
  missed: Figure
  false_alarms: Figure


@dataclasses.dataclass(frozen=True)
class Usefulness:
  """What a label's probabilities and thresholds are good for.

  Attributes:
    decision_curve: None where there is none.
    histogram: of probabilities by class; None where there are none.
    of_thousand: for each operating point with a threshold, at one prevalence or two.
    reason: why there is no decision curve, else ''.
  """

  decision_curve: DecisionCurve | None
  histogram: Histogram | None
  of_thousand: tuple[OfThousand, ...]
  reason: str


@dataclasses.dataclass(frozen=True)
class LabelResult(Counts):
  """One label on test. Of exclusive classes each is tested against all others together.

  Attributes:
    auroc: area under the ROC curve.
    auprc: area under the precision-recall curve, average precision.
    brier: Brier score.
    ece: expected calibration error over 15 bins of equal width.
    calibration_slope: of a logistic regression of the truth on the logit; 1 is right.
    calibration_intercept: likewise with the slope fixed at 1; 0 is right.
    delong: the AUROC's interval without resampling.
    validation: the same on validation, plain; None without validation.
    operating_points: one for each rule; the first makes the decisions.
    uncalibrated: figures before calibration; None where nothing was calibrated.
    roc: for drawing; None without both classes.
    precision_recall: for drawing; None without both classes.
    reliability: for drawing; None without both classes.
    usefulness: decision curve and the like; None in results of earlier versions.
  """

  auroc: Figure
  auprc: Figure
  brier: Figure
  ece: Figure
  calibration_slope: Figure
  calibration_intercept: Figure
  delong: Delong
  validation: ValidationResult | None
  operating_points: tuple[OperatingPoint, ...]
  uncalibrated: Uncalibrated | None
  roc: RocCurve | None
  precision_recall: PrecisionRecallCurve | None
  reliability: Reliability | None
  usefulness: Usefulness | None = None

  @property
  def decision(self) -> OperatingPoint | None:
    """The operating point that makes the decisions, None where there is none."""
    return self.operating_points[0] if self.operating_points else None
