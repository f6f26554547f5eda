"""From the finished runs of folds or seeds to what is said of all of them together."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medjax.config import Config
from medjax.errors import InputError
from medjax.evaluation import assessment, folds, frozen, levels, results_file, seeds, wording
from medjax.evaluation import predictions as predictions_file
from medjax.evaluation.folds import Fold
from medjax.evaluation.frozen import FrozenLevel
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.repeated_result import FoldsResult, Network, SeedsResult
from medjax.evaluation.seeds import Seed
from medjax.final_test import generated
from medjax.report import beside, folds_page, repeated_parts, seeds_page, weaknesses
from medjax.runs import averaging, finished, fold_lineage
from medjax.runs.finished import Run
from medjax.runs.repeats import Repeats
from medjax.runtime import files, remote

_FACTS = ('source', 'model', 'parameters', 'weights', 'images', 'reported', 'images set aside')
_TRAINING_SETS = (
  'Intervals over patients do not hold the luck of the training sets, which the folds share; that '
  'of the mean of folds allows for it.'
)
_REPORTED = 'seeds reported before'  # the fact
_SITES_APART = re.compile(r'The sides differ: site \([^)]*\)(, site \([^)]*\))*;.*')
_REMEDY = 'delete it, and the command that trained makes it again'


class Reported(NamedTuple):
  """What the result in a work directory says before it is written anew.

  Attributes:
    seeds: how many it is of; 0 without a result.
    before: numbers of seeds of the results before it, such as '2, 3'; '' for none.
  """

  seeds: int = 0
  before: str = ''


def reported(repeats: Repeats) -> Reported:
  """Returns what was reported of seeds, whatever schema the file is of."""
  if not repeats.result.is_file():
    return Reported()
  try:
    content = files.read_json(repeats.result)
    return Reported(len(content['seeds']), content['facts'].get(_REPORTED, ''))
  except (InputError, KeyError, TypeError, AttributeError):
    return Reported()  # Damaged: it is written anew.


def open_runs(repeats: Repeats, number: int) -> list[Run]:
  """Opens all runs, each of which compares its files."""
  return [finished.open_run(repeats.run(at).workdir) for at in range(number)]


def read(repeats: Repeats) -> FoldsResult | SeedsResult:
  """Returns what `write_folds` or `write_seeds` wrote.

  Raises:
    InputError: there is none yet, or it is not of the runs as they are now.
  """
  if not repeats.result.is_file():
    raise InputError(
      f'{repeats.workdir}: not all of its {repeats.kind}s are finished, or they are not put '
      f'together yet ({repeats.result} is not there); the command that trains goes on'
    )
  result: FoldsResult | SeedsResult
  if repeats.kind == 'fold':
    result = results_file.load(repeats.result, FoldsResult, _REMEDY)
  else:
    result = results_file.load(repeats.result, SeedsResult, _REMEDY)
  for name, digest in result.files.items():
    path = repeats.workdir / name
    if not path.is_file() or files.sha256(path) != digest:
      raise InputError(f'{path}: not the file that {repeats.result} was made of; {_REMEDY}')
  return result


def is_whole(repeats: Repeats, number: int) -> bool:
  """Whether the figures are there, of these runs as they are now."""
  try:
    result = read(repeats)
  except InputError:
    return False
  return len(result.networks) == number and repeats.report.is_file()


def write_folds(config: Config, repeats: Repeats, number: int) -> FoldsResult:
  """Pools the folds and writes folds.json and the page.

  Raises:
    InputError: a run is not finished or not whole, or a patient was scored by a network that saw
      them, see medjax.runs.fold_lineage.
  """
  runs = open_runs(repeats, number)
  fold_lineage.check(runs)
  protocol = config.protocol
  names, parts = [], []
  for at, run in enumerate(runs):
    how = files.read_json(run.layout.split_proof)['how']['test']
    names.append(f'fold {at}' + ('' if how['name'] == str(at) else f', {how["name"]}'))
    level = run.frozen.levels[protocol.level]
    test = _at_level(run.raw_predictions('test'), config)
    calibrated = frozen.calibrated(level, test)
    parts.append(Fold(names[at], calibrated, level, run.result, _patients(run, 'train')))
  pooled = folds.pool(parts, protocol)
  result = FoldsResult(
    by='site' if isinstance(config.split.folds, str) else 'patient',
    networks=_networks(runs, names),
    pooled=pooled.result,
    mean=pooled.mean,
    labels=pooled.labels,
    notes=_notes((*pooled.result.notes, _TRAINING_SETS), runs, names),
    facts=_facts(runs, 'fold'),
    files=_vouched(repeats, runs),
  )
  page = folds_page.render(result, title=_title(config), warning=generated.of_run(config))
  tables = beside.of_result(result.pooled) | beside.of_networks(result.networks, result.labels)
  _write(repeats, result, page, tables)
  return result


def write_seeds(config: Config, repeats: Repeats, number: int) -> SeedsResult:
  """Evaluates the mean probability of all seeds and writes seeds.json and the page.

  Raises:
    InputError: a run is not finished or not whole, or it has another split.
  """
  runs = open_runs(repeats, number)
  protocol = config.protocol
  for run in runs:
    if run.split_sha256 != runs[0].split_sha256:
      raise InputError(
        f'{run.workdir}: has another split than {runs[0].workdir}; take the folders as their runs '
        'left them'
      )
  averaged = {
    part: _averaged([run.raw_predictions(part) for run in runs]) for part in ('validation', 'test')
  }
  # By the prevalence that the runs have counted in the source, where a floor enriched the split.
  chosen = {
    name: frozen.freeze(
      levels.to_level(averaged['validation'], name, protocol.aggregate, protocol.head),
      protocol,
      level.source_prevalence if level.source_counted else None,
    )
    for name, level in runs[0].frozen.levels.items()
  }
  assessed = assessment.assess(averaged['validation'], averaged['test'], protocol, frozen=chosen)
  facts = _facts(runs, 'seed')
  before, notes = _added(reported(repeats), number)
  if before:
    facts[_REPORTED] = before
  tested = [Seed(_calibrated(run, config), run.result) for run in runs]
  names = [f'seed {run.config.seed}' for run in runs]
  entered = assessed.result.mean.labels
  mean, labels = seeds.over_seeds(tested, entered, protocol.replicates)
  result = SeedsResult(
    seeds=tuple(run.config.seed for run in runs),
    networks=_networks(runs, names),
    ensemble=assessed.result,
    mean=mean,
    labels=labels,
    notes=_notes((*assessed.result.notes, *notes), runs, names),
    facts=facts,
    files=_vouched(repeats, runs),
  )
  page = seeds_page.render(
    result,
    title=_title(config),
    method=config.evaluation.calibration,
    warning=generated.of_run(config),
  )
  tables = beside.of_result(result.ensemble) | beside.of_networks(result.networks, result.labels)
  _write(repeats, result, page, tables)
  return result


def _added(last: Reported, number: int) -> tuple[str, list[str]]:
  """Returns of how many seeds there were results before this one of `number`, and the note."""
  before = last.before
  if 0 < last.seeds < number:
    before = ', '.join(filter(None, (before, str(last.seeds))))
  if not before:
    return '', []
  return before, [
    f'The test set was read, and a result of fewer seeds ({before}) reported, before the others of '
    f'these {number} were added: to add seeds until a figure pleases is to choose on the test set.'
  ]


def _at_level(predictions: Predictions, config: Config) -> Predictions:
  protocol = config.protocol
  return levels.to_level(predictions, protocol.level, protocol.aggregate, protocol.head)


def _calibrated(run: Run, config: Config) -> Predictions:
  level: FrozenLevel = run.frozen.levels[config.protocol.level]
  return frozen.calibrated(level, _at_level(run.raw_predictions('test'), config))


def _averaged(parts: Sequence[Predictions]) -> Predictions:
  """Returns the predictions of the mean probability, of images in the order of the first."""
  first = parts[0]
  for part in parts[1:]:
    if part.images != first.images or list(part.labels) != list(first.labels):
      raise InputError('the seeds predicted other images; take the folders as their runs left them')
  log_odds = averaging.mean_log_odds([part.ranks for part in parts])
  probabilities, log_odds = predictions_file.probabilities_of(log_odds)
  return first._replace(probabilities=probabilities, log_odds=log_odds)


def _networks(runs: Sequence[Run], names: Sequence[str]) -> tuple[Network, ...]:
  networks = []
  for run, name in zip(runs, names):
    result = run.result
    networks.append(
      Network(
        name=name,
        folder=run.workdir.name,
        images=result.test.images,
        patients=result.test.patients,
        trained_on=_patients(run, 'train'),
        chosen_on=_patients(run, 'validation'),
        auroc=result.mean.auroc,
        labels={label: tested.auroc for label, tested in result.labels.items()},
        thresholds=result.thresholds(),
      )
    )
  return tuple(networks)


def _patients(run: Run, part: str) -> int:
  return files.read_json(run.layout.split_proof)['splits'][part]['patients']


def _notes(own: Sequence[str], runs: Sequence[Run], names: Sequence[str]) -> tuple[str, ...]:
  """Returns what weakens the figures, once where the runs say the same of other numbers."""
  labels = '|'.join(map(re.escape, runs[0].config.data.labels))
  said: dict[str, dict[str, str]] = {}  # sentence without numbers and labels → whose → sentence
  for run, name in zip(runs, names):
    of_run = [*run.result.study_notes, *(n for n in run.result.notes if 'on validation' in n)]
    for note in of_run:
      if _SITES_APART.fullmatch(note) and isinstance(run.config.split.folds, str):
        continue  # That is what was asked for.
      said.setdefault(re.sub(rf'[\d.,%]+|{labels}|, and | ', '', note), {})[name] = note
  sentences = list(own)
  for by_run in said.values():
    notes = list(dict.fromkeys(by_run.values()))
    whose = next(iter(by_run)) if len(notes) > 1 else ' and '.join(by_run)
    others = f' and likewise of {len(by_run) - 1} more' if len(notes) > 1 else ''
    of_all = len(notes) == 1 and len(by_run) == len(runs)
    shown = f'{whose}{others}'.replace(' ', '\N{NO-BREAK SPACE}')
    sentences.append(notes[0] if of_all else f'Of {shown}: {notes[0]}')
  return tuple(weaknesses.ranked(sentences))


def _facts(runs: Sequence[Run], kind: str) -> dict[str, str]:
  facts = runs[0].result.facts
  shown = {name: facts[name] for name in _FACTS if name in facts}
  for name in list(shown):
    if any(run.result.facts.get(name) != shown[name] for run in runs):
      shown[name] = '; '.join(str(run.result.facts.get(name)) for run in runs)
  again = [run.workdir.name for run in runs if 'test set read' in run.result.facts]
  read = f'once by each {kind}'
  shown['test set read'] = read if not again else f'more than once by {", ".join(again)}'
  return shown


def _vouched(repeats: Repeats, runs: Sequence[Run]) -> dict[str, str]:
  paths = [path for run in runs for path in (run.layout.result, run.layout.split_proof)]
  return {path.relative_to(repeats.workdir).as_posix(): files.sha256(path) for path in paths}


def _title(config: Config) -> str:
  return f'{config.model.name} on {remote.name(config.data.root)}'


def _write(
  repeats: Repeats,
  result: FoldsResult | SeedsResult,
  page: str,
  tables: Mapping[str, str],
) -> None:
  repeats.report.parent.mkdir(exist_ok=True)
  files.write_whole(repeats.report, page)
  beside.write(repeats.report, page, tables)
  results_file.save(repeats.result, result)  # Last: its presence says that the page is there.


def answer(result: FoldsResult | SeedsResult) -> str:
  """Returns the result in one line."""
  number = len(result.networks)
  if isinstance(result, FoldsResult):
    whole, what = result.pooled, f'pooled over {number} folds'
    spread = repeated_parts.spread_words(result.mean.spread.auroc, 4, 'folds')
    beside_it = f'within folds {wording.plain(result.mean.auroc_within, 4)}, {spread}'
  else:
    whole, what = result.ensemble, f'of the mean probability of {number} seeds'
    spread = repeated_parts.spread_words(result.mean.spread.auroc, 4, 'seeds')
    beside_it = f'one network {wording.plain(result.mean.auroc_mean, 4)} on average, {spread}'
  return f'test mean AUROC {wording.plain(whole.mean.auroc, 4)} {what}; {beside_it}'
