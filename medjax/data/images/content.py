"""What images hold, byte for byte: to know them again later, and under another name."""

import hashlib
import os
import pathlib

import pandas as pd

from medjax.data.images import containers
from medjax.errors import InputError, count
from medjax.runtime import files, remote, storage

# Pairs of sides that must have no image in common, the gravest first, and what it would mean.
_PAIRS = {
  ('test', 'train'): 'the network was trained on what it is tested on',
  ('test', 'validation'): 'the checkpoint and the thresholds were chosen on what is tested',
  ('validation', 'train'): 'the checkpoint and the thresholds were chosen on what has trained',
}


def digest(path: str | pathlib.Path) -> str:
  """Returns the SHA-256 of a file or of what lies at `container#key`; '' where nothing is read.

  The digest of an array is that of its shape as text, '(28, 28)', and then its bytes.

  Raises:
    OSError: the file system is gone, which is no fault of the file.
  """
  try:
    if containers.is_inside(path):
      inside = containers.read(path)
      if not isinstance(inside, bytes):
        inside = f'{inside.shape}'.encode() + inside.tobytes()
      return hashlib.sha256(inside).hexdigest()
    if remote.is_remote(path):
      return hashlib.sha256(remote.read(path)).hexdigest()
    if not os.path.isfile(path):  # To open a pipe would wait for ever.
      return ''
    return storage.read_again(lambda: files.sha256(pathlib.Path(path)))
  except (InputError, OSError) as error:
    if storage.is_gone(error):
      raise
    return ''


def across_sides(images: pd.DataFrame) -> tuple[dict[str, int], list[str]]:
  """Returns how many images of one side are byte for byte images of another, and sentences on them.

  Args:
    images: columns image, split and sha256, see `digest`.

  Returns:
    {'test in train': 3, …}, all pairs; and a sentence for each pair that has any.
  """
  of_side = {side: rows for side, rows in images.groupby('split')}
  nothing = images[:0]
  counts, sentences = {}, []
  for (one, other), consequence in _PAIRS.items():
    rows, others = of_side.get(one, nothing), of_side.get(other, nothing)
    common = rows[rows['sha256'].isin(others['sha256']) & (rows['sha256'] != '')]
    counts[f'{one} in {other}'] = len(common)
    if len(common):
      first = common.iloc[0]
      twin = others.loc[others['sha256'] == first['sha256'], 'image'].iloc[0]
      sentences.append(
        f'{len(common):,} of the {count(len(rows), f"{one} image")} are byte for byte {other} '
        f"images, such as '{first['image']}' and '{twin}': {consequence}. medjax.audit lists them, "
        'and those saved anew.'
      )
  return counts, sentences
