"""Folders of a bucket inside each other, such as five folds and one of them.

Each may be worked on, and has leases and journals of its own. Two that overlap are not worked on at
a time, and while a push of one has not ended the other is not as it was at any instant.
"""

import os
import posixpath
import socket
from collections.abc import Iterator

from medjax.errors import InputError
from medjax.runtime import bucket, leases, remote
from medjax.runtime.bucket import Listing, Place


def refuse(place: Place, listing: Listing, piece: str) -> None:
  """Raises InputError where another process works on a folder above or inside, or was cut off.

  Args:
    place: to be worked on.
    listing: what is in it.
    piece: of the work.
  """
  for other, names in _around(place, listing):
    for name in names:
      own = name.removesuffix(bucket.LEASE)
      if own == name or not leases.exclude(own, piece):
        continue
      lease = leases.read(other, own)
      is_own = lease and (lease.host, lease.process) == (socket.gethostname(), os.getpid())
      if lease and not is_own and leases.is_renewed(other, lease):
        raise InputError(f'{place}: {lease.who} is at work on {other}; wait for it, or stop it')
  if unfinished := pending(place, listing, piece):
    raise InputError(f'{place}: {sentence(unfinished)}')


def pending(place: Place, listing: Listing, piece: str = bucket.WHOLE) -> Place | None:
  """Returns a folder above or inside to which a push has not ended, None without one."""
  for other, names in _around(place, listing):
    for name in names:
      own = name.removesuffix(bucket.PUSH)
      if own != name and leases.exclude(own, piece):
        return other
  return None


def sentence(other: Place) -> str:
  """What to do where `pending` names a folder."""
  return (
    f'a push to {other} has not ended; try again when nobody works there, and if it was cut off, '
    'start its command again, which ends it'
  )


def _around(place: Place, listing: Listing) -> Iterator[tuple[Place, list[str]]]:
  """Yields the folders above and inside, and the names of the leases and journals of each."""
  start, _, inside = place.url.partition('://')
  above = inside if place.file else posixpath.dirname(inside)
  while above.strip('/'):
    other = Place(f'{start}://{above}')
    if names := _controls(other):
      yield other, names
    above = posixpath.dirname(above)
  if place.file:
    return
  controls: dict[str, list[str]] = {}
  for path in listing.objects:
    folder, name = posixpath.split(path)
    if posixpath.basename(folder) == place.control != folder:
      controls.setdefault(posixpath.dirname(folder), []).append(name)
  for folder, names in controls.items():
    yield Place(f'{place.url}/{folder}'), names


def _controls(place: Place) -> list[str]:
  fs, key = remote.system(f'{place.url}/{place.control}')
  try:
    fs.invalidate_cache()
    return [posixpath.basename(path) for path in fs.ls(key, detail=False)]
  except Exception:  # Of many libraries: there is none, or it may not be listed so far above.
    return []
