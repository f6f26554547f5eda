"""Decodes the images of a study once: python -m medjax.prepare --config=… --output=DIR

Every command that reads the images of a study then takes them from there:
--config.data.prepared=DIR. They are the same bytes, of the size that the network asks for; files,
table or settings that have changed since are refused. Stopped, the same command goes on.
--config.field=value overrides any field of the config. --shard=0/3 decodes the first of three
pieces, so that a cluster can share them; the last to finish puts them together, or the command
without it.

DIR/pixels.npy holds uint8[images, size, size, channels], DIR/broken.csv the images that cannot be
read, with the reason.
"""

import pathlib

from absl import flags

from medjax.errors import InputError, count
from medjax.runtime import command_line, shards

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'The folder to write, new or begun before.')
_SHARD = flags.DEFINE_string('shard', None, shards.HELP)


def main() -> None:
  """Decodes, and prints what is there."""
  config = command_line.load_config()
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=prepared/phantom')
  shard = shards.asked(_SHARD.value)

  from medjax.experiment import prepare

  folder = pathlib.Path(_OUTPUT.value)
  made = prepare.prepare(config, folder, shard)
  if made is None:
    return
  images = made.index
  broken = images[images['reason'] != '']
  for reason in broken['reason'][:10]:
    print(f'refused: {reason}')
  if len(broken) > 10:
    print(f'… and {len(broken) - 10:,} more, in {folder / prepare.BROKEN}')
  print(
    f'prepared: {count(len(images) - len(broken), "image")} as {made.image_format.in_words}\n'
    f'train from them with --config.data.prepared={folder}'
  )


if __name__ == '__main__':
  command_line.run(main)
