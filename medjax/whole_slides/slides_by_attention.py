"""From a run on patches to slides by learned attention: the steps, in their order."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from medjax.data import pipeline, study
from medjax.data.study import Study
from medjax.evaluation import predictions
from medjax.evaluation.predictions import Predictions
from medjax.runs import predict
from medjax.runs.finished import Run
from medjax.runs.layout import PARTS
from medjax.runs.workdir import read_set_aside
from medjax.runtime import devices, files, progress
from medjax.whole_slides import bags, heat_maps, page, pooling, results, slide_reference
from medjax.whole_slides.bags import Bags
from medjax.whole_slides.heat_maps import Heat

_SPLITS = ('train', *PARTS)


def answer(run: Run, patches: str, *, epochs: int, learning_rate: float) -> Iterator[str]:
  """Extracts features, trains, tests and writes slides/attention/; yields lines for a person.

  Args:
    run: on patches.
    patches: the folder of the patches, '' for the run's own.
    epochs, learning_rate: see medjax.whole_slides.pooling.train.

  Raises:
    InputError: the run or its patches have changed since, or no slide has a known truth.
  """
  run.config.data.root = patches or run.config.data.root
  data = study.read(run.config, run.workdir)
  data = study.with_decoded(run.config, data, run.network.learner.image_format)
  reference = slide_reference.read(run.config)
  broken = read_set_aside(run.layout)
  images: dict[str, list[str]] = {}
  slides: dict[str, Bags] = {}
  for split in _SPLITS:
    rows = data.rows(split, broken)
    yield f'{split}: features of {len(rows):,} patches'
    images[split] = data.table['image'].iloc[rows].tolist()
    slides[split] = bags.gather(
      [reference.slide_of[image] for image in images[split]],
      _features(run, data, rows),
      reference.truth,
    )
  trained = pooling.train(
    slides['train'],
    slides['validation'],
    epochs=epochs,
    learning_rate=learning_rate,
    seed=run.config.seed,
  )
  yield _best_epoch(trained.best, epochs)
  predicted: dict[str, Predictions] = {}
  counts: dict[str, int] = {}
  attention: dict[str, np.ndarray] = {}
  for split in PARTS:
    of_network, shares = pooling.predict(trained, slides[split])
    probabilities, log_odds = predictions.probabilities_of(of_network)
    predicted[split] = Predictions(
      slides[split].slides,
      [reference.patient_of[slide] for slide in slides[split].slides],
      list(run.config.data.labels),
      probabilities,
      slides[split].truth,
      slides[split].known,
      log_odds=log_odds,
      weights=source_weights_of(
        data, run.config.data.labels, reference.slide_of, split, slides[split].slides
      ),
    )
    by_slide: dict[str, list[str]] = {}
    for image in images[split]:
      by_slide.setdefault(reference.slide_of[image], []).append(image)
    for slide, of_patches in zip(slides[split].slides, shares):
      counts[slide] = len(of_patches)
      attention |= dict(zip(by_slide[slide], of_patches[:, None]))
  directory = run.layout.slides('attention')
  with progress.waiting('computing intervals'):
    result = results.evaluate(
      predicted, run.config, 'attention', str(reference.root), trained.best.epoch
    )
  results.write(directory, result, predicted, counts)
  lines = (json.dumps(dataclasses.asdict(epoch)) + '\n' for epoch in trained.history)
  files.write_whole(directory / 'metrics.jsonl', ''.join(lines))
  yield from results.in_words(result)
  heat = Heat(attention, 'share of the attention', None)
  count = heat_maps.draw(directory / 'heatmaps', reference.root, ['attention'], list(counts), heat)
  shown = 'the share of the attention that each patch has, from blue over yellow to red'
  names = ['attention'] * len(predicted['test'].labels)
  at = page.write(directory, run, result, predicted['test'], counts, (names, shown))
  yield f'written: {at} ({heat_maps.in_words(count)})'


def _best_epoch(best: pooling.Epoch, epochs: int) -> str:
  auroc = '' if best.validation_auroc is None else f', AUROC {best.validation_auroc:.3f}'
  return (
    f'epoch {best.epoch} of {epochs} is the best on validation: loss {best.validation_loss:.3f}'
    f'{auroc}'
  )


def source_weights_of(
  data: Study,
  labels: Sequence[str],
  slide_of: Mapping[str, str],
  split: str,
  slides: Sequence[str],
) -> np.ndarray | None:
  """Returns how much slides count where the source is meant, f64[slides]: as their patients do.

  None where the split was not drawn otherwise than its source.

  Args:
    data: the study of the patches.
    labels: of the run.
    slide_of: image of a patch → its slide.
    split: of which the slides are.
    slides: their names.
  """
  weights = data.source_weights(labels, split)
  if weights is None:
    return None
  inside = data.split == split
  names = [slide_of[image] for image in data.table['image'][inside]]
  of_slide = dict(zip(names, weights[inside]))
  return np.array([of_slide[slide] for slide in slides])


def _features(run: Run, data: Study, rows: np.ndarray) -> np.ndarray:
  """Returns f32[N, D] of these rows of the study."""
  mesh = devices.data_mesh()
  learner = run.network.learner
  step = jax.jit(
    functools.partial(bags.features, learner.network, learner.normalisation),
    out_shardings=devices.replicated(mesh),
  )
  batches = pipeline.eval_batches(
    study.records(run.config, learner.image_format, data, rows),
    batch_size=run.config.batch_size,
    workers=run.config.data.workers,
  )
  variables = jax.device_put(run.network.best, devices.replicated(mesh))
  size = run.config.batch_size
  bar = progress.Progress('batch', 0, -(-len(rows) // size), images=size)
  with contextlib.closing(bar):
    seen = progress.counted(batches, bar)
    return predict.outputs(step, variables, seen, len(rows), mesh)
