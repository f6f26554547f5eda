"""A split on disk: split.csv, and split.json, the proof that it is what it says.

Every checkpoint carries the CSV's SHA-256, and the proof carries the table's, so that neither can
change unnoticed between training and evaluation.
"""

import csv
import hashlib
import io
import json
import pathlib
import posixpath
from collections.abc import Sequence

import numpy as np
import pandas as pd

from medjax.data import cells
from medjax.data.split import characteristics
from medjax.data.split.by_patient import SPLITS, by_patient, check_overlap, members_of
from medjax.data.table import label_columns, read_csv, stand_ins_for_patients
from medjax.errors import InputError, check_option, count
from medjax.runtime import files

FORMAT = 'medjax split 1'
CSV_NAME, PROOF_NAME = 'split.csv', 'split.json'


def proof(
  table: pd.DataFrame,
  split: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  *,
  settings: dict,
  how: dict,
  csv_text: str | None = None,
) -> dict:
  """Returns what anyone needs to check a split, ready for JSON.

  `table_sha256` is that of the lines of `column_sha256`, 'name digest', columns sorted by name; a
  column's digest is that of its JSON list in the order of the image names, label codes as one
  string of '1', '0', '-' (uncertain), 'n' (not mentioned) and 's' (soft), after which the soft
  labels follow, ' 0.333333' for a third. `split_sha256` is that of the CSV.

  Args:
    table, split, truth, known, labels: as in `make`.
    settings: the settings that the split was made with, of JSON types.
    how: what `make` returned; {} for a split that came from elsewhere.
    csv_text: what `to_csv` returns, where it is there already.
  """
  csv_text = to_csv(table, split) if csv_text is None else csv_text
  described = table[[name for name in characteristics.COLUMNS if name in table]]
  patients, names = pd.factorize(table['patient'], sort=True)
  members = members_of(table, split)
  shared = members.astype(np.int64).T @ members
  positive = known & (truth > 0.5)
  per_split, no_positives, no_negatives = {}, {}, {}
  for name in SPLITS:
    rows = split == name
    known_images, positive_images = known[rows].sum(axis=0), positive[rows].sum(axis=0)
    of_split = patients[rows]
    positive_patients = by_patient(of_split, len(names), positive[rows]).sum(axis=0)
    negative_patients = by_patient(of_split, len(names), known[rows] & ~positive[rows]).sum(axis=0)
    per_split[name] = {
      'patients': int(members[:, SPLITS.index(name)].sum()),
      'images': int(rows.sum()),
      'characteristics': characteristics.of_rows(described[rows]),
      'labels': {
        label: {
          'known': int(k),
          'positive': int(p),
          'prevalence': float(p / k) if k else None,
          'positive_patients': int(q),
          'negative_patients': int(n),
        }
        for label, k, p, q, n in zip(
          labels, known_images, positive_images, positive_patients, negative_patients
        )
      },
    }
    if rows.any():
      no_positives[name] = [label for label, p in zip(labels, positive_images) if p == 0]
      no_negatives[name] = [
        label for label, k, p in zip(labels, known_images, positive_images) if k == p
      ]
  columns = _column_digests(table)
  result = {
    'format': FORMAT,
    'table_sha256': _table_digest(columns),
    'column_sha256': columns,
    'split_sha256': _digest(csv_text.encode()),
    'settings': settings,
    'seed': how.get('seed', settings.get('seed')),
    'how': how,
    'splits': per_split,
    'patient_overlap': {
      a: {b: int(shared[i, j]) for j, b in enumerate(SPLITS)} for i, a in enumerate(SPLITS)
    },
    'duplicates': {'images_listed_twice': int(table['image'].duplicated().sum())},
    'not_checked': ['Pixels: the same picture under two names is not looked for here.'],
    'labels_without_positives': no_positives,
    'labels_without_negatives': no_negatives,
    'notes': _notes(table, how),
  }
  return json.loads(json.dumps(result))


