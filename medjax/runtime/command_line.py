"""What every command shares: `--config=…`, its overrides, and one line for a user's mistake."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from medjax.errors import InputError
from medjax.runtime import interrupts, plain_text, progress, remote, remote_work, shards, storage

_CONFIG = flags.DEFINE_string(
  'config',
  None,
  'Config file, or the name of one of medjax, such as chexpert; chexpert:argument passes an '
  'argument on. --config.field=value overrides a field.',
)


def has_config() -> bool:
  """Whether the command line names a config."""
  return _CONFIG.value is not None


def load_config():
  """Returns the checked config that the command line asks for."""
  from medjax import config

  if _CONFIG.value is None:
    raise InputError('--config is missing; try --config=configs/phantom.py, which needs no data')
  loaded = config.load(_CONFIG.value, _overrides)
  if not remote.is_remote(loaded.data.root):
    _roots.append(loaded.data.root)
  return loaded


_overrides: list[str] = []
_roots: list[str] = []  # Of configs; generated data is written there.
# Flags that say where to, or beside what.
_WRITTEN = ('output', 'heat_maps', 'workdir', 'predictions')
_ON_A_DISK = ('predictions', 'images', 'slides', 'root')  # Of some commands `images` is a number.


def run(main: Callable[[], None], *, read: Sequence[str] = (), files: Sequence[str] = ()) -> None:
  """Parses the command line and runs `main`; an InputError becomes one line and exit status 1.

  Args:
    main: of the command.
    read: flags among --workdir, --against and the like in whose folders nothing is written.
    files: flags among --output and the like that name a file and not a folder.
  """
  argv = []
  for argument in sys.argv:
    if argument.startswith('--config.'):
      _overrides.append(argument.removeprefix('--config.'))
    else:
      argv.append(argument)

  def guarded(arguments: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    storage.quiet_threads()
    _open_closed_streams()
    sys.stdout = plain_text.VisibleStream(sys.stdout, remote_work.with_urls)
    is_interrupted = interrupts.notice()
    try:
      _check_folder()
      if arguments[1:]:
        raise InputError(
          f"'{arguments[1]}' is no flag; flags look like --config=configs/phantom.py, overrides "
          'like --config.steps=100'
        )
      try:
        with (
          progress.waiting(f'{_name()} is at work', is_last_resort=True),
          _buckets(read, files) as is_shared,
        ):
          main()
          if is_shared and _finds_more():
            main()  # What others have done may be all that was missing.
      except Exception:
        if is_interrupted():
          raise KeyboardInterrupt from None  # A compiler reports it as an error of its own.
        raise
      finally:
        sys.stdout.flush()  # Here, where it can be answered that nobody reads it.
    except remote.Unreachable as error:
      _exit(str(error))
    except InputError as error:
      _exit(_of_disk(error) or str(error))
    except BrokenPipeError:
      if not _reader_is_gone():
        raise
      os._exit(141)  # As the signal would have it; an orderly exit would try to write the rest.
    except KeyboardInterrupt:
      print(
        'interrupted; the same command goes on, from its last checkpoint if any', file=sys.stderr
      )
      sys.stderr.flush()
      os._exit(130)  # An orderly exit may crash in a compilation that is still running.
    except MemoryError as error:
      advice = '; lower config.batch_size or config.data.image_size' if _CONFIG.value else ''
      _exit(f'not enough memory ({str(error) or "the system gave no more"}){advice}')
    except Exception as error:
      line = _of_disk(error)
      if line is None and isinstance(error, OSError) and error.filename is not None:
        line = f'{error.filename}: {error.strerror}'  # A path of the user's.
      if line is None:
        raise
      _exit(line)

  app.run(guarded, argv=argv, flags_parser=_parse_flags)


@contextlib.contextmanager
def _buckets(read: Sequence[str], files: Sequence[str]) -> Iterator[bool]:
  """Has flags that name folders of buckets name folders of this disk.

  Yields whether others do pieces of the same work there; see medjax.runtime.remote_work.
  """
  values = {name: _value(name) for name in (*_WRITTEN, *_ON_A_DISK, 'against')}
  given = {
    name: value
    for name, value in values.items()
    if isinstance(value, str) and remote.is_remote(value)
  }
  for name in _ON_A_DISK:
    remote.refuse(given.get(name), f'--{name}')
  outputs = {name: url for name, url in given.items() if name not in (*read, 'against')}
  piece = _piece() if outputs else ''
  with contextlib.ExitStack() as stack:
    if outputs:
      _check_one_process(*next(iter(outputs.items())))
      stack.enter_context(_terminated_in_order())
    for name, url in given.items():
      path = (
        remote_work.local_copy(url)
        if name not in outputs
        else stack.enter_context(remote_work.local(url, is_file=name in files, piece=piece))
      )
      flags.FLAGS[name].value = str(path)
    yield bool(piece)


def _piece() -> str:
  """Returns which piece of work that several machines share is asked for, '' for all of it."""
  if (shard := shards.asked(_value('shard'))) is not None:
    return shard.name
  for name in ('fold', 'seed_index'):
    if (number := shards.index(f'--{name}', _value(name))) is not None:
      return f'{name}-{number}'
  return ''


def _value(name: str) -> Any:
  return flags.FLAGS[name].value if name in flags.FLAGS else None


def _finds_more() -> bool:
  remote_work.push()
  return remote_work.fetch()


def _check_one_process(name: str, url: str) -> None:
  if _value('coordinator'):
    raise InputError(
      f'--{name}={url}: the processes of --coordinator share a work directory, and each would '
      'have its own copy of one in a bucket; take a folder that all reach, and copy it to the '
      'bucket when the run has ended'
    )


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
  """Has SIGTERM end the command as an error does, so that what was done is pushed."""

  def leave(number: int, frame: Any) -> None:
    del frame
    signal.signal(number, signal.SIG_DFL)  # A second one does not wait.
    print('stopped by SIGTERM; the same command goes on', file=sys.stderr)
    raise SystemExit(128 + number)

  before = signal.signal(signal.SIGTERM, leave)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, before)


def _check_folder() -> None:
  try:
    os.getcwd()
  except FileNotFoundError:
    raise InputError(
      'the folder that the command was started in is gone; cd to one that exists, or to the same '
      'path if it was made again'
    ) from None


def _open_closed_streams() -> None:
  """Has what is said go nowhere, and into no file, where the shell has closed a stream: `>&-`."""
  for name in ('stdout', 'stderr'):
    if getattr(sys, name) is None:
      setattr(sys, name, open(os.devnull, 'w'))  # noqa: SIM115  Until the process ends.


def _name() -> str:
  spec = getattr(sys.modules.get('__main__'), '__spec__', None)
  return spec.name.removesuffix('.__main__') if spec else 'the command'


def _exit(line: str) -> NoReturn:
  print(f'error: {plain_text.line(remote_work.with_urls(line))}', file=sys.stderr)
  sys.exit(1)


def _of_disk(error: BaseException) -> str | None:
  """Returns one line for an error that comes of a failing disk, None for any other."""
  failure = storage.failure(error)
  if failure is None:
    return None
  try:
    if failure.filename is None:
      print(flush=True)
  except OSError:
    # What is left is dropped, or the end of the process would try it once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return (
      f'standard output cannot be written to ({failure.strerror}); make room where it goes, or '
      'send it elsewhere; the same command goes on'
    )
  given = [_value(name) for name in _WRITTEN]
  folders = [folder for folder in (*given, *_roots) if folder]
  on_disk = [remote.cache() if remote.is_remote(folder) else folder for folder in folders]
  return storage.in_words(failure, on_disk)


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
  except SystemExit:
    sys.exit()  # Of --help, which absl ends with status 1.
  except flags.Error as error:
    print(f'error: {" ".join(str(error).split())}; --help lists the flags', file=sys.stderr)
    sys.exit(1)
