"""What to do where a device has too little memory for a run."""

import contextlib
from collections.abc import Iterator

import jax

from medjax.config import Config
from medjax.errors import InputError


@contextlib.contextmanager
def errors_in_words(config: Config) -> Iterator[None]:
  """Turns a device's error on its memory into what would help a run of this config.

  Raises:
    InputError: the device has too little memory.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    reason = str(error).splitlines()[0]
    if 'RESOURCE_EXHAUSTED' not in reason:
      raise
    raise InputError(
      f'the device has too little memory ({reason}); what helps, the first with the same result: '
      f'{"; ".join(remedies(config))}'
    ) from None


def remedies(config: Config) -> list[str]:
  """Returns the settings that would take less memory, those that change least first."""
  lines, accumulate = [], config.optimizer.accumulate
  if config.data.placement != 'host':
    lines.append('data.placement=host, if the training images are on the device')
  if not config.model.remat and ':' not in config.model.name:  # Of medjax: all have it.
    lines.append('model.remat=True, for most of what a step takes and a third more time')
  if config.batch_size % (2 * accumulate) == 0:
    lines.append(
      f'optimizer.accumulate={2 * accumulate}, so that {config.batch_size // (2 * accumulate)} '
      f'images are computed at a time instead of {config.batch_size // accumulate}'
    )
  if config.precision == 'float32':
    lines.append('precision=bfloat16, for half of the activations')
  if config.batch_size > 1:
    lines.append(f'batch_size={config.batch_size // 2} instead of {config.batch_size}')
  return [*lines, 'a smaller data.image_size']
