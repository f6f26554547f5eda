"""Compares two runs, or predictions of any models, on the same test images."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medjax.config import protocol as protocols
from medjax.config.protocol import Protocol
from medjax.data import identifiers
from medjax.errors import InputError
from medjax.evaluation import comparison, levels, results_file
from medjax.evaluation.contrasts import Comparison
from medjax.evaluation.predictions import Predictions
from medjax.final_test import generated
from medjax.final_test.again import PredictionFiles, check, check_level, not_recorded
from medjax.report import comparison_page
from medjax.runs import finished, seen_by_run
from medjax.runs.layout import Layout
from medjax.runtime import files

MARGIN = 0.02  # AUROC that counts as no worse, by default


class Compared(NamedTuple):
  """A comparison and what is known of the two models.

  Attributes:
    comparison: of their predictions.
    notes: sentences that weaken it, beside its own.
    warning: a sentence that forbids trust in it, or ''.
    page: the page that shows it.
  """

  comparison: Comparison
  notes: tuple[str, ...]
  warning: str
  page: pathlib.Path


def predictions_compared(
  one: Predictions,
  other: Predictions,
  protocol: Protocol,
  *,
  between: tuple[str, str] = ('the first run', 'the second run'),
  margin: float = MARGIN,
) -> Comparison:
  """Compares predictions of the same images at the protocol's level, the first less the second.

  Args:
    one: of the model that is asked about.
    other: of the one that it is compared with.
    protocol: its head, level, aggregate, replicates and seed.
    between: names of the two.
    margin: of non-inferiority, in AUROC.

  Raises:
    InputError: as medjax.evaluation.comparison.compare.
  """
  settings = protocol.level, protocol.aggregate, protocol.head
  return comparison.compare(
    levels.to_level(one, *settings),
    levels.to_level(other, *settings),
    margin=margin,
    between=between,
    unit=protocol.level,
    replicates=protocol.replicates,
    seed=protocol.seed,
  )


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
  destination = _Written(
    _name(against),
    run.layout.reports,
    run.layout.evaluation,
    compares=(str(against.resolve()),),
  )
  destination.check()
  test = run.raw_predictions('test')
  sources = PredictionFiles(against, run.layout.predictions('test'), labels=test.labels)
  other, notes, warning = _other(test, against, sources, run.config.protocol)
  warning = _sentences(generated.of_predictions(workdir, against), warning)
  protocol = dataclasses.replace(run.config.protocol, replicates=replicates, seed=seed)
  check_level(other, protocol, protocols.IN_CONFIG)
  between = str(workdir), str(against)
  compared = predictions_compared(test, other, protocol, between=between, margin=margin)
  return destination.write(compared, notes, warning)


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
  between = str(sources.predictions), str(against)
  compares = tuple(str(path.resolve()) for path in (sources.predictions, against))
  destination = _Written(_name(against), output, output, compares)
  destination.check()
  chosen = sources._replace(labels=test.labels)
  other, notes, warning = _other(test, against, chosen, protocol)
  warning = _sentences(generated.of_predictions(sources.predictions, against), warning)
  check_level(other, protocol, names)
  compared = predictions_compared(test, other, protocol, between=between, margin=margin)
  return destination.write(compared, (not_recorded(sources.predictions), *notes), warning)


def in_words(compared: Compared) -> list[str]:
  """Returns the answer as lines of text."""
  notes = [f'note: {note}' for note in dict.fromkeys(compared.notes)]
  warning = [compared.warning] if compared.warning else []
  return [*comparison_page.in_words(compared.comparison), *notes, *warning]


class _Written(NamedTuple):
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

  def write(self, compared: Comparison, notes: Sequence[str], warning: str) -> Compared:
    compared = dataclasses.replace(compared, compares=self.compares)
    for folder in (self.pages, self.results):
      folder.mkdir(parents=True, exist_ok=True)
    page = self.pages / f'{self.name}.html'
    content = comparison_page.render(compared, notes=notes, warning=warning)
    files.write_whole(page, content + '\n')
    results_file.save(self.results / f'{self.name}.json', compared)
    return Compared(compared, tuple(notes), warning, page)


def _name(against: pathlib.Path) -> str:
  return f'against_{against.resolve().name.removesuffix(".csv")}'


def _other(
  test: Predictions, against: pathlib.Path, sources: PredictionFiles, protocol: Protocol
) -> tuple[Predictions, tuple[str, ...], str]:
  """Returns the predictions to compare with, notes on them, and a warning or ''."""
  if not against.is_dir():
    return sources.read(against, sources.truth, protocol), (not_recorded(against),), ''
  run = finished.open_run(against)
  return run.raw_predictions('test'), (), met_again(test, run.layout)


def distrust(one: Layout, other: Layout, test: Predictions) -> str:
  """Returns what forbids trust in a comparison of two runs, '' for nothing."""
  return _sentences(generated.of_predictions(one.workdir, other.workdir), met_again(test, other))


def _sentences(*sentences: str) -> str:
  return ' '.join(filter(None, sentences))


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
