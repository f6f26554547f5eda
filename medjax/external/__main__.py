"""Tests a finished run on another data set: python -m medjax.external --workdir=runs/a
--config=configs/chestxray14.py --output=DIR

Nothing is chosen again: images are read as the run reads them, probabilities calibrated and
decisions made as its validation chose. Everything in the set of --config counts, or with
--part=test what its split calls so; --config.field=value overrides any field of it.

  --labels='Effusion=Pleural Effusion'   left the label of the other set, right that of the run;
                                         others are mapped by their names, then by the common
                                         vocabulary of the chest sets. What cannot be is said
  --by=site                              each site beside all others together, by any column;
                                         without --config, of the run's own test

Patients and images that the run has seen are refused: by name within a set, by their content across
sets, and by what they show unless --nopixels is given. Names that two sets share are counted.
DIR/index.html is for people, DIR/external.json for programs (sites.json without --config),
DIR/predictions.csv has every image. docs/external_validation.md has an example.
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

flags.adopt_module_key_flags(command_line)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for index.html and external.json.')
_LABELS = flags.DEFINE_multi_string(
  'labels', [], 'LABEL OF THE OTHER SET=LABEL OF THE RUN, separated by commas or given again.'
)
_BY = flags.DEFINE_string('by', '', 'Column whose values are each compared with all others.')
_PART = flags.DEFINE_string('part', 'all', 'What of the other set: all, or train, test, ….')
_PIXELS = flags.DEFINE_bool(
  'pixels', True, 'Whether to compare what images show with those that the run has seen.'
)
_ALLOW = flags.DEFINE_bool(
  'allow_training_images', False, 'Goes on with images that trained the run, and says so.'
)


def main() -> None:
  """Tests, writes the page and prints the answer."""
  for flag, value in (('workdir', _WORKDIR.value), ('output', _OUTPUT.value)):
    if not value:
      raise InputError(
        f'--{flag} is missing; try --workdir=runs/a --config=configs/chestxray14.py '
        '--output=external/chestxray14'
      )
  workdir, output = pathlib.Path(_WORKDIR.value or ''), pathlib.Path(_OUTPUT.value or '')
  is_of_own_test = _BY.value and not command_line.has_config()
  if is_of_own_test and (_LABELS.value or _PART.value != 'all'):
    flag = '--labels' if _LABELS.value else '--part'
    raise InputError(f'{flag} is given without --config, the set that it is of')
  config = None if is_of_own_test else command_line.load_config()

  from medjax.data.datasets import label_map
  from medjax.inference import external
  from medjax.report import sites_page
  from medjax.runs import finished

  run = finished.open_run(workdir)
  if config is None:
    sites = external.sites_of_test(run, _BY.value, output)
    print('\n'.join([*sites_page.in_words(sites), *(f'note: {note}' for note in sites.notes)]))
    print(f'written: {output / external.PAGE} and {output / external.SITES}')
    return
  asked = external.Asked(
    labels=tuple(pair for given in _LABELS.value for pair in label_map.pairs(given)),
    by=_BY.value,
    part=_PART.value,
    pixels=_PIXELS.value,
    allow_training_images=_ALLOW.value,
  )
  validated = external.validate_to(run, config, output, asked)
  print('\n'.join(external.in_words(validated)))
  print(f'written: {output / external.PAGE} and {output / external.RESULT}')


if __name__ == '__main__':
  command_line.run(main, read=('workdir',))
