"""From a trained model to predictions, figures and the report."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.config import Config
from medjax.data import table
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.evaluation import assessment, frozen, predictions, surest
from medjax.evaluation import notes as weaknesses
from medjax.evaluation.frozen import Frozen, FrozenLevel
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.final_test import heat_maps, notes, report_files, saliency
from medjax.runs import averaging, decisions, integrity, model_file, readings, selection
from medjax.runs.layout import Layout
from medjax.runs.model_file import Provenance
from medjax.runs.predict import Predicted
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import progress, remote_path, remote_work

# What of the study table goes with the predictions, for levels and subgroups.
_ABOUT = (
  'study',
  'view',
  'sex',
  'age',
  'site',
  'scanner',
  'dataset',
  'laterality',
  'lesion',
  'slide',
  'grouped_by',
)


def test_and_report(
  config: Config,
  layout: Layout,
  data: Study,
  broken: set[str],
  rows: Mapping[str, np.ndarray],
  predicted: Predicted,
  *,
  network: TrainedNetwork,
  best_step: int | None,
  started: Provenance,
) -> None:
  """Writes predictions, what is frozen on validation, evaluation/test.json and the report.

  For one process alone to do, while the others wait.

  Args:
    config: of the run.
    layout: of its work directory.
    data: the study.
    broken: images set aside.
    rows: of 'validation' and 'test'.
    predicted: the log-odds of these rows.
    network: whose they are; its best checkpoint draws the heat maps.
    best_step: of the checkpoint, None where no validation had a mean AUROC to choose by.
    started: what the network is and started from.
  """
  tested = {
    part: predictions_of(config, data, rows[part], log_odds, part)
    for part, log_odds in predicted.reported.items()
  }
  ablations = {
    name: {part: predictions_of(config, data, rows[part], by_part[part], part) for part in rows}
    for name, by_part in predicted.ablations.items()
  }
  reading = readings.make(config, best_step)
  before = readings.add(layout, reading)
  remote_work.push()  # Of a run in a bucket it is recorded there, too.
  protocol = config.protocol
  source = None
  if tested['validation'].weights is not None:
    every = np.flatnonzero(data.split != 'unused')
    source = predictions_of(config, data, every, np.zeros((len(every), len(config.data.labels))))
  chosen = assessment.freeze(tested['validation'], protocol, source)
  absent = {part: data.absent(config.data.labels, part) for part in tested}
  choice = selection.chosen_by(tested['validation'], protocol)
  kept = Frozen(
    step=best_step,
    split_sha256=data.proof['split_sha256'],
    head=config.model.head,
    aggregate=config.evaluation.aggregate,
    levels=chosen,
    chosen_by=None if best_step is None else choice,
    absent=absent['validation'] or None,
    weights_sha256=network.sha256,
  )
  for part, of_part in tested.items():
    decided = decisions.decide(config, kept, of_part.probabilities, of_part.log_odds)
    columns = decisions.decided_columns(config, decided)
    predictions.write(layout.predictions(part), of_part, columns)
  for name, parts in ablations.items():
    for part, of_part in parts.items():
      predictions.write(layout.predictions(part, name), of_part)  # Nothing is frozen of them.
  frozen.write(layout.workdir, kept)
  progress.say('computing intervals')
  with progress.waiting('computing intervals; fewer config.replicates take less'):
    assessed = assessment.assess(
      tested['validation'],
      tested['test'],
      protocol,
      frozen=chosen,
      variants={name: by_part['test'] for name, by_part in ablations.items()},
    )
  search = notes.search_of(layout)
  result = dataclasses.replace(
    assessed.result,
    facts={
      'source': config.data.source,
      'model': config.model.name,
      'parameters': f'{started.parameters:,}',
      'weights': model_file.in_words(started),
      'images': started.image_format.in_words,
      'reported': averaging.in_words(config, len(network.steps)),
      'best step': 'the last one' if best_step is None else f'{best_step:,}',
      'best step chosen by': selection.in_words(choice, config.data.labels),
      'images set aside': f'{len(broken):,}',
      **notes.facts_on_search(search),
      **({'test set read': readings.times([*before, reading])} if before else {}),
    },
    # The result says what weakens the test set itself.
    study_notes=(
      *notes.notes_on_readings(layout, before, reading),
      *(() if before else notes.notes_on_settings(config, layout)),
      *(search.notes if search else ()),
      *notes.notes(data, broken, ('train', 'validation')),
      *(note for part, kinds in absent.items() for note in weaknesses.of_absent(part, kinds)),
      *notes.notes_on_weights(config, layout, data, started),
      *notes.notes_on_members(config),
      *notes.notes_on_changed_images(
        config, layout, data, {**rows, 'train': data.rows('train', broken)}
      ),
    ),
    files=integrity.at_end(layout),
  )
  if config.evaluation.saliency != 'none':
    progress.say('drawing heat maps')
  with progress.waiting('drawing the examples of the report'):
    result = _explain(config, layout, chosen['image'], tested['test'], result, network)
  report_files.write(layout, result)
  progress.say(report_files.answer(result))
  progress.say(f'report: {layout.report}')


def predictions_of(
  config: Config, data: Study, rows: np.ndarray, network_log_odds: np.ndarray, part: str = ''
) -> Predictions:
  """Returns the predictions of images, with their truth and what else is known of them.

  Args:
    config: of the run.
    data: the study.
    rows: int[N] of it.
    network_log_odds: f[N, L].
    part: the split whose rows they are, and which is weighted; '' for rows of several.
  """
  images = data.table.iloc[rows]
  probabilities, log_odds = predictions.probabilities_of(network_log_odds)
  weights = data.source_weights(config.data.labels, part)
  return Predictions(
    images=list(images['image']),
    patients=list(images['patient']),
    labels=list(config.data.labels),
    probabilities=probabilities,
    truth=data.truth[rows],
    known=data.known[rows],
    about=about(images, config.evaluation.subgroups),
    log_odds=log_odds,
    weights=None if weights is None else weights[rows],
  )


def about(images: pd.DataFrame, subgroups: Sequence[str]) -> pd.DataFrame:
  """Returns what is told of images beside their truth, by the names of subgroups.

  Args:
    images: rows of a study table.
    subgroups: columns that are asked for, beside those that always go with predictions.
  """
  columns = table.subgroup_columns(images)
  asked = dict.fromkeys((*_ABOUT, *subgroups))
  carried = {
    columns[name]: name
    for name in columns
    if (name in asked or columns[name].startswith(table.ABOUT))
    and not name.startswith(predictions.PREFIXES)
    and name not in (predictions.DECIDED, predictions.WEIGHT)
  }
  return images[list(carried)].rename(columns=carried)


def _explain(
  config: Config,
  layout: Layout,
  level: FrozenLevel,
  test: Predictions,
  result: Result,
  network: TrainedNetwork,
) -> Result:
  """Draws the report's examples and scores heat maps against boxes, if the network has any.

  Returns the result with what that says of localisation, and with notes on what could not be done.
  """
  learner = network.learner
  chosen = surest.choose(
    frozen.calibrated(level, test), {label: level.threshold(label) for label in test.labels}
  )
  root, labels = remote_path.path(config.data.root), list(test.labels)
  method = config.evaluation.saliency
  explain = None if method == 'none' else saliency.of_learner(learner, network.best, method)
  sentences, localisation = [], None
  try:
    shown = heat_maps.examples(learner, explain, chosen, root, labels)
  except InputError as error:  # A network without a feature map.
    sentences.append(f'No heat maps: {error}.')
    explain = None
    shown = heat_maps.examples(learner, explain, chosen, root, labels)
  try:
    shown = heat_maps.framed(learner, shown, root)
    if explain:
      localisation = heat_maps.localise(
        learner,
        explain,
        root,
        test.images,
        test.patients,
        labels,
        method=method,
        replicates=config.replicates,
        seed=config.seed,
      )
  except InputError as error:
    sentences.append(f'The boxes beside the data were ignored: {error}.')
  report_files.write_examples(layout, shown)
  return dataclasses.replace(
    result, study_notes=(*result.study_notes, *sentences), localisation=localisation
  )
