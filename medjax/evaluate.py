"""From a trained model to predictions, figures and the report."""

import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from medjax import devices, files
from medjax.evaluation import metrics, report, summary
from medjax.evaluation.predictions import Predictions


def probabilities(
  eval_step: Callable[[Any, jax.Array], jax.Array],
  variables: Any,
  batches: Iterable[dict[str, np.ndarray]],
  images: int,
  mesh: Mesh,
) -> np.ndarray:
  """Returns f32[images, L] on every process, each image once, the padding dropped.

  Args:
    eval_step: jitted, its result replicated.
    variables: of the model, replicated.
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
  return np.concatenate(parts)[:images]


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


def write_evaluation(
  workdir: pathlib.Path,
  validation: Predictions,
  test: Predictions,
  *,
  replicates: int,
  seed: int,
) -> dict[str, Any]:
  """Evaluates, with thresholds from validation, and writes evaluation/test.json; returns its content."""
  result = summary.evaluate(validation, test, replicates=replicates, seed=seed)
  (workdir / 'evaluation').mkdir(exist_ok=True)
  files.write_whole(workdir / 'evaluation' / 'test.json', json.dumps(result, indent=2) + '\n')
  return result


def write_report(workdir: pathlib.Path, **content: Any) -> pathlib.Path:
  """Writes report/index.html and returns its path; `content` is that of report.render."""
  path = workdir / 'report' / 'index.html'
  path.parent.mkdir(exist_ok=True)
  files.write_whole(path, report.render(**content))
  return path
