"""Too little of everything: disk, files, memory, open files, cores, shared memory.

A command that cannot go on says so in one line and leaves no half file under its own name; once
there is enough, the same command goes on and ends in the same bits as one that had enough.
"""

import dataclasses
import errno
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterator

import common
import ends
import watched
from faults import Faults, counted, may_fail

_NO_WRITE = errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO


@dataclasses.dataclass(frozen=True)
class Command:
  """A command that writes a folder.

  Attributes:
    name: for the figures.
    line: folder to write → command line.
    statuses: that are no failure.
  """

  name: str
  line: Callable[[pathlib.Path], list[str]]
  statuses: tuple[int, ...] = (0,)


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Starves commands; see the module."""
  drill = common.Tally(folder)
  of_commands = commands(folder)
  if may_fail():
    for name in ['split'] if quick else of_commands:
      _writes_that_fail(drill, of_commands[name], quick)
  else:
    drill.left_out.append('each write in turn (no C compiler)')
  if watched.may_mount():
    _small_disks(drill, of_commands, quick)
    _read_only(drill, of_commands, quick)
    _no_shared_memory(drill, of_commands, quick)
  else:
    drill.left_out.append('small disks, read-only folders, no /dev/shm (nothing may be mounted)')
  _limits(drill, of_commands, quick)
  if not quick:
    _slow_disk(drill, of_commands)
    _huge_image(drill, folder)
  return drill.figures()


def commands(folder: pathlib.Path) -> dict[str, Command]:
  """Returns name → command that is starved; their data are made in `folder`."""
  root, others = common.phantom(folder), common.phantom(folder, seed=1)
  run = common.finished_run(folder)
  study = [common.CONFIG, *common.TINY, f'--config.data.root={root}']
  named = {
    'train': lambda out: common.training(out, root),
    'audit': lambda out: common.command('audit', *study, f'--output={out}'),
    'split': lambda out: common.command('split', *study, f'--output={out}'),
    'prepare': lambda out: common.command('prepare', *study, f'--output={out}'),
    'predict': lambda out: common.command(
      'predict', f'--workdir={run}', f'--images={others}', f'--output={out / "out.csv"}'
    ),
    'evaluate': lambda out: common.command(
      'evaluate', f'--predictions={run / "predictions/test.csv"}', '--replicates=20',
      '--operating_points=threshold=0.5', f'--output={out}',
    ),
    'external': lambda out: common.command(
      'external', f'--workdir={run}', *study[:-1], f'--config.data.root={others}',
      '--config.data.settings.seed=1', f'--output={out}',
    ),
    'export': lambda out: common.command('export', f'--workdir={run}', f'--output={out}'),
  }  # fmt: skip
  return {
    name: Command(name, line, (0, 2) if name == 'audit' else (0,)) for name, line in named.items()
  }


def _whole(drill: common.Tally, command: Command) -> pathlib.Path:
  """Returns the folder that a command writes with enough of everything, made once."""
  out = drill.folder / f'{command.name}_whole'
  if not out.exists():
    out.mkdir(parents=True)
    done = common.call(command.line(out), drill.folder)
    if done.returncode not in command.statuses:
      raise RuntimeError(f'{command.name}, with enough: {done.stderr[-2000:]}')
  return out


def _goes_on(drill: common.Tally, command: Command, out: pathlib.Path) -> list[str]:
  """Returns what is wrong with a command that has enough now, and with what it ends in."""
  done = common.call(command.line(out), drill.folder)
  if done.returncode not in command.statuses:
    return [f'with enough it does not go on: {done.stderr[-500:]!r}']
  return ends.differences(_whole(drill, command), out)


def _failed(
  drill: common.Tally, command: Command, done: subprocess.CompletedProcess, out: pathlib.Path
) -> list[str]:
  """Returns what is wrong with how a starved command ended: to end well it must have done all."""
  if done.returncode in command.statuses and not done.stderr:
    return [f'success is said: {one}' for one in ends.differences(_whole(drill, command), out)]
  told = common.told_in_one_line(done)
  return [told] if told else []


def _writes_that_fail(drill: common.Tally, command: Command, quick: bool) -> None:
  """Lets the disk fail at one write after another, for good."""
  _whole(drill, command)
  out = drill.folder / f'{command.name}_fails'
  common.call(
    command.line(_new(out)), drill.folder, **Faults(out).variables(drill.folder)
  )  # fmt: skip
  writes = counted(drill.folder)
  most = 2 if quick else max(8, writes // 4)
  for number, at in enumerate(_spread(1, writes, most)):
    code = _NO_WRITE[number % len(_NO_WRITE)] if not quick else errno.ENOSPC
    variables = Faults(out, at=at, errno=code).variables(drill.folder)
    done = common.call(command.line(_new(out)), drill.folder, **variables)
    problems = _failed(drill, command, done, out)
    problems += [f'half written: {name}' for name in ends.half_written(out)]
    problems += _goes_on(drill, command, out)
    where = f'{command.name}, write {at} of {writes} ({errno.errorcode[code]})'
    stopped = done.returncode not in command.statuses
    drill.count('writes that fail', problems, where, stopped)


def _new(out: pathlib.Path) -> pathlib.Path:
  shutil.rmtree(out, ignore_errors=True)
  out.mkdir(parents=True)
  return out


def _spread(first: int, last: int, most: int) -> Iterator[int]:
  """Yields numbers from first to last, all of them if they are no more than `most`."""
  count = min(most, last - first + 1)
  for place in range(count):
    yield first + round(place * (last - first) / max(count - 1, 1))


def _starved_and_fed(
  drill: common.Tally, what: str, where: str, command: Command, script: str, fed: str
) -> None:
  """Runs a command where `script` has mounted its folder, then again after `fed`, as one process.

  What the folder holds in the end is compared with what the command writes elsewhere.
  """
  whole = _whole(drill, command)
  out = _new(drill.folder / f'{command.name}_starved')
  before, kept = drill.folder / 'kept_before', drill.folder / 'kept'
  for copy in (before, kept):
    shutil.rmtree(copy, ignore_errors=True)
  first = drill.folder / 'first'
  script = (
    f"out='{out}'\n{script}\n"
    f'"$@" >{first}.out 2>{first}.err; echo $? >{first}.status\n'
    f'cp -a "$out" {before}\n{fed}\n"$@"; status=$?\n'
    f"cp -a '{out}' '{kept}'; exit $status\ntrue"
  )
  line = watched.mounted(script, command.line(out))
  done = common.call(line, drill.folder)
  texts = [pathlib.Path(f'{first}.{part}') for part in ('status', 'out', 'err')]
  if not texts[0].exists():
    drill.count(what, [f'nothing could be mounted: {done.stderr[-300:]}'], where)
    return
  status, printed, errors = (path.read_text() for path in texts)
  starved = subprocess.CompletedProcess(line, int(status), printed, errors)
  problems = _failed(drill, command, starved, before)
  if done.returncode not in command.statuses:
    problems.append(f'with enough it does not go on: {done.stderr[-500:]!r}')
  else:
    (kept / 'lost+found').exists() and (kept / 'lost+found').rmdir()
    problems += ends.differences(whole, kept)
  stopped = int(status) not in command.statuses
  drill.count(what, problems, f'{command.name} {where}', stopped)


def _small_disks(drill: common.Tally, of_commands: dict[str, Command], quick: bool) -> None:
  names = ['prepare'] if quick else ['train', 'audit', 'prepare', 'predict', 'export']
  for name in names:
    size = sum(path.stat().st_size for path in _whole(drill, of_commands[name]).rglob('*'))
    count = sum(1 for _ in _whole(drill, of_commands[name]).rglob('*'))
    for kilobytes in [4] if quick else _spread(4, max(size // 1000, 8), 12):
      _starved_and_fed(
        drill, 'small disks', f'on {kilobytes} kB', of_commands[name],
        f'mount -t tmpfs -o size={kilobytes}k none "$out" || exit 91',
        'mount -o remount,size=100m "$out"',
      )  # fmt: skip
    for inodes in [2] if quick else _spread(2, count + 1, 4):
      _starved_and_fed(
        drill, 'disks without inodes', f'with {inodes} inodes', of_commands[name],
        f'mount -t tmpfs -o size=100m,nr_inodes={inodes} none "$out" || exit 91',
        'mount -o remount,nr_inodes=100000 "$out"',
      )  # fmt: skip


def _read_only(drill: common.Tally, of_commands: dict[str, Command], quick: bool) -> None:
  for name in ['split'] if quick else of_commands:
    _starved_and_fed(
      drill, 'read-only folders', 'into one', of_commands[name],
      'mount --bind "$out" "$out" && mount -o remount,bind,ro "$out" || exit 91', 'umount "$out"',
    )  # fmt: skip
  if not quick:  # Nothing of them is written: they may be so.
    shared = common.shared(drill.folder)
    for command in of_commands.values():
      script = f"mount --bind '{shared}' '{shared}' && mount -o remount,bind,ro '{shared}'"
      _starved_and_fed(
        drill, 'read-only data, run and cache', '', command, f'{script} || exit 91', 'true'
      )  # fmt: skip


def _no_shared_memory(drill: common.Tally, of_commands: dict[str, Command], quick: bool) -> None:
  if quick:
    return
  train = of_commands['train']
  for workers in (0, 2):
    command = dataclasses.replace(
      train, line=lambda out, n=workers: [*train.line(out), f'--config.data.workers={n}']
    )
    for what, mounted in (('none', 'size=4k'), ('read-only', 'ro')):
      _starved_and_fed(
        drill, 'no /dev/shm', f'{what}, {workers} workers',
        dataclasses.replace(command, name=f'train_{workers}'),
        f'mount -t tmpfs -o {mounted} none /dev/shm || exit 91', 'umount /dev/shm',
      )  # fmt: skip


def _limits(drill: common.Tally, of_commands: dict[str, Command], quick: bool) -> None:
  """Runs commands with few open files, on one core and in little memory."""
  for name in ['predict'] if quick else of_commands:
    command = of_commands[name]
    _limited(drill, '64 open files', command, f'ulimit -n 64\n{_ON}')
    if quick:
      continue
    if shutil.which('taskset'):
      # What XLA adds on one core it adds in another order, so a run is compared with one there.
      on_one = dataclasses.replace(
        command,
        name=f'{name}_one_core',
        line=lambda out, line=command.line: ['taskset', '-c', '0', *line(out)],
      )
      _limited(drill, 'one core', on_one if name == 'train' else command, 'exec taskset -c 0 "$@"')
    for megabytes in (1_000, 1_500, 2_500) if name in ('train', 'audit', 'predict') else ():
      _limited(drill, 'little memory', command, f'ulimit -v {megabytes * 1000}\n{_ON}')


_ON = 'exec "$@"'


def _limited(drill: common.Tally, what: str, command: Command, script: str) -> None:
  out = _new(drill.folder / f'{command.name}_limited')
  done = common.call(['sh', '-c', script, 'sh', *command.line(out)], drill.folder)
  is_ended = what == 'little memory' and _is_ended_by_system(done)
  problems = (
    [] if is_ended else _failed(drill, command, done, out)
  )  # The system's own end has no line.
  problems += [f'half written: {name}' for name in ends.half_written(out)]
  problems += _goes_on(drill, command, out)
  stopped = done.returncode not in command.statuses
  drill.count(what, problems, f'{command.name}: {script.splitlines()[0]}', stopped)


def _is_ended_by_system(done: subprocess.CompletedProcess) -> bool:
  is_killed_here = done.stderr.startswith('no end')
  return not is_killed_here and (done.returncode < 0 or done.returncode > 100)


def _slow_disk(drill: common.Tally, of_commands: dict[str, Command]) -> None:
  """Lets every write take 20 ms more."""
  if not may_fail():
    return
  for name in ('train', 'predict'):
    out = _new(drill.folder / f'{name}_slow')
    variables = Faults(out, delay=0.02).variables(drill.folder)
    done = common.call(of_commands[name].line(out), drill.folder, **variables)
    problems = [] if done.returncode == 0 and not done.stderr else [done.stderr[-500:]]
    problems += ends.differences(_whole(drill, of_commands[name]), out)
    drill.count('slow disks', problems, name, stopped=bool(done.returncode))


def _huge_image(drill: common.Tally, folder: pathlib.Path) -> None:
  """Predicts one image of 20,000 × 20,000 pixels in too little memory, and in enough."""
  from PIL import Image

  images = folder / 'huge'
  images.mkdir(exist_ok=True)
  if not (images / 'huge.png').exists():
    Image.new('RGB', (20_000, 20_000), (90, 60, 30)).save(images / 'huge.png', compress_level=1)
  run = common.finished_run(folder)
  for megabytes in (2_500, 3_500, 5_000, 0):
    out = _new(folder / 'huge_predicted')
    line = common.command(
      'predict', f'--workdir={run}', f'--images={images}', f'--output={out / "out.csv"}'
    )
    limit = f'ulimit -v {megabytes * 1000}\n' if megabytes else ''
    done = common.call(['sh', '-c', f'{limit}{_ON}', 'sh', *line], folder)
    is_ended = bool(megabytes) and _is_ended_by_system(done)
    is_well = done.returncode == 0 and not done.stderr
    problems = [] if is_well or is_ended else [common.told_in_one_line(done)]
    again = common.call(line, folder)
    if again.returncode or (out / 'out.csv').read_text().count('\n') != 2:
      problems.append(f'with enough it does not go on: {again.stderr[-500:]!r}')
    where = f'in {megabytes} MB' if megabytes else 'in enough'
    problems = [what for what in problems if what]
    drill.count('one image of 20,000 × 20,000', problems, where, stopped=bool(done.returncode))
