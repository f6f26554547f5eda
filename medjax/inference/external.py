"""A finished run on another data set: everything that it has chosen stays as it was."""

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.config import Config
from medjax.data.images import lists
from medjax.data.images.lists import Item
from medjax.data.leakage.other_set import Met
from medjax.data.split import characteristics
from medjax.errors import InputError, count
from medjax.evaluation import frozen, levels, predictions, results_file
from medjax.evaluation import notes as evaluation_notes
from medjax.evaluation.external import evaluate, notes
from medjax.evaluation.external import sites as by_site
from medjax.evaluation.external.result import ExternalResult, Mapped, Sites, Source
from medjax.evaluation.predictions import Predictions
from medjax.final_test import evaluate_once, generated, report_files
from medjax.inference import external_set
from medjax.inference.external_set import ExternalSet
from medjax.report import beside, external_page, sites_page
from medjax.runs import decisions
from medjax.runs.finished import Run
from medjax.runtime import files, progress, remote, remote_work

PAGE, RESULT, PREDICTIONS, SITES = 'index.html', 'external.json', 'predictions.csv', 'sites.json'


class Asked(NamedTuple):
  """How a run is validated on another set.

  Attributes:
    labels: 'label there=label of the run' each, beside what names and vocabulary say.
    by: a column of sites, '' for none.
    part: 'all' of the other set, or a split that its config draws.
    pixels: whether images are compared with those that the run has seen by what they show, too.
    allow_training_images: goes on with images that have trained or chosen the run.
  """

  labels: Sequence[str] = ()
  by: str = ''
  part: str = 'all'
  pixels: bool = True
  allow_training_images: bool = False


class Validated(NamedTuple):
  """A result and what its page needs.

  Attributes:
    result: everything that is said of the other set.
    predictions: of its images, as the network gave them, of the labels that are mapped.
    decided: name of a column → N values: `prob_<label>`, calibrated, and decisions.
    page: the text of the page.
    tables: name of a file beside the page → its text.
  """

  result: ExternalResult
  predictions: Predictions
  decided: dict[str, Any]
  page: str
  tables: dict[str, str]


def validate(run: Run, config: Config, asked: Asked) -> Validated:
  """Tests a finished run on another data set; nothing is written.

  Args:
    run: a finished run.
    config: of the other set: `data`, and `split` where `asked.part` is one of its parts. Images are
      read as the run reads them, whatever it says of their size.
    asked: how.

  Raises:
    InputError: no label in common; the other set is the run's own, or has patients or images of its
      training; nothing to tell apart; anything about the source.
  """
  protocol = run.config.protocol
  other = external_set.read(run, config, asked.labels, asked.part)
  about = evaluate_once.about(other.table, (*config.evaluation.subgroups, *_named(asked.by)))
  # What would be refused in the end is refused before any image is opened.
  nothing = np.zeros((len(other.table), len(other.labels)))
  unseen = _predictions(other, about, nothing, None, other.labels)
  if asked.by:
    by_site.check_column(unseen, asked.by)
  evaluate.check(unseen, protocol)
  root = config.data.root
  met = external_set.check_apart(
    run,
    other,
    root,
    pixels=asked.pixels,
    allowed=asked.allow_training_images,
    broken=config.data.broken,
  )
  log_odds, unreadable = _predict(run, other, config.data.broken)
  good = ~other.table['image'].isin(unreadable).to_numpy()
  external = _of_labels(run, other, about, log_odds, good)
  progress.say('computing intervals')
  with progress.waiting('computing intervals; fewer config.replicates of the run take less'):
    evaluated = evaluate.evaluate(
      run.raw_predictions('validation'),
      run.raw_predictions('test'),
      external,
      run.frozen.levels,
      protocol,
      subgroups=config.evaluation.subgroups,
      by=asked.by,
    )
  result = ExternalResult(
    source=_source(run, config, asked, other, met, unreadable),
    mapping=tuple(
      Mapped(entry.label, entry.terms, entry.by, entry.reason) for entry in other.entries
    ),
    **evaluated._asdict(),
    warnings=(),
    notes=(),
  )
  warnings = [generated.of_run(run.config) or generated.of_run(config)]
  result = dataclasses.replace(
    result,
    warnings=tuple(filter(None, [*warnings, *notes.warnings(result)])),
    notes=tuple(notes.notes(result, [*other.notes, *_notes_of(run)])),
  )
  people = {
    'external': characteristics.of_rows(other.table[good].assign(**about[good])),
    'own test': _own_people(run),
  }
  title = f'{run.config.model.name} of {run.workdir.name} on {remote.name(root)}'
  page = external_page.render(
    result,
    title=title,
    people=people,
    facts={'model': run.config.model.name, 'versions': report_files.versions()},
  )
  decided = _decided(run, other.labels, log_odds[good])
  return Validated(result, external, decided, page, beside.of_external(result))


