"""What a comparison of two runs returns: differences, tests and a verdict for each label."""

import dataclasses

from medjax.evaluation.figure import ROUNDING, Figure, excludes_zero
from medjax.evaluation.label_result import RocCurve

SUPERIOR, NON_INFERIOR, UNDECIDED = 'superior', 'non-inferior', 'undecided'
WORSE, WORSE_WITHIN, NOT_COMPARED = 'worse', 'worse within the margin', 'not compared'


@dataclasses.dataclass(frozen=True)
class Compared:
  """One figure of both runs, and the first less the second, each with its interval."""

  one: Figure
  other: Figure
  difference: Figure


@dataclasses.dataclass(frozen=True)
class PairedTest:
  """DeLong's test of a difference in AUROC, two-sided, or Obuchowski's where `clustered`.

  Attributes:
    interval: of the difference; None where there is none.
    standard_error, z, p: None where there is no test.
    clustered: whether a patient has several images.
    reason: '' where there is an interval, else why not.
  """

  interval: tuple[float, float] | None
  standard_error: float | None
  z: float | None
  p: float | None
  clustered: bool
  reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast:
  """The first run beside the second, by one label or by the mean of all.

  Attributes:
    auroc: differences with the interval of `delong`.
    auprc: differences with the percentile interval of the paired bootstrap.
    delong: test of the difference in AUROC.
    non_inferior: whether the lower end of the interval of the difference in AUROC is above -margin,
      so at confidence 0.95 a one-sided test at 0.025; None where there is no interval or no p.
    different: whether that interval leaves out 0 and p (of labels: p_holm) is below 1 - confidence.
    verdict: a word for both: SUPERIOR, NON_INFERIOR, WORSE_WITHIN, WORSE, UNDECIDED or
      NOT_COMPARED.
  """

  auroc: Compared
  auprc: Compared
  delong: PairedTest
  non_inferior: bool | None = None
  different: bool | None = None
  verdict: str = NOT_COMPARED


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelContrast(Contrast):
  """Two runs on one label.

  Attributes:
    images, patients, positives, negatives, positive_patients, negative_patients: counted where the
      truth is known.
    p_holm, p_benjamini_hochberg: p adjusted for all labels that have one; None where there is none.
    sensitivity, specificity: of the runs' decisions, see medjax.evaluation.paired_rates; None where
      a run decides nothing.
    roc: of both runs, for drawing; None without both classes.
  """

  images: int
  patients: int
  positives: int
  negatives: int
  positive_patients: int
  negative_patients: int
  p_holm: float | None = None
  p_benjamini_hochberg: float | None = None
  sensitivity: Compared | None = None
  specificity: Compared | None = None
  roc: tuple[RocCurve, RocCurve] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanContrast(Contrast):
  """Two runs by their means over the labels with both classes, which `labels` names."""

  labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TestSize:
  """How much was tested."""

  __test__ = False  # no test of pytest's

  images: int
  patients: int


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Two runs on the same test images, the first less the second.

  Attributes:
    between: names of the two runs, the one that is asked about first.
    unit: what is tested: 'image', 'study', 'patient' or 'slide'.
    confidence: how often the intervals cover.
    margin: of non-inferiority, in AUROC.
    replicates, seed: of the bootstrap.
    method: how the intervals were made, in words.
    test: how much was tested.
    mean: of the labels with both classes; its p is not adjusted, for it is one question.
    labels: label → comparison.
    notes: sentences on what weakens the figures, the gravest first.
    decided: how the runs decide, in words; '' where one of them decides nothing.
    compares: what is compared, by path; a file of another comparison is not overwritten.
    schema: number of this schema in JSON.
  """

  between: tuple[str, str]
  unit: str
  confidence: float
  margin: float
  replicates: int
  seed: int
  method: str
  test: TestSize
  mean: MeanContrast
  labels: dict[str, LabelContrast]
  notes: tuple[str, ...]
  decided: str = ''
  compares: tuple[str, ...] = ()
  schema: int = 2


def verdict(
  interval: tuple[float, float] | None, p: float | None, margin: float, confidence: float
) -> tuple[bool | None, bool | None, str]:
  """Returns whether it is non-inferior and different, and the word for both; see `Contrast`."""
  if interval is None or p is None:
    return None, None, NOT_COMPARED
  low = interval[0]
  non_inferior = low > -margin + ROUNDING
  different = p < 1 - confidence and excludes_zero(interval)
  if different and low > 0:
    word = SUPERIOR
  elif different:
    word = WORSE_WITHIN if non_inferior else WORSE
  else:
    word = NON_INFERIOR if non_inferior else UNDECIDED
  return non_inferior, different, word
