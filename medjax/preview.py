"""Draws what augmentation does to images: python -m medjax.preview --config=… --output=preview.png

The first column holds training images without augmentation, the others draws of the policy.
--config.augment=… shows another policy, --images=… more images.
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, progress

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'The picture to write, such as preview.png.')
_IMAGES = flags.DEFINE_integer('images', 5, 'How many images to draw.', lower_bound=1)
_DRAWS = flags.DEFINE_integer('draws', 6, 'How many draws of the policy for each.', lower_bound=1)


def main() -> None:
  """Writes the picture and prints where."""
  config = command_line.load_config()
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=preview.png')
  output = pathlib.Path(_OUTPUT.value)
  if output.suffix.lower() not in ('.png', '.jpg', '.jpeg'):
    raise InputError(f'--output={output}: name a picture, such as preview.png')

  from medjax.experiment import preview

  with progress.waiting('drawing what augmentation does'):
    sheet, images = preview.draw(config, images=_IMAGES.value, draws=_DRAWS.value)
  sheet.save(output)
  print(f'written: {output}, {images} training images, {_DRAWS.value} draws of each')


if __name__ == '__main__':
  command_line.run(main, files=('output',))
