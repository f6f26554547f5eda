"""The work directory of folds or of seeds: a run in each of its folders, and what is said of all.

fold0/ fold1/ …    or seed0/ seed1/ …, each a run like any other
prepared/          the images, decoded once for all of them, if config.data.prepared is empty
folds.json         or seeds.json: the figures, of medjax.evaluation.repeated_result
report/index.html  the page
"""

import dataclasses
import pathlib

from medjax.errors import InputError
from medjax.runs.layout import Layout

KINDS = ('fold', 'seed')


@dataclasses.dataclass(frozen=True)
class Repeats:
  """The files of such a work directory.

  Attributes:
    workdir: the folder.
    kind: 'fold' or 'seed'.
  """

  workdir: pathlib.Path
  kind: str

  def run(self, number: int) -> Layout:
    """The run of a fold, or of a seed, counted from 0."""
    return Layout(self.workdir / f'{self.kind}{number}')

  @property
  def prepared(self) -> pathlib.Path:
    """The images, decoded once."""
    return self.workdir / 'prepared'

  @property
  def result(self) -> pathlib.Path:
    """The figures."""
    return self.workdir / f'{self.kind}s.json'

  @property
  def report(self) -> pathlib.Path:
    """The page."""
    return self.workdir / 'report' / 'index.html'

  @property
  def lock(self) -> pathlib.Path:
    """Held by the process that decodes the images, or makes the page."""
    return self.workdir / '.lock'

  def started(self) -> list[int]:
    """The numbers of the runs that have started, in rising order."""
    names = [path.name.removeprefix(self.kind) for path in self.workdir.glob(f'{self.kind}*')]
    return sorted(int(name) for name in names if name.isdigit() and self.run(int(name)).is_run())


def find(workdir: pathlib.Path) -> Repeats | None:
  """Returns what a work directory holds; None where there are neither folds nor seeds."""
  for kind in KINDS:
    repeats = Repeats(workdir, kind)
    if repeats.result.is_file() or repeats.started():
      return repeats
  return None


def check_is_one_run(workdir: pathlib.Path) -> None:
  """Raises InputError for a folder of folds or seeds, each of them a run, that is no run itself."""
  if Layout(workdir).is_run() or not (there := find(workdir)):
    return
  first = there.run((there.started() or [0])[0]).workdir
  if there.kind == 'fold':
    raise InputError(
      f'{workdir}: holds the folds of a study, each of them a run of its own; name one, such as '
      f'{first}'
    )
  raise InputError(
    f'{workdir}: holds runs of several seeds; name one, such as {first}. Their mean probability '
    'comes of one of them with the others as config.evaluation.members, see '
    'docs/folds_and_seeds.md'
  )
