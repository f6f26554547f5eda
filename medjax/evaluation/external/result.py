"""`ExternalResult`: a run on another data set beside its own test. docs/results.md lists it."""

import dataclasses

from medjax.evaluation.contrasts import Compared
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import Counts
from medjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class Mapped:
  """What a label of the run is in the other data set.

  Attributes:
    label: of the run.
    external: the labels of the other set of which any makes it; none where it cannot be mapped.
    by: 'name', 'vocabulary' or '--labels'; '' where it cannot be mapped.
    reason: why it cannot be mapped, else ''.
  """

  label: str
  external: tuple[str, ...]
  by: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Source:
  """Which run was tested, and on what.

  Attributes:
    run: its work directory.
    step: of its checkpoint; None where no validation had a mean AUROC to choose by.
    frozen_sha256: of its frozen.json, calibration and thresholds.
    source: config.data.source of the other set.
    root: its folder.
    part: 'all', or the split of its config that was taken.
    images: of that part, before any was left out.
    patients: of that part.
    unreadable: image → why it could not be read; these are left out.
    table_sha256: of image, patient and mapped labels of all images that were tested.
    compared: how images were compared with those that the run has seen, in words.
    seen: images that trained or chose the run and were allowed all the same.
    tested_before: images that the run's own test has, too.
    namesakes: patients with names of patients who trained or chose the run, in sets that are not
      known to be the same; they may be other people.
  """

  run: str
  step: int | None
  frozen_sha256: str
  source: str
  root: str
  part: str
  images: int
  patients: int
  unreadable: dict[str, str]
  table_sha256: str
  compared: str
  seen: int = 0
  tested_before: int = 0
  namesakes: int = 0


@dataclasses.dataclass(frozen=True)
class CohortsPoint:
  """One operating point in two samples of other patients.

  Attributes:
    rule: by which it was chosen.
    threshold: frozen; None where the rule has none.
    reason: why it has none, else ''.
    sensitivity: share of positives that are called so.
    specificity: share of negatives that are called so.
    ppv: positive predictive value at the prevalence of each.
    npv: negative predictive value, likewise.
  """

  rule: str
  threshold: float | None
  reason: str
  sensitivity: Compared
  specificity: Compared
  ppv: Compared
  npv: Compared


@dataclasses.dataclass(frozen=True)
class CohortsLabel:
  """One label in two samples of other patients, the first less the second.

  Attributes:
    one: counts of the first.
    other: counts of the second.
    prevalence: share of positives.
    auroc: area under the ROC curve.
    auprc: area under the precision-recall curve, which rises with the prevalence.
    brier: Brier score.
    calibration_slope: 1 is right.
    calibration_intercept: calibration in the large; 0 is right.
    observed_expected: positives over the sum of probabilities; 1 is right.
    operating_points: one for each rule; the first makes the decisions.
  """

  one: Counts
  other: Counts
  prevalence: Compared
  auroc: Compared
  auprc: Compared
  brier: Compared
  calibration_slope: Compared
  calibration_intercept: Compared
  observed_expected: Compared
  operating_points: tuple[CohortsPoint, ...]


@dataclasses.dataclass(frozen=True)
class CohortsMean:
  """Means over the labels that have both classes, of several patients each, in both samples.

  Attributes:
    labels: those that enter.
    auroc: of their AUROCs.
    auprc: of their AUPRCs.
    brier: of their Brier scores.
    calibration_slope: of their slopes.
    calibration_intercept: of their intercepts.
    sensitivity: at the first operating point, like the one below.
    specificity: at the first operating point.
  """

  labels: tuple[str, ...]
  auroc: Compared
  auprc: Compared
  brier: Compared
  calibration_slope: Compared
  calibration_intercept: Compared
  sensitivity: Compared
  specificity: Compared


@dataclasses.dataclass(frozen=True)
class Cohorts:
  """Two samples of other patients, read by one model.

  Attributes:
    mean: over labels.
    labels: label → its figures.
    classes: figure of a decision between exclusive classes → of both; none where each label is a
      question of its own.
  """

  mean: CohortsMean
  labels: dict[str, CohortsLabel]
  classes: dict[str, Compared]


@dataclasses.dataclass(frozen=True)
class RecalibratedPoint:
  """Decisions by recalibrated probabilities.

  Attributes:
    rule: by which the threshold was chosen.
    threshold: at or above which a recalibrated probability is called positive.
    chosen_anew: whether it was chosen on the half that recalibration is estimated on; else it is
      the frozen one.
    sensitivity: share of positives that are called so.
    specificity: share of negatives that are called so.
    ppv: positive predictive value.
    npv: negative predictive value.
  """

  rule: str
  threshold: float | None
  chosen_anew: bool
  sensitivity: Figure
  specificity: Figure
  ppv: Figure
  npv: Figure


@dataclasses.dataclass(frozen=True)
class Recalibrated:
  """Figures of one way to recalibrate, on the half that it was not estimated on.

  Attributes:
    how: 'as frozen', 'in the large' or 'logistic'.
    intercept: of logit(p') = intercept + slope · logit(p), in log odds; None where it has none.
    slope: likewise.
    reason: why it could not be estimated, else ''.
    brier: Brier score.
    calibration_slope: 1 is right.
    calibration_intercept: 0 is right.
    observed_expected: positives over the sum of probabilities.
    operating_points: at the frozen thresholds, and with 'logistic' at thresholds chosen anew.
  """

  how: str
  intercept: float | None
  slope: float | None
  reason: str
  brier: Figure
  calibration_slope: Figure
  calibration_intercept: Figure
  observed_expected: Figure
  operating_points: tuple[RecalibratedPoint, ...]


