"""What an audit returns: who and what is on both sides of a split, and what gives a label away."""

import dataclasses

from medjax.data.split.by_patient import SPLITS

SIDES = SPLITS[:-1]  # an unused image is on no side


@dataclasses.dataclass(frozen=True)
class SideSize:
  """How many patients and images one side of the split has."""

  patients: int
  images: int


@dataclasses.dataclass(frozen=True)
class SharedName:
  """A patient, study, … on more than one side.

  Attributes:
    name: as the table has it.
    images: side → its images there, for the sides that it is on.
  """

  name: str
  images: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Overlap:
  """What the sides have in common of one kind of group: patients, studies, lesions, slides.

  Attributes:
    names: how many groups there are.
    shared: how many of them are on two sides or more.
    matrix: side → side → groups in common.
    examples: the first of those shared.
  """

  names: int
  shared: int
  matrix: dict[str, dict[str, int]]
  examples: tuple[SharedName, ...]


@dataclasses.dataclass(frozen=True)
class Prevalence:
  """A label on one side: images with a known value, positives, and their share (None of none)."""

  known: int
  positive: int
  prevalence: float | None


@dataclasses.dataclass(frozen=True)
class Difference:
  """What differs between two sides of the split.

  Attributes:
    what: a column, or the prevalence of a label.
    between: the two sides.
    measure: 'standardised mean difference' or 'total variation'.
    effect: its value, not negative.
    words: the value that differs most, on either side.
    p: by random deals of the patients, corrected for all questions.
    flagged: whether the effect is large and more than chance.
  """

  what: str
  between: tuple[str, str]
  measure: str
  effect: float
  words: str
  p: float
  flagged: bool


@dataclasses.dataclass(frozen=True)
class ValueShare:
  """One value of a column: its images, and how many of them are positive."""

  value: str
  images: int
  positive: int

  @property
  def share(self) -> float:
    return self.positive / self.images


@dataclasses.dataclass(frozen=True)
class Predictor:
  """How well one column alone predicts a label.

  Attributes:
    column: of the metadata.
    label: that it predicts.
    auroc: cross-validated by patient.
    p: by random deals of the labels among the patients, corrected for all questions.
    flagged: whether the AUROC is clearly above 0.5 and more than chance.
    values: the column's values, the one most often positive first.
  """

  column: str
  label: str
  auroc: float
  p: float
  flagged: bool
  values: tuple[ValueShare, ...]

  @property
  def images(self) -> int:
    """How many images have a known label."""
    return sum(value.images for value in self.values)

  @property
  def positive(self) -> int:
    """How many of them are positive."""
    return sum(value.positive for value in self.values)


@dataclasses.dataclass(frozen=True)
class TableAudit:
  """What a study table and a split show without opening an image.

  Attributes:
    sides: side → its size.
    unused: images on no side.
    overlap: patient, study, … → what the sides have in common, for those the table has.
    prevalence: label → side → prevalence.
    differences: between two sides each, the largest effect first.
    predicts: what predicts a label without any image, the largest AUROC first.
    not_asked: sentences on what could not be asked.
  """

  sides: dict[str, SideSize]
  unused: int
  overlap: dict[str, Overlap]
  prevalence: dict[str, dict[str, Prevalence]]
  differences: tuple[Difference, ...]
  predicts: tuple[Predictor, ...]
  not_asked: tuple[str, ...]

  @property
  def overlapping(self) -> bool:
    """Whether any patient, study, lesion or slide is on two sides."""
    return any(overlap.shared for overlap in self.overlap.values())


@dataclasses.dataclass(frozen=True)
class CopyPair:
  """Two images that show the same.

  Attributes:
    rows: their rows in the table of all images looked at.
    images: their names.
    kind: of `copies.KINDS`.
    correlation: between details, 1 of identical pixels.
    sides: of the split, '' for none.
    patients: whose they are.
    sets: of which data set.
    conflicts: label → its two values, for labels that one has and the other lacks.
    crossing: whether they are on two different sides.
  """

  rows: tuple[int, int]
  images: tuple[str, str]
  kind: str
  correlation: float
  sides: tuple[str, str]
  patients: tuple[str, str]
  sets: tuple[str, str]
  conflicts: dict[str, tuple[int, int]]
  crossing: bool


@dataclasses.dataclass(frozen=True)
class Copies:
  """What pairs of images that show the same say about a study.

  Attributes:
    kinds: kind → pairs that are listed.
    groups: of images that show the same.
    images: in any group.
    across: side → side → images of the one with a copy in the other.
    sets: two data sets in words → groups in both.
    two_patients: groups of one set's images that bear the names of several patients.
    conflicts: label → groups that have it both present and absent.
    pairs: the gravest first: those that connect each group, and for every image the nearest of
      another side, set, patient or truth.
  """

  kinds: dict[str, int]
  groups: int
  images: int
  across: dict[str, dict[str, int]]
  sets: dict[str, int]
  two_patients: int
  conflicts: dict[str, int]
  pairs: tuple[CopyPair, ...]


@dataclasses.dataclass(frozen=True)
class Audit:
  """Everything that an audit found.

  Attributes:
    facts: name → words: what was audited.
    warnings: sentences, the gravest first.
    table: from the study table alone.
    copies: from the images; None where none was opened.
    not_looked_at: sentences.
    schema: number of this schema in JSON.
  """

  facts: dict[str, str]
  warnings: tuple[str, ...]
  table: TableAudit
  copies: Copies | None
  not_looked_at: tuple[str, ...]
  schema: int = 2
