"""Work of independent pieces, shared among jobs: --shard=0/3 is the first of three, the last 2/3.

Pieces are numbered from 0, as folds and seeds are. What a piece leaves lies in a folder of pieces
under a name such as 0-of-3; whoever finds all of them there puts them together.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping

from medjax.errors import InputError, count

HELP = (
  "The piece to do, from 0, and of how many: 0/3 is the first of three; 'auto' asks a Slurm array, "
  "'auto/3' also an Indexed Job. Without it, pieces that are there are put together."
)
_SLURM, _KUBERNETES = 'SLURM_ARRAY_TASK_ID', 'JOB_COMPLETION_INDEX'
BESIDE = '.shards'  # what a folder of pieces beside a file is called, after its name
# Locks and what is being written are hidden: a piece is there as soon as it is begun.
_NAME = re.compile(r'\.?(\d+)-of-(\d+)(?:\..*)?')


@dataclasses.dataclass(frozen=True)
class Shard:
  """One of several pieces.

  Attributes:
    number: from 0.
    count: of how many.
  """

  number: int
  count: int

  def __str__(self) -> str:
    return f'{self.number}/{self.count}'

  @property
  def name(self) -> str:
    """Of what the piece leaves."""
    return f'{self.number}-of-{self.count}'

  def span(self, length: int) -> range:
    """Returns which of `length` things are its own; those of all pieces follow each other."""
    return range(length * self.number // self.count, length * (self.number + 1) // self.count)


def asked(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
  """Returns the piece that `--shard` asks for, None where it is not given.

  Args:
    text: '0/3'; 'auto/3' for the number that the scheduler has given this job; 'auto' for how many
      there are too, which only a Slurm array of tasks from 0 says.
    environment: variables of the process.

  Raises:
    InputError: it is none of these, or the scheduler says no number.
  """
  if not text:
    return None
  flag = f'--shard={text}'
  match = re.fullmatch(r'(\d+|auto)/(\d+)|auto', text)
  if match is None:
    raise InputError(f"{flag}: must be such as 0/3, the first of three, 'auto' or 'auto/3'")
  number, pieces = match.groups()
  if text == 'auto':
    number, pieces = 'auto', _size_of_array(flag, environment)
  shard = Shard(_index(flag, environment) if number == 'auto' else int(number), int(pieces))
  if shard.number >= shard.count:
    where = f' (the scheduler counts {shard.number})' if number == 'auto' else ''
    raise InputError(
      f'{flag}{where}: pieces are numbered from 0, so that of {count(shard.count, "piece")} '
      f'{f"the last is {shard.count - 1}/{shard.count}" if shard.count else "there is none"}'
    )
  return shard


def index(flag: str, text: str | None, environment: Mapping[str, str] = os.environ) -> int | None:
  """Returns the number that a flag such as `--fold` gives, or the scheduler for 'auto'.

  Raises:
    InputError: it is no whole number, or the scheduler says none.
  """
  if not text:
    return None
  if text == 'auto':
    return _index(f'{flag}=auto', environment)
  try:
    return int(text)
  except ValueError:
    raise InputError(
      f"{flag}={text}: must be a whole number from 0, or 'auto' for that of a Slurm array or an "
      'Indexed Job'
    ) from None


def _index(flag: str, environment: Mapping[str, str]) -> int:
  for name in (_SLURM, _KUBERNETES):
    if environment.get(name, '').isdigit():
      return int(environment[name])
  raise InputError(
    f'{flag}: this is no task of a Slurm array and no pod of an Indexed Job ({_SLURM} and '
    f'{_KUBERNETES} are not set); give the number'
  )


def _size_of_array(flag: str, environment: Mapping[str, str]) -> int:
  """Of an array that was sent again for one task this is not the number of pieces."""
  first, last, size = (
    environment.get(f'SLURM_ARRAY_TASK_{name}', '') for name in ('MIN', 'MAX', 'COUNT')
  )
  if first != '0' or not size.isdigit() or last != str(int(size) - 1):
    here = f'the tasks of this Slurm array are {first}-{last}' if first else 'nobody says it here'
    raise InputError(f'{flag}: of how many pieces? ({here}); say it, such as {flag}/3')
  return int(size)


def find(folder: pathlib.Path, shard: Shard | None) -> list[Shard]:
  """Returns all pieces that `folder` is for; none where there is neither a piece nor a shard.

  Raises:
    InputError: it holds pieces of another number than is asked for, or what is no piece.
  """
  names = os.listdir(folder) if folder.is_dir() else []
  if foreign := sorted(name for name in names if not _NAME.fullmatch(name)):
    raise InputError(
      f'{folder}: holds other files than pieces ({foreign[0]}), and is deleted in the end; name '
      'another output'
    )
  there = sorted({int(match[2]) for name in names if (match := _NAME.fullmatch(name))})
  counts = {*there, *([shard.count] if shard else [])}
  if len(counts) > 1:
    here = f'holds pieces of {" and of ".join(map(str, there))}'
    wanted = f', --shard={shard} is another number' if shard else ''
    raise InputError(f'{folder}: {here}{wanted}; keep to one number, or delete the folder')
  return [Shard(number, size) for size in counts for number in range(size)]


def in_words(pieces: Iterable[Shard]) -> str:
  """Returns 'pieces 1 and 2 of 3'."""
  *others, last = pieces
  if not others:
    return f'piece {last.number} of {last.count}'
  return f'pieces {", ".join(str(one.number) for one in others)} and {last.number} of {last.count}'


def check_finished(output: pathlib.Path, missing: Iterable[Shard]) -> None:
  """Raises InputError, naming the pieces of `output` that are missing, if there are any."""
  missing = list(missing)
  if missing:
    raise InputError(
      f'{output}: {in_words(missing)} {"is" if len(missing) == 1 else "are"} not finished; '
      f'--shard={missing[0]} does {"it" if len(missing) == 1 else "the first of them"}'
    )


def remove(folder: pathlib.Path) -> None:
  """Deletes the pieces, once what they make together is written, and nothing else."""
  leaving = folder.with_name(f'.{folder.name}.removed')
  with contextlib.suppress(OSError):  # At once, so that no other job sees half of them.
    folder.rename(leaving)
  for name in os.listdir(leaving) if leaving.is_dir() else []:
    if _NAME.fullmatch(name) and (leaving / name).is_dir():
      shutil.rmtree(leaving / name, ignore_errors=True)
    elif _NAME.fullmatch(name):
      (leaving / name).unlink(missing_ok=True)
  with contextlib.suppress(OSError):  # Somebody has put another file there.
    leaving.rmdir()
