"""Has it spread? Answers for slides and patients: python -m medjax.slide_report --workdir=runs/slides

Takes the patch probabilities of a finished run, makes one number of those of each slide (--aggregate=max,
mean, or top:0.05, the mean of the highest 5 %), chooses the operating point on validation slides and
tests on test slides, with intervals by patient. Writes slides/METHOD/ in the work directory; see
medjax/whole_slides/results.py. medjax.attention learns the aggregation instead.
"""

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run on patches.')
_AGGREGATE = flags.DEFINE_string('aggregate', 'top:0.05', "'max', 'mean' or 'top:SHARE'.")
_PATCHES = flags.DEFINE_string('patches', '', "Folder of the patches; the run's own by default.")


def main() -> None:
  """Writes the answer and says it."""
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=runs/slides')

  from medjax.evaluation import levels
  from medjax.runs import finished
  from medjax.whole_slides import results

  levels.method(_AGGREGATE.value, '--aggregate')
  run = finished.open_run(_WORKDIR.value)
  config = run.config
  config.data.root = _PATCHES.value or config.data.root
  parts, counts, values = {}, {}, {}
  where = None
  for name in ('validation', 'test'):
    patches = run.raw_predictions(name)
    where = where or results.origin(config)
    of_patches = results.of_patches(patches, where, run.layout.predictions(name))
    parts[name] = results.of_slides(patches, of_patches, where, _AGGREGATE.value)
    counts |= {slide: of_patches.count(slide) for slide in parts[name].images}
    values |= dict(zip(patches.images, patches.probabilities))
  directory = run.layout.slides(_AGGREGATE.value)
  result = results.write(
    directory, parts, counts, config, {'aggregate': _AGGREGATE.value, 'patches': str(where.root)}
  )
  print('\n'.join(results.in_words(result)))
  heat = results.Heat(values, 'probability of {}', (0.0, 1.0))
  drawn = results.heat_maps(directory, where, parts['test'].labels, list(counts), heat)
  said = f'{drawn:,} heat maps' if drawn else 'no heat maps: nobody says where the patches lie'
  print(f'written: {directory} ({said})')


if __name__ == '__main__':
  command_line.run(main)
