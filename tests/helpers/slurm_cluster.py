"""A Slurm of two nodes on this machine, on loopback, ended by its process ids."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

NODES = {'medjax-n1': 17001, 'medjax-n2': 17002}
HOST = socket.gethostname().split('.')[0]
HOSTS = pathlib.Path('/etc/hosts')
_CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=17000
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
  other by them.
  """
  nodes = '\n'.join(
    f'NodeName={name} NodeHostname={HOST} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000'
    for name, port in NODES.items()
  )
  config = folder / 'slurm.conf'
  config.write_text(_CONFIG.format(host=HOST, folder=folder, nodes=nodes, names=','.join(NODES)))
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
  hosts = HOSTS.read_text()
  try:
    HOSTS.write_text(f'{hosts.rstrip()}\n127.0.0.1 {" ".join(NODES)}\n')
    until(lambda: (munge / 'socket').exists(), 'munge does not answer')
    for command in (['slurmctld', '-D', '-c'], *(['slurmd', '-D', '-N', name] for name in NODES)):
      daemons.append(
        subprocess.Popen(
          command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
      )
    until(lambda: _idle(environment) == len(NODES), 'the nodes do not come up')
    yield environment
  finally:
    HOSTS.write_text(hosts)
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
