"""Has it spread? Learned from slides, not patches: python -m medjax.attention --workdir=runs/slides

Takes a finished run on patches, computes its network's features of every patch, and trains an
attention-weighted average of them (Ilse, Tomczak and Welling 2018, arXiv 1802.04712) to classify
slides, on those of the run's training patients. The epoch and the operating point are chosen on its
validation slides, and its test slides are tested once, as medjax.slide_report does, with heat maps
of the attention. Writes slides/attention/ in the work directory; see
medjax/whole_slides/results.py.
"""

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run on patches.')
_PATCHES = flags.DEFINE_string('patches', '', "Folder of the patches; the run's own by default.")
_EPOCHS = flags.DEFINE_integer('epochs', 50, 'Times that every training slide is seen.')
_LEARNING_RATE = flags.DEFINE_float('learning_rate', 2e-4, "Adam's.")


def main() -> None:
  """Trains, tests, writes the answer and prints it."""
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=runs/slides')
  for flag, value in (('epochs', _EPOCHS.value), ('learning_rate', _LEARNING_RATE.value)):
    if not value > 0:
      raise InputError(f'--{flag}={value}: must be positive')

  from medjax.runs import finished

  run = finished.open_run(_WORKDIR.value)  # Before jax is imported, which takes seconds.

  from medjax.whole_slides import slides_by_attention

  for line in slides_by_attention.answer(
    run, _PATCHES.value, epochs=_EPOCHS.value, learning_rate=_LEARNING_RATE.value
  ):
    print(line, flush=True)


if __name__ == '__main__':
  command_line.run(main)
