"""The collector of cyclic garbage, held back where millions of objects are made that have none."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
  """Switches the collector off inside `with`, or while a function runs that this decorates.

  The cells of a large table are objects by the million, and so is what jax notes of a network's
  operations. All of them are kept, and the collector goes through them again and again: half of the
  time that reading a table takes, a third of that of tracing a training step.
  """
  was_enabled = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if was_enabled:
      gc.enable()
