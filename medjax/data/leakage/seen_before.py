"""Whom a network has seen before: the images and patients of the runs it was pre-trained in.

A patient who trained the weights that a run starts from is no new patient to it, so neither
validation nor test may contain one.
"""

import collections
import concurrent.futures
import functools
import heapq
import itertools
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from medjax.data import identifiers
from medjax.data.images import containers, content
from medjax.data.images.lists import Item
from medjax.data.leakage import duplicates
from medjax.errors import InputError
from medjax.runtime import remote

COLUMNS = ['image', 'patient', 'split', 'root', 'sha256']
_COMPARED = 50  # images of one name in two folders, which say whether the folders hold the same set
# A validation patient of the earlier run may validate again, but never test.
_FORBIDDEN = {'test': ('train', 'validation'), 'validation': ('train',)}
_DID = {'train': 'trained', 'validation': 'chose'}


def check_unseen(images: pd.DataFrame, split: np.ndarray, root: str, seen: pd.DataFrame) -> None:
  """Raises InputError naming a patient of validation or test that the pretrained weights have seen.

  Patients of different data sets may bear the same name. Two folders hold the same set if they are
  the same folder, or if images of one name show the same, at whatever size; a folder that is gone
  counts as the same.

  Args:
    images: the study table.
    split: str[N] of its images.
    root: of its images.
    seen: from `medjax.runs.seen_by_run.seen_by`: columns COLUMNS.
  """
  for folder, rows in seen.groupby('root'):
    if not _same_set(str(folder), rows['image'], remote.real(root), images['image']):
      continue
    overlap = _met_again(images, split, rows)
    if overlap:
      part, common, patients = overlap
      raise InputError(
        f'config.model.pretrained: {len(common):,} of the {patients:,} {part} patients, such as '
        f"'{common[0]}', trained or chose these weights ({folder}); pre-train and fine-tune with "
        'one split (the same config.split and data.labels), or on other patients'
      )


def check_new_images(images: pd.DataFrame, seen: pd.DataFrame) -> None:
  """Raises InputError naming an image of validation or test that the weights have seen.

  Whatever it, its folder and its patient are called now: by its content, byte for byte. An image
  whose content trains or chooses in this study too, such as a blank one, is a matter of this split,
  whose proof counts it.

  Args:
    images: columns image, split and sha256, see medjax.data.images.content.digest.
    seen: from `medjax.runs.seen_by_run.seen_by`: columns COLUMNS.
  """
  for part, parts_seen in _FORBIDDEN.items():
    rows = images[(images['split'] == part) & (images['sha256'] != '')]
    own = images.loc[images['split'].isin(parts_seen), 'sha256']
    before = seen[seen['split'].isin(parts_seen)].drop_duplicates('sha256').set_index('sha256')
    met = rows[rows['sha256'].isin(before.index) & ~rows['sha256'].isin(own)]
    if len(met):
      first = met.iloc[0]
      original = before.loc[first['sha256']]
      raise InputError(
        f'config.model.pretrained: {len(met):,} of the {len(rows):,} {part} images, such as '
        f"'{first['image']}', are byte for byte images that trained or chose these weights "
        f"('{original['image']}' in {original['root']}); pre-train and fine-tune with one split, "
        'or on other images'
      )


def note(images: pd.DataFrame, split: np.ndarray, seen: pd.DataFrame) -> str | None:
  """Returns a sentence if patients of validation or test have namesakes among those seen.

  `check_unseen` has found their images to differ, or none of one name to compare.
  """
  overlap = _met_again(images, split, seen)
  if overlap is None:
    return None
  seen = seen[seen['split'] != 'test']
  part, common, patients = overlap
  folders = ', '.join(sorted(set(seen['root'])))
  return (
    f'{len(common):,} of the {patients:,} {part} patients have names, such as {common[0]}, of '
    f'patients who trained the weights that this run started from ({folders}), though not the '
    'same images; if they are the same people, the figures are too high.'
  )


def tested_before(
  images: pd.DataFrame, split: np.ndarray, root: str, seen: pd.DataFrame
) -> tuple[int, int]:
  """Returns how many test patients had been tested with the weights before, and of how many.

  Args:
    images, split, root: as for `check_unseen`.
    seen: as there; its test images are those of tests that were read.
  """
  known: set[str] = set()
  patients = images.loc[split == 'test', 'patient'].nunique()
  for folder, rows in seen[seen['split'] == 'test'].groupby('root'):
    if _same_set(str(folder), rows['image'], remote.real(root), images['image']):
      overlap = _met_again(images, split, rows, {'test': ('test',)})
      known |= set(overlap[1] if overlap else ())
  return len(known), patients


def _met_again(
  images: pd.DataFrame,
  split: np.ndarray,
  seen: pd.DataFrame,
  forbidden: Mapping[str, tuple[str, ...]] = _FORBIDDEN,
) -> tuple[str, list[str], int] | None:
  """Returns a split with patients among those seen, these, and how many patients it has."""
  for part, parts_seen in forbidden.items():
    before, now = (
      rows.loc[:, ['patient', 'image']].drop_duplicates('patient')
      for rows in (seen[seen['split'].isin(parts_seen)], images[split == part])
    )
    # Images that stand in for patients are told apart by all of their name.
    alone = set(before.loc[before['patient'] == before['image'], 'patient'])
    find = identifiers.finder(dict.fromkeys(set(before['patient']) - alone, True))
    common = sorted(
      patient
      for patient, image in zip(now['patient'], now['image'])
      if (patient in alone if patient == image else find(patient))
    )
    if common:
      return part, common, len(now)
  return None


