"""Checkpoints of a run, one file of which is damaged at a time."""

import pathlib
import random
import shutil

import mutations
import text_garbage
import watched_child


def lost(run: pathlib.Path, count: int, folder: pathlib.Path) -> list[str]:
  """Damages one file of a run's checkpoints at a time; returns what was lost.

  What is read must be the arrays that were written, or the run is refused in one line.
  """
  copied = folder / 'run'
  shutil.copytree(run, copied)
  files = sorted(path for path in (copied / 'checkpoints').rglob('*') if path.is_file())

  def prepare() -> None:
    from medjax.runs import finished

    text_garbage.quiet()
    _Whole.variables = finished.open_run(copied).network.variables

  def attempt(number: int) -> str:
    import jax
    import numpy as np

    from medjax.errors import InputError
    from medjax.runs import finished

    chance = random.Random(f'checkpoint {number}')
    path = chance.choice(files)
    whole = path.read_bytes()
    path.write_bytes(mutations.mutated(whole, [whole], (b'\0', b'\xff' * 8, b'{'), chance))
    try:
      read = finished.open_run(copied).network.variables
      same = jax.tree.map(np.array_equal, read, _Whole.variables)
      wrong = '' if all(jax.tree.leaves(same)) else 'other weights than were saved, unnoticed'
    except InputError as error:
      wrong = '' if '\n' not in str(error) else f'not one line: {str(error)[:200]!r}'
    except Exception as error:
      wrong = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
    finally:
      path.write_bytes(whole)
    return f'{path.relative_to(copied)}: {wrong}' if wrong else ''

  lost = watched_child.go_through(attempt, count, prepare=prepare, seconds=30)
  return [f'checkpoint, input {number}: {wrong}' for number, wrong in lost]


class _Whole:
  """What the child has read of the run before it was damaged."""

  variables: object = None
