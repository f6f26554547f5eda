"""Readers of text under garbage: what they return is compared with another reader of the text."""

import copy
import csv
import io
import json
import logging
import math
import pathlib
import time
import warnings

import seeds
import watched_child

_BATCH = 100  # texts that Hypothesis draws of one seed
_SEPARATORS = (',', ';', '\t', '|')


def quiet() -> None:
  """Keeps libraries from speaking of every damaged file, on file descriptors too."""
  import os

  warnings.simplefilter('ignore')
  logging.disable(logging.CRITICAL)
  null = os.open(os.devnull, os.O_WRONLY)
  os.dup2(null, 2)


def _rows(data: bytes, columns: tuple[str, ...]) -> list[dict[str, str]] | None:
  """Returns the rows that Python's own reader finds; None where it is not plain CSV."""
  try:
    text = data.decode('utf-8-sig')
  except UnicodeDecodeError:
    return None
  for separator in _SEPARATORS:
    try:
      lines = list(csv.reader(io.StringIO(text, newline=''), delimiter=separator))
    except csv.Error:
      continue
    while lines and not any(lines[-1]):
      lines.pop()
    header = [name.strip() for name in lines[0]] if lines else []
    if set(columns) <= set(header):
      return [dict(zip(header, line)) for line in lines[1:]]
  return None


def _same(value: float, text: str) -> bool:
  try:
    said = float(text.strip().replace(',', '.'))
  except ValueError:
    return True  # A word that only medjax knows.
  return math.isclose(value, said, rel_tol=1e-6, abs_tol=1e-7) or value == said


def predictions(path: pathlib.Path) -> str:
  """Reads predictions; returns '' or which row is another one than in the file."""
  from medjax.evaluation import predictions as reader

  read = reader.read(path)
  rows = _rows(path.read_bytes(), ('image', 'patient'))
  if rows is None:
    return ''
  if read.images != [row['image'] for row in rows]:
    return f'images {read.images[:3]} of a file that has {[row["image"] for row in rows][:3]}'
  for at, row in enumerate(rows):
    for place, label in enumerate(read.labels):
      if read.log_odds is None and not _same(read.probabilities[at, place], row[f'prob_{label}']):
        return f'row {at + 2}: {read.probabilities[at, place]} for {row[f"prob_{label}"]!r}'
      true = row[f'true_{label}']
      if not read.known[at, place] and true in ('0', '1'):
        return f'row {at + 2}: no truth for {true!r}'
      if read.known[at, place] and not _same(read.truth[at, place], true):
        return f'row {at + 2}: truth {read.truth[at, place]} for {true!r}'
      if read.known[at, place] and not true.strip():
        return f'row {at + 2}: truth {read.truth[at, place]} for nothing'
  return ''


def labels(path: pathlib.Path) -> str:
  """Reads a table of labels; returns '' or which row is another one than in the file."""
  from medjax.data.datasets import csv as reader

  table = reader.read(path.parent, seeds.LABELS, table_file=path.name)
  rows = _rows(path.read_bytes(), ('image', 'patient', *seeds.LABELS))
  if rows is None:
    return ''
  if len(rows) != len(table):
    return f'{len(table)} rows of a file that has {len(rows)}'
  for at, row in enumerate(rows):
    for label in seeds.LABELS:
      value = float(table[label].iloc[at])
      if math.isnan(value) and row[label] in ('0', '1'):
        return f'row {at + 2}, {label}: not known for {row[label]!r}'
      if not math.isnan(value) and (not _same(value, row[label]) or not row[label].strip()):
        return f'row {at + 2}, {label}: {value} for {row[label]!r}'
  return ''


def config(path: pathlib.Path) -> str:
  """Reads config.json of a run; returns '' or what it says otherwise than the file."""
  from medjax import config as configs
  from medjax.runs import finished
  from medjax.runs.layout import Layout

  read = configs.to_dict(finished.read_config(Layout(path.parent)))
  lines = configs.differences(configs.with_defaults(json.loads(path.read_text())), read)
  # What an optimizer leaves open is filled in, and 1 is 1.0 where a number is asked for.
  lines = [line for line in lines if 'config.optimizer.' not in line]
  return '; '.join(lines)


