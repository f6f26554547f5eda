"""What every command shares: `--config=…`, its overrides, and one line for a user's mistake."""

import os
import select
import sys
from collections.abc import Callable

from absl import app, flags, logging

from medjax.errors import InputError

_CONFIG = flags.DEFINE_string(
  'config', None, 'Config file, or file.py:argument; --config.field=value overrides a field.'
)


def load_config():
  """Returns the checked config that the command line asks for."""
  from medjax import config

  if _CONFIG.value is None:
    raise InputError('--config is missing; try --config=configs/phantom.py, which needs no data')
  return config.load(_CONFIG.value, _overrides)


_overrides: list[str] = []


def run(main: Callable[[], None]) -> None:
  """Parses the command line and runs `main`; an InputError becomes one line and exit status 1."""
  argv = []
  for argument in sys.argv:
    if argument.startswith('--config.'):
      _overrides.append(argument.removeprefix('--config.'))
    else:
      argv.append(argument)

  def guarded(arguments: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    try:
      if arguments[1:]:
        raise InputError(
          f"'{arguments[1]}' is no flag; flags look like --config=configs/phantom.py, overrides "
          'like --config.steps=100'
        )
      try:
        main()
      finally:
        sys.stdout.flush()  # Here, where it can be answered that nobody reads it.
    except InputError as error:
      print(f'error: {error}', file=sys.stderr)
      sys.exit(1)
    except BrokenPipeError:
      if not _reader_is_gone():
        raise
      os._exit(141)  # As the signal would have it; an orderly exit would try to write the rest.
    except OSError as error:  # A path of the user's that cannot be read or written.
      if error.filename is None:
        raise
      print(f'error: {error.filename}: {error.strerror}', file=sys.stderr)
      sys.exit(1)
    except KeyboardInterrupt:
      print(
        'interrupted; the same command goes on, from its last checkpoint if any', file=sys.stderr
      )
      sys.stderr.flush()
      os._exit(130)  # An orderly exit may crash in a compilation that is still running.
    except MemoryError as error:
      print(
        f'error: not enough memory ({error}); lower config.batch_size or config.data.image_size',
        file=sys.stderr,
      )
      sys.exit(1)

  app.run(guarded, argv=argv, flags_parser=_parse_flags)


def _reader_is_gone() -> bool:
  """Whether nobody reads any more what is printed, as after `| head`."""
  if not hasattr(select, 'poll'):  # Windows, where nothing else breaks a pipe of ours.
    return True
  poll = select.poll()
  for stream in (1, 2):
    poll.register(stream, 0)
  return any(happened & (select.POLLERR | select.POLLHUP) for _, happened in poll.poll(0))


def _parse_flags(argv: list[str]) -> list[str]:
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    print(f'error: {" ".join(str(error).split())}; --help lists the flags', file=sys.stderr)
    sys.exit(1)
