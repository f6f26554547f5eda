"""SIGKILL at random instants of whole lives of commands; the same command then goes on.

It must end in the same bits as one that was never killed, with the same files. After every kill no
file under its own name may be half written, and no process or shared memory may be left.
"""

import collections
import dataclasses
import functools
import itertools
import pathlib
import random
import shutil
import sys
import time
from collections.abc import Callable

import common
import ends
import watched
from faults import KILL, Faults, counted, may_fail

sys.path.insert(0, str(common.PROJECT / 'tests' / 'helpers'))

LIFE = (
  '--config.steps=20',
  '--config.evaluate_every=5',
  '--config.save_every=3',
  '--config.optimizer.ema=0.9',
)
_TOGETHER = 3  # kills of one life
_MOST_SECONDS = 25 * 60  # after which no further life begins
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Scene:
  """A command to kill.

  Attributes:
    name: for the figures.
    line: folder to write → command line.
    kills: how many, of the whole drill.
    is_at_writes: whether it is killed where it is about to write, make or rename a file, in place
      of at an instant; whichever of its processes does so.
    victim: its first process ('command'), an input worker ('worker'), or one of several that it
      starts ('process').
    variables: of the environment, `{out}` standing for the folder to write.
  """

  name: str
  line: Callable[[pathlib.Path], list[str]]
  kills: int
  victim: str = 'command'
  is_at_writes: bool = False
  variables: dict[str, str] = dataclasses.field(default_factory=dict)

  def start(
    self, out: pathlib.Path, folder: pathlib.Path, faults: Faults | None = None
  ) -> watched.Started:
    """Starts the command, which writes `out`."""
    variables = {name: value.format(out=out) for name, value in self.variables.items()}
    if faults:
      variables |= faults.variables(folder)
    return watched.Started(self.line(out), folder, **variables)


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Kills commands; see the module."""
  begun, lost = time.monotonic(), []
  kills, instants = collections.Counter(), collections.Counter()
  wholes: dict[str, tuple[pathlib.Path, float]] = {}
  left = scenes(folder, quick)
  for number in itertools.count():
    for scene in left.copy():
      if time.monotonic() - begun > _MOST_SECONDS:
        left.clear()
        break
      here = folder / scene.name.replace(' ', '_')
      count = min(_TOGETHER, scene.kills - kills[scene.name])
      rng, out = random.Random(f'{_SEED} {scene.name} {number}'), here / f'life_{number}'
      try:
        if scene.name not in wholes:
          shutil.rmtree(here, ignore_errors=True)  # Of a drill before.
          wholes[scene.name] = _whole(scene, folder, here / 'whole')
        whole, length = wholes[scene.name]
        done, found, seen = _life(scene, folder, out, rng, length, count, instants)
        wholes[scene.name] = whole, min(length, seen)
        found += ends.differences(whole, out)
      except Exception as error:  # Whatever cannot be read in the end is lost.
        done, found = 0, [f'{type(error).__name__}: {error}']
        left.remove(scene)
      kills[scene.name] += done
      lost += [f'{scene.name}, life {number}: {what}' for what in found]
      if not found:
        shutil.rmtree(out)
      if scene in left and (kills[scene.name] >= scene.kills or number > 3 * scene.kills):
        left.remove(scene)
    if not left:
      break
  short = [scene.name for scene in scenes(folder, quick) if kills[scene.name] < scene.kills]
  of_scenes = ', '.join(f'{name} {count}' for name, count in kills.items())
  of_instants = ', '.join(f'{name} {count}' for name, count in instants.most_common())
  line = f'SIGKILLs of {of_scenes}; of runs, these had last written: {of_instants}'
  if short:
    line += f'; in the time that there was, not as often as planned: {", ".join(short)}'
  return common.Figures(sum(kills.values()), tuple(lost), line)


def scenes(folder: pathlib.Path, quick: bool) -> list[Scene]:
  """Returns what is killed; the data are made in `folder`."""
  root = common.phantom(folder)

  def run(*arguments: str) -> Callable[[pathlib.Path], list[str]]:
    return lambda out: common.training(out, root, *LIFE, *arguments)

  def prepare(out: pathlib.Path) -> list[str]:
    return common.command('prepare', *_study(root), f'--output={out}')

  def predict(out: pathlib.Path) -> list[str]:
    out.mkdir(parents=True, exist_ok=True)
    return common.command(
      'predict', f'--workdir={run_folder}', f'--images={others}', f'--output={out / "out.csv"}'
    )

  def evaluate(out: pathlib.Path) -> list[str]:  # Another reading of the test set.
    if not out.exists():
      shutil.copytree(run_folder, out)
    return common.command('evaluate', f'--workdir={out}', '--seed=3', '--replicates=40')

  run_folder = common.finished_run(folder)
  others = common.phantom(folder, seed=1)
  if quick:
    tiny = functools.partial(common.training, root=root)
    return [
      Scene('run', tiny, 2, is_at_writes=may_fail()),
      Scene('predict', predict, 1, is_at_writes=may_fail()),
      Scene('prepare', prepare, 1),
    ]
  of_runs = [
    Scene(
      f'run {workers} workers {placement} {per_call} steps per call',
      run(
        f'--config.data.workers={workers}',
        f'--config.data.placement={placement}',
        f'--config.steps_per_call={per_call}',
      ),
      3,
    )
    for workers in (0, 2)
    for placement in ('host', 'device')
    for per_call in (1, 10)
  ]
  at_instants = [
    *of_runs,
    Scene('run uncompiled', run(), 2, variables={'XDG_CACHE_HOME': '{out}.cache'}),
    Scene('run ungenerated', lambda out: _ungenerated(out), 2),
    Scene('worker', run('--config.data.workers=2'), 4, victim='worker'),
    Scene('one of two processes', lambda out: _two(run()(out)), 6, victim='process'),
    Scene('predict', predict, 4),
    Scene('prepare', prepare, 4),
    Scene('evaluate', evaluate, 3),
    Scene('external', lambda out: _external(run_folder, others, out), 4),
    Scene('slides', lambda out: _slides(folder, out), 4),
    Scene('folds', run('--config.split.folds=2', '--config.data.labels=Edema'), 4),
    Scene('seeds', run('--config.seeds=2'), 3),
    Scene('tune', lambda out: _tune(root, out), 3),
  ]
  if not may_fail():
    return at_instants
  named = (
    'run 0 workers host 1 steps per call',
    'predict',
    'prepare',
    'evaluate',
    'external',
    'slides',
  )
  at_writes = [
    dataclasses.replace(
      scene, name=f'{scene.name.partition(" 0")[0]} at writes', is_at_writes=True, kills=kills
    )
    for scene in at_instants
    for name, kills in {**dict.fromkeys(named, 6), 'folds': 3, 'tune': 3}.items()
    if scene.name == name
  ]
  return [*at_instants, *at_writes]


def _study(root: pathlib.Path) -> list[str]:
  return [common.CONFIG, *common.TINY, f'--config.data.root={root}']


def _ungenerated(out: pathlib.Path) -> list[str]:
  return common.training(out, out.with_name(f'{out.name}_films'))


def _two(line: list[str]) -> list[str]:
  """Returns the command line of a run as two processes; `line` is that of one."""
  return [sys.executable, str(common.PROJECT / 'launch/processes.py'), '2', *line[3:]]


def _external(run: pathlib.Path, root: pathlib.Path, out: pathlib.Path) -> list[str]:
  study = [*_study(root), '--config.data.settings.seed=1']
  return common.command('external', f'--workdir={run}', *study, f'--output={out}')


def _slides(folder: pathlib.Path, out: pathlib.Path) -> list[str]:
  import drawn_slides

  slides = folder / 'slides_drawn'
  if not slides.exists():
    for number in range(6):
      drawn_slides.node(slides, f's{number}', number, False, size=(900, 850))
  return common.command(
    'slides', f'--slides={slides}', f'--output={out}', '--patch_size=32', '--workers=2'
  )


def _tune(root: pathlib.Path, out: pathlib.Path) -> list[str]:
  search = '--search=configs/search/phantom.py'
  return common.command('tune', *_study(root), search, '--trials=3', f'--workdir={out}')


def _whole(scene: Scene, folder: pathlib.Path, out: pathlib.Path) -> tuple[pathlib.Path, float]:
  """Returns the folder that the command writes undisturbed, and how long its life is.

  In seconds or, of a scene at writes, in what it writes.
  """
  out.parent.mkdir(parents=True, exist_ok=True)
  begun = time.monotonic()
  if problems := _ended(scene, folder, out, Faults(out) if scene.is_at_writes else None):
    raise RuntimeError(f'undisturbed: {problems}')
  return out, counted(folder) if scene.is_at_writes else time.monotonic() - begun


def _life(
  scene: Scene,
  folder: pathlib.Path,
  out: pathlib.Path,
  rng: random.Random,
  length: float,
  count: int,
  instants: collections.Counter,
) -> tuple[int, list[str], float]:
  """Kills one life some times, then lets it end.

  Returns how often, what was lost, and how long the life is at most, where it ended unkilled: what
  the first of all compiled, the others find.
  """
  kills, lost, begun, seen = 0, [], time.monotonic(), length
  for _ in range(count):
    if scene.is_at_writes:
      at = rng.randint(1, int(length))
      is_killed, problems = _killed_at_write(scene, folder, out, at)
      when = f'at write {at} of {length}'
    else:
      instant = rng.uniform(0, length)
      is_killed, problems = _killed(scene, folder, out, rng, instant)
      when = f'after {instant:.1f} s'
    lost += [f'killed {when}, {problem}' for problem in problems]
    if is_killed:
      kills += 1
      if scene.name.startswith('run'):
        instants[_stage(out)] += 1
    elif is_killed is None:  # It has come to its end.
      if not kills and not scene.is_at_writes:
        seen = time.monotonic() - begun
      break
  return kills, lost + _ended(scene, folder, out), seen


def _killed(
  scene: Scene, folder: pathlib.Path, out: pathlib.Path, rng: random.Random, instant: float
) -> tuple[bool | None, list[str]]:
  """Starts a command and kills it after some seconds, or one of its processes.

  Returns whether it was killed, None where it has come to its end before, and what was lost.
  """
  with scene.start(out, folder) as started:
    if scene.victim == 'worker':  # Few seconds of a life have any.
      while not _victims(started) and started.wait(0.05) is None:
        pass
      instant = rng.uniform(0, 3)
    if started.wait(instant) is not None:
      return None, _left(started)
    victims = [started.process.pid] if scene.victim == 'command' else _victims(started)
    started.kill(rng.choice(sorted(victims)) if victims else None)
    problems = []
    if started.wait(120) is None:
      problems.append('it never noticed that one of its processes was killed')
      started.kill()
    elif scene.victim != 'command' and 'Traceback' in started.printed:
      problems.append(f'it ended with a traceback: {started.printed[-1500:]}')
    problems += _left(started)
  problems += [f'half written: {name}' for name in ends.half_written(out)]
  return bool(victims), problems


def _killed_at_write(
  scene: Scene, folder: pathlib.Path, out: pathlib.Path, at: int
) -> tuple[bool | None, list[str]]:
  """As `_killed`, but at the number of a write."""
  with scene.start(out, folder, Faults(out, at=at, errno=KILL, times=1)) as started:
    status, problems = started.wait(540), []
    if status is None:
      problems.append('it never noticed that one of its processes was killed')
      started.kill()
    elif 'Traceback' in started.printed:
      problems.append(f'it ended with a traceback: {started.printed[-1500:]}')
    problems += _left(started)
  problems += [f'half written: {name}' for name in ends.half_written(out)]
  return True if status or counted(folder) >= at else None, problems


def _ended(
  scene: Scene, folder: pathlib.Path, out: pathlib.Path, faults: Faults | None = None
) -> list[str]:
  """Lets a command come to its end; returns what was wrong with that."""
  with scene.start(out, folder, faults) as started:
    status = started.wait(540)
    if status is None:
      return ['it does not end']
    if status or 'Traceback' in started.printed:
      return [f'status {status}: {started.printed[-1500:]}']
    return _left(started)


def _left(started: watched.Started) -> list[str]:
  left = started.left_behind()
  return [f'left behind: {left}'] if left else []


def _victims(started: watched.Started) -> list[int]:
  """Returns the processes beside the first that do the work: not those that only look after it."""
  helpers = ('resource_tracker', 'forkserver')
  return [
    pid
    for pid in started.children()
    if not any(word in watched.command_line(pid) for word in helpers)
  ]


def _stage(out: pathlib.Path) -> str:
  """Returns what of a run was written last."""
  names = {
    'evaluation/test.json': 'its result',
    'report/index.html': 'the report',
    'predictions/test.csv': 'predictions of the test',
    'frozen.json': 'what is frozen',
    'checkpoints/[0-9]*': 'a checkpoint',
    'config.json': 'the config',
    'decoded/pixels.npy': 'decoded images',
  }
  return next((name for path, name in names.items() if any(out.glob(path))), 'nothing yet')
