"""Who works on a folder of a bucket: a small file that is renewed while somebody does.

Buckets have no locks, and a process that was killed takes nothing back. So one that is not renewed
for three minutes, by the clock of whoever waits, counts as left behind, and is taken over. A
process that finds its own taken over pushes nothing more.
"""

import os
import posixpath
import socket
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from medjax.errors import InputError
from medjax.runtime import bucket, progress
from medjax.runtime.bucket import Listing, Place

RENEWED, LONGEST = 45.0, 180.0  # seconds between two renewals, and until one counts as left behind
_LOOK = 5.0  # seconds between two looks at that of another


class Lease(NamedTuple):
  """That a process works on a folder.

  Attributes:
    name: of the piece of work, `bucket.WHOLE` for all of it.
    number: nobody else has.
    host: of the process.
    process: its number there.
    copy: the number of the folder of its disk that it works in.
    renewed: seconds since 1970, by its own clock.
  """

  name: str
  number: str
  host: str
  process: int
  copy: str
  renewed: float

  @property
  def who(self) -> str:
    """The process in words."""
    return f'{self.host} (process {self.process})'


def take(
  place: Place, listing: Listing, name: str, copy: str, is_at_work: Callable[[str], bool]
) -> tuple[Lease, list[Lease]]:
  """Takes the lease of a piece of work.

  Args:
    place: of the bucket.
    listing: what is in it.
    name: of the piece, or WHOLE.
    copy: the number of the folder of this disk.
    is_at_work: name → whether another process of this disk's folder is at work on it.

  Returns:
    The lease, and those that were left behind, which it replaces.

  Raises:
    InputError: another process is at work there, on the same piece or on all.
  """
  left = []
  for other in _leases(place, listing):
    if not exclude(name, other.name):
      continue
    is_here = other.copy == copy
    if is_at_work(other.name) if is_here else is_renewed(place, other):
      raise InputError(f'{place}: {other.who} is at work there; wait for it, or stop it')
    left.append(other)
  lease = Lease(name, uuid.uuid4().hex, socket.gethostname(), os.getpid(), copy, time.time())
  _write(place, lease)
  bucket.remove(place, [_path(place, other.name) for other in left if other.name != name])
  return lease, left


def exclude(name: str, other: str) -> bool:
  """Whether only one process at a time may work on these pieces of one work."""
  return bucket.WHOLE in (name, other) or name == other


def is_renewed(place: Place, lease: Lease) -> bool:
  """Whether the lease of another disk is renewed before it counts as left behind."""
  progress.say(
    f'{place}: {lease.who} is at work there, or was killed; in up to {LONGEST / 60:.0f} min that '
    'is known'
  )
  end = time.monotonic() + LONGEST
  with progress.waiting(f'waiting whether {lease.who} still works on {place}'):
    is_over = False
    while not is_over:
      time.sleep(_LOOK)
      is_over = time.monotonic() >= end  # And then it is looked at once more.
      now = bucket.read_json(place, _path(place, lease.name))
      if not now:  # It has ended.
        return False
      if now != lease._asdict():
        return True
  return False


def renew(place: Place, lease: Lease) -> bool:
  """Says again that somebody is at work; returns whether the lease is still its own."""
  if not is_held(place, lease):
    return False
  _write(place, lease._replace(renewed=time.time()))
  return True


def is_held(place: Place, lease: Lease) -> bool:
  """Whether nobody has taken the lease over."""
  return bucket.read_json(place, _path(place, lease.name)).get('number') == lease.number


def give_back(place: Place, lease: Lease) -> None:
  """Removes the lease, if nobody has taken it over."""
  if is_held(place, lease):
    bucket.remove(place, [_path(place, lease.name)])


def _leases(place: Place, listing: Listing) -> list[Lease]:
  leases = []
  for path in listing.objects:
    if posixpath.dirname(path) == place.control and path.endswith(bucket.LEASE):
      lease = read(place, posixpath.basename(path).removesuffix(bucket.LEASE))
      leases += [lease] if lease else []
  return leases


def read(place: Place, name: str) -> Lease | None:
  """Returns the lease of a piece of work, None without one."""
  values = bucket.read_json(place, _path(place, name))
  return Lease(**values) if values.keys() == set(Lease._fields) else None


def _path(place: Place, name: str) -> str:
  return f'{place.control}/{name}{bucket.LEASE}'


def _write(place: Place, lease: Lease) -> None:
  bucket.write_json(place, _path(place, lease.name), lease._asdict())
