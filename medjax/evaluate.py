"""Evaluates a finished run again, or predictions of any model, and compares two of them.

  python -m medjax.evaluate --workdir=runs/a --readers=reads.csv     the run's report, with readers
  python -m medjax.evaluate --workdir=runs/a --against=runs/b        which is better, by how much
  python -m medjax.evaluate --predictions=p.csv --truth=t.csv        written to p_evaluation/

Calibration and thresholds of a run stay as it has frozen them. For predictions of another program
they are chosen on --validation; without it only fixed thresholds are reported
('--operating_points=threshold=0.5').
"""

import ast
import pathlib

from absl import flags

from medjax.config import protocol as protocols
from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.runtime import command_line

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run.')
_PREDICTIONS = flags.DEFINE_string(
  'predictions', None, 'CSV of image and prob_<label>, or <label>, whoever made it.'
)
_TRUTH = flags.DEFINE_string(
  'truth',
  None,
  'CSV of image, <label> (1, 0, empty), patient and whatever else is known of an image.',
)
_VALIDATION = flags.DEFINE_string(
  'validation', None, 'CSV like --predictions, of other patients, to choose thresholds on.'
)
_VALIDATION_TRUTH = flags.DEFINE_string(
  'validation_truth', None, 'Its truth, where it holds none itself.'
)
_READERS = flags.DEFINE_list(
  'readers',
  [],
  'CSV of image, reader and their answers by label, or several, one a reader: ann.csv,bo.csv.',
)
_COLUMNS = flags.DEFINE_string(
  'columns',
  None,
  "Names here → names in these files, such as {'image': 'Study', 'prob_Edema': 'score'}.",
)
_SCORES = flags.DEFINE_string(
  'scores', 'probabilities', 'probabilities in [0, 1], or ranks: scores of any scale, uncalibrated.'
)
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
  'prevalence', [], 'Prevalences to report PPV and NPV for, such as Edema=0.02.'
)
_LEVEL = flags.DEFINE_string('level', 'image', 'What is tested: image, study, patient or slide.')
_AGGREGATE = flags.DEFINE_string('aggregate', 'max', 'How images become one: max, mean, top:0.05.')
_SUBGROUPS = flags.DEFINE_list(
  'subgroups', None, 'Columns by whose values to report the figures, such as sex,age,scanner.'
)
_REPLICATES = flags.DEFINE_integer('replicates', None, 'Of the bootstrap; 2000 by default.')
_SEED = flags.DEFINE_integer('seed', None, 'Of the bootstrap; 0 by default.')

_CHOSEN_BY_RUN = (_TRUTH, _VALIDATION, _VALIDATION_TRUTH, _OUTPUT, _LABELS, _HEAD, _CALIBRATION,
                  _POINTS, _LEVEL, _AGGREGATE, _COLUMNS, _SCORES)  # fmt: skip
_OF_ONE = (_VALIDATION, _VALIDATION_TRUTH, _READERS, _CALIBRATION, _POINTS, _PREVALENCE, _SUBGROUPS)


def main() -> None:
  """Evaluates or compares what the flags name and prints the answer."""
  _check_flags()
  if _AGAINST.value:
    _compare(pathlib.Path(_AGAINST.value))
  else:
    _evaluate()


def _check_flags() -> None:
  """Raises InputError for flags that do not go together."""
  if bool(_WORKDIR.value) == bool(_PREDICTIONS.value):
    raise InputError(
      'give either --workdir=runs/phantom, a finished run, or --predictions=p.csv with '
      '--truth=t.csv'
    )
  for name, value in (('replicates', _REPLICATES.value), ('seed', _SEED.value)):
    if value is not None and value < 0:
      raise InputError(f'--{name}={value}: must be 0 or more')
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


def _evaluate() -> None:
  from medjax.final_test import again, report_files

  names = {**protocols.AS_FLAGS, 'validation': '--validation'}
  readers = [pathlib.Path(path) for path in _READERS.value]
  if _WORKDIR.value:
    result, page = again.evaluate_run(
      pathlib.Path(_WORKDIR.value),
      readers=readers,
      prevalence=_prevalence(),
      subgroups=_SUBGROUPS.value,
      replicates=_REPLICATES.value,
      seed=_SEED.value,
      names=names,
    )
  else:
    sources = _files()
    output = _output(sources.predictions)
    result, page = again.evaluate_files(sources, _protocol(), output, readers=readers, names=names)
  print(report_files.answer(result))
  for note in (*result.study_notes, *result.notes):
    print(f'note: {note}')
  print(f'report: {page}')


def _compare(against: pathlib.Path) -> None:
  from medjax.final_test import compare

  protocol = _protocol()
  if _WORKDIR.value:
    compared = compare.compare_run(
      pathlib.Path(_WORKDIR.value),
      against,
      margin=_MARGIN.value,
      replicates=protocol.replicates,
      seed=protocol.seed,
    )
  else:
    sources = _files()
    output = _output(sources.predictions)
    compared = compare.compare_files(
      sources, against, protocol, output, margin=_MARGIN.value, names=protocols.AS_FLAGS
    )
  print('\n'.join(compare.in_words(compared)))
  print(f'report: {compared.page}')


def _protocol() -> Protocol:
  """Returns the settings that the flags give."""
  protocol = Protocol(
    head=_HEAD.value,
    level=_LEVEL.value,
    aggregate=_AGGREGATE.value,
    calibration=_CALIBRATION.value,
    operating_points=tuple(_POINTS.value),
    prevalence=_prevalence(),
    subgroups=tuple(_SUBGROUPS.value or ()),
    replicates=2000 if _REPLICATES.value is None else _REPLICATES.value,
    seed=_SEED.value or 0,
    scores=_SCORES.value,
  )
  protocols.check(protocol, names=protocols.AS_FLAGS)
  return protocol


def _prevalence() -> dict[str, float]:
  prevalence = {}
  for text in _PREVALENCE.value:
    label, _, share = text.rpartition('=')
    try:
      prevalence[label] = float(share)
    except ValueError:
      raise InputError(
        f'--prevalence={text}: give a label and a share in (0, 1), such as Edema=0.02'
      ) from None
  return prevalence


def _files():
  from medjax.final_test.again import PredictionFiles

  return PredictionFiles(
    predictions=pathlib.Path(_PREDICTIONS.value or ''),
    truth=_path(_TRUTH.value),
    validation=_path(_VALIDATION.value),
    validation_truth=_path(_VALIDATION_TRUTH.value),
    labels=_LABELS.value,
    columns=_columns(),
  )


def _columns() -> dict[str, str]:
  try:
    columns = ast.literal_eval(_COLUMNS.value or '{}')
  except (SyntaxError, ValueError):
    columns = None
  if not isinstance(columns, dict) or not all(
    isinstance(name, str) for pair in columns.items() for name in pair
  ):
    raise InputError(
      f'--columns={_COLUMNS.value}: give names here → names in the files, such as '
      "--columns=\"{'image': 'Study', 'prob_Edema': 'edema_score'}\""
    )
  return columns


def _output(predictions: pathlib.Path) -> pathlib.Path:
  return _path(_OUTPUT.value) or predictions.with_name(f'{predictions.stem}_evaluation')


def _path(value: str | None) -> pathlib.Path | None:
  return pathlib.Path(value) if value else None


if __name__ == '__main__':
  command_line.run(main)
