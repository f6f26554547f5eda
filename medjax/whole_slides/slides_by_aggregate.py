"""From a run on patches to slides by a fixed rule: its patches' probabilities, aggregated."""

from collections.abc import Iterator, Sequence

import numpy as np

from medjax.evaluation import levels
from medjax.evaluation.predictions import Predictions
from medjax.runs.finished import Run
from medjax.runs.layout import PARTS
from medjax.runtime import progress
from medjax.whole_slides import heat_maps, page, results, slide_reference
from medjax.whole_slides.heat_maps import Heat
from medjax.whole_slides.slide_reference import SlideReference


def answer(run: Run, patches: str, aggregate: str) -> Iterator[str]:
  """Aggregates, tests and writes slides/AGGREGATE/; yields lines for a person.

  Args:
    run: on patches.
    patches: the folder of the patches, '' for the run's own.
    aggregate: 'max', 'mean' or 'top:SHARE'; see medjax.evaluation.levels.

  Raises:
    InputError: no such aggregate, or the run's patches are not those of the folder.
  """
  levels.method(aggregate, '--aggregate')
  config = run.config
  config.data.root = patches or config.data.root
  reference: SlideReference | None = None
  slides: dict[str, Predictions] = {}
  counts: dict[str, int] = {}
  values: dict[str, np.ndarray] = {}
  for split in PARTS:
    predicted = run.raw_predictions(split)
    reference = reference or slide_reference.read(config)
    path = run.layout.predictions(split)
    patch_slides = slide_reference.slides_of(predicted, reference, path)
    slides[split] = aggregated(predicted, patch_slides, reference, aggregate)
    counts |= {slide: patch_slides.count(slide) for slide in slides[split].images}
    values |= dict(zip(predicted.images, predicted.probabilities))
  assert reference is not None
  directory = run.layout.slides(aggregate)
  with progress.waiting('computing intervals'):
    result = results.evaluate(slides, config, aggregate, str(reference.root))
  results.write(directory, result, slides, counts)
  yield from results.in_words(result)
  heat = Heat(values, 'probability of {}', (0.0, 1.0))
  count = heat_maps.draw(
    directory / 'heatmaps', reference.root, slides['test'].labels, list(counts), heat
  )
  shown = 'how probable each patch is, from blue over yellow to red'
  labels = slides['test'].labels
  at = page.write(directory, run, result, slides['test'], counts, (labels, shown))
  yield f'written: {at} ({heat_maps.in_words(count)})'


def aggregated(
  patches: Predictions, patch_slides: Sequence[str], reference: SlideReference, aggregate: str
) -> Predictions:
  """Returns the predictions of slides, given those of patches and the slide of each."""
  # The source knows more of a slide than those of its patches that were predicted.
  slides = levels.of_units(patches._replace(about=None), patch_slides, aggregate)
  truth, known = (
    np.array([reference.truth[slide][part] for slide in slides.images], bool).reshape(
      slides.known.shape
    )
    for part in (0, 1)
  )
  return slides._replace(truth=(truth & known).astype(np.float32), known=known)
