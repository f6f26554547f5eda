"""Paths of the user's that may lie in a bucket, as folders and files of this disk.

`local` is for what a command writes to, `local_copy` for what it only reads; a path of a disk is
returned as it is.
"""

import contextlib
import hashlib
import os
import pathlib
import posixpath
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from medjax.errors import InputError, count
from medjax.runtime import bucket, files, leases, nesting, progress, remote, storage
from medjax.runtime.bucket import WHOLE, Place
from medjax.runtime.remote_folder import RemoteFolder

_FAILURES = (InputError, remote.Unreachable, OSError)
_open: list['_Work'] = []
_urls: dict[str, str] = {}  # folder of this disk → what it is a copy of


def with_urls(path: str | os.PathLike) -> str:
  """Returns a path, or a text with paths, in which folders that are copies are called by URL."""
  text = os.fspath(path)
  for folder, url in _urls.items():
    text = text.replace(folder, url)
  return text


def _note_url(folder: pathlib.Path, url: str) -> None:
  for path in (folder.resolve(), folder):
    _urls[str(path)] = url


@contextlib.contextmanager
def local(
  path: str | os.PathLike, *, is_file: bool = False, piece: str = ''
) -> Iterator[pathlib.Path]:
  """Gives the folder or file of this disk to work in; of a bucket it is fetched, and pushed after.

  Pushed is what has changed, also where an error or a signal ends the work, and meanwhile by
  `push_after` and `push`.

  Args:
    path: of a disk or a bucket.
    is_file: whether it names a file, which those that are called after it belong to.
    piece: of work that several machines share, such as '0-of-3'; '' is all of it.

  Raises:
    InputError: another process works there, it may not be read or written, or what was done could
      not be pushed.
    remote.Unreachable: the bucket does not answer at the start.
  """
  if not remote.is_remote(path):
    yield pathlib.Path(path)
    return
  folder = RemoteFolder(bucket.place_of(os.fspath(path), is_file), piece or WHOLE)
  refusal = f'{folder.place}: another process of this machine is at work there; wait for it'
  folder.folder.mkdir(parents=True, exist_ok=True)
  with files.locked(folder.lock(piece or WHOLE), refusal), _Work(folder) as work:
    _open.append(work)
    try:
      yield folder.path
    finally:
      _open.remove(work)


def fetch() -> bool:
  """Fetches what others have pushed to the folders that this process works in; whether any had."""
  return any([work.folder.fetch() for work in _open])


def push() -> None:
  """Pushes what has changed in the folders that this process works in, and waits for it.

  Raises:
    InputError: it may not be written, or another process has taken it over.
    remote.Unreachable: the bucket does not answer.
  """
  for work in _open:
    work.push()


def push_after(done: Callable[[], Any]) -> None:
  """Pushes in the background, once `done` has returned; what fails is tried again later."""
  for work in _open:
    work.push_after(done)


def local_copy(path: str | os.PathLike) -> pathlib.Path:
  """Returns a folder or file to read; of a bucket, what one push has left there.

  Raises:
    InputError: there is nothing, or it may not be read.
    remote.Unreachable: the bucket does not answer.
  """
  if not remote.is_remote(path):
    return pathlib.Path(path)
  url = os.fspath(path).rstrip('/')
  place, before = bucket.place_of(url, is_file=False), None
  for _ in range(_TRIES):
    listing = bucket.look(place)
    if not listing.objects:
      raise InputError(f'{url}: no such file or folder')
    if '' in listing.objects:  # A file.
      one = pathlib.Path(remote.local_copy(url))
      _note_url(one, url)
      return one
    if other := nesting.pending(place, listing):
      time.sleep(_PAUSE)
      continue
    copy = _Copy(place, bucket.state(place, listing))
    with progress.waiting(f'fetching {url}'):
      is_whole = copy.fetch(before)
    if is_whole and not nesting.pending(place, listing):
      _note_url(copy.folder, url)
      return copy.folder
    before = copy
  if other:
    raise InputError(f'{url}: {nesting.sentence(other)}')
  raise InputError(f'{url}: is changed all the time; try again when nobody works there')


class _Copy:
  """A copy of what a folder of a bucket holds in one of its states.

  Args:
    place: the folder.
    counting: of `bucket.state`.
  """

  def __init__(self, place: Place, counting: dict[str, tuple[str, remote.Info]]):
    number = hashlib.sha256(repr((place.url, sorted(counting.items()))).encode()).hexdigest()[:16]
    self._place, self._counting = place, counting
    self._home = remote.cache() / 'remote' / number
    self.folder = self._home / posixpath.basename(place.url)

  def fetch(self, before: '_Copy | None') -> bool:
    """Fetches what is missing; returns whether all was there at one instant.

    Args:
      before: a copy of an earlier state, not whole, from which files are taken that are alike.
    """
    self._home.mkdir(parents=True, exist_ok=True)
    whole = self._home / 'whole'
    with files.waited_lock(self._home / '.lock', lambda: None):
      if whole.exists():
        return True
      if before is not None and before.folder != self.folder:
        self._take_from(before)
      wanted = {
        path: key for path, (key, _) in self._counting.items() if not (self.folder / path).is_file()
      }
      try:
        bucket.fetch(self._place, wanted, self.folder)
      except FileNotFoundError:
        return False
      if bucket.state(self._place, bucket.look(self._place)) != self._counting:
        return False
      whole.touch()
      return True

  def _take_from(self, before: '_Copy') -> None:
    for path, (_, info) in self._counting.items():
      source, target = before.folder / path, self.folder / path
      if path in before._counting and before._counting[path][1] == info and source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
    shutil.rmtree(before._home, ignore_errors=True)


