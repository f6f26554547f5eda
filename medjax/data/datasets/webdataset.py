"""Tar files of samples, as WebDataset writes them: an image, a JSON of what is known of it.

    train-000000.tar   0007.jpg  0007.json {"patient": "P7", "mass": 1}  0008.jpg …
    test-000000.tar    …

Nothing is unpacked. A file whose name begins with train, val, valid or test gives its samples that
`official_split`.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from medjax.data import table
from medjax.data.datasets import samples
from medjax.data.images.tar_shards import TarShard
from medjax.errors import InputError
from medjax.runtime import remote


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  files: str = '*.tar',
  columns: Mapping[str, str] | None = None,
  grouped_by: str = 'patient',
  classes: Sequence[str] = (),
  about: str | Sequence[str] = (),
) -> pd.DataFrame:
  """Returns the study table of all tar files under a folder; an image is a sample of one of them.

  Args:
    root: the folder.
    labels: fields of the samples' JSON that are labels: codes 1, 0, -1 and null, true and false, or
      shares between 0 and 1; or, where `columns` names a 'class', the values of that field, one of
      which an image has, or a list of them.
    files: which files, by a pattern of their names.
    columns: our name → the field's, as of the source `csv`; {'class': 'cls'} takes the class from
      the members .cls.
    grouped_by: what the patient field holds where there are no patients, as of the source `csv`.
    classes: what the numbers in .cls mean, in their order.
    about: further fields, by whose values evaluation.subgroups may ask; 'all' for all.

  Raises:
    InputError: no such file, one that is damaged or whose members lead out of it, no patients, an
      unknown code.
  """
  asked = samples.Asked(labels, columns, grouped_by, about, tuple(classes))
  paths = sorted(root.rglob(files))
  if not paths:
    raise InputError(f'{root}: no {files} in this folder or below; set config.data.root')
  parts = [_of_file(path, path.relative_to(root).as_posix(), asked) for path in paths]
  return table.check(pd.concat(parts, ignore_index=True), str(root))


def _of_file(path: Any, name: str, asked: samples.Asked) -> pd.DataFrame:
  shard = TarShard(remote.local_copy(path))
  try:
    rows = [
      {**_facts(shard, number, path), 'image': f'{name}#{number}'} for number in range(len(shard))
    ]
    keys = [f"sample '{sample.key}'" for sample in shard.samples]
  finally:
    shard.close()
  if not rows:
    raise InputError(f'{path}: holds no sample with an image')
  return samples.of_file(rows, keys, path, asked)


def _facts(shard: TarShard, number: int, path: Any) -> dict[str, Any]:
  """Returns what a sample's JSON says, and its class as `cls`."""
  members = shard.samples[number].members
  facts: dict[str, Any] = {}
  try:
    if 'json' in members:
      facts = json.loads(shard.member(number, 'json'))
    if 'cls' in members:
      facts = {**facts, 'cls': shard.member(number, 'cls').decode().strip()}
  except (ValueError, TypeError, RecursionError) as error:
    raise InputError(
      f"{path}: the JSON of the sample '{shard.samples[number].key}' cannot be read ({error})"
    ) from None
  if not isinstance(facts, dict):
    raise InputError(f"{path}: the JSON of the sample '{shard.samples[number].key}' is no object")
  return facts