def validate_to(run: Run, config: Config, output: pathlib.Path, asked: Asked) -> Validated:
  """As `validate`; writes external.json, index.html with its files, and predictions.csv.

  Raises:
    InputError: as `validate`, or the folder cannot be written to.
  """
  _prepared(output, SITES)
  validated = validate(run, config, asked)
  predictions.write(output / PREDICTIONS, validated.predictions, validated.decided)
  _write(output, validated.page, validated.tables)
  results_file.save(output / RESULT, validated.result)
  return validated


def sites_of_test(run: Run, by: str, output: pathlib.Path) -> Sites:
  """Writes sites.json and index.html: each site of the run's own test beside all others.

  Raises:
    InputError: the test has no such column, or one value alone.
  """
  sites = by_site_of_test(run, by)
  _prepared(output, RESULT)
  _write(output, sites_page.render(sites), beside.of_sites(sites))
  results_file.save(output / SITES, sites)
  return sites


def by_site_of_test(run: Run, by: str) -> Sites:
  """As `sites_of_test`, but nothing is written."""
  protocol = run.config.protocol
  test = run.raw_predictions('test')
  by_site.check_column(test, by)
  level = run.frozen.levels[protocol.level]
  units = levels.to_level(test, protocol.level, protocol.aggregate, protocol.head)
  with progress.waiting('computing intervals; fewer config.replicates of the run take less'):
    sites = by_site.by_column(frozen.calibrated(level, units), level.operating_points, by, protocol)
  return dataclasses.replace(
    sites,
    run=remote_work.with_urls(run.workdir),
    tested=f'the own test of {remote_work.with_urls(run.workdir)}',
    warning=generated.of_run(run.config),
    notes=(
      'All sites have trained the run unless its split kept some apart: this is how one model does '
      'at each, not how it would do at a site that it has never seen.',
      *evaluation_notes.of_source(level, test),
      *by_site.notes(sites),
    ),
  )


def in_words(validated: Validated) -> list[str]:
  """Returns the answer as lines of text: what was tested, the figures, and what weakens them."""
  return external_page.in_words(validated.result)


def _named(column: str) -> tuple[str, ...]:
  return (column,) if column else ()


def _prepared(output: pathlib.Path, other: str) -> None:
  """Makes the folder; `other` is a file of the other kind, whose page would be replaced."""
  if output.exists() and not output.is_dir():
    raise InputError(f'--output={output}: is no folder; name one, which is made if need be')
  if (output / 'config.json').is_file():
    raise InputError(f'--output={output}: is the work directory of a run; name another folder')
  if (output / other).is_file():
    raise InputError(
      f'--output={output}: holds {other}, whose page this would replace; name another folder'
    )
  output.mkdir(parents=True, exist_ok=True)


def _write(output: pathlib.Path, page: str, tables: dict[str, str]) -> None:
  files.write_whole(output / PAGE, page)
  beside.write(output / PAGE, page, tables)


