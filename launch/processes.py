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
  """Returns the first exit status that is not 0; a process that fails ends the others."""
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
    if any(status not in (None, 0, 128 + signal.SIGTERM) for status in statuses):
      # Time for the others to report errors; afterwards they could only wait for the failed one.
      time.sleep(5)
      for process in running:
        process.kill()
      return next(status for status in statuses if status)
    if None not in statuses:
      return max(statuses)
    time.sleep(0.2)


if __name__ == '__main__':
  if len(sys.argv) < 2 or not sys.argv[1].isdigit() or int(sys.argv[1]) < 1:
    sys.exit('error: the first argument is the number of processes, such as 2')
  status = main(int(sys.argv[1]), sys.argv[2:])
  sys.exit(status if status >= 0 else 128 - status)
