"""Results of folds and of seeds: what is said of several networks trained alike.

docs/results.md lists every field; medjax.evaluation.results_file writes and reads them as JSON.
"""

import dataclasses

from medjax.evaluation.figure import Figure
from medjax.evaluation.result import Result

SCHEMA = 1  # raised by whoever renames, adds or removes a field


@dataclasses.dataclass(frozen=True)
class Spread:
  """One figure of several networks: how much luck in training moves it, no interval.

  Attributes:
    values: of each network; None where it has none.
    mean: of those that have one; None without any.
    sd: their standard deviation, with n − 1; None of fewer than two.
    low: the lowest.
    high: the highest.
  """

  values: tuple[float | None, ...]
  mean: float | None
  sd: float | None
  low: float | None
  high: float | None


@dataclasses.dataclass(frozen=True)
class Spreads:
  """Figures of several networks, each on its own test; decisions at its first operating point.

  Attributes:
    auroc: area under the ROC curve.
    auprc: area under the precision-recall curve.
    brier: Brier score of calibrated probabilities.
    sensitivity: at the network's own frozen threshold.
    specificity: likewise.
  """

  auroc: Spread
  auprc: Spread
  brier: Spread
  sensitivity: Spread
  specificity: Spread


@dataclasses.dataclass(frozen=True)
class Network:
  """One of the networks.

  Attributes:
    name: 'fold 0', 'fold 0, site A' or 'seed 7'.
    folder: of its run, in the work directory.
    images: tested, or whatever the unit is.
    patients: tested.
    trained_on: patients who trained it.
    chosen_on: patients of its validation.
    auroc: its mean AUROC over labels, as in its own report.
    labels: label → its AUROC, likewise.
    thresholds: label → its frozen threshold that decides; None where there is none.
  """

  name: str
  folder: str
  images: int
  patients: int
  trained_on: int
  chosen_on: int
  auroc: Figure
  labels: dict[str, Figure]
  thresholds: dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class OverFolds:
  """One label, or the mean over labels, over all folds.

  Attributes:
    auroc_within: AUROC of the pairs of a positive and a negative of the same fold, by whose network
      both were scored; its interval is over patients.
    auroc_mean: mean of the folds' AUROCs, every fold alike; its interval is over patients and
      training sets, Nadeau and Bengio's.
    spread: of the folds.
  """

  auroc_within: Figure
  auroc_mean: Figure
  spread: Spreads


@dataclasses.dataclass(frozen=True)
class FoldsResult:
  """Every patient tested once, by a network that had not seen them.

  Attributes:
    by: 'patient', or 'site'.
    networks: one for each fold.
    pooled: figures of all patients together: each probability is calibrated by its own fold,
      decisions are at the thresholds of its own fold (so an operating point names none here).
    mean: over the labels of `pooled.mean`.
    labels: label → what is said of it over folds.
    notes: sentences on whatever weakens the figures, the gravest first.
    facts: name → words.
    files: file in the work directory → SHA-256, of the runs' results and splits that this is made
      of.
    schema: number of this schema.
  """

  by: str
  networks: tuple[Network, ...]
  pooled: Result
  mean: OverFolds
  labels: dict[str, OverFolds]
  notes: tuple[str, ...] = ()
  facts: dict[str, str] = dataclasses.field(default_factory=dict)
  files: dict[str, str] = dataclasses.field(default_factory=dict)
  schema: int = SCHEMA


@dataclasses.dataclass(frozen=True)
class OverSeeds:
  """One label, or the mean over labels, over all seeds.

  Attributes:
    auroc_mean: mean of the networks' AUROCs on the same test; its interval is over patients, and
      says nothing of other seeds.
    spread: of the networks, which says nothing of other patients.
  """

  auroc_mean: Figure
  spread: Spreads


@dataclasses.dataclass(frozen=True)
class SeedsResult:
  """Networks that differ by the seed of their training alone, tested on the same patients.

  Attributes:
    seeds: of the networks.
    networks: one for each seed.
    ensemble: figures of the mean probability of all networks; calibration and thresholds are chosen
      on its validation.
    mean: over the labels of `ensemble.mean`.
    labels: label → what is said of it over seeds.
    notes: sentences on whatever weakens the figures, the gravest first.
    facts: name → words.
    files: file in the work directory → SHA-256, of the runs' results that this is made of.
    schema: number of this schema.
  """

  seeds: tuple[int, ...]
  networks: tuple[Network, ...]
  ensemble: Result
  mean: OverSeeds
  labels: dict[str, OverSeeds]
  notes: tuple[str, ...] = ()
  facts: dict[str, str] = dataclasses.field(default_factory=dict)
  files: dict[str, str] = dataclasses.field(default_factory=dict)
  schema: int = SCHEMA
