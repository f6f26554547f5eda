"""Work in a folder of a bucket: done in a folder of this disk, fetched before and pushed after.

What is done to a run needs locks, renames and files that grow, which buckets have not. So a command
works in a copy under ~/.cache/medjax/folders: what the bucket has is fetched at its start, and
what has changed is pushed at its end and after each checkpoint. The state in the bucket is always
one that the folder of the disk has had at an instant, see medjax.runtime.bucket, so whoever goes
on from it goes on as after a kill at that instant.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import posixpath
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from medjax.errors import InputError, count
from medjax.runtime import bucket, files, leases, nesting, progress, remote, snapshots, storage
from medjax.runtime.bucket import WHOLE, Journal, Listing, Place
from medjax.runtime.remote import Info
from medjax.runtime.snapshots import Stamp

_TRIES = 5  # to fetch what nobody removes meanwhile
_Pending = tuple[str, dict[str, Stamp], list[str]]
_NOTHING: _Pending = ('', {}, [])


class _Known:
  """What the last fetch or push has left alike here and there, kept in a file.

  Attributes:
    copy: the number of the folder of this disk.
    stamps: path → the file of this disk.
    infos: path → the file of the bucket.
    pending: of a push that was begun its number, the files that it sends and those that it removes.
    is_torn: whether a fetch has not ended.
  """

  def __init__(self, path: pathlib.Path):
    self._path = path
    values: dict[str, Any] = {}
    with contextlib.suppress(InputError):  # There is none yet.
      values = files.read_json(path)
    self.copy: str = values.get('copy') or uuid.uuid4().hex
    pairs = values.get('files', {})
    self.stamps = {name: Stamp(*pair[0]) for name, pair in pairs.items()}
    self.infos = {name: Info(*pair[1]) for name, pair in pairs.items()}
    number, sent, removed = values.get('pending', _NOTHING)
    self.pending: _Pending = number, {name: Stamp(*one) for name, one in sent.items()}, removed
    self.is_torn: bool = values.get('is_torn', False)

  def write(self) -> None:
    values = {
      'copy': self.copy,
      'files': {path: (stamp, self.infos[path]) for path, stamp in self.stamps.items()},
      'pending': self.pending,
      'is_torn': self.is_torn,
    }
    files.write_whole(self._path, json.dumps(values))

  def note_alike(self, stamps: Mapping[str, Stamp], infos: Mapping[str, Info]) -> None:
    """Notes that these files are alike, and no others; nothing is pending any more."""
    both = [path for path in stamps if path in infos]
    self.stamps = {path: stamps[path] for path in both}
    self.infos = {path: infos[path] for path in both}
    self.pending, self.is_torn = _NOTHING, False
    self.write()

  def note_pushed(self, infos: Mapping[str, Info]) -> None:
    """Notes that what was pending has been pushed, and is as `infos` say."""
    _, sent, removed = self.pending
    stamps = {path: stamp for path, stamp in self.stamps.items() if path not in removed}
    fresh = {path: infos[path] for path in sent if path in infos}
    self.note_alike({**stamps, **sent}, {**self.infos, **fresh})


class _Settled(Exception):
  """Another process has ended the push that was to be ended."""


class RemoteFolder:
  """A folder of a bucket, or a file in one, that this process works on in a folder of the disk.

  Args:
    place: in the bucket.
    name: of the piece of the work that this process does, `bucket.WHOLE` for all of it.

  Attributes:
    place: as given.
    folder: of the disk, where the same files are.
  """

  def __init__(self, place: Place, name: str = WHOLE):
    self.place, self._name = place, name
    number = hashlib.sha256(f'{place.url}\n{place.file}'.encode()).hexdigest()[:16]
    self._home = remote.cache() / 'folders' / number
    # Called as there, because pages and trackers call a run by its folder.
    self.folder = self._home / (posixpath.basename(place.url) or 'folder')
    self._lease: leases.Lease | None = None
    self._is_lost, self._held_at = False, 0.0
    self._one_at_a_time = threading.Lock()

  @property
  def path(self) -> pathlib.Path:
    """The folder or file of the disk that stands for the URL."""
    return self.folder / self.place.file

  def lock(self, name: str) -> pathlib.Path:
    """The lock of who works in the folder of this disk on a piece."""
    return self._home / f'{name}.at_work.lock'

  def open(self) -> list[str]:
    """Keeps others out, and fetches; returns sentences about what was found.

    Raises:
      InputError: another process is at work there, or it may not be read or written.
      remote.Unreachable: the bucket does not answer.
    """
    self.folder.mkdir(parents=True, exist_ok=True)
    with self._alone():
      known = _Known(self._home / 'known.json')
      known.write()
      bucket.refuse_system(self.place)
      listing = bucket.look(self.place)
      nesting.refuse(self.place, listing, self._name)
      self._lease, left = leases.take(
        self.place, listing, self._name, known.copy, self._is_at_work_here
      )
      said = [
        f'{self.place}: takes over from {lease.who}, which ended without leaving it; what it had '
        'not pushed is on its disk only'
        for lease in left
        if lease.copy != known.copy
      ]
      # No other one is at work on the whole, so what it has left is nobody's.
      return said + self._settle_and_fetch(known, (self._name, WHOLE))

  def fetch(self) -> bool:
    """Fetches what others have pushed meanwhile; returns whether there was anything."""
    with self._alone():
      known = _Known(self._home / 'known.json')
      before = known.infos
      self._settle_and_fetch(known, (self._name,))
      return known.infos != before

  def push(self) -> tuple[int, int]:
    """Pushes what has changed; returns how many files and bytes were sent.

    Raises:
      InputError: it may not be written, or another process has taken the folder over.
      remote.Unreachable: the bucket does not answer.
      snapshots.Restless: the folder of this disk changes all the time.
    """
    with self._alone():
      known = _Known(self._home / 'known.json')
      copies = self._home / f'{self._name}.sending'
      try:
        return self._push(known, copies)
      finally:
        shutil.rmtree(copies, ignore_errors=True)

  def renew(self) -> bool:
    """Says that this process is at work; returns whether it still may be, else it pushes nothing.

    Before `open` has taken the lease there is nothing to say.
    """
    if self._lease is not None and not self._is_lost:
      self._is_lost = not leases.renew(self.place, self._lease)
    return not self._is_lost

  def close(self) -> None:
    """Lets others in."""
    if self._lease is not None and not self._is_lost:
      leases.give_back(self.place, self._lease)

  def _is_at_work_here(self, name: str) -> bool:
    return name != self._name and files.is_locked(self.lock(name))

  @contextlib.contextmanager
  def _alone(self) -> Iterator[None]:
    waiting = f'{self.place}: another process of this machine pushes; waiting for it'
    held = files.waited_lock(self._home / 'pushing.lock', lambda: progress.say(waiting))
    with self._one_at_a_time, held:
      yield

  def _settle_and_fetch(self, known: _Known, own: tuple[str, ...]) -> list[str]:
    listing = bucket.look(self.place)
    for name, journal in listing.journals.items():
      if name in own or self._name == WHOLE:
        self._settle(known, name, journal, listing)
    said: list[str] = []
    for number in range(_TRIES):
      try:
        self._fetch(known, said)
        break
      except FileNotFoundError:  # Another piece of the work has removed it meanwhile.
        if number == _TRIES - 1:
          raise
    return said

  def _fetch(self, known: _Known, said: list[str]) -> None:
    counting = bucket.state(self.place, bucket.look(self.place))
    there = {path: info for path, (_, info) in counting.items()}
    if there == known.infos and not known.is_torn:
      return
    here = self._stamps()
    changed = {path for path in {*here, *known.stamps} if here.get(path) != known.stamps.get(path)}
    if self._name == WHOLE:
      if changed and not known.is_torn:
        self._put_aside(known, said)
        here, changed = {}, set()
      known.is_torn = True
      known.write()
      again, gone = changed & there.keys(), here.keys() - there.keys()
    else:  # What a piece of the work has changed is its own, and not pushed yet.
      again, gone = set(), (here.keys() & known.infos.keys()) - there.keys() - changed
    wanted = {path for path, info in there.items() if known.infos.get(path) != info} | again
    bucket.fetch(self.place, {path: counting[path][0] for path in wanted}, self.folder)
    for path in gone:
      (self.folder / path).unlink(missing_ok=True)
      _remove_empty(self.folder, pathlib.PurePosixPath(path).parent)
    stamps = {
      **known.stamps,
      **{path: stamp for path, stamp in self._stamps().items() if path in wanted},
    }
    known.note_alike(stamps, there)
    if wanted:
      size = sum(there[path].size for path in wanted)
      said.append(f'{self.place}: {count(len(wanted), "file")} fetched ({storage.size(size)})')

  def _put_aside(self, known: _Known, said: list[str]) -> None:
    """Leaves the folder elsewhere: two that have gone on from one state are never mixed."""
    aside = self.folder.with_name(f'{self.folder.name}.{time.strftime("%Y%m%d-%H%M%S")}')
    self.folder.rename(aside)
    self.folder.mkdir()
    said.append(
      f'{self.place}: was changed elsewhere; what was not pushed from here is left in {aside}'
    )
    known.note_alike({}, {})

  def _settle(self, known: _Known, name: str, journal: Journal, listing: Listing) -> None:
    """Ends a push that somebody has begun."""
    self._check_held()

    def check(path: str) -> None:
      del path
      self._check_held(leases.RENEWED)
      # Another piece may have ended it meanwhile, and pushed since.
      if name != self._name and not bucket.is_pending(self.place, name, journal):
        raise _Settled

    try:
      bucket.finish(self.place, name, journal, listing, check)
    except _Settled:
      return
    listing = bucket.look(self.place)
    if journal.is_whole and journal.number == known.pending[0]:
      known.note_pushed(listing.objects)
    self._check_held()
    bucket.forget(self.place, name, listing)

  def _push(self, known: _Known, copies: pathlib.Path) -> tuple[int, int]:
    stamps, links = snapshots.take(self.folder, known.stamps, copies, self.place.has)
    removed = [path for path in known.infos if path not in stamps]
    if not links and not removed:
      return 0, 0
    self._check_held()
    listing = bucket.look(self.place)
    if own := listing.journals.get(self._name):  # Of a push that was cut off.
      self._settle(known, self._name, own, listing)
      return self._push(known, copies)
    # What a piece sends others may push too, so nothing of it is in its place before it counts.
    new = {path for path in links if path not in listing.objects and self._name == WHOLE}
    replaced = tuple(path for path in links if path not in new)
    journal = Journal(uuid.uuid4().hex, False, tuple(new), replaced, tuple(removed))
    known.pending = journal.number, {path: stamps[path] for path in links}, removed
    known.write()

    def check(path: str) -> None:
      if links[path].stat().st_size < stamps[path].size:
        raise snapshots.Restless(f'{self.folder / path} was written into while it was sent')
      self._check_held(leases.RENEWED)

    sources = {path: (link, stamps[path].size) for path, link in links.items()}
    bucket.send(self.place, self._name, journal, sources, check)
    self._check_held()
    bucket.commit(self.place, self._name, journal)
    whole = journal._replace(is_whole=True)
    listing = bucket.look(self.place)
    self._check_held()
    bucket.finish(
      self.place, self._name, whole, listing, lambda path: self._check_held(leases.RENEWED)
    )
    listing = bucket.look(self.place)
    known.note_pushed(listing.objects)
    self._check_held()
    bucket.forget(self.place, self._name, listing)
    return len(links), sum(size for _, size in sources.values())

  def _check_held(self, since: float = 0) -> None:
    """Raises InputError where another one has taken it over; not looked at so soon again."""
    assert self._lease is not None
    if not self._is_lost and time.time() - self._held_at < since:
      return
    if self._is_lost or not leases.is_held(self.place, self._lease):
      self._is_lost = True
      raise InputError(f'{self.place}: another process has taken it over')
    self._held_at = time.time()

  def _stamps(self) -> dict[str, Stamp]:
    return snapshots.stamps(self.folder, self.place.has)


def _remove_empty(folder: pathlib.Path, inside: pathlib.PurePosixPath) -> None:
  """Removes folders that hold nothing any more; buckets have none, and a run may ask for them."""
  with contextlib.suppress(OSError):
    while inside.parts:
      os.rmdir(folder / inside)
      inside = inside.parent
