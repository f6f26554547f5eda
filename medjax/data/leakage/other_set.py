"""Whether another data set holds patients or images that a trained network has seen.

Two sets may call different people by one name, so a name marks a patient as seen only where both
folders hold the same set; images are compared by their content, byte for byte, with all that the
network has seen, whatever they are called, and where the files are still there by what they show.
Names that two other sets share are counted, not refused: most number their patients from 1, but a
later export of the same hospital has new images of old patients, and no picture tells.
"""

import concurrent.futures
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data import identifiers
from medjax.data.images import containers, content
from medjax.data.leakage import duplicates
from medjax.errors import InputError, count
from medjax.runtime import remote
from medjax.runtime.progress import Progress

_COMPARED = 50  # images of one name in two folders
_SET = r'^[^:]+:'  # before a patient of one of several sets
_DID = {'train': 'trained', 'validation': 'chose', 'test': 'tested'}


class Met(NamedTuple):
  """Which images a network has met before.

  Attributes:
    split: str[N], 'train', 'validation' or 'test' of the run that saw each image, '' for none.
    first: the first that trained or chose it, in words; '' for none.
    compared: how images were compared, in words.
    namesakes: patients, of images that are none of these, with names of patients who trained or
      chose it in sets that are not known to be the same.
  """

  split: np.ndarray
  first: str
  compared: str
  namesakes: int = 0


def find(
  images: pd.DataFrame,
  paths: Sequence[str],
  root: str,
  seen: pd.DataFrame,
  *,
  pixels: bool = True,
  check: Callable[[str], object] = lambda path: None,
) -> Met:
  """Looks for images and patients that have been seen.

  Args:
    images: N rows of a study table, columns image and patient.
    paths: N files, or `container#key`.
    root: the folder that images are relative to.
    seen: from `medjax.runs.seen_by_run`: columns `seen_before.COLUMNS`.
    pixels: whether to decode images and compare what they show.
    check: given the path of each image that cannot be decoded as it is compared; what it raises
      ends the search.
  """
  split = np.full(len(images), '', object)
  words = np.full(len(images), '', object)
  real = remote.real(root)
  # What trained comes first: it is the gravest.
  same = {
    folder: _is_same_set(str(folder), of_folder, root, images['image'])
    for folder, of_folder in seen.groupby('root')
  }
  for part in ('train', 'validation', 'test'):
    for folder, of_folder in seen[seen['split'] == part].groupby('root'):
      if same[folder]:
        _by_name(images, of_folder, part, split, words)
      elif _is_beneath(str(folder), real) or _is_beneath(real, str(folder)):
        rows, inside, before = _alongside(images, paths, real, str(folder), of_folder)
        inner = np.full(len(inside), '', object), np.full(len(inside), '', object)
        _by_name(inside, before, part, *inner)
        for whole, some in zip((split, words), inner):
          whole[rows] = np.where(whole[rows] == '', some, whole[rows])
  _by_content(images, paths, seen, split, words)
  known = seen[seen['sha256'] != '']
  compared = (
    f'byte for byte with {count(len(known), "image")} of {count(len(seen), "image")} seen before'
  )
  if pixels:
    compared += f', and {_by_pixels(images, paths, seen, split, words, check)}'
  else:
    compared += '; what they show was not compared (--nopixels)'
  grave = np.flatnonzero(np.isin(split, ('train', 'validation')))
  apart = seen[~seen['root'].map(same).astype(bool) & (seen['split'] != 'test')]
  return Met(
    split,
    str(words[grave[0]]) if len(grave) else '',
    compared,
    _namesakes(images[split == ''], apart),
  )


def _namesakes(images: pd.DataFrame, seen: pd.DataFrame) -> int:
  """Counts the patients who are called as some of those seen, under whatever spelling.

  A name that has that of its set before it, 'nih:17', is that of 17 in a table of one set, and not
  that of 'padchest:17'. Images that stand in for patients name nobody.
  """
  now, before = (
    table.loc[table['patient'] != table['image'], 'patient'].drop_duplicates()
    for table in (images, seen)
  )
  bare = before.str.replace(_SET, '', regex=True)
  with_either = identifiers.finder(dict.fromkeys([*before, *bare], True))
  of_one_set = identifiers.finder(dict.fromkeys(before[before == bare], True))
  return sum(
    bool(with_either(name) or of_one_set(re.sub(_SET, '', name))) for name in now.astype(str)
  )


def _is_beneath(folder: str, other: str) -> bool:
  return folder.startswith(os.path.join(other, ''))