def _same_set(folder: str, seen: Iterable[str], root: str, images: Iterable[str]) -> bool:
  if folder == root:
    return True
  common = sorted(set(seen) & set(images))[:_COMPARED]
  return any(
    _show_the_same(os.path.join(folder, name), os.path.join(root, name)) for name in common
  )


def _show_the_same(one: str, other: str) -> bool:
  try:
    return duplicates.same_picture(one, other)
  except InputError:
    return True


def find_seen(images: Iterable[Item], seen: pd.DataFrame) -> tuple[int, str]:
  """Returns how many images trained or chose a network and the first in words; (0, '') for none.

  An image is such a one if it is the same file, or of a patient of the same name, or has the same
  content whatever it is called. Files that are called as some of those seen, in another folder, may
  be copies that were saved anew: of `_COMPARED` of them, drawn evenly, the pictures are compared,
  and those that show the same are counted too, as are those whose counterpart is gone.

  Args:
    images: each met once, so they may be many.
    seen: from `medjax.runs.seen_by_run.seen_by`: columns COLUMNS.
  """
  real = _resolver()
  paths = [os.path.join(root, image) for root, image in zip(seen['root'], seen['image'])]
  split_of = dict(zip(map(real, paths), seen['split']))
  originals = {
    digest: (os.path.join(root, image), split)
    for digest, root, image, split in zip(
      seen['sha256'], seen['root'], seen['image'], seen['split']
    )
    if digest
  }
  split_of_patient = identifiers.finder(dict(zip(seen['patient'], seen['split'])))
  namesakes = _by_distinct_end(set(paths))
  deepest = max((name.count('/') for name in namesakes), default=0) + 1
  count, first = 0, ''

  def possible_copies() -> Iterator[tuple[Item, str]]:
    nonlocal count, first
    for item, digest in _with_digests(images, bool(originals)):
      if split := split_of.get(real(item.path)):
        words = f"'{item.image}' {_DID[split]} this model"
      elif item.patient and (split := split_of_patient(item.patient)):
        words = f"'{item.image}' is of patient '{item.patient}', who {_DID[split]} this model"
      elif digest in originals:
        original, split = originals[digest]
        words = f"'{item.image}' is byte for byte {original}, which {_DID[split]} this model"
      else:
        parts = item.path.split('/')[-deepest:]
        ends = ('/'.join(parts[-depth:]) for depth in range(1, len(parts) + 1))
        if original := next((namesakes[end] for end in ends if end in namesakes), None):
          yield item, original
        continue
      count, first = count + 1, first or words

  def draw(pair: tuple[Item, str]) -> int:
    return zlib.crc32(os.fsencode(pair[0].image))

  for item, original in heapq.nsmallest(_COMPARED, possible_copies(), key=draw):
    gone = not remote.exists(containers.container_of(original))
    if gone or _is_copy(original, item.path):
      how = 'is called as' if gone else 'shows the same as'
      first = (
        first
        or f"'{item.image}' {how} {original}, which {_DID[split_of[real(original)]]} this model"
      )
      count += 1
  return count, first


def _with_digests(images: Iterable[Item], wanted: bool) -> Iterator[tuple[Item, str]]:
  """Yields each image with the digest of its content, '' where none is wanted."""
  if not wanted:
    yield from ((item, '') for item in images)
    return
  with concurrent.futures.ThreadPoolExecutor() as pool:
    items = iter(images)
    while batch := list(itertools.islice(items, 1000)):
      yield from zip(batch, pool.map(lambda item: content.digest(item.path), batch))


def _is_copy(original: str, path: str) -> bool:
  try:
    return duplicates.same_picture(original, path)
  except InputError:  # What cannot be read is not predicted either.
    return False


def _resolver() -> Callable[[str], str]:
  """Returns path → the path without links; folders are looked up once."""
  folder_of = functools.cache(os.path.realpath)

  def real(path: str) -> str:
    if remote.is_remote(path):
      return path
    container = containers.container_of(path)
    folder, name = os.path.split(os.path.abspath(container))
    file = os.path.join(folder_of(folder), name)
    return (os.path.realpath(file) if os.path.islink(file) else file) + path[len(container) :]

  return real


def _by_distinct_end(paths: Iterable[str]) -> dict[str, str]:
  """Returns the shortest end of each path that no other one has → the path.

  In sets that call all their files alike the folders differ: patient1/study1/view1_frontal.jpg.
  """
  distinct: dict[str, str] = {}
  left, depth = list(paths), 1
  while left:
    ends = ['/'.join(path.split('/')[-depth:]) for path in left]
    times = collections.Counter(ends)
    distinct |= {end: path for end, path in zip(ends, left) if times[end] == 1}
    left = [path for end, path in zip(ends, left) if times[end] > 1]
    depth += 1
  return distinct
