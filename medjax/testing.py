"""From a trained model to predictions, figures and the report."""

import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from medjax import __version__, devices, ensemble, files, lineage, logs, provenance
from medjax.config import Config, to_dict
from medjax.errors import InputError
from medjax.evaluation import metrics, predictions, report, summary, wording
from medjax.evaluation.predictions import Predictions
from medjax.provenance import Provenance
from medjax.study import Study

# What of the study table goes with the predictions, for levels and subgroups.
_ABOUT = tuple('study view sex age site dataset laterality lesion slide grouped_by'.split())


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
  started: Provenance,
) -> None:
  """Writes predictions, evaluation/test.json and the report, and says the result.

  Thresholds come from validation. The first process does it; the others return at once.

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
    started: what the network is and started from.
  """
  if not devices.is_first():
    return
  predicted = {
    part: Predictions(
      images=list(data.table['image'].iloc[rows[part]]),
      patients=list(data.table['patient'].iloc[rows[part]]),
      labels=list(config.data.labels),
      probabilities=probabilities[part],
      truth=data.truth[rows[part]],
      known=data.known[rows[part]],
      about=data.table.iloc[rows[part]][[name for name in _ABOUT if name in data.table]],
    )
    for part in rows
  }
  for part, each in predicted.items():
    predictions.write(workdir / 'predictions' / f'{part}.csv', *each)
    if single := beside.get(ensemble.SINGLE):
      path = workdir / 'predictions' / 'single' / f'{part}.csv'
      predictions.write(path, *each._replace(probabilities=single[part]))
  logs.say('computing intervals')
  result = summary.evaluate(
    predicted['validation'],
    predicted['test'],
    head=config.model.head,
    replicates=config.replicates,
    seed=config.seed,
  )
  # The summary says what weakens the test set itself.
  result['study_notes'] = [
    *notes(data, broken, ('train', 'validation')),
    *notes_on_weights(workdir, data, started),
  ]
  page = report.render(
    title=f'{config.model.name} on {pathlib.Path(config.data.root).resolve().name}',
    summary=result,
    history=logs.read_metrics(workdir),
    split_proof=data.proof,
    config=to_dict(config),
    facts={
      'source': config.data.source,
      'model': config.model.name,
      'parameters': f'{started.parameters:,}',
      'weights': provenance.in_words(started),
      'images': started.preprocessing.in_words,
      'reported': ensemble.in_words(config),
      'best step': 'the last one' if best_step is None else f'{best_step:,}',
      'images set aside': f'{len(broken):,}',
      'notes': result['study_notes'],
      'versions': _versions(),
    },
  )
  for folder in ('report', 'evaluation'):
    (workdir / folder).mkdir(exist_ok=True)
  files.write_whole(workdir / 'report' / 'index.html', page)
  # Last, because its presence says that the run is complete.
  files.write_whole(workdir / 'evaluation' / 'test.json', json.dumps(result, indent=2) + '\n')
  logs.say(_answer(result))
  logs.say(f'report: {workdir / "report" / "index.html"}')


def _answer(result: Mapping[str, Any]) -> str:
  auroc = result['mean']['auroc']
  if auroc['value'] is None:
    return 'test: no label has both classes, so there is no AUROC'
  interval = 'no interval: ' + auroc['reason']
  if auroc['interval']:
    interval = '95 % interval {:.4f} to {:.4f}'.format(*auroc['interval'])
  words = f'test mean AUROC {auroc["value"]:.4f} ({interval})'
  for name in ('balanced_accuracy', 'quadratic_kappa'):
    figure = (result['classes'] or {}).get(name)
    if figure and figure['value'] is not None:
      words += f', {wording.CLASS_FIGURES[name]} {wording.plain(figure, 4)}'
  return words


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
  met_again = lineage.note(data.table, data.split, workdir)
  return [note for note in (provenance.note(started), met_again) if note]


def _versions() -> dict[str, str]:
  packages = ('jax', 'flax', 'optax', 'grain', 'orbax-checkpoint', 'numpy')
  ours = {'medjax': __version__, 'python': platform.python_version()}
  return ours | {package: importlib.metadata.version(package) for package in packages}
