"""Compares two runs, or predictions of any models, on the same test images."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medjax.config import protocol as protocols
from medjax.config.protocol import Protocol
from medjax.data import identifiers
from medjax.errors import InputError
from medjax.evaluation import comparison, frozen, levels, results_file, wording
from medjax.evaluation.contrasts import Comparison
from medjax.evaluation.frozen import FrozenLevel
from medjax.evaluation.predictions import Predictions
from medjax.final_test import generated
from medjax.final_test.again import PredictionFiles, check, check_level, not_recorded
from medjax.report import beside, comparison_page, weaknesses
from medjax.report.sections import split
from medjax.runs import finished, seen_by_run
from medjax.runs.finished import Run
from medjax.runs.layout import Layout
from medjax.runtime import files, progress, remote_work

MARGIN = 0.02  # AUROC that counts as no worse, by default


class Compared(NamedTuple):
  """A comparison and what is known of the two models.

  Attributes:
    comparison: of their predictions.
    notes: sentences that weaken it, beside its own.
    warning: a sentence that forbids trust in it, or ''.
    settings: (name, of the first, of the second) of each in which the two runs differ; None where
      one of them is no run.
    page: the page that shows it, where it is written.
  """

  comparison: Comparison
  notes: tuple[str, ...]
  warning: str
  settings: tuple[tuple[str, str, str], ...] | None = None
  page: pathlib.Path = pathlib.Path()


class _Side(NamedTuple):
  """One of the two.

  Attributes:
    name: of the run or file.
    test: its predictions as the network gave them.
    notes: what weakens its own figures.
    run: None where it is not known.
  """

  name: str
  test: Predictions
  notes: Sequence[str]
  run: Run | None = None

  def at_level(self, protocol: Protocol) -> tuple[Predictions, FrozenLevel | None]:
    """Returns its predictions at the protocol's level, calibrated where it has frozen how."""
    settings = protocol.level, protocol.aggregate, protocol.head
    test = levels.to_level(self.test, *settings)
    chosen = self.run.frozen.levels if self.run else {}
    level = chosen.get(protocol.level, chosen.get('image'))  # Else a unit is one image.
    return (test, None) if level is None else (frozen.calibrated(level, test), level)


def _side_of(run: Run) -> _Side:
  result, proof = run.result, files.read_json(run.layout.split_proof)
  facts = {**result.facts, 'notes': result.study_notes}
  sentences = weaknesses.of_run(result, proof, facts)
  return _Side(remote_work.with_urls(run.workdir), run.raw_predictions('test'), sentences, run)


def _compare(one: _Side, other: _Side, protocol: Protocol, margin: float) -> Compared:
  (first, level), (second, level_of_other) = (side.at_level(protocol) for side in (one, other))
  between = one.name, other.name
  thresholds = None
  if level is not None and level_of_other is not None:
    labels = first.labels
    thresholds = (
      {label: level.threshold(label) for label in labels},
      {label: level_of_other.threshold(label) for label in labels if label in second.labels},
    )
  compared = comparison.compare(
    first,
    second,
    margin=margin,
    between=between,
    unit=protocol.level,
    replicates=protocol.replicates,
    seed=protocol.seed,
    head=protocol.head,
    thresholds=thresholds,
  )
  warnings = [generated.of_predictions(pathlib.Path(one.name), pathlib.Path(other.name))]
  settings = None
  if other.run is not None:
    warnings.append(met_again(one.test, other.run.layout))
  if one.run is not None and other.run is not None:
    settings = _settings_apart(one.run, other.run)
  notes = weaknesses.of_both(between, one.notes, other.notes)
  return Compared(compared, tuple(notes), ' '.join(filter(None, warnings)), settings)


def _settings_apart(one: Run, other: Run) -> tuple[tuple[str, str, str], ...]:
  first, second = (dict(split.flat(files.read_json(run.layout.config))) for run in (one, other))
  names = dict.fromkeys((*first, *second))
  pairs = [(name, first.get(name, wording.DASH), second.get(name, wording.DASH)) for name in names]
  return tuple(pair for pair in pairs if pair[1] != pair[2])


def runs_compared(
  one: Run, other: Run, *, margin: float = MARGIN, replicates: int = 2000, seed: int = 0
) -> Compared:
  """Compares two finished runs on the same test images, at the level of the first.

  Args:
    one: the run that is asked about.
    other: the run that it is compared with.
    margin: of non-inferiority, in AUROC.
    replicates, seed: of the bootstrap.

  Raises:
    InputError: as medjax.evaluation.comparison.compare.
  """
  protocol = dataclasses.replace(one.config.protocol, replicates=replicates, seed=seed)
  protocols.check(protocol)
  return _compare(_side_of(one), _side_of(other), protocol, margin)


