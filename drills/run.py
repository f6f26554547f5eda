"""Drills: what a run must survive is done to it, and what was lost is counted.

  python drills/run.py                    # all, as docs/reliability.md reports them
  python drills/run.py kills --quick      # some, in seconds

Each ends by itself, has fixed seeds and prints one line. The exit status is 1 where something was
lost.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import common

# In the order of running: what starts jax in this process is last, for it may not be forked then.
NAMES = (
  'kills', 'starved', 'networks', 'long', 'garbage', 'attacks', 'privacy', 'honesty',
)  # fmt: skip


def drill(name: str, quick: bool, folder: pathlib.Path) -> common.Figures:
  """Runs a drill in a folder of its own; one that raises is one that lost something."""
  folder.mkdir(parents=True, exist_ok=True)
  try:
    return importlib.import_module(name).main(quick, folder)
  except Exception as error:
    return common.Figures(0, (f'the drill ended: {type(error).__name__}: {error}',), name)


def report(name: str, figures: common.Figures, seconds: float) -> str:
  """Returns the line of a drill, and a further line for each thing that was lost."""
  lost = f'{len(figures.lost)} lost' if figures.lost else 'nothing lost'
  line = f'{name:9} {figures.tried:,} tried, {lost} ({seconds:.0f} s): {figures.line}'
  return '\n'.join([line, *(f'  lost: {sentence}' for sentence in figures.lost)])


def main() -> int:
  """Runs the drills that are named; returns the exit status."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(NAMES)}; all')
  parser.add_argument('--quick', action='store_true', help='few tries of each kind')
  parser.add_argument('--folder', type=pathlib.Path, help='to work in, and to keep')
  given = parser.parse_args()
  if unknown := sorted(set(given.names) - set(NAMES)):
    parser.error(f"no drill is called '{unknown[0]}'; there are {', '.join(NAMES)}")
  is_lost = False
  with tempfile.TemporaryDirectory(prefix='drills_', ignore_cleanup_errors=True) as made:
    folder = (given.folder or pathlib.Path(made)).absolute()
    for name in (name for name in NAMES if name in (given.names or NAMES)):
      start = time.monotonic()
      figures = drill(name, given.quick, folder / name)
      print(report(name, figures, time.monotonic() - start), flush=True)
      is_lost |= bool(figures.lost)
  return int(is_lost)


if __name__ == '__main__':
  sys.exit(main())