def _notes(table: pd.DataFrame, how: dict) -> list[str]:
  """Returns sentences on whatever weakens the split."""
  notes = []
  for group, images in stand_ins_for_patients(table).items():
    whose = (
      'The source names' if images == len(table) else f'For {images:,} images the source names'
    )
    notes.append(
      f'{whose} no patients: every {group} counts as a patient of its own, so the same '
      'person may be on both sides of this split, and nothing here can tell.'
    )
  for side in ('test', 'validation'):
    if origins := how.get(side, {}).get('sets'):
      official, drawn = (
        ', '.join(name for name in origins if origins[name] == origin)
        for origin in ('official', 'drawn')
      )
      notes.append(
        f"The {side} set is the publisher's for {official}, and drawn for {drawn}, where there is "
        'none.'
      )
  notes += how.get('test', {}).get('notes', [])
  if enriched := how.get('test', {}).get('enriched'):
    notes.append(
      f'The test set was enriched to meet the floor for {", ".join(enriched)}: its prevalence is '
      "not the source's, and neither are the predictive values that follow from it."
    )
  if rationed := how.get('validation', {}).get('rationed'):
    than = 'their share' if how['validation'].get('like') == 'rest' else 'the test set has'
    notes.append(
      f'Validation has fewer positives than {than} of {", ".join(rationed)}: half of the '
      'positive patients that were left were kept for training.'
    )
  return notes


def to_csv(table: pd.DataFrame, split: np.ndarray) -> str:
  """Returns the split as CSV text with the columns image, patient, split, sorted by image."""
  images = table['image'].to_numpy(object)
  order = np.argsort(images, kind='stable')
  columns = (images, table['patient'].to_numpy(object), np.asarray(split))
  header, rows = ('image', 'patient', 'split'), zip(*(values[order].tolist() for values in columns))
  lines = '\n'.join([','.join(header), *map(','.join, rows), ''])
  quoted = '"' in lines or '\r' in lines or lines.count('\n') > len(order) + 1
  if not quoted and lines.count(',') == 2 * (len(order) + 1):
    return lines  # as csv writes it, in half of the time
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(header)
  writer.writerows(zip(*(values[order].tolist() for values in columns)))
  return text.getvalue()


def write(directory: pathlib.Path, csv_text: str, proof: dict) -> None:
  """Writes split.csv and then split.json, each whole or not at all."""
  directory = pathlib.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  for name, text in ((CSV_NAME, csv_text), (PROOF_NAME, json.dumps(proof, indent=2) + '\n')):
    files.write_whole(directory / name, text)


def read(directory: pathlib.Path, table: pd.DataFrame) -> tuple[np.ndarray, dict]:
  """Reads a written split and joins it to the table by image.

  Returns:
    The split, str[N] in the table's order, and the proof.

  Raises:
    InputError: a file missing or changed since it was written, a table with other images, patients
      or labels than the one that was split, a patient on two sides.
  """
  csv_path, proof_path = pathlib.Path(directory) / CSV_NAME, pathlib.Path(directory) / PROOF_NAME
  vouched = read_proof(directory)
  _check_fields(vouched, proof_path, table_sha256=str, column_sha256=dict, splits=dict)
  _check_fields(vouched, proof_path, how=dict, notes=list, duplicates=dict)
  split = _join(read_csv(csv_path, ('image', 'patient', 'split')), table, csv_path)
  _check_table(table, vouched, proof_path)
  check_overlap(table, split)
  return split, vouched


def read_proof(directory: pathlib.Path) -> dict:
  """Returns the proof of a written split, whose CSV is the one that it vouches for.

  Raises:
    InputError: a file missing, or split.csv changed since it was written.
  """
  csv_path, proof_path = pathlib.Path(directory) / CSV_NAME, pathlib.Path(directory) / PROOF_NAME
  vouched = _load_proof(proof_path)
  try:
    content = csv_path.read_bytes()
  except FileNotFoundError:
    raise InputError(f'{csv_path}: no such file; a split is {CSV_NAME} and {PROOF_NAME}') from None
  if _digest(content) != vouched.get('split_sha256'):
    raise InputError(
      f'{csv_path}: not the file that {PROOF_NAME} vouches for (its SHA-256 differs); restore it, '
      'or, if nothing has trained on it, delete both files and make the split anew'
    )
  return vouched


