"""Runs commands in forks of one process that has imported what they need.

A command imports jax, flax, orbax, grain and pandas, which takes seconds of every start. Here they
are imported once; a fork then runs `python -m MODULE ARGUMENTS` as a new process would. One request
is a line of JSON on standard input, {'module', 'arguments', 'cwd', 'environment', 'stdout',
'stderr', 'file_size'}, two of them being files, and the last the bytes that no file may exceed, or
None; the answer is a line with the exit status.
"""

import atexit
import importlib
import json
import os
import resource
import runpy
import sys
import threading
import warnings


def preload() -> None:
  """Imports what commands import, but no command: their flags would stay defined."""
  for name in (
    'medjax.experiment.loop',
    'medjax.inference.new_images',
    'medjax.data.leakage.table_audit',
    'scipy.stats',
    'tensorboardX',
  ):
    importlib.import_module(name)


def serve() -> dict:
  """Answers requests; returns one, in the fork that runs it."""
  # jax warns of every fork; no device has been started here, so nothing of it runs yet.
  warnings.filterwarnings('ignore', message='.*fork.*')
  for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if not child:
      return request
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
  sys.exit()


def run(request: dict) -> None:
  """Becomes the process of the command that is asked for."""
  for number, (path, flags) in enumerate(
    (
      (os.devnull, os.O_RDONLY),
      (request['stdout'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
      (request['stderr'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    )
  ):
    os.dup2(os.open(path, flags), number)
  if request['file_size'] is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (request['file_size'],) * 2)
  os.environ.clear()
  os.environ.update(request['environment'])
  os.chdir(request['cwd'])
  sys.argv = [request['module'], *request['arguments']]
  sys.path[0] = request['cwd']
  warnings.resetwarnings()
  try:
    runpy.run_module(request['module'], run_name='__main__', alter_sys=True)
    status = 0
  except SystemExit as leaving:
    status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    if isinstance(leaving.code, str):
      print(leaving.code, file=sys.stderr)
  # As the interpreter ends, but for freeing every module, which takes a second in so large a fork.
  threading._shutdown()
  atexit._run_exitfuncs()
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status)


if __name__ == '__main__':
  preload()
  run(serve())
