"""Seconds and memory of large studies, beside stated limits and what one would do instead.

  python benchmarks/scale.py assess    figures of a test set and of five columns of subgroups
  python benchmarks/scale.py split     the command, on a table laid out as CheXpert's train.csv
  python benchmarks/scale.py audit     the command, on such a table of a million rows
  python benchmarks/scale.py copies    near-duplicates among a million hashes

What is done instead is timed on a part of the work, and scaled: scikit-learn in a loop over labels
and replicates, pandas and scikit-learn's split by group, every hash compared with every other.
Memory is the peak of the process that does the work.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd

PROJECT = pathlib.Path(__file__).resolve().parent.parent
REPLICATES = 2_000


class Clock:
  """Seconds inside `with`, by the wall and of the processor, those of ended children included."""

  def __enter__(self) -> 'Clock':
    self._wall, self._processor = time.perf_counter(), _processor_seconds()
    return self

  def __exit__(self, *_) -> None:
    self.wall = time.perf_counter() - self._wall
    self.processor = _processor_seconds() - self._processor


def _processor_seconds() -> float:
  used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
  return sum(one.ru_utime + one.ru_stime for one in used)


def _say(name: str, clock: Clock, peak: int | None = None) -> None:
  memory = '' if peak is None else f', {resource.getrusage(peak).ru_maxrss / 2**20:.2f} GB'
  print(f'{name:14}{clock.wall:9,.1f} s, {clock.processor:,.1f} s of the processor{memory}')


def _say_ratio(instead: float, clock: Clock, seconds: float, limit: float) -> None:
  print(f'of the limit  {seconds / limit:9.2f}  ({limit:g} s)')
  print(f'ratio         {instead / clock.wall:9,.2f}')


def chexpert_table(rows: int, seed: int = 0) -> pd.DataFrame:
  """Returns a table with the columns, codes, patients and studies of CheXpert's train.csv."""
  from medjax.data.datasets.chexpert import LABELS

  rng = np.random.default_rng(seed)
  lateral = rng.random(rows) < 0.145
  paths: list[str] = []
  patient, study, view = 1, 1, 0
  # 223,414 rows are of 187,641 studies and 64,540 patients.
  for draw, side in zip(rng.random(rows), np.where(lateral, 'lateral', 'frontal')):
    if draw < 0.16:
      view += 1
    elif draw < 0.711:
      study, view = study + 1, 1
    else:
      patient, study, view = patient + 1, 1, 1
    paths.append(
      f'CheXpert-v1.0-small/train/patient{patient:05d}/study{study}/view{view}_{side}.jpg'
    )
  columns = {
    'Path': paths,
    'Sex': rng.choice(['Male', 'Female'], rows),
    'Age': rng.integers(18, 91, rows).astype(str),
    'Frontal/Lateral': np.where(lateral, 'Lateral', 'Frontal'),
    'AP/PA': np.where(lateral, '', rng.choice(['AP', 'PA'], rows, p=[0.85, 0.15])),
  }
  for label in LABELS:
    columns[label] = rng.choice(['', '1.0', '0.0', '-1.0'], rows, p=[0.7, 0.17, 0.08, 0.05])
  return pd.DataFrame(columns)


def _command(name: str, rows: int, *flags: str) -> tuple[Clock, Clock]:
  """Times a command of medjax on such a table, and reading and splitting it with other packages."""
  from sklearn.model_selection import GroupShuffleSplit

  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, 'train.csv')
    chexpert_table(rows).to_csv(file, index=False)
    command = [
      sys.executable, '-m', f'medjax.{name}', '--config=configs/chexpert.py',
      f'--config.data.root={folder}', '--config.data.views=frontal,lateral',
      '--config.split.test=0.1', f'--output={folder}/{name}', *flags,
    ]  # fmt: skip
    with Clock() as clock:
      subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    with Clock() as instead:
      table = pd.read_csv(file)
      patients = table['Path'].str.extract(r'(patient\d+)')[0]
      for _ in range(2):
        next(GroupShuffleSplit(1, test_size=0.1, random_state=0).split(table, groups=patients))
  return clock, instead


def split(rows: int = 223_414, limit: float = 4) -> None:
  """Prints what the command takes; the limit is of seconds of the processor."""
  clock, instead = _command('split', rows)
  print(f'python -m medjax.split, {rows:,} rows')
  _say('medjax', clock, resource.RUSAGE_CHILDREN)
  _say('scikit-learn', instead)
  _say_ratio(instead.wall, clock, clock.processor, limit)


