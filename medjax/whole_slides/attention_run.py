"""From a run on patches to slides told apart by learned attention: the steps, in their order."""

import functools
import json
import pathlib
from collections.abc import Iterator

import jax
import numpy as np

from medjax.data import pipeline, study
from medjax.data.study import Study
from medjax.evaluation.predictions import Predictions
from medjax.runs import finished, predict
from medjax.runs.finished import Run
from medjax.runs.workdir import read_set_aside
from medjax.runtime import devices, files
from medjax.whole_slides import bags, results
from medjax.whole_slides.bags import Bags

_SPLITS = ('train', 'validation', 'test')


def run(workdir: pathlib.Path, patches: str, *, epochs: int, learning_rate: float) -> Iterator[str]:
  """Extracts features, trains, tests and writes; yields lines for a person.

  Args:
    workdir: of a finished run.
    patches: the folder of the patches, '' for the run's own.
    epochs, learning_rate: see medjax.whole_slides.bags.train.

  Raises:
    InputError: the run or its patches are not what they were, or no slide's truth is known.
  """
  opened = finished.open_run(workdir)
  opened.config.data.root = patches or opened.config.data.root
  data = study.read(opened.config, workdir)
  where = results.origin(opened.config)
  broken = read_set_aside(opened.layout)
  rows = {part: data.rows(part, broken) for part in _SPLITS}
  of_split: dict[str, Bags] = {}
  for part in _SPLITS:
    yield f'{part}: features of {len(rows[part]):,} patches'
    images = data.table['image'].iloc[rows[part]]
    of_split[part] = bags.gather(
      [where.slide[image] for image in images], _features(opened, data, rows[part]), where.truth
    )
  pooling = bags.train(
    of_split['train'],
    of_split['validation'],
    epochs=epochs,
    learning_rate=learning_rate,
    seed=opened.config.seed,
  )
  chosen = pooling.history[pooling.epoch - 1]
  auroc = chosen['validation_auroc']
  yield (
    f'epoch {pooling.epoch} of {epochs} is the best on validation: loss '
    f'{chosen["validation_loss"]:.3f}' + (f', AUROC {auroc:.3f}' if auroc is not None else '')
  )
  directory = opened.layout.slides('attention')
  parts, counts, attention = {}, {}, {}
  for part in ('validation', 'test'):
    slides = of_split[part]
    probabilities, weights = bags.predict(pooling, slides)
    images = data.table['image'].iloc[rows[part]]
    patients = dict(
      zip((where.slide[image] for image in images), data.table['patient'].iloc[rows[part]])
    )
    parts[part] = Predictions(
      slides.slides,
      [patients[slide] for slide in slides.slides],
      list(opened.config.data.labels),
      probabilities,
      slides.truth,
      slides.known,
    )
    by_slide: dict[str, list[str]] = {}
    for image in images:
      by_slide.setdefault(where.slide[image], []).append(image)
    for slide, each in zip(slides.slides, weights):
      counts[slide] = len(each)
      attention |= dict(zip(by_slide[slide], each[:, None]))
  facts = {'aggregate': 'attention', 'patches': str(where.root), 'epoch': pooling.epoch}
  result = results.write(directory, parts, counts, opened.config, facts)
  lines = ''.join(json.dumps(row) + '\n' for row in pooling.history)
  files.write_whole(directory / 'metrics.jsonl', lines)
  yield from results.in_words(result)
  heat = results.Heat(attention, 'share of the attention', None)
  drawn = results.heat_maps(directory, where, ['attention'], list(counts), heat)
  said = f'{drawn:,} heat maps' if drawn else 'no heat maps: nobody says where the patches lie'
  yield f'written: {directory} ({said})'


def _features(opened: Run, data: Study, rows: np.ndarray) -> np.ndarray:
  """Returns f32[N, D] of these rows of the study."""
  mesh = devices.data_mesh()
  learner = opened.network.learner
  step = jax.jit(
    functools.partial(bags.features, learner.network, learner.normalisation),
    out_shardings=devices.replicated(mesh),
  )
  batches = pipeline.eval_batches(
    study.records(opened.config, learner.image_format, data, rows),
    batch_size=opened.config.batch_size,
    workers=opened.config.data.workers,
  )
  variables = jax.device_put(opened.network.best, devices.replicated(mesh))
  return predict.probabilities(step, variables, batches, len(rows), mesh)
