"""From rows of the study to scores, by one network or by an average of many."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from medjax.config import Config
from medjax.data import pipeline, study
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.runs import averaging
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import devices


@dataclasses.dataclass(frozen=True)
class Predicted:
  """Log-odds f[N, L] of the rows of each split.

  Attributes:
    reported: split → those that are tested.
    ablations: where these are averages, name → split → those of the single model and of each kind
      of averaging alone; see `averaging.ablations`.
  """

  reported: dict[str, np.ndarray]
  ablations: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)


def outputs(
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

  Raises:
    InputError: an output is not finite.
  """
  parts: list[np.ndarray] = []
  pending = None
  for batch in batches:
    result = eval_step(variables, devices.put_batch({'image': batch['image']}, mesh)['image'])
    if pending is not None:
      parts.append(np.asarray(pending))
    pending = result  # Read one batch later, so that the device is never idle for the host.
  parts.append(np.asarray(pending))
  pooled = np.concatenate(parts)[:images]
  if not np.isfinite(pooled).all():
    raise InputError(
      'the outputs of the network are not finite: the parameters have diverged; checkpoints of '
      'earlier steps are kept. Try a lower config.optimizer.learning_rate or a '
      'config.optimizer.clip_norm'
    )
  return pooled


def predictor(
  config: Config, data: Study, image_format: ImageFormat, step: Callable, mesh: Mesh
) -> Callable[[Any, np.ndarray], np.ndarray]:
  """Returns (variables, rows int[N] of the study) → f32[N, …] of the images in their order.

  Args:
    config: of the run whose study it is: where the images are, how many make a batch.
    data: the study.
    image_format: how images are read; a member of an average has its own.
    step: (variables, images uint8[B, H, W, C]) → f32[B, …]; jitted here, so once.
    mesh: the data mesh.
  """
  jitted = jax.jit(
    step,
    out_shardings=devices.replicated(mesh),
    compiler_options=devices.compiler_options(config.deterministic),
  )

  def predict(variables: Any, rows: np.ndarray) -> np.ndarray:
    batches = pipeline.eval_batches(
      study.records(config, image_format, data, rows),
      batch_size=config.batch_size,
      workers=config.data.workers,
      share=pipeline.Share(jax.process_index(), jax.process_count()),
    )
    return outputs(jitted, variables, batches, len(rows), mesh)

  return predict


def averaged(
  config: Config,
  data: Study,
  networks: Sequence[TrainedNetwork],
  rows: Mapping[str, np.ndarray],
  mesh: Mesh,
) -> Predicted:
  """Averages over checkpoints, passes and runs; each run reads images with its own preprocessing.

  Args:
    config: of this run.
    data: the study.
    networks: of this run, then of its members.
    rows: split → int[N].
    mesh: the data mesh.
  """
  results: dict[str, list[np.ndarray]] = {part: [] for part in rows}  # f32[N, K, P, L]
  for network in networks:
    learner = network.learner
    predict = predictor(config, data, learner.image_format, averaging.step(learner), mesh)
    variables = jax.device_put(network.variables, devices.replicated(mesh))
    for part, positions in rows.items():
      results[part].append(predict(variables, positions))
  ablations = {part: averaging.ablations(config, results[part]) for part in rows}
  names = next(iter(ablations.values()))
  return Predicted(
    {part: averaging.mean(results[part]) for part in rows},
    {name: {part: ablations[part][name] for part in rows} for name in names},
  )