def _predict(run: Run, other: ExternalSet, broken: str) -> tuple[np.ndarray, dict[str, str]]:
  """Returns log-odds f64[N, L] of all labels of the run, NaN of images that cannot be read, and
  why they cannot.

  Raises:
    InputError: with broken='stop', the first image that cannot be read; else if none can.
  """
  from medjax.inference import reading
  from medjax.runtime import devices

  listed = [
    Item(image, path, patient)
    for image, path, patient in zip(other.table['image'], other.paths, other.table['patient'])
  ]
  images = lists.of_items(listed)
  mesh = devices.data_mesh()
  batch_size = reading.size_of_batch(run.config.batch_size, mesh)
  networks = [member.network for member in (run, *run.members)]
  log_odds = np.full((images.count, len(run.config.data.labels)), np.nan)
  unreadable: dict[str, str] = {}
  bar, done = progress.Progress('image', 0, images.count), 0
  batches = reading.predict(networks, images, batch_size=batch_size, mesh=mesh)
  with contextlib.closing(batches), contextlib.closing(bar):
    for batch, of_batch in batches:
      for row, read in enumerate(batch):
        if read.reason and broken == 'stop':
          raise external_set.unreadable(read.reason)
        if read.reason:
          unreadable[read.item.image] = read.reason
        else:
          log_odds[done + row] = of_batch[row]
      done += len(batch)
      bar.update(done)
  if len(unreadable) == images.count:
    raise InputError(
      f'none of the {count(images.count, "image")} can be read, such as '
      f'{next(iter(unreadable.values()))}'
    )
  return log_odds, unreadable


def _predictions(other, about, probabilities, log_odds, labels) -> Predictions:
  return Predictions(
    images=list(other.table['image']),
    patients=list(other.table['patient']),
    labels=labels,
    probabilities=probabilities,
    truth=other.truth,
    known=other.known,
    about=about.reset_index(drop=True),
    log_odds=log_odds,
  )


def _of_labels(run: Run, other: ExternalSet, about, log_odds, good: np.ndarray) -> Predictions:
  """Returns the predictions of the mapped labels, of the images that can be read."""
  columns = [list(run.config.data.labels).index(label) for label in other.labels]
  raw, bounded = predictions.probabilities_of(log_odds[good][:, columns])
  kept = other._replace(table=other.table[good], truth=other.truth[good], known=other.known[good])
  return _predictions(kept, about[good], raw, bounded, other.labels)


def _decided(run: Run, labels: Sequence[str], log_odds: np.ndarray) -> dict[str, Any]:
  """Returns the columns of calibrated probabilities and decisions of the mapped labels."""
  decided = decisions.decide(run.config, run.frozen, *predictions.probabilities_of(log_odds))
  unmapped = [label for label in run.config.data.labels if label not in labels]
  left_out = {prefix + label for label in unmapped for prefix in predictions.PREFIXES}
  columns = decisions.decided_columns(run.config, decided)
  return {name: values for name, values in columns.items() if name not in left_out}


def _source(
  run: Run, config: Config, asked: Asked, other: ExternalSet, met: Met, unreadable: dict[str, str]
) -> Source:
  return Source(
    run=remote_work.with_urls(run.workdir),
    step=run.frozen.step,
    frozen_sha256=hashlib.sha256(run.layout.frozen.read_bytes()).hexdigest(),
    source=config.data.source,
    root=config.data.root,
    part=asked.part,
    images=len(other.table),
    patients=int(other.table['patient'].nunique()),
    unreadable=unreadable,
    table_sha256=other.sha256,
    compared=met.compared,
    seen=int(np.isin(met.split, ('train', 'validation')).sum()),
    tested_before=int((met.split == 'test').sum()),
    namesakes=met.namesakes,
  )


def _own_people(run: Run) -> dict:
  proof = files.read_json(run.layout.split_proof)
  return proof.get('splits', {}).get('test', {}).get('characteristics', {})


def _notes_of(run: Run) -> list[str]:
  return [f'Of the run itself: {note}' for note in run.result.study_notes if 'weights' in note]
