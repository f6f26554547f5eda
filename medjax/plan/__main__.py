"""How many patients a test needs, and what a test of so many can show.

  python -m medjax.plan --auroc=0.85 --prevalence=0.05 --half_width=0.025

  --sensitivity=0.9 --half_width=0.05        or --specificity, or --auroc, or all of them
  --slope_half_width=0.15 --oe_half_width=0.1   calibration
  --difference=0.03 --correlation=0.5        so that a difference between two models is shown
  --margin=0.02 --correlation=0.5            so that one is shown to be non-inferior
  --patients=500                             the way back: what so many can show
  --images_per_patient=3 --icc=0.5           or --workdir=runs/a --label=Edema, where it is measured

Nothing is read but the run of --workdir, whose test has been done. docs/test_set_size.md has worked
examples.
"""

import pathlib
from typing import Any

from absl import flags

from medjax.runtime import command_line

_PREVALENCE = flags.DEFINE_float('prevalence', None, 'Share with the finding.')
_AUROC = flags.DEFINE_float('auroc', None, 'Expected AUROC.')
_SENSITIVITY = flags.DEFINE_float('sensitivity', None, 'Expected sensitivity.')
_SPECIFICITY = flags.DEFINE_float('specificity', None, 'Expected specificity.')
_HALF_WIDTH = flags.DEFINE_float('half_width', None, 'Of the 95 % interval of these three.')
_SLOPE = flags.DEFINE_float('slope_half_width', None, "Of the calibration slope's interval.")
_OE = flags.DEFINE_float('oe_half_width', None, 'Of the interval of O:E, observed over expected.')
_DIFFERENCE = flags.DEFINE_float('difference', None, 'In AUROC between two models, to be shown.')
_MARGIN = flags.DEFINE_float('margin', None, 'Of non-inferiority in AUROC, to be shown.')
_CORRELATION = flags.DEFINE_float('correlation', None, "Of the two models' AUROCs.")
_POWER = flags.DEFINE_float('power', 0.8, 'Share of studies that show --difference or --margin.')
_PATIENTS = flags.DEFINE_integer('patients', None, 'Of a test set, to ask what it can show.')
_IMAGES = flags.DEFINE_float('images_per_patient', 1.0, 'Images of each patient.')
_ICC = flags.DEFINE_float('icc', None, 'Correlation of what two images of a patient tell.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Of a finished run, whose test is the pilot.')
_AGAINST = flags.DEFINE_string('against', None, 'Another run on the same split, for --correlation.')
_LABEL = flags.DEFINE_string('label', None, 'Of the run of --workdir.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file for the answers.')
_QUESTION = (
  _PREVALENCE, _AUROC, _SENSITIVITY, _SPECIFICITY, _HALF_WIDTH, _SLOPE, _OE, _DIFFERENCE, _MARGIN,
  _CORRELATION, _POWER, _PATIENTS, _IMAGES, _ICC,
)  # fmt: skip


def main() -> None:
  """Prints the answers and writes them where --output says."""
  from medjax.evaluation import results_file, test_size, test_size_question, test_size_words
  from medjax.runs import pilot_of_run

  pilot = pilot_of_run.of_flags(_WORKDIR.value, _AGAINST.value, _LABEL.value)
  asked: dict[str, Any] = {flag.name: flag.value for flag in _QUESTION}
  question = test_size_question.Question(**asked)
  plan = test_size.answer(question, pilot)
  print('\n'.join(test_size_words.in_words(plan)))
  if _OUTPUT.value:
    path = pathlib.Path(_OUTPUT.value)
    path.parent.mkdir(parents=True, exist_ok=True)
    results_file.save(path, plan)
    print(f'written: {path}')


if __name__ == '__main__':
  command_line.run(main, read=('workdir',), files=('output',))
