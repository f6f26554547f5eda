"""A Slurm of two nodes on this machine, on loopback, ended by its process ids."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

NODES = 2
HOST = socket.gethostname().split('.')[0]
HOSTS = pathlib.Path('/etc/hosts')
_CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ReturnToService=2
OverTimeLimit=0
KillWait=30
{nodes}
PartitionName=all Nodes={names} Default=YES State=UP MaxTime=INFINITE
"""


def is_here() -> bool:
  """Whether Slurm and munge are installed, and may be started."""
  programs = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'srun')
  return os.name == 'posix' and os.geteuid() == 0 and all(map(shutil.which, programs))


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[dict[str, str]]:
  """Starts the cluster; gives the environment in which its commands find it.

  While it runs its nodes' names stand in /etc/hosts: the processes of a training look for each
  other by them. Names and ports are its own, so that several clusters may run at once.
  """
  names = [f'medjax-{os.getpid()}-n{node}' for node in range(NODES)]
  controller, *ports = _free_ports(1 + NODES)
  nodes = '\n'.join(
    f'NodeName={name} NodeHostname={HOST} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000'
    for name, port in zip(names, ports, strict=True)
  )
  config = folder / 'slurm.conf'
  config.write_text(
    _CONFIG.format(host=HOST, port=controller, folder=folder, nodes=nodes, names=','.join(names))
  )
  (folder / 'state').mkdir()
  munge = folder / 'munge'
  munge.mkdir(mode=0o755)
  folder.chmod(0o755)
  key = munge / 'key'
  key.write_bytes(os.urandom(128))
  key.chmod(0o600)
  environment = {**os.environ, 'SLURM_CONF': str(config)}
  daemons = [
    subprocess.Popen(
      ['munged', '--foreground', '--force', f'--socket={munge}/socket', f'--key-file={key}',
       f'--pid-file={munge}/pid', f'--log-file={munge}/log', f'--seed-file={munge}/seed'],
      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
  ]  # fmt: skip
  line = f'127.0.0.1 {" ".join(names)}'
  try:
    _change_hosts(lambda lines: [*lines, line])
    until(lambda: (munge / 'socket').exists(), 'munge does not answer')
    for command in (['slurmctld', '-D', '-c'], *(['slurmd', '-D', '-N', name] for name in names)):
      daemons.append(
        subprocess.Popen(
          command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
      )
    until(lambda: _idle(environment) == NODES, 'the nodes do not come up')
    yield environment
  finally:
    _change_hosts(lambda lines: [other for other in lines if other != line])
    subprocess.run(['scancel', '--user=root'], env=environment, capture_output=True)
    for daemon in reversed(daemons):
      daemon.terminate()
      try:
        daemon.wait(20)
      except subprocess.TimeoutExpired:
        daemon.kill()


def finished(job: str, environment: dict[str, str], seconds: float) -> str:
  """Waits for a job; returns its last state. A requeued job's wait in the queue is cut short."""
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    said = _run(['scontrol', 'show', 'job', job], environment)
    fields = dict(part.split('=', 1) for part in said.split() if '=' in part)
    state = fields.get('JobState', '')
    if state == 'PENDING' and fields.get('Restarts') != '0':
      _run(['scontrol', 'update', f'JobId={job}', 'StartTime=now'], environment)
    if state in ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL'):
      return f'{state} after {fields.get("Restarts")} restarts'
    time.sleep(1)
  raise AssertionError(f'job {job} has not ended: {said}')


def _free_ports(count: int) -> list[int]:
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for one in sockets:
      one.bind(('127.0.0.1', 0))
    return [one.getsockname()[1] for one in sockets]


def _change_hosts(change: Callable[[list[str]], list[str]]) -> None:
  with HOSTS.open('r+') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    lines = change(file.read().splitlines())
    file.seek(0)
    file.write('\n'.join(lines) + '\n')
    file.truncate()


def _idle(environment: dict[str, str]) -> int:
  return _run(['sinfo', '--noheader', '--Node', '--format=%t'], environment).split().count('idle')


def _run(command: list[str], environment: dict[str, str]) -> str:
  done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
  return done.stdout


def until(is_so: Callable[[], bool], message: str, seconds: float = 60) -> None:
  """Waits until something is so."""
  end = time.monotonic() + seconds
  while not is_so():
    assert time.monotonic() < end, message
    time.sleep(0.3)