def _alongside(
  images: pd.DataFrame, paths: Sequence[str], root: str, folder: str, seen: pd.DataFrame
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
  """Returns what two folders have in common of which one lies in the other.

  One is of several sets then, which has a set's name before its patients: 'nih:17'.

  Returns:
    int[M], rows of the images that lie in both folders; these with their whole paths for names; and
    what was seen likewise. Patients are without the name of their set.
  """
  inner = max(folder, root, key=len)
  own = [remote.real(path) for path in paths]
  before = [remote.real(os.path.join(folder, image)) for image in seen['image']]
  rows = np.array([row for row, path in enumerate(own) if _is_beneath(path, inner)], np.int64)
  kept = [row for row, path in enumerate(before) if _is_beneath(path, inner)]
  parts = []
  for table, names, some in ((images, own, rows), (seen, before, kept)):
    patients = table['patient'].iloc[some].str.replace(_SET, '', regex=True)
    parts.append(pd.DataFrame({'image': [names[row] for row in some], 'patient': list(patients)}))
  return rows, parts[0], parts[1]


def _is_same_set(folder: str, seen: pd.DataFrame, root: str, images: Iterable[str]) -> bool:
  """Whether two folders hold the same set: images of one name have one content, or show the same.

  Where nothing is left of those seen, neither a file nor a digest, it counts as the same.
  """
  if folder == remote.real(root):
    return True
  digests = dict(zip(seen['image'], seen['sha256']))
  for name in sorted(digests.keys() & set(images))[:_COMPARED]:
    before, now = os.path.join(folder, name), os.path.join(root, name)
    if digests[name] and digests[name] == content.digest(now):
      return True
    if not remote.exists(containers.container_of(before)):
      if not digests[name]:
        return True
    elif _show_the_same(before, now):
      return True
  return False


def _show_the_same(one: str, other: str) -> bool:
  try:
    return duplicates.same_picture(one, other)
  except InputError:  # What cannot be read shows nothing.
    return False


def _by_name(
  images: pd.DataFrame, seen: pd.DataFrame, part: str, split: np.ndarray, words: np.ndarray
) -> None:
  """Marks images and patients of one set that are called as some that were seen."""
  names = set(seen['image'])
  # Images that stand in for patients are told apart by all of their name.
  named = seen.loc[seen['patient'] != seen['image'], 'patient']
  find_patient = identifiers.finder(dict.fromkeys(set(named), True))
  for row, (image, patient) in enumerate(zip(images['image'], images['patient'])):
    if split[row]:
      continue
    if image in names:
      split[row], words[row] = part, f"'{image}' {_DID[part]} this model"
    elif patient != image and find_patient(patient):
      split[row] = part
      words[row] = f"'{image}' is of patient '{patient}', who {_DID[part]} this model"


def _by_content(
  images: pd.DataFrame,
  paths: Sequence[str],
  seen: pd.DataFrame,
  split: np.ndarray,
  words: np.ndarray,
) -> None:
  order = {'train': 0, 'validation': 1, 'test': 2}
  known = seen[seen['sha256'] != ''].sort_values('split', key=lambda part: part.map(order))
  if not len(known):
    return
  originals = known.drop_duplicates('sha256').set_index('sha256')
  with concurrent.futures.ThreadPoolExecutor() as pool:
    for row, digest in enumerate(pool.map(content.digest, paths)):
      if not split[row] and digest in originals.index:
        original = originals.loc[digest]
        _mark(row, images, original, 'is byte for byte', split, words)


def _by_pixels(
  images: pd.DataFrame,
  paths: Sequence[str],
  seen: pd.DataFrame,
  split: np.ndarray,
  words: np.ndarray,
  check: Callable[[str], object],
) -> str:
  """Marks images that show the same as one that was seen; returns what was compared, in words."""
  before = seen.drop_duplicates(['root', 'image']).reset_index(drop=True)
  files = [os.path.join(root, image) for root, image in zip(before['root'], before['image'])]
  bar = Progress('image compared', 0, len(paths) + len(files))

  def on_broken(position: int) -> None:
    if position < len(paths):
      check(paths[position])

  try:
    looks = duplicates.look([*paths, *files], progress=bar.update, on_broken=on_broken)
  finally:
    bar.close()
  is_seen = np.r_[np.zeros(len(paths)), np.ones(len(files))]
  pairs = duplicates.find(looks, is_seen[None])
  for a, b, kind in pairs[['a', 'b', 'kind']].itertuples(index=False):
    if a < len(paths) <= b and not split[a]:
      original = before.iloc[b - len(paths)]
      how = 'shows the same as' if kind in ('near', 'pixels', 'file') else f'shows, {kind},'
      _mark(a, images, original, how, split, words)
  readable = sum(position >= len(paths) for position in looks.broken)
  there = len(files) - readable
  said = f'by what they show with {count(there, "image")} of these'
  return said if not readable else f'{said} (the files of the others are gone)'


def _mark(
  row: int,
  images: pd.DataFrame,
  original: pd.Series,
  how: str,
  split: np.ndarray,
  words: np.ndarray,
) -> None:
  part = str(original['split'])
  path = os.path.join(original['root'], original['image'])
  split[row] = part
  words[row] = f"'{images['image'].iloc[row]}' {how} {path}, which {_DID[part]} this model"