def compare_run(
  workdir: pathlib.Path,
  against: pathlib.Path,
  *,
  margin: float = MARGIN,
  replicates: int = 2000,
  seed: int = 0,
) -> Compared:
  """Compares a finished run with another, or with a CSV of predictions, and writes page and JSON.

  Args:
    workdir: of the run that is asked about; the files are written into it.
    against: another work directory, or a CSV of predictions of the same images.
    margin: of non-inferiority, in AUROC.
    replicates, seed: of the bootstrap.

  Raises:
    InputError: runs or predictions that cannot be read or compared, or a file of another
      comparison.
  """
  run = finished.open_run(workdir)
  # A run may have moved; what lies in its folder is of that run.
  destination = _Destination(
    _name(against),
    run.layout.reports,
    run.layout.evaluation,
    compares=(remote_work.with_urls(against.resolve()),),
  )
  destination.check()
  side = _side_of(run)
  sources = PredictionFiles(against, run.layout.predictions('test'), labels=side.test.labels)
  other = _other(against, sources, run.config.protocol)
  protocol = dataclasses.replace(run.config.protocol, replicates=replicates, seed=seed)
  check_level(other.test, protocol, protocols.IN_CONFIG)
  with progress.waiting('computing intervals; fewer --replicates take less'):
    compared = _compare(side, other, protocol, margin)
  return destination.write(compared)


def compare_files(
  sources: PredictionFiles,
  against: pathlib.Path,
  protocol: Protocol,
  output: pathlib.Path,
  *,
  margin: float = MARGIN,
  names: Mapping[str, str] | None = None,
) -> Compared:
  """Compares predictions of any model with others, and writes page and JSON.

  Args:
    sources: predictions and truth of the model that is asked about.
    against: a work directory, or another CSV of predictions.
    protocol: its head, level, aggregate, replicates and seed.
    output: folder for the files.
    margin: of non-inferiority, in AUROC.
    names: field → what the caller calls it in messages; by default as in `Protocol`.

  Raises:
    InputError: as `compare_run`.
  """
  test = sources.read(sources.predictions, sources.truth, protocol)
  truth = str(sources.truth or sources.predictions)
  check(test, None, protocol, names, predictions=str(sources.predictions), truth=truth)
  compares = tuple(remote_work.with_urls(path.resolve()) for path in (sources.predictions, against))
  destination = _Destination(_name(against), output, output, compares)
  destination.check()
  other = _other(against, sources._replace(labels=test.labels), protocol)
  check_level(other.test, protocol, names)
  side = _Side(str(sources.predictions), test, (not_recorded(sources.predictions),))
  with progress.waiting('computing intervals; fewer --replicates take less'):
    compared = _compare(side, other, protocol, margin)
  return destination.write(compared)


def in_words(compared: Compared) -> list[str]:
  """Returns the answer as lines of text."""
  notes = [f'note: {note}' for note in dict.fromkeys(compared.notes)]
  warning = [compared.warning] if compared.warning else []
  return [*comparison_page.in_words(compared.comparison), *notes, *warning]


class _Destination(NamedTuple):
  """Where a comparison is written, and what it compares."""

  name: str
  pages: pathlib.Path
  results: pathlib.Path
  compares: tuple[str, ...]

  def check(self) -> None:
    """Raises InputError where the file holds another comparison."""
    path = self.results / f'{self.name}.json'
    if path.exists() and files.read_json(path).get('compares') != list(self.compares):
      raise InputError(
        f'{path}: holds another comparison than of {" and ".join(self.compares)}; move or delete it'
      )

  def write(self, compared: Compared) -> Compared:
    figures = dataclasses.replace(compared.comparison, compares=self.compares)
    for folder in (self.pages, self.results):
      folder.mkdir(parents=True, exist_ok=True)
    page = self.pages / f'{self.name}.html'
    content = comparison_page.render(
      figures, notes=compared.notes, warning=compared.warning, settings=compared.settings
    )
    files.write_whole(page, content + '\n')
    beside.write(page, content, beside.of_comparison(figures))
    results_file.save(self.results / f'{self.name}.json', figures)
    return compared._replace(comparison=figures, page=page)


def _name(against: pathlib.Path) -> str:
  return f'against_{against.resolve().name.removesuffix(".csv")}'


def _other(against: pathlib.Path, sources: PredictionFiles, protocol: Protocol) -> _Side:
  """Returns what is compared with."""
  if against.is_dir():
    return _side_of(finished.open_run(against))
  return _Side(
    str(against), sources.read(against, sources.truth, protocol), (not_recorded(against),)
  )


def met_again(test: Predictions, layout: Layout) -> str:
  """Returns a sentence if patients who are tested trained or chose the network of another run."""
  seen = seen_by_run.seen_by(layout)
  find = identifiers.finder(dict.fromkeys(seen['patient'], True))
  common = sorted(filter(find, set(test.patients)))
  if not common:
    return ''
  return (
    f'{len(common):,} of the {len(set(test.patients)):,} test patients, such as {common[0]}, have '
    f'the names of patients who trained or chose {layout.workdir}: unless they are other people, '
    'its figures are too high.'
  )