class SplitReader:
  """Reads split.csv and split.json, of which the other one is whole."""

  def __init__(self, folder: pathlib.Path):
    import numpy as np

    from medjax.data import table
    from medjax.data.datasets import csv as source
    from medjax.data.split import split_files

    (folder / 'labels.csv').write_bytes(seeds.tables()['labels.csv'])
    read = source.read(folder, seeds.LABELS, table_file='labels.csv')
    self._table = table.with_identifiers(read, 'labels.csv')
    self._split = np.array(['train', 'train', 'validation', 'validation', 'test', 'test'] * 2)
    truth = np.nan_to_num(self._table[list(seeds.LABELS)].to_numpy(np.float32))
    proof = split_files.proof(
      self._table, self._split, truth, np.ones(truth.shape, bool), seeds.LABELS, settings={}, how={}
    )
    self.csv = split_files.to_csv(self._table, self._split).encode()
    self.proof = json.dumps(proof).encode()

  def read(self, path: pathlib.Path) -> str:
    """Returns '' or what is another split than the one that was written."""
    from medjax.data.split import split_files

    others = {'split.csv': self.csv, 'split.json': self.proof}
    for name, data in others.items():
      if name != path.name:
        (path.parent / name).write_bytes(data)
    split, _ = split_files.read(path.parent, self._table)
    return '' if list(split) == list(self._split) else f'another split: {list(split)}'


class FrozenReader:
  """Reads frozen.json of two labels."""

  def __init__(self, folder: pathlib.Path):
    import numpy as np

    from medjax.config.protocol import Protocol
    from medjax.evaluation import frozen
    from medjax.evaluation.predictions import Predictions

    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (80, 2)).astype(np.float32)
    logits = truth + random.normal(size=truth.shape)
    names = [str(number) for number in range(80)]
    scores = 1 / (1 + np.exp(-logits))
    known = np.ones(truth.shape, bool)
    validation = Predictions(
      names, names, list(seeds.LABELS), scores, truth, known, log_odds=logits
    )
    (folder / 'frozen').mkdir()
    level = frozen.freeze(validation, Protocol())
    chosen = frozen.Frozen(3, 'a' * 64, 'sigmoid', 'max', {'image': level})
    frozen.write(folder / 'frozen', chosen)
    self.text = (folder / 'frozen/frozen.json').read_bytes()

  def read(self, path: pathlib.Path) -> str:
    """Returns '' or what was read otherwise than the file has it."""
    from medjax.evaluation import frozen

    read = json.loads(json.dumps(frozen.to_plain(frozen.read(path.parent, seeds.LABELS))))
    written = json.loads(path.read_text())
    return '' if _part(read, written) else f'{read} of {written}'[:300]


def _part(read: object, written: object) -> bool:
  """Whether what was read is what is written, but for parts that an earlier medjax did not have."""
  if isinstance(read, dict) and isinstance(written, dict):
    return all(_part(read[name], written[name]) for name in read if name in written)
  if isinstance(read, list) and isinstance(written, list):
    return len(read) == len(written) and all(map(_part, read, written))
  return read == written


