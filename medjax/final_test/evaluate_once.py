"""From a trained model to predictions, figures and the report."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from medjax.config import Config
from medjax.data.leakage import seen_before
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.evaluation import assessment, frozen, predictions
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import metrics
from medjax.final_test import heat_maps, report_files, saliency
from medjax.report.sections import examples
from medjax.runs import averaging, model_file
from medjax.runs.model_file import Provenance
from medjax.runtime import devices, files, progress
from medjax.training.learner import Learner

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


def probabilities(
  eval_step: Callable[[Any, jax.Array], jax.Array],
  variables: Any,
  batches: Iterable[dict[str, np.ndarray]],
  images: int,
  mesh: Mesh,
) -> np.ndarray:
  """Returns f32[images, …] on every process, each image once, the padding dropped.

  Args:
    eval_step: jitted, its result f32[B, …] replicated.
    variables: that it takes, replicated.
    batches: this process's part of the batches, from medjax.data.pipeline.eval_batches.
    images: how many there are.
    mesh: the data mesh.
  """
  parts, pending = [], None
  for batch in batches:
    result = eval_step(variables, devices.put_batch({'image': batch['image']}, mesh)['image'])
    if pending is not None:
      parts.append(np.asarray(pending))
    pending = result  # Read one batch later, so that the device is never idle for the host.
  parts.append(np.asarray(pending))
  result = np.concatenate(parts)[:images]
  if not np.isfinite(result).all():
    raise InputError(
      'the predicted probabilities are not finite: the parameters have diverged; '
      'checkpoints of earlier steps are kept. Try a lower optimizer.learning_rate, a clip_norm, or precision=float32'
    )
  return result


def validation_metrics(
  labels: Sequence[str], scores: np.ndarray, truth: np.ndarray, known: np.ndarray
) -> dict[str, Any]:
  """Returns auroc_mean and auroc by label, None where a label has one class only."""
  auroc = {}
  for index, label in enumerate(labels):
    rows = known[:, index]
    value = metrics.auroc(scores[rows, index], truth[rows, index])
    auroc[label] = None if np.isnan(value) else float(value)
  defined = [value for value in auroc.values() if value is not None]
  return {'auroc_mean': float(np.mean(defined)) if defined else None, 'auroc': auroc}


def test_and_report(
  config: Config,
  workdir: pathlib.Path,
  data: Study,
  broken: set[str],
  rows: Mapping[str, np.ndarray],
  *,
  probabilities: Mapping[str, np.ndarray],
  beside: Mapping[str, Mapping[str, np.ndarray]],
  best_step: int | None,
  checkpoints: int,
  started: Provenance,
  learner: Learner,
  variables: Any,
) -> None:
  """Writes predictions, what is frozen on validation, evaluation/test.json and the report.

  For one process alone to do, while the others wait.

  Args:
    config: of the run.
    workdir: of the run.
    data: the study.
    broken: images set aside.
    rows: of 'validation' and 'test'.
    probabilities: f32[N, L] of these rows: what is reported.
    beside: where they are averages, name → probabilities of these rows, of the single model and of
      each kind of averaging alone; see `ensemble.beside`.
    best_step: of the checkpoint, None where no validation had a mean AUROC to choose by.
    checkpoints: how many of them the probabilities are averages of.
    started: what the network is and started from.
    learner, variables: of the best checkpoint, for heat maps.
  """
  settings = config.evaluation
  predicted = {part: _predictions(config, data, rows[part], probabilities[part]) for part in rows}
  others = {
    name: {part: predicted[part]._replace(probabilities=of[part]) for part in rows}
    for name, of in beside.items()
  }
  for name, parts in (('', predicted), *others.items()):
    for part, each in parts.items():
      predictions.write(report_files.beside_path(workdir, name, part), *each)
  chosen = assessment.freeze(
    predicted['validation'],
    head=config.model.head,
    calibration=settings.calibration,
    rules=settings.operating_points,
    level=settings.level,
    aggregate=settings.aggregate,
  )
  frozen.write(
    workdir,
    {
      'step': best_step,
      'split_sha256': data.proof['split_sha256'],
      'head': config.model.head,
      'aggregate': settings.aggregate,
      'levels': chosen,
    },
  )
  progress.say('computing intervals')
  assessed = assessment.assess(
    predicted['validation'],
    predicted['test'],
    head=config.model.head,
    prevalence=settings.prevalence,
    level=settings.level,
    aggregate=settings.aggregate,
    columns=settings.subgroups,
    replicates=config.replicates,
    seed=config.seed,
    chosen=chosen,
    beside={name: of['test'] for name, of in others.items()},
  )
  result = assessed.summary | {
    'facts': {
      'source': config.data.source,
      'model': config.model.name,
      'parameters': f'{started.parameters:,}',
      'weights': model_file.in_words(started),
      'images': started.image_format.in_words,
      'reported': averaging.in_words(config, checkpoints),
      'best step': 'the last one' if best_step is None else f'{best_step:,}',
      'images set aside': f'{len(broken):,}',
    },
    # The summary says what weakens the test set itself.
    'study_notes': [
      *notes(data, broken, ('train', 'validation')),
      *notes_on_weights(workdir, data, started),
    ],
    'readers': None,
    'localisation': None,
  }
  if settings.saliency != 'none':
    progress.say('drawing heat maps')
  _explain(config, workdir, chosen['image'], predicted['test'], result, learner, variables)
  report_files.write(workdir, result)
  progress.say(report_files.answer(result))
  progress.say(f'report: {workdir / report_files.REPORT}')


def _predictions(
  config: Config, data: Study, rows: np.ndarray, probabilities: np.ndarray
) -> Predictions:
  images = data.table.iloc[rows]
  return Predictions(
    images=list(images['image']),
    patients=list(images['patient']),
    labels=list(config.data.labels),
    probabilities=probabilities,
    truth=data.truth[rows],
    known=data.known[rows],
    about=images[[name for name in _ABOUT if name in images]],
  )


def _explain(
  config: Config,
  workdir: pathlib.Path,
  of_images: Mapping[str, Any],
  test: Predictions,
  result: dict[str, Any],
  learner: Learner,
  variables: Any,
) -> None:
  """Draws the report's examples and scores heat maps against boxes, if the network can be explained."""
  points = of_images['operating_points']
  chosen = examples.choose(
    frozen.calibrated(of_images, test),
    {label: points[label][0]['threshold'] for label in test.labels},
  )
  root, labels = pathlib.Path(config.data.root), list(test.labels)
  method = config.evaluation.saliency
  explain = None if method == 'none' else saliency.of_learner(learner, variables, method)
  try:
    shown = heat_maps.examples(learner, explain, chosen, root, labels)
  except InputError as error:  # A network without a feature map.
    result['study_notes'].append(f'No heat maps: {error}.')
    explain = None
    shown = heat_maps.examples(learner, explain, chosen, root, labels)
  try:
    shown = heat_maps.framed(learner, shown, root)
    drawn = {'replicates': config.replicates, 'seed': config.seed}
    found = explain and heat_maps.localise(
      learner, explain, root, test.images, test.patients, labels, method=method, **drawn
    )
    result['localisation'] = found or None
  except InputError as error:
    result['study_notes'].append(f'The boxes beside the data were passed over: {error}.')
  (workdir / report_files.EXAMPLES).parent.mkdir(exist_ok=True)
  files.write_whole(workdir / report_files.EXAMPLES, json.dumps(shown) + '\n')


def notes(data: Study, broken: Set[str], parts: Sequence[str]) -> list[str]:
  """Returns what weakens the study beyond its figures, in plain sentences; `parts` are splits."""
  found = list(data.proof['notes'])
  for part in parts:
    for kind in ('positives', 'negatives'):
      names = data.proof[f'labels_without_{kind}'].get(part)
      if names:
        found.append(f'No {kind} in {part}: {", ".join(names)}.')
  if broken:
    found.append(f'{len(broken):,} images could not be read and were set aside (set_aside.csv).')
  return found


def notes_on_weights(workdir: pathlib.Path, data: Study, started: Provenance) -> list[str]:
  """Returns what weakens the study because of the weights that it started from."""
  met_again = seen_before.note(data.table, data.split, workdir)
  return [note for note in (model_file.note(started), met_again) if note]
