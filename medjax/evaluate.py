"""Evaluates a finished run again, or predictions of any model, and compares two of them.

  python -m medjax.evaluate --workdir=runs/a --readers=reads.csv     the run's report, with readers
  python -m medjax.evaluate --workdir=runs/a --against=runs/b        which is better, by how much
  python -m medjax.evaluate --predictions=p.csv --truth=t.csv        written to p_evaluation/

Calibration and thresholds of a run stay as it has frozen them. For predictions of another program they
are chosen on --validation; without it only fixed thresholds are told ('--operating_points=threshold=0.5').
"""

import dataclasses
import json
import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run.')
_PREDICTIONS = flags.DEFINE_string(
  'predictions', None, 'CSV of image and prob_<label>, or <label>, whoever made it.'
)
_TRUTH = flags.DEFINE_string(
  'truth',
  None,
  'CSV of image, <label> (1, 0, empty), patient and whatever else is told of an image.',
)
_VALIDATION = flags.DEFINE_string(
  'validation', None, 'CSV like --predictions, of other patients, to choose thresholds on.'
)
_VALIDATION_TRUTH = flags.DEFINE_string(
  'validation_truth', None, 'Its truth, where it holds none itself.'
)
_READERS = flags.DEFINE_string('readers', None, 'CSV of image, reader and their answers by label.')
_AGAINST = flags.DEFINE_string('against', None, 'Another work directory, or CSV of predictions.')
_MARGIN = flags.DEFINE_float('margin', 0.02, 'AUROC that counts as no worse, for --against.')
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder for the results of --predictions; PREDICTIONS_evaluation by default.'
)
_LABELS = flags.DEFINE_list('labels', [], 'Of the predictions, those to evaluate; all by default.')
_HEAD = flags.DEFINE_string(
  'head', 'sigmoid', 'sigmoid, or softmax or ordinal where an image has exactly one label.'
)
_CALIBRATION = flags.DEFINE_string(
  'calibration', 'none', 'none, temperature, platt or isotonic, fitted on --validation.'
)
_POINTS = flags.DEFINE_list(
  'operating_points', ['youden'], 'Such as youden, sensitivity=0.9, cost=5 or threshold=0.5.'
)
_PREVALENCE = flags.DEFINE_list(
  'prevalence', [], 'Prevalences to tell PPV and NPV for, such as Edema=0.02.'
)
_LEVEL = flags.DEFINE_string('level', 'image', 'What is tested: image, study, patient or slide.')
_AGGREGATE = flags.DEFINE_string('aggregate', 'max', 'How images become one: max, mean, top:0.05.')
_SUBGROUPS = flags.DEFINE_list(
  'subgroups', None, 'Columns by whose values to tell the figures, such as sex,age,scanner.'
)
_REPLICATES = flags.DEFINE_integer('replicates', None, 'Of the bootstrap; 2000 by default.')
_SEED = flags.DEFINE_integer('seed', None, 'Of the bootstrap; 0 by default.')

_CHOSEN_BY_RUN = (_TRUTH, _VALIDATION, _VALIDATION_TRUTH, _OUTPUT, _LABELS, _HEAD, _CALIBRATION,
                  _POINTS, _LEVEL, _AGGREGATE)  # fmt: skip
_OF_ONE = (_VALIDATION, _VALIDATION_TRUTH, _READERS, _CALIBRATION, _POINTS, _PREVALENCE, _SUBGROUPS)


def main() -> None:
  """Evaluates what the flags name and says the answer."""
  if bool(_WORKDIR.value) == bool(_PREDICTIONS.value):
    raise InputError(
      'give either --workdir=runs/phantom, a finished run, or --predictions=p.csv with --truth=t.csv'
    )
  for flag in (_REPLICATES, _SEED):
    if flag.value is not None and flag.value < 0:
      raise InputError(f'--{flag.name}={flag.value}: must be 0 or more')
  if not 0 <= _MARGIN.value < 1:
    raise InputError(f'--margin={_MARGIN.value}: must be in [0, 1)')
  if _AGAINST.value:
    for flag in _OF_ONE:
      if flag.present:
        raise InputError(f'--{flag.name}: is for evaluating one; leave it out, or --against')
  elif _MARGIN.present:
    raise InputError('--margin: is for --against, which is missing')
  if _WORKDIR.value:
    for flag in _CHOSEN_BY_RUN:
      if flag.present:
        raise InputError(
          f'--{flag.name}: a run has chosen it already; evaluate its predictions instead: '
          f'--predictions={_WORKDIR.value}/predictions/test.csv'
        )
    _evaluate_run(pathlib.Path(_WORKDIR.value))
  else:
    _evaluate_files()