def drawn(count: int, folder: pathlib.Path) -> tuple[int, list[str]]:
  """Reads so many texts that Hypothesis draws; returns how many, and what was lost."""
  try:
    import hypothesis
  except ImportError:
    return 0, ['Hypothesis is missing: pip install hypothesis']
  from medjax.data.images import boxes
  from medjax.data.reference import reader_table
  from medjax.evaluation import predictions as reader  # noqa: F401  Before the fork.
  from medjax.whole_slides import outlines

  st = hypothesis.strategies
  words = st.one_of(
    st.text(max_size=12), st.sampled_from(['1', '0', '', '0.5', 'nan', '"', 'a.png'])
  )
  cells = st.lists(st.lists(words, min_size=1, max_size=7), max_size=6)
  value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
      st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
  )
  split, frozen = SplitReader(folder), FrozenReader(_fresh(folder / 'drawn'))
  documents = {
    'split.json': (split.proof, split.read),
    'frozen.json': (frozen.text, frozen.read),
    'config.json': (seeds.config(), config),
  }
  tables = {
    'predictions.csv': predictions,
    'labels.csv': labels,
    'reads.csv': reader_table.read,
    'boxes.csv': boxes.read,
  }
  headers = {
    name: data.split(b'\n')[0].decode().split(',') for name, data in seeds.tables().items()
  }
  points = st.lists(st.tuples(words, words, words), max_size=4)

  def table(name: str):
    def build(rows: list[list[str]], plain: bool) -> bytes:
      file = io.StringIO(newline='')
      writer = csv.writer(file, escapechar='\\')
      header = headers[name]
      writer.writerow(header)
      width = len(header)
      writer.writerows([(row * width)[:width] if plain else row for row in rows])
      return file.getvalue().encode('utf-8', 'surrogatepass')

    return st.builds(build, cells, st.booleans())

  def document(name: str):
    def build(place: int, put: object) -> bytes:
      content = json.loads(documents[name][0])
      _replace(content, place, put)
      return json.dumps(content).encode()

    return st.builds(build, st.integers(0, 10_000), value)

  def outline(rows: list[tuple[str, str, str]], group: str) -> bytes:
    from xml.sax.saxutils import quoteattr

    inner = ''.join(
      f'<Coordinate Order={quoteattr(o)} X={quoteattr(x)} Y={quoteattr(y)}/>' for o, x, y in rows
    )
    text = (
      f'<ASAP_Annotations><Annotations><Annotation PartOfGroup={quoteattr(group)}><Coordinates>'
      f'{inner}</Coordinates></Annotation></Annotations></ASAP_Annotations>'
    )
    return text.encode('utf-8', 'surrogatepass')

  kinds = [(name, table(name), read) for name, read in tables.items()]
  kinds += [(name, document(name), read) for name, (_, read) in documents.items()]
  kinds += [
    ('outlines.xml', st.builds(outline, points, st.sampled_from(['Tumor', 'None', 'x', '_2'])),
     outlines.read),
    ('overrides', st.tuples(st.integers(0, 10_000), words | value.map(repr)), None),
  ]  # fmt: skip
  batches = max(count // _BATCH, len(kinds))
  place = _fresh(folder / 'hypothesis')

  def batch(number: int) -> str:
    name, strategy, read = kinds[number % len(kinds)]
    wrongs: list[str] = []

    @hypothesis.seed(number)
    @hypothesis.settings(
      max_examples=_BATCH,
      database=None,
      deadline=None,
      phases=[hypothesis.Phase.generate],
      suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def go(drawn: object) -> None:
      start = time.monotonic()
      wrong = _override(drawn) if read is None else _read(read, place / name, drawn)
      if time.monotonic() - start > 10:
        wrong = wrong or 'more than 10 s'
      if wrong:
        wrongs.append(f'{name}: {wrong} (of {drawn!r:.300})')

    go()
    return ' / '.join(dict.fromkeys(wrongs[:3]))

  lost = watched_child.go_through(batch, batches, prepare=quiet, seconds=120)
  return batches * _BATCH, [f'drawn, batch {number}: {wrong}' for number, wrong in lost]


def _fresh(folder: pathlib.Path) -> pathlib.Path:
  folder.mkdir()
  return folder


def _replace(content: object, place: int, put: object) -> None:
  """Puts a value somewhere in a document of dicts and lists."""
  spots = []

  def walk(part: object) -> None:
    for key in part if isinstance(part, dict) else range(len(part)):
      spots.append((part, key))
      if isinstance(part[key], dict | list):
        walk(part[key])

  walk(content)
  part, key = spots[place % len(spots)]
  part[key] = put


def _read(read, path: pathlib.Path, data: bytes) -> str:
  from medjax.errors import InputError

  path.write_bytes(data)
  try:
    wrong = read(path)
  except InputError as error:
    return '' if '\n' not in str(error) else f'not one line: {str(error)[:200]!r}'
  except Exception as error:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
  return wrong if isinstance(wrong, str) else ''


def _override(drawn: tuple[int, str]) -> str:
  """Puts a text in place of a setting, as --config.NAME=TEXT does, and checks the config."""
  from medjax import config as configs
  from medjax.config import fields
  from medjax.config.checks import check
  from medjax.errors import InputError

  place, text = drawn
  made = configs.Config(
    data=configs.Data('csv', '/data', seeds.LABELS, 32), model=configs.Model('resnet_tiny')
  )
  names = fields.paths(configs.Config)
  try:
    fields.override(made, names[place % len(names)], text)
    check(made)
    configs.from_dict(copy.deepcopy(configs.to_dict(made)))
  except InputError as error:
    return '' if '\n' not in str(error) else f'not one line: {str(error)[:200]!r}'
  except Exception as error:
    return f'{names[place % len(names)]}: {type(error).__name__}: {str(error)[:200]}'
  return ''
