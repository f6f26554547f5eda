"""Runs the main job as several processes on this machine, as it runs on several machines.

  python launch/processes.py 2 --config=configs/phantom.py --workdir=runs/two

Each process takes the devices that jax finds; on a CPU, JAX_NUM_CPU_DEVICES=2 makes two of them. On
several machines, start `python -m medjax.main` on each with --coordinator=host0:port --processes=N
--process=I (or --coordinator=auto on TPU pods, Slurm and Open MPI) and a work directory they share.
"""

import signal
import socket
import subprocess
import sys
import time


def _free_port() -> int:
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def main(processes: int, arguments: list[str]) -> int:
  """Returns the first exit status that is not 0; a process that fails ends the others.

  Of one that was killed it says so: it could not itself.
  """
  coordinator = f'127.0.0.1:{_free_port()}'
  running = [
    subprocess.Popen(
      [
        *(sys.executable, '-m', 'medjax.main', *arguments),
        *(f'--coordinator={coordinator}', f'--processes={processes}', f'--process={process}'),
      ]
    )
    for process in range(processes)
  ]
  signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in running])
  while True:
    statuses = [process.poll() for process in running]
    # Processes that SIGTERM stops save together and end one after another.
    failed = {
      process: status
      for process, status in enumerate(statuses)
      if status not in (None, 0, 128 + signal.SIGTERM)
    }
    if failed:
      process, status = next(iter(failed.items()))
      if status > 0:
        time.sleep(5)  # For the others to report errors; afterwards they could only wait for it.
      for other in running:
        other.kill()
      if status < 0:
        print(
          f'error: process {process} of {processes} was killed by {signal.Signals(-status).name}; '
          'started again, all processes go on from the last checkpoint',
          file=sys.stderr,
        )
      return status
    if None not in statuses:
      return max(statuses)
    time.sleep(0.2)


if __name__ == '__main__':
  if len(sys.argv) < 2 or not sys.argv[1].isdigit() or int(sys.argv[1]) < 1:
    sys.exit('error: the first argument is the number of processes, such as 2')
  status = main(int(sys.argv[1]), sys.argv[2:])
  sys.exit(status if status >= 0 else 128 - status)
