"""What the experiments showed, as it stands in remedies.json."""

import dataclasses

from medjax.evaluation.figure import Figure

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Cell:
  """The mean of a measure over repetitions, with its interval."""

  level: str
  condition: str
  measure: str
  mean: Figure


@dataclasses.dataclass(frozen=True)
class Effect:
  """What a condition does beside the one without the remedy.

  Attributes:
    level, condition, measure: which.
    difference: paired by repetition; of an error with a sign, that of its size.
    verdict: 'helps', 'harms', 'no difference seen', 'not known' without an interval, or '' where
      the measure is not judged.
  """

  level: str
  condition: str
  measure: str
  difference: Figure
  verdict: str


@dataclasses.dataclass(frozen=True)
class ExperimentResult:
  """One comparison.

  Attributes:
    title, level_title: as on the page.
    levels, conditions: in order; the first condition is without the remedy.
    measures: name → title.
    better: name of a measure → 'higher', 'lower', 'zero', or '' where it is not judged.
    measured: of levels times repetitions, `planned`.
    repetitions: planned, at each level.
    sizes: that were fixed beforehand.
    cells, effects: the figures.
  """

  title: str
  level_title: str
  levels: list[str]
  conditions: list[str]
  measures: dict[str, str]
  better: dict[str, str]
  measured: int
  planned: int
  repetitions: int
  sizes: dict[str, int]
  cells: list[Cell]
  effects: list[Effect]


@dataclasses.dataclass(frozen=True)
class ProblemResult:
  """One problem: words, settings, sources, experiments by name, and the hours they took here."""

  title: str
  wrong: str
  remedy: str
  limits: str
  config: str
  literature: list[str]
  experiments: dict[str, ExperimentResult]
  hours: float


@dataclasses.dataclass(frozen=True)
class Remedies:
  """All problems.

  Attributes:
    schema: of this file.
    version: of medjax, and the commit where there is one.
    plan: 'full' or 'quick'.
    problems: by name.
  """

  schema: int
  version: str
  plan: str
  problems: dict[str, ProblemResult]