def _evaluate_run(workdir: pathlib.Path) -> None:
  from medjax.evaluation import assessment
  from medjax.final_test import report_files
  from medjax.runs import finished

  run = finished.open_run(workdir)
  test = run.raw_predictions('test')
  if _AGAINST.value:
    _compare(test, workdir, run.config.protocol)
    return
  given = {
    'prevalence': _prevalences(run.config.data.labels) or None,
    'subgroups': None if _SUBGROUPS.value is None else tuple(_SUBGROUPS.value),
    'replicates': _REPLICATES.value,
    'seed': _SEED.value,
  }
  assessed = assessment.assess(
    run.raw_predictions('validation'),
    test,
    dataclasses.replace(
      run.config.protocol, **{name: value for name, value in given.items() if value is not None}
    ),
    frozen=run.frozen.levels,
    variants={
      variant.name: run.raw_predictions('test', variant.name) for variant in run.result.variants
    },
  )
  _check_columns(test)
  result = assessed.result.with_study_of(run.result)
  if _READERS.value:
    result = dataclasses.replace(result, readers=_readers(assessed))
  report_files.write(run.layout, result)
  _say(result, run.report)


def _evaluate_files() -> None:
  from medjax.config import protocol as protocols
  from medjax.config.protocol import Protocol
  from medjax.evaluation import assessment, frozen, results_file
  from medjax.final_test import report_files
  from medjax.report import run_page
  from medjax.runtime import files

  given = pathlib.Path(_PREDICTIONS.value)
  output = pathlib.Path(_OUTPUT.value or given.with_name(f'{given.stem}_evaluation'))
  protocol = Protocol(
    head=_HEAD.value,
    level=_LEVEL.value,
    aggregate=_AGGREGATE.value,
    calibration=_CALIBRATION.value,
    operating_points=tuple(_POINTS.value),
    subgroups=tuple(_SUBGROUPS.value or ()),
    replicates=2000 if _REPLICATES.value is None else _REPLICATES.value,
    seed=_SEED.value or 0,
  )
  protocols.check(protocol, names=protocols.AS_FLAGS)
  test = _read(_PREDICTIONS.value, _TRUTH.value)
  _check(test)
  validation = None
  if _VALIDATION.value:
    validation = _read(_VALIDATION.value, _VALIDATION_TRUTH.value)
    both = sorted(set(validation.images) & set(test.images))
    if both:
      raise InputError(
        f"--validation: {len(both):,} of its images are test images too, such as '{both[0]}'; choose "
        'thresholds on other patients'
      )
  elif _CALIBRATION.value != 'none':
    raise InputError(
      f'--calibration={_CALIBRATION.value}: is fitted on --validation, which is missing'
    )
  _check_columns(test)
  if _AGAINST.value:
    _compare(test, output, protocol)
    return
  output.mkdir(parents=True, exist_ok=True)
  protocol = dataclasses.replace(protocol, prevalence=_prevalences(test.labels))
  assessed = assessment.assess(validation, test, protocol)
  facts = {'predictions': _PREDICTIONS.value, 'truth': _TRUTH.value or _PREDICTIONS.value}
  study_notes = [_not_recorded(_PREDICTIONS.value)]
  if validation is None and any(rule.startswith('threshold=') for rule in _POINTS.value):
    study_notes.append(
      'Thresholds were given as numbers: whether anybody had seen the test set by then is not '
      'recorded.'
    )
  if validation is not None:
    facts['thresholds from'] = _VALIDATION.value
  result = dataclasses.replace(
    assessed.result, facts=facts, study_notes=tuple(study_notes), readers=_readers(assessed)
  )
  settings = {name: getattr(protocol, name) for name in ('calibration', 'replicates', 'seed')}
  page = run_page.render(
    title=pathlib.Path(_PREDICTIONS.value).name,
    result=result,
    history=(),
    split_proof={},
    config={'evaluation': settings},
    facts={
      **facts,
      'model': 'the model of these predictions',
      'notes': study_notes,
      'versions': report_files.versions(),
    },
    sections=report_files.sections(result),
  )
  files.write_whole(output / 'index.html', page)
  if assessed.frozen:
    content = json.dumps(frozen.to_plain(assessed.frozen), indent=2)
    files.write_whole(output / 'frozen.json', content + '\n')
  results_file.save(output / 'evaluation.json', result)
  _say(result, output / 'index.html')


def _read(path: str, truth: str | None):
  from medjax.evaluation import joining

  return joining.read(pathlib.Path(path), truth and pathlib.Path(truth), _LABELS.value)


def _check(test) -> None:
  """Raises InputError where nothing can be measured."""
  if len(set(test.patients)) < 2:
    raise InputError(
      f'{_PREDICTIONS.value}: all images are of one patient; two are needed at least'
    )
  positive = ((test.truth == 1) & test.known).any(axis=0)
  negative = ((test.truth == 0) & test.known).any(axis=0)
  if not (positive & negative).any():
    label = test.labels[0]
    only = 'positives' if positive[0] else 'negatives' if negative[0] else 'unknown truth'
    raise InputError(
      f'{_TRUTH.value or _PREDICTIONS.value}: no label has both positives and negatives ({label} has '
      f'only {only}), so there is nothing to tell apart'
    )