def audit(rows: int = 1_000_000, limit: float = 60) -> None:
  """Prints what the command takes without images; nothing else makes such an audit."""
  clock, _ = _command('audit', rows, '--nopixels')
  print(f'python -m medjax.audit, {rows:,} rows')
  _say('medjax', clock, resource.RUSAGE_CHILDREN)
  print(f'of the limit  {clock.wall / limit:9.2f}  ({limit:g} s)')


def assess(images: int = 25_000, limit: float = 20) -> None:
  """Prints what `medjax.assess` takes with 14 labels."""
  import evaluation

  import medjax

  patients, scores, truth, _ = evaluation.generate(images, 14)
  rng = np.random.default_rng(1)
  of_patients = pd.DataFrame(
    {
      'sex': rng.choice(['female', 'male'], images),
      'age': rng.integers(18, 95, images).astype(str),
      'site': rng.choice(['A', 'B', 'C'], images, p=[0.6, 0.3, 0.1]),
    }
  )
  about = of_patients.iloc[patients].reset_index(drop=True).assign(
    view=rng.choice(['AP', 'PA', 'lateral'], images),
    scanner=rng.choice([f'scanner {number + 1}' for number in range(6)], images),
  )  # fmt: skip
  labels = [f'finding {number + 1}' for number in range(truth.shape[1])]
  people = [f'p{patient}' for patient in patients]
  with Clock() as clock:
    medjax.assess(
      truth.astype(float), scores, people, labels, about=about, subgroups=tuple(about),
      operating_points=('threshold=0.3',), replicates=REPLICATES,
    )  # fmt: skip
  with Clock() as loop:
    for label in range(truth.shape[1]):
      evaluation.with_scikit_learn(np.arange(images), scores[:, label], truth[:, label])
  print(f'{len(labels)} labels × {images:,} images × {REPLICATES:,} replicates, subgroups of '
        f'{len(about.columns)} columns')  # fmt: skip
  _say('medjax', clock, resource.RUSAGE_SELF)
  # The values of a column have all images between them.
  instead = loop.wall * REPLICATES * (1 + len(about.columns))
  print(f'{"scikit-learn":14}{instead:9,.0f} s')
  _say_ratio(instead, clock, clock.wall, limit)


def even_hashes(number: int) -> np.ndarray:
  """Returns u64[number]; of a hundredth each another differs in 0 to 7 bits."""
  rng = np.random.default_rng(0)
  hashed = rng.integers(0, 2**64, number, dtype=np.uint64)
  for bits in range(8):
    copy, original = rng.integers(0, number, (2, number // 800))
    flips = rng.integers(0, 64, (bits, number // 800), dtype=np.uint64)
    hashed[copy] = hashed[original] ^ np.bitwise_xor.reduce(np.uint64(1) << flips, axis=0)
  return hashed


def copies(hashes: int = 1_000_000, limit: float = 300) -> None:
  """Prints what the search takes of hashes whose bits are even; more alike ones take longer."""
  from medjax.data.leakage import near_hashes

  hashed, some = even_hashes(hashes), even_hashes(20_000)
  with Clock() as brute:
    expected = {
      (start + int(i), int(j))
      for start in range(0, len(some), 200)
      for i, j in np.argwhere(
        np.bitwise_count(some[start : start + 200, None] ^ some) <= near_hashes.RADIUS
      )
      if start + i != j
    }
  named = [pair for i, j in near_hashes.search(some, some) for pair in zip(i.tolist(), j.tolist())]
  assert len(named) == len(set(named)) and set(named) == expected
  print(f'{len(some):,} hashes: the same {len(named):,} pairs as comparing each with each')
  with Clock() as clock:
    pairs = sum(len(i) for i, _ in near_hashes.search(hashed, hashed))
  print(f'{hashes:,} hashes, {pairs:,} pairs')
  _say('medjax', clock, resource.RUSAGE_SELF)
  instead = brute.wall * (hashes / len(some)) ** 2
  print(f'{"each with each":14}{instead:9,.0f} s')
  _say_ratio(instead, clock, clock.wall, limit)


MEASURES = {'assess': assess, 'split': split, 'audit': audit, 'copies': copies}


def main() -> None:
  """Prints what the measure that is asked for has found."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('measure', choices=MEASURES)
  MEASURES[parser.parse_args().measure]()


if __name__ == '__main__':
  main()