_TRIES, _PAUSE = 5, 2.0  # seconds between two, while a folder above or inside is pushed


class _Work:
  """Work in a folder of a bucket: the threads that push and renew, from its start to its end."""

  def __init__(self, folder: RemoteFolder):
    self.folder = folder
    self._place: Place = folder.place
    self._asked: queue.Queue[Callable[[], Any] | None] = queue.Queue()
    self._ended = threading.Event()
    self._is_failing = False
    self._threads = [
      threading.Thread(target=run, daemon=True) for run in (self._push_asked, self._renew)
    ]

  def __enter__(self) -> '_Work':
    pushing, renewing = self._threads
    renewing.start()  # A large folder is fetched for longer than a lease counts.
    try:
      with progress.waiting(f'fetching {self._place}'):
        said = self.folder.open()
    except BaseException:
      self._close()
      raise
    for line in (f'{self._place}: worked on in {self.folder.path}', *said):
      progress.say(line)
    _note_url(self.folder.folder, self._place.url)
    pushing.start()
    return self

  def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
    pushing, _ = self._threads
    failure = None
    with _sigterm_waits(f'{self._place}: SIGTERM; what was done is pushed first'):
      try:
        self._asked.put(None)
        pushing.join()
        self.push()
      except _FAILURES as reason:
        failure = reason
      finally:
        self._close()
      self._say(failure, error)

  def _close(self) -> None:
    self._ended.set()
    self._threads[1].join()  # It would leave the lease again.
    with contextlib.suppress(*_FAILURES):
      self.folder.close()

  def _say(self, failure: BaseException | None, error: BaseException | None) -> None:
    if failure is None:
      return
    _urls.clear()  # It is named as it is on the disk.
    line = (
      f'{self._place}: what was done is not pushed ({_reason(failure)}); it is in '
      f'{self.folder.path}, and the same command goes on from there'
    )
    if error is None:
      raise InputError(line) from None
    progress.say(line)

  def push(self) -> None:
    with progress.waiting(f'pushing to {self._place}'):
      number, size = self.folder.push()
    if number:
      progress.say(f'{self._place}: {count(number, "file")} pushed ({storage.size(size)})')

  def push_after(self, done: Callable[[], Any]) -> None:
    self._asked.put(done)

  def _push_asked(self) -> None:
    while (done := self._asked.get()) is not None:
      with contextlib.suppress(Exception):  # Whoever has started it hears of it.
        done()
      if not self._asked.empty():
        continue  # With the next.
      try:
        self.folder.push()
        self._is_failing = False
      except _FAILURES as reason:
        if not self._is_failing:
          progress.say(f'{self._place}: not pushed now, and tried again ({_reason(reason)})')
        self._is_failing = True

  def _renew(self) -> None:
    while not self._ended.wait(leases.RENEWED):
      with contextlib.suppress(*_FAILURES):
        if not self.folder.renew():
          progress.say(
            f'{self._place}: another process has taken it over; nothing more is pushed from here'
          )
          _end_in_order()
          return


def _end_in_order() -> None:
  """Has the command end as by SIGTERM, where it has said what that does."""
  if not callable(signal.getsignal(signal.SIGTERM)):
    return
  if os.name == 'nt':  # Where os.kill asks no handler.
    signal.raise_signal(signal.SIGTERM)
  else:
    os.kill(os.getpid(), signal.SIGTERM)  # It wakes a process that sleeps, too.


@contextlib.contextmanager
def _sigterm_waits(line: str) -> Iterator[None]:
  """Has the first SIGTERM wait for the end of the block, and a second one do what the first did.

  Where it would end the process at once it has come before, or the caller wants it so.
  """
  before = signal.getsignal(signal.SIGTERM)
  if not callable(before) or threading.current_thread() is not threading.main_thread():
    yield
    return
  noted: list[int] = []

  def note(number: int, frame: Any) -> None:
    del frame
    noted.append(number)
    signal.signal(number, before)
    print(line, file=sys.stderr, flush=True)

  signal.signal(signal.SIGTERM, note)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, before)
  if noted:
    signal.raise_signal(signal.SIGTERM)


def _reason(error: BaseException) -> str:
  return ' '.join(str(error).split()).removesuffix('; the same command goes on')
