"""Seconds from a command to its answer on a small study, which are those of its start.

  python benchmarks/starts.py

Commands that need no network run on 60 images; in turns with them Python imports pandas, without
which no table is read. Of each the fastest turn counts, by the wall and of the processor.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import pandas as pd

PROJECT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 1.5  # seconds
COMMANDS = {
  'import pandas': '-c import_pandas',
  'split': '-m medjax.split --config=config.py --output=split',
  'audit': '-m medjax.audit --config=config.py --output=audit',
  'readers': '-m medjax.readers --readers=reads.csv --output=readers',
  'evaluate': '-m medjax.evaluate --predictions=scores.csv --truth=truth.csv --replicates=100 '
  '--operating_points=threshold=0.5 --output=evaluation',
}
CONFIG = """
from medjax.config import Config, Data, Model

def get_config(arg=''):
  data = Data('csv', '.', ('Edema',), settings={'table_file': 'truth.csv'})
  return Config(data=data, model=Model('densenet121'))
"""


def write_study(folder: pathlib.Path) -> None:
  """Writes a table of 60 images without the images, scores of them and answers of two readers."""
  rows = range(60)
  images = pd.DataFrame({'image': [f'{row}.png' for row in rows]})
  truth = images.assign(patient=[f'p{row // 2}' for row in rows], Edema=[row % 2 for row in rows])
  truth.to_csv(folder / 'truth.csv', index=False)
  images.assign(Edema=[row % 3 / 2 for row in rows]).to_csv(folder / 'scores.csv', index=False)
  reads = [truth.assign(reader=name) for name in ('ann', 'bo')]
  pd.concat(reads).to_csv(folder / 'reads.csv', index=False)
  (folder / 'config.py').write_text(CONFIG)


def seconds(arguments: list[str], folder: pathlib.Path) -> tuple[float, float]:
  """Returns what a command takes, by the wall and of the processor."""
  before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
  subprocess.run(
    [sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL
  )  # fmt: skip
  wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
  return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
  """Prints the seconds, and them as a share of the limit and of importing pandas."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--turns', type=int, default=5)
  turns = parser.parse_args().turns
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_study(folder)
    taken: dict[str, list[tuple[float, float]]] = {command: [] for command in COMMANDS}
    for _ in range(turns):
      for command, arguments in COMMANDS.items():
        words = [word.replace('_pandas', ' pandas') for word in arguments.split()]
        taken[command].append(seconds(words, folder))
  _, pandas = (min(part) for part in zip(*taken['import pandas']))
  print(f'{"":14}{"wall":>8}{"processor":>11}{"of 1.5 s":>10}{"of pandas":>11}')
  for command, pairs in taken.items():
    wall, processor = (min(part) for part in zip(*pairs))
    print(
      f'{command:14}{wall:6.2f} s{processor:9.2f} s{wall / LIMIT:10.2f}{processor / pandas:11.2f}'
    )


if __name__ == '__main__':
  main()