def read_published(
  path: pathlib.Path, table: pd.DataFrame
) -> tuple[np.ndarray, pd.Series | None, list[str]]:
  """Reads anybody's split, columns image and split, and joins it to the table.

  Images are joined by their path, or where that is unknown by their file name, if the table has it
  once; which is noted, and how many of those are of another patient there. Splits may be called
  val, valid, dev, training or tst as well.

  Returns:
    The split, str[N] in the table's order, 'unused' where the file says nothing; the file's
    patients, '' where it names none, or None where it has no such column or they are the table's;
    and sentences on what did not fit.

  Raises:
    InputError: a column missing, an unknown split, an image on two rows, or no image of the table.
  """
  frame = read_csv(path, ('image', 'split'))
  for row, word in enumerate(frame['split']):
    if cells.attempt(cells.part, word, None) is None:
      check_option(f"{path}: row {row + 2}, column 'split'", word, SPLITS)
  return joined(frame.assign(split=frame['split'].map(cells.part)), path, table)


def joined(
  frame: pd.DataFrame, path: pathlib.Path, table: pd.DataFrame
) -> tuple[np.ndarray, pd.Series | None, list[str]]:
  """Joins the rows of a split's file, whose parts are '' where unused, as `read_published` does."""
  if 'image' not in frame:
    raise InputError(f"{path}: no column 'image' or 'patient' beside 'split'")
  images = pd.Index(table['image'])
  place = images.get_indexer([posixpath.normpath(image.strip()) for image in frame['image']])
  names = pd.Index([posixpath.basename(image) for image in images])
  once = ~names.duplicated(keep=False)
  by_name = names[once].get_indexer([posixpath.basename(image.strip()) for image in frame['image']])
  if once.any():
    by_name = np.where(by_name >= 0, np.flatnonzero(once)[by_name], -1)
  by_name_alone = np.flatnonzero((place < 0) & (by_name >= 0))
  place = np.where(place >= 0, place, by_name)
  known = np.flatnonzero(place >= 0)
  if not len(known):
    raise InputError(
      f"{path}: none of its {len(frame):,} images is in the table, such as '{frame['image'][0]}' "
      f"(the table has '{images[0]}'); use the table that was split, or write images as it does"
    )
  twice = pd.Series(place[known]).duplicated().to_numpy()
  if twice.any():
    row = known[twice][0]
    raise InputError(
      f"{path}: row {row + 2}: image '{frame['image'][row]}' is listed twice; keep one row per "
      'image'
    )
  split = np.full(len(table), 'unused', object)
  split[place[known]] = frame['split'].iloc[known].replace('', 'unused')
  notes = []
  if len(by_name_alone):
    row = by_name_alone[0]
    notes.append(
      f'Joined by file name alone: {count(len(by_name_alone), "image")}, such as '
      f"'{frame['image'][row]}' of {path.name} to '{images[place[row]]}'."
    )
    called = frame['patient'].str.strip() if 'patient' in frame else pd.Series('', frame.index)
    joined = table.iloc[place[by_name_alone]]
    named = joined.get('grouped_by', 'patient') == 'patient'
    other = by_name_alone[
      named
      & (called[by_name_alone] != '').to_numpy()
      & (called[by_name_alone].to_numpy(object) != joined['patient'].to_numpy(object))
    ]
    if len(other):
      row = other[0]
      notes.append(
        'Joined by file name alone although the patients are called differently: '
        f'{count(len(other), "image")}, '
        f"such as '{frame['image'][row]}' of '{called[row]}' to '{images[place[row]]}' of "
        f"'{table['patient'].iloc[place[row]]}': they may be other pictures."
      )
  if len(known) < len(frame):
    absent = frame['image'][np.flatnonzero(place < 0)[0]]
    number = count(len(frame) - len(known), 'image')
    notes.append(f"Named in {path.name} but not in the table: {number}, such as '{absent}'.")
  if len(known) < len(table):
    number = count(len(table) - len(known), 'image')
    notes.append(f'Named in the table but not in {path.name}, so on no side: {number}.')
  patients = None
  if 'patient' in frame:
    patients = pd.Series('', table.index, dtype=object)
    patients.iloc[place[known]] = frame['patient'].iloc[known].str.strip().to_numpy(object)
    if (patients.iloc[place[known]] == table['patient'].iloc[place[known]]).all():
      patients = None
  return split.astype(str), patients, notes


