"""`Result`: everything that is said of one model on one test set.

docs/results.md lists every field; medjax.evaluation.results_file writes and reads it as JSON.
"""

import dataclasses

import pandas as pd

from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import Counts, LabelResult
from medjax.evaluation.readers.study import ReaderStudy
from medjax.evaluation.statistics.localisation import Localisation

NOT_PROBABILITIES = 'scores are ranks, not probabilities'
SCHEMA = 3  # raised by whoever renames, adds or removes a field
_FIGURES = (
  'auroc',
  'auprc',
  'brier',
  'ece',
  'calibration_slope',
  'calibration_intercept',
)
_AT_THRESHOLD = ('sensitivity', 'specificity', 'ppv', 'npv', 'f1')


@dataclasses.dataclass(frozen=True)
class Size:
  """How much was tested.

  Attributes:
    images: images, or whatever the result's `unit` says.
    patients: patients.
  """

  images: int
  patients: int


@dataclasses.dataclass(frozen=True)
class Mean:
  """Means over the labels with both classes on test, in each replicate too.

  Labels of which all positives, or all negatives, are of one patient do not enter where others do:
  no interval can be had of them, nor of a mean with them.

  Attributes:
    labels: those that enter.
    of_one_patient: those with both classes that do not.
    auroc_of_all: mean AUROC with these, without an interval; None where there are none of these.
    auroc: of their AUROCs.
    auprc: of their AUPRCs.
    brier: of their Brier scores.
    ece: of their calibration errors.
    calibration_slope: of their slopes.
    calibration_intercept: of their intercepts.
    sensitivity: at the first operating point, like the four below.
    specificity: at the first operating point.
    ppv: at the first operating point.
    npv: at the first operating point.
    f1: at the first operating point.
  """

  labels: tuple[str, ...]
  of_one_patient: tuple[str, ...]
  auroc_of_all: float | None
  auroc: Figure
  auprc: Figure
  brier: Figure
  ece: Figure
  calibration_slope: Figure
  calibration_intercept: Figure
  sensitivity: Figure
  specificity: Figure
  ppv: Figure
  npv: Figure
  f1: Figure


@dataclasses.dataclass(frozen=True)
class ClassesResult:
  """The decision for one of exclusive classes or grades, on test.

  Attributes:
    head: 'softmax' or 'ordinal'.
    labels: the classes, grades in rising order.
    images: with known truth.
    confusion: counts, rows the truth and columns the decision.
    accuracy: share of images that are called their class.
    balanced_accuracy: mean of the classes' sensitivities.
    kappa: Cohen's; None with grades.
    quadratic_kappa: Cohen's with quadratic weights; None without grades.
    decision: how a class is decided for, in words.
  """

  head: str
  labels: tuple[str, ...]
  images: int
  confusion: tuple[tuple[int, ...], ...]
  accuracy: Figure
  balanced_accuracy: Figure
  kappa: Figure | None
  quadratic_kappa: Figure | None
  decision: str


@dataclasses.dataclass(frozen=True)
class LevelResult:
  """Mean areas of predictions at one level.

  Attributes:
    units: images, studies, patients or slides.
    patients: patients.
    labels: those with both classes, over which the means are.
    auroc: mean area under the ROC curve.
    auprc: mean area under the precision-recall curve.
  """

  units: int
  patients: int
  labels: tuple[str, ...]
  auroc: Figure
  auprc: Figure


@dataclasses.dataclass(frozen=True)
class Variant(LevelResult):
  """Mean areas of other predictions of the same images, such as the single model's.

  Attributes:
    name: what they are of.
  """

  name: str


@dataclasses.dataclass(frozen=True)
class Gaps:
  """Figures of a subgroup less those of the reference.

  Attributes:
    auroc: difference in AUROC.
    sensitivity: difference in sensitivity.
    specificity: difference in specificity.
  """

  auroc: Figure
  sensitivity: Figure
  specificity: Figure


@dataclasses.dataclass(frozen=True)
class SubgroupLabel(Counts):
  """One label in one subgroup.

  Attributes:
    auroc: area under the ROC curve.
    auprc: area under the precision-recall curve.
    sensitivity: at the frozen threshold, like the three below.
    specificity: at the frozen threshold.
    ppv: at the frozen threshold.
    npv: at the frozen threshold.
    brier: Brier score.
    gaps: from the reference; None of the reference itself.
  """

  auroc: Figure
  auprc: Figure
  sensitivity: Figure
  specificity: Figure
  ppv: Figure
  npv: Figure
  brier: Figure
  gaps: Gaps | None


