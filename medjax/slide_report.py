"""Has it spread? For slides and patients: python -m medjax.slide_report --workdir=runs/slides

Takes the patch probabilities of a finished run and aggregates those of each slide (--aggregate=max,
mean, or top:0.05, the mean of the highest 5 %), chooses the operating point on validation slides
and tests on test slides, with intervals by patient. Writes slides/METHOD/ in the work directory, a
page index.html in it; see medjax/whole_slides/results.py. medjax.attention learns the aggregation
instead.
"""

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run on patches.')
_AGGREGATE = flags.DEFINE_string('aggregate', 'top:0.05', "'max', 'mean' or 'top:SHARE'.")
_PATCHES = flags.DEFINE_string('patches', '', "Folder of the patches; the run's own by default.")


def main() -> None:
  """Writes the answer and prints it."""
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=runs/slides')

  from medjax.runs import finished
  from medjax.whole_slides import slides_by_aggregate

  run = finished.open_run(_WORKDIR.value)
  for line in slides_by_aggregate.answer(run, _PATCHES.value, _AGGREGATE.value):
    print(line, flush=True)


if __name__ == '__main__':
  command_line.run(main)