def _digest(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()


def _column_digests(table: pd.DataFrame) -> dict[str, str]:
  """Returns column -> SHA-256, for what decides a label of an image, as `proof` describes."""
  images = table['image'].to_numpy(object)
  order = np.argsort(images, kind='stable')
  texts = {
    'image': images[order].tolist(),
    'patient': table['patient'].to_numpy(object)[order].tolist(),
  }
  for label in label_columns(table):
    codes = table[label].to_numpy(np.float32)[order]
    soft = (codes > 0) & (codes < 1)
    places = np.where(np.isnan(codes), 2, np.where(soft, 3, codes)).astype(np.int64) + 1
    texts[label] = np.frombuffer(b'-01ns', np.uint8)[places].tobytes().decode()
    texts[label] += ''.join(f' {code:.6f}' for code in codes[soft])
  if 'unlabelled' in table:
    texts['unlabelled'] = table['unlabelled'].to_numpy(object)[order].tolist()
  return {name: _digest(json.dumps(texts[name]).encode()) for name in sorted(texts)}


def _table_digest(columns: dict[str, str]) -> str:
  return _digest(''.join(f'{name} {columns[name]}\n' for name in sorted(columns)).encode())


def _load_proof(path: pathlib.Path) -> dict:
  try:
    recorded = files.parsed(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    raise InputError(f'{path}: no such file; a split is {CSV_NAME} and {PROOF_NAME}') from None
  except (OSError, ValueError) as error:
    raise InputError(f'{path}: not a readable JSON file ({error})') from None
  form = recorded.get('format') if isinstance(recorded, dict) else None
  if form != FORMAT:
    raise InputError(f"{path}: the format is '{form}', not '{FORMAT}'; make the split anew")
  _check_fields(recorded, path, split_sha256=str)
  return recorded


def _check_fields(recorded: dict, path: pathlib.Path, **kinds: type) -> None:
  for name, kind in kinds.items():
    if not isinstance(recorded.get(name), kind):
      raise InputError(f"{path}: is damaged or was edited, for it has no '{name}'; restore it")


def _join(frame: pd.DataFrame, table: pd.DataFrame, path: pathlib.Path) -> np.ndarray:
  """Returns the split of each row of the table, from the rows of the CSV."""
  images = table['image'].to_numpy(object)
  place = pd.Index(frame['image'].to_numpy(object)).get_indexer(images)
  absent = np.flatnonzero(place < 0)
  if len(absent):
    raise InputError(
      f'{path}: {len(absent)} images of the table are not in it, such as '
      f"'{images[absent[0]]}'; use the table that was split, or make the split anew"
    )
  if len(frame) > len(table):
    listed = frame['image'].to_numpy(object)
    surplus = listed[~np.isin(np.arange(len(listed)), place)]
    raise InputError(
      f"{path}: {len(surplus)} of its images are not in the table, such as '{surplus[0]}'; use the "
      'table that was split, or make the split anew'
    )
  patients, split_patients = (
    rows['patient'].to_numpy(object) for rows in (table, frame.iloc[place])
  )
  other = np.flatnonzero(patients != split_patients)
  if len(other):
    row = other[0]
    raise InputError(
      f"{path}: image '{images[row]}' is of patient '{split_patients[row]}', in the table of "
      f"'{patients[row]}' ({len(other)} such images); use the table that was split, or make the "
      'split anew'
    )
  return frame['split'].to_numpy(object)[place].astype(str)


def _check_table(table: pd.DataFrame, recorded: dict, path: pathlib.Path) -> None:
  columns = _column_digests(table)
  if _table_digest(columns) == recorded['table_sha256']:
    return
  before = recorded['column_sha256']
  names = sorted({*columns, *before})
  differing = [name for name in names if columns.get(name) != before.get(name)]
  raise InputError(
    f'{path}: the table is not the one that was split (its SHA-256 differs): other or no values in '
    f'{", ".join(differing)}; use the table that was split, or make the split anew'
  )