def _check_columns(test) -> None:
  from medjax.errors import nearest

  columns = [] if test.about is None else list(test.about)
  for name in _SUBGROUPS.value or ():
    if name not in columns:
      raise InputError(
        f'--subgroups={name}: the predictions and the truth have no such column{nearest(name, columns) or "."} '
        f'There are: {", ".join(columns) or "none"}'
      )


def _prevalences(labels) -> dict[str, float]:
  from medjax.errors import nearest

  found = {}
  for text in _PREVALENCE.value:
    label, _, share = text.rpartition('=')
    try:
      found[label] = float(share)
    except ValueError:
      found[label] = -1.0
    if label not in labels or not 0 < found[label] < 1:
      raise InputError(
        f'--prevalence={text}: give a label and a share in (0, 1), such as {labels[0]}=0.02'
        f'{nearest(label, labels) if label not in labels else ""}'
      )
  return found


def _readers(assessed):
  if not _READERS.value:
    return None
  from medjax.data.reference import reader_table
  from medjax.evaluation.readers import comparison as reader_comparison

  readings = reader_table.read(pathlib.Path(_READERS.value), [])
  return reader_comparison.compare(
    assessed.test,
    readings,
    assessed.result.thresholds(),
    replicates=assessed.result.replicates,
    seed=assessed.result.seed,
  )


def _compare(test, directory: pathlib.Path, protocol) -> None:
  """Compares with --against, at the level of the protocol."""
  from medjax.evaluation import comparison, joining, levels, predictions, results_file
  from medjax.report import comparison_page
  from medjax.runs.layout import Layout
  from medjax.runtime import files

  against, warning = pathlib.Path(_AGAINST.value), ''
  names = [str(_WORKDIR.value or _PREDICTIONS.value), str(_AGAINST.value)]
  own = Layout(directory)
  folders = (own.reports, own.evaluation) if _WORKDIR.value else (directory, directory)
  name = f'against_{against.resolve().name.removesuffix(".csv")}'
  written = folders[0] / f'{name}.html', folders[1] / f'{name}.json'
  # A run may have moved; what lies in its folder is of that run.
  compares = [str(pathlib.Path(each).resolve()) for each in names[bool(_WORKDIR.value) :]]
  if written[1].exists() and files.read_json(written[1]).get('compares') != compares:
    raise InputError(
      f'{written[1]}: holds another comparison than of {" and ".join(compares)}; move or delete it'
    )
  notes = [] if _WORKDIR.value else [_not_recorded(_PREDICTIONS.value)]
  if against.is_dir():
    other = predictions.read(Layout(against).predictions('test'))
    warning = _met_again(test, against)
  else:
    truth = own.predictions('test') if _WORKDIR.value else _TRUTH.value
    other = joining.read(against, truth and pathlib.Path(truth), test.labels)
    notes.append(_not_recorded(_AGAINST.value))
  compared = comparison.compare(
    levels.to_level(test, protocol.level, protocol.aggregate, protocol.head),
    levels.to_level(other, protocol.level, protocol.aggregate, protocol.head),
    margin=_MARGIN.value,
    between=(names[0], names[1]),
    unit=protocol.level,
    replicates=2000 if _REPLICATES.value is None else _REPLICATES.value,
    seed=_SEED.value or 0,
  )
  compared = dataclasses.replace(compared, compares=tuple(compares))
  page = comparison_page.render(compared, notes=notes, warning=warning)
  for path in written:
    path.parent.mkdir(parents=True, exist_ok=True)
  files.write_whole(written[0], page + '\n')
  results_file.save(written[1], compared)
  notes = [f'note: {note}' for note in dict.fromkeys(notes)]
  for line in (*comparison_page.in_words(compared), *notes, *filter(None, [warning])):
    print(line)
  print(f'report: {written[0]}')


def _not_recorded(path: str) -> str:
  return (
    f'Whom the model of {path} was trained on is not recorded: if test patients were among them, its '
    'figures flatter.'
  )


def _met_again(test, run: pathlib.Path) -> str:
  """Returns a sentence if patients who are tested trained or chose the network of another run."""
  from medjax.runs import seen_by_run
  from medjax.runs.layout import Layout

  seen = seen_by_run.seen_by(Layout(run))
  common = sorted(set(seen['patient']) & set(test.patients))
  if not common:
    return ''
  return (
    f'{len(common):,} of the {len(set(test.patients)):,} test patients, such as {common[0]}, have the '
    f'names of patients who trained or chose {run}: unless they are other people, its figures are too high.'
  )


def _say(result, page: pathlib.Path) -> None:
  from medjax.final_test import report_files

  print(report_files.answer(result))
  for note in (*result.study_notes, *result.notes):
    print(f'note: {note}')
  print(f'report: {page}')


if __name__ == '__main__':
  command_line.run(main)
