"""Draws what augmentation does to training images: python -m medjax.preview --config=… --output=preview.png

The first column holds the images as the network would get them, the others what the policy makes of
them. --config.augment=… looks at another policy, --images=… at more images.
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'The picture to write, such as preview.png.')
_IMAGES = flags.DEFINE_integer('images', 5, 'How many images to draw.', lower_bound=1)
_DRAWS = flags.DEFINE_integer('draws', 6, 'How many draws of the policy for each.', lower_bound=1)


def main() -> None:
  """Writes the picture and says where."""
  config = command_line.load_config()
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=preview.png')
  output = pathlib.Path(_OUTPUT.value)
  if output.suffix.lower() not in ('.png', '.jpg', '.jpeg'):
    raise InputError(f'--output={output}: name a picture, such as preview.png')

  import jax
  import numpy as np

  from medjax.augment import contact_sheet, label_check, policies
  from medjax.data import study
  from medjax.runtime import import_by_name
  from medjax.training import preprocessing

  policy = import_by_name.find(config.augment, import_by_name.public(policies), 'config.augment')
  if not config.force_augment:
    label_check.check_policy(policy, config.augment, config.data.modality, config.data.channels)
  made, _ = study.make(config)
  # Of the training images only: the test set stays unseen.
  rows = made.rows('train')
  chosen = np.random.default_rng(config.seed).choice(rows, min(_IMAGES.value, len(rows)), False)
  image_format, _ = preprocessing.resolve(config, None)
  records = study.records(config, image_format, made, np.sort(chosen))
  before = records.load(np.arange(len(chosen)), len(chosen))['image']
  policy = jax.jit(policy)
  after = [
    np.asarray(policy(jax.random.key(config.seed + draw), before.astype(np.float32) / 255))
    for draw in range(_DRAWS.value)
  ]
  columns = np.stack([before, *(np.round(255 * each).astype(np.uint8) for each in after)], axis=1)
  contact_sheet.draw(columns, ['before', *[config.augment] * len(after)]).save(output)
  print(f'written: {output}, {len(chosen)} training images, {len(after)} draws of each')


if __name__ == '__main__':
  command_line.run(main)