@dataclasses.dataclass(frozen=True)
class SubgroupResult:
  """The images of one value of a column.

  Attributes:
    value: its name.
    images: of this value.
    patients: of this value.
    merged: how many values 'other' stands for, else 1.
    reference: whether gaps are taken from it.
    labels: label → its figures.
    mean_auroc: mean over `mean_labels`.
    mean_labels: labels with an AUROC here.
    mean_gap: mean difference in AUROC over `gap_labels`; None of the reference itself.
    gap_labels: labels with an AUROC here and in the reference.
  """

  value: str
  images: int
  patients: int
  merged: int
  reference: bool
  labels: dict[str, SubgroupLabel]
  mean_auroc: Figure
  mean_labels: tuple[str, ...]
  mean_gap: Figure | None
  gap_labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Result:
  """Everything that is said of one model on one test set.

  Attributes:
    schema: number of this schema.
    test: size of the test set.
    validation: size of the validation set; None without one.
    unit: what is tested: 'image', 'study', 'patient' or 'slide'. What is said of images holds of
      it.
    aggregate: how images became one of it: 'max', 'mean' or 'top:0.05'.
    confidence: how often the intervals cover, 0.95.
    replicates: of the bootstrap; 0 for no intervals.
    seed: of the bootstrap.
    method: how the intervals were made, in words.
    mean: means over labels.
    labels: label → its results, in the order of the predictions.
    classes: the decision for one class; None where each label is a question of its own.
    levels: level → mean areas of the same predictions at that level.
    subgroups: column → its values, each by itself.
    variants: mean areas of other predictions of the same images.
    notes: sentences on whatever weakens the figures, the gravest first.
    facts: name → words, of the run or the predictions.
    study_notes: sentences on whatever weakens the study beyond its figures.
    readers: readers beside the model; None without.
    localisation: heat maps beside boxes; None without.
    files: of a run, file in the work directory → SHA-256, of all that this result was made of, of
      its page, and of itself: its JSON with sorted names and no `files`.
  """

  test: Size
  validation: Size | None
  unit: str
  replicates: int
  seed: int
  method: str
  mean: Mean
  labels: dict[str, LabelResult]
  classes: ClassesResult | None
  notes: tuple[str, ...] = ()
  aggregate: str = 'max'
  confidence: float = 0.95
  levels: dict[str, LevelResult] = dataclasses.field(default_factory=dict)
  subgroups: dict[str, tuple[SubgroupResult, ...]] = dataclasses.field(default_factory=dict)
  variants: tuple[Variant, ...] = ()
  facts: dict[str, str] = dataclasses.field(default_factory=dict)
  study_notes: tuple[str, ...] = ()
  readers: ReaderStudy | None = None
  localisation: Localisation | None = None
  files: dict[str, str] = dataclasses.field(default_factory=dict)
  schema: int = SCHEMA

  @property
  def is_of_ranks(self) -> bool:
    """Whether scores are ranks, which have no figures of probabilities."""
    return self.mean.brier.reason == NOT_PROBABILITIES

  def with_study_of(self, earlier: 'Result') -> 'Result':
    """Returns these figures with the facts, study notes, readers, localisation and files of
    another.
    """
    return dataclasses.replace(
      self,
      facts=earlier.facts,
      study_notes=earlier.study_notes,
      readers=earlier.readers,
      localisation=earlier.localisation,
      files=earlier.files,
    )

  def thresholds(self) -> dict[str, float | None]:
    """Returns label → the threshold that decides for it, None where it has none."""
    return {
      label: None if result.decision is None else result.decision.threshold
      for label, result in self.labels.items()
    }

  def to_frame(self) -> pd.DataFrame:
    """Returns a table with one row per label.

    Columns are the counts, each figure as its value, 'auroc', and its bounds, 'auroc_low' and
    'auroc_high' (NaN where there is none), and 'threshold' with the figures there, of the first
    operating point.
    """
    rows = []
    for result in self.labels.values():
      row: dict[str, float | int | None] = {
        field.name: getattr(result, field.name) for field in dataclasses.fields(Counts)
      }
      for name in _FIGURES:
        row |= _columns(name, getattr(result, name))
      point = result.decision
      row['threshold'] = None if point is None else point.threshold
      for name in _AT_THRESHOLD:
        row |= _columns(name, Figure(None) if point is None else getattr(point, name))
      rows.append(row)
    counts = [field.name for field in dataclasses.fields(Counts) if field.type is int]
    frame = pd.DataFrame(rows, index=pd.Index(self.labels, name='label'))
    return frame.astype({name: int if name in counts else float for name in frame})


def _columns(name: str, figure: Figure) -> dict[str, float | None]:
  low, high = figure.interval or (None, None)
  return {name: figure.value, f'{name}_low': low, f'{name}_high': high}