@dataclasses.dataclass(frozen=True)
class Recalibration:
  """What recalibration would give, estimated on half of the patients and tested on the others.

  Attributes:
    estimated_on: counts of the half that it is estimated on.
    tested_on: counts of the other half.
    intercept: calibration in the large of the half that it is estimated on, the slope being 1.
    slope: calibration slope there.
    auroc: on the other half; recalibration leaves it as it is.
    ways: none, in the large, logistic.
  """

  estimated_on: Counts
  tested_on: Counts
  intercept: Figure
  slope: Figure
  auroc: Figure
  ways: tuple[Recalibrated, ...]


@dataclasses.dataclass(frozen=True)
class PredictiveValues:
  """PPV and NPV at one operating point under several prevalences.

  Attributes:
    rule: by which the threshold was chosen.
    threshold: frozen; None where the rule has none.
    ppv_carried: PPV that the own test's sensitivity and specificity have at the external
      prevalence: what a change of prevalence alone would give.
    npv_carried: NPV, likewise.
    ppv_estimated: PPV at the prevalence that the scores say.
    npv_estimated: NPV, likewise.
  """

  rule: str
  threshold: float | None
  ppv_carried: Figure
  npv_carried: Figure
  ppv_estimated: Figure
  npv_estimated: Figure


@dataclasses.dataclass(frozen=True)
class PrevalenceShift:
  """How common a finding is in both samples.

  Attributes:
    labelled: by the reference standard, external and own test.
    calibrated_to: prevalence that the run's probabilities are calibrated to; None where unknown.
    estimated: external prevalence by the scores alone, see statistics.label_shift.
    predictive_values: for each operating point with a threshold.
  """

  labelled: Compared
  calibrated_to: float | None
  estimated: Figure
  predictive_values: tuple[PredictiveValues, ...]


@dataclasses.dataclass(frozen=True)
class ScoreDistribution:
  """How many images of each sample and class have which calibrated probability.

  Attributes:
    edges: of the bins, one more than there are bins.
    own_positives: own test, with the finding, in each bin.
    own_negatives: own test, without it.
    external_positives: likewise of the external set.
    external_negatives: likewise.
  """

  edges: tuple[float, ...]
  own_positives: tuple[int, ...]
  own_negatives: tuple[int, ...]
  external_positives: tuple[int, ...]
  external_negatives: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ExternalLabel:
  """One label beyond the figures of `Cohorts`.

  Attributes:
    recalibration: what it would give.
    prevalence: how it shifts, and what that means.
    scores: how they are distributed; None without images of known truth.
    inverted: that its scores look inverted, in words; '' where they do not.
  """

  recalibration: Recalibration
  prevalence: PrevalenceShift
  scores: ScoreDistribution | None
  inverted: str


@dataclasses.dataclass(frozen=True)
class Site:
  """One value of a column beside all others together.

  Attributes:
    value: its name.
    merged: how many values 'other' stands for, else 1.
    images: of this value.
    patients: of this value.
    shared: patients who have images of this value and of others.
    contrast: this value less all others.
  """

  value: str
  merged: int
  images: int
  patients: int
  shared: int
  contrast: Cohorts


@dataclasses.dataclass(frozen=True)
class Sites:
  """`sites.json`: one model at each site of a sample, beside all other sites together.

  Attributes:
    column: whose values the sites are.
    unit: what is tested: 'image', 'study', 'patient' or 'slide'.
    confidence: how often the intervals cover.
    replicates: of the bootstrap.
    seed: of the bootstrap.
    images: of all sites.
    patients: of all sites.
    sites: those with most patients first, then 'other', then 'not recorded'.
    run: work directory of the run.
    tested: on what, in words.
    warning: a sentence that forbids trust in the figures, or ''.
    notes: sentences that weaken them.
    schema: number of this schema in JSON.
  """

  column: str
  unit: str
  confidence: float
  replicates: int
  seed: int
  images: int
  patients: int
  sites: tuple[Site, ...]
  run: str = ''
  tested: str = ''
  warning: str = ''
  notes: tuple[str, ...] = ()
  schema: int = 1


@dataclasses.dataclass(frozen=True)
class ExternalResult:
  """`external.json`: a run on another data set, everything it has chosen left as it was.

  Attributes:
    source: which run, and which data.
    mapping: what each label of the run is in the other set.
    own: the run's own test, of the labels that are mapped, as in its report.
    external: the other set, likewise.
    contrast: the external figures less the own ones.
    labels: label → recalibration, prevalence and scores.
    sites: sites inside the other set; None where none were asked for.
    warnings: sentences that forbid trust in the figures, the first line of the page.
    notes: sentences that weaken them, the gravest first.
    schema: number of this schema in JSON.
  """

  source: Source
  mapping: tuple[Mapped, ...]
  own: Result
  external: Result
  contrast: Cohorts
  labels: dict[str, ExternalLabel]
  sites: Sites | None
  warnings: tuple[str, ...]
  notes: tuple[str, ...]
  schema: int = 1
