"""A hub of weights that fails, network file systems that fail, and clocks that are wrong.

Weights are fetched whole or refused in one line, and the next start fetches them. Runs on a file
system without locks, with slow renames or stale handles, or started again at an earlier time, end
in the same bits as elsewhere or say in one line why they cannot.
"""

import contextlib
import errno
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import common
import ends
import watched
from faults import Faults, counted, may_fail

_COMMIT = 'a' * 40
_NAME = 'timm/drill.test'
# Fetches as a run does, without what comes before and after; the client's pauses are left out.
_FETCH = """
import sys, time
time.sleep = lambda seconds: None
from medjax.errors import InputError
from medjax.models.pretrained import weights
try:
  found = weights.find(sys.argv[1])
except InputError as error:
  sys.exit(f'error: {error}')
print(found.origin['sha256'])
"""


class Hub(http.server.BaseHTTPRequestHandler):
  """Answers as the hub does for one repository; its server says how it fails.

  The server's `cut` are the bytes of each answer after which it hangs up, `pause` the seconds
  before every kilobyte, `instead` what it sends in place of files, 'page' or 'other'.
  """

  def do_HEAD(self) -> None:
    self._answer(body=False)

  def do_GET(self) -> None:
    self._answer(body=True)

  def log_message(self, *_: object) -> None:
    pass

  def _answer(self, body: bool) -> None:
    name = self.path.rpartition('/')[2]
    content = self.server.files.get(name)
    if content is None:
      self.send_error(404)
      return
    tag, start = hashlib.sha256(content).hexdigest(), 0
    if body and name.endswith('.safetensors'):
      if self.server.instead == 'page':
        content = b'<!DOCTYPE html><html>log in to the network of this hospital</html>'
      elif self.server.instead == 'other':
        content = content[:-4] + b'\x00\x00\x80?'
    asked = self.headers.get('Range', '')
    if asked.startswith('bytes='):
      start = int(asked[6:].partition('-')[0] or 0)
    self.send_response(206 if asked else 200)
    self.send_header('X-Repo-Commit', _COMMIT)
    self.send_header('ETag', f'"{tag}"')
    self.send_header('Content-Length', str(len(content) - start))
    if asked:
      self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
    self.end_headers()
    if body:
      self._send(content[start : self.server.cut])

  def _send(self, content: bytes) -> None:
    with contextlib.suppress(OSError):
      for at in range(0, len(content), 1024):
        time.sleep(self.server.pause)
        self.wfile.write(content[at : at + 1024])


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Lets networks fail; see the module."""
  tally = common.Tally(folder)
  _hubs(tally, quick)
  if not quick:
    _hubs_of_runs(tally)
  if may_fail():
    _file_systems(tally, quick)
    _clocks(tally, quick)
  else:
    tally.left_out.append('network file systems and clocks (no C compiler)')
  return tally.figures()


@contextlib.contextmanager
def _hub(folder: pathlib.Path) -> Iterator[http.server.ThreadingHTTPServer]:
  import numpy as np
  from safetensors.numpy import save

  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
  tensors = {'w': np.random.default_rng(0).normal(size=20_000).astype(np.float32)}
  described = {'pretrained_cfg': {'input_size': [3, 224, 224], 'interpolation': 'bicubic'}}
  server.files = {'model.safetensors': save(tensors), 'config.json': json.dumps(described).encode()}
  server.cut, server.pause, server.instead = None, 0.0, ''
  thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
  thread.start()
  yield server
  server.shutdown()
  server.server_close()


def _ways(server: http.server.ThreadingHTTPServer, cuts: list[int]) -> list[tuple]:
  """Returns (what, address, settings of the server, whether it must fail) of each failing hub."""
  address = _address(server)
  return [
    ('nobody listens', 'http://127.0.0.1:9', {}, True),
    ('no such name', 'http://hub.invalid', {}, True),
    ('slow', address, {'pause': 0.02}, False),
    ('a page in place of weights', address, {'instead': 'page'}, True),
    ('other weights of the same size', address, {'instead': 'other'}, True),
    *((f'hangs up after {cut:,} bytes', address, {'cut': cut}, True) for cut in cuts),
  ]


def _address(server: http.server.ThreadingHTTPServer) -> str:
  return f'http://127.0.0.1:{server.server_port}'


def _set(server: http.server.ThreadingHTTPServer, settings: dict) -> None:
  server.cut, server.pause, server.instead = None, 0.0, ''
  for name, value in settings.items():
    setattr(server, name, value)


def _hubs(tally: common.Tally, quick: bool) -> None:
  with _hub(tally.folder) as server:
    sha256 = hashlib.sha256(server.files['model.safetensors']).hexdigest()
    size = len(server.files['model.safetensors'])
    cuts = [5_000] if quick else [0, 1, 7, 8, 9, 60, 76, *range(100, size, size // 12), size - 1]
    for what, asked, settings, must_fail in _ways(server, cuts)[3 if quick else 0 :]:
      _set(server, settings)
      home = tally.folder / 'hub'
      shutil.rmtree(home, ignore_errors=True)
      done = _fetch(tally, asked, home)
      problems = []
      if must_fail:
        problems = [told] if (told := common.told_in_one_line(done)) else []
      elif done.stdout.split()[-1:] != [sha256]:
        problems = [f'not fetched: {done.stderr[-500:]!r}']
      _set(server, {})
      again = _fetch(tally, _address(server), home)
      if again.stdout.split()[-1:] != [sha256]:
        problems.append(f'the next start does not fetch it: {again.stderr[-500:]!r}')
      kind = 'hubs that hang up' if 'hangs up' in what else 'hubs that fail otherwise'
      tally.count(kind, problems, what, stopped=bool(done.returncode))


def _hubs_of_runs(tally: common.Tally) -> None:
  """Begins runs from weights of a hub that fails; they go on from those of one that does not."""
  exported, home = tally.folder / 'exported', tally.folder / 'hub'
  run = common.finished_run(tally.folder)
  common.must(common.command('export', f'--workdir={run}', f'--output={exported}'), tally.folder)
  others = common.phantom(tally.folder, seed=1)  # Its patients have not trained the weights.
  arguments = ('--config.data.settings.seed=1', f'--config.model.pretrained={_NAME}')
  whole, out = _new(tally.folder / 'hub_whole'), tally.folder / 'hub_run'
  with _hub(tally.folder) as server:
    server.files = {
      name: (exported / name).read_bytes() for name in ('model.safetensors', 'config.json')
    }

    def start(workdir: pathlib.Path, address: str) -> subprocess.CompletedProcess:
      variables = {'HF_ENDPOINT': address, 'HF_HOME': str(home), 'HF_HUB_OFFLINE': '0'}
      return common.call(common.training(workdir, others, *arguments), tally.folder, **variables)

    shutil.rmtree(home, ignore_errors=True)
    if (done := start(whole, _address(server))).returncode:
      raise RuntimeError(f'a run from weights of a hub that works: {done.stderr[-2000:]}')
    for what, asked, settings, must_fail in _ways(server, [0, 5_000]):
      _set(server, settings)
      shutil.rmtree(home)
      done = start(_new(out), asked)
      told = common.told_in_one_line(done) if must_fail else done.stderr
      _set(server, {})
      again = start(out, _address(server))
      problems = [told] if told else []
      problems += [again.stderr[-500:]] if again.returncode else ends.differences(whole, out)
      tally.count('hubs of runs', problems, what, stopped=bool(done.returncode))


def _fetch(tally: common.Tally, address: str, home: pathlib.Path) -> subprocess.CompletedProcess:
  line = [sys.executable, '-c', _FETCH, _NAME]
  variables = {'HF_ENDPOINT': address, 'HF_HOME': str(home), 'HF_HUB_OFFLINE': '0'}
  return common.call(line, tally.folder, **variables)


def _commands(tally: common.Tally, quick: bool) -> dict[str, Callable[[pathlib.Path], list[str]]]:
  """Returns name → folder to write → command line."""
  root = common.phantom(tally.folder)
  study = [common.CONFIG, *common.TINY, f'--config.data.root={root}']
  named = {'prepare': lambda out: common.command('prepare', *study, f'--output={out}')}
  if not quick:
    run, others = common.finished_run(tally.folder), common.phantom(tally.folder, seed=1)
    named['predict'] = lambda out: common.command(
      'predict', f'--workdir={run}', f'--images={others}', f'--output={out / "out.csv"}'
    )
    named['train'] = lambda out: common.training(out, root)
  return named


def _file_systems(tally: common.Tally, quick: bool) -> None:
  films = {name: common.phantom(tally.folder) for name in ('prepare', 'train')}
  films['predict'] = common.phantom(tally.folder, seed=1)
  for name, line in _commands(tally, quick).items():
    whole, out = tally.folder / f'{name}_whole', tally.folder / f'{name}_nfs'
    whole.mkdir(parents=True, exist_ok=True)
    common.must(line(whole), tally.folder)
    ways = [('no locks', Faults(out, kind='lock', at=1, errno=errno.ENOLCK))]
    if not quick:
      ways.append(('slow renames', Faults(out, kind='rename', delay=0.3)))
      for what, under in (('reads that fail', out), ('reads of images that fail', films[name])):
        reads = _reads(tally, line(_new(out)), under)
        for at in sorted({*range(1, reads, max(reads // 5, 1)), reads}):
          for code in (errno.ESTALE, errno.EIO):
            ways.append((what, Faults(under, kind='read', at=at, errno=code, times=1)))
    for what, faults in ways:
      done = common.call(line(_new(out)), tally.folder, **faults.variables(tally.folder))
      problems = []
      if done.returncode or done.stderr:
        problems = [told] if (told := common.told_in_one_line(done)) else []
      else:
        problems = [f'success is said: {one}' for one in ends.differences(whole, out)]
      problems += [f'half written: {path}' for path in ends.half_written(out)]
      problems += _goes_on(tally, line(out), whole, out)
      where = f'{name}, {errno.errorcode.get(faults.errno, "")} at {faults.at}'
      tally.count(f'file systems with {what}', problems, where, stopped=bool(done.returncode))


def _reads(tally: common.Tally, line: list[str], under: pathlib.Path) -> int:
  """Returns how often a command reads below a path."""
  common.call(line, tally.folder, **Faults(under, kind='read').variables(tally.folder))
  return counted(tally.folder)


def _goes_on(
  tally: common.Tally, line: list[str], whole: pathlib.Path, out: pathlib.Path, **variables: str
) -> list[str]:
  done = common.call(line, tally.folder, **variables)
  if done.returncode or done.stderr:
    return [f'started again, status {done.returncode}: {done.stderr[-500:]!r}']
  return ends.differences(whole, out)


def _new(out: pathlib.Path) -> pathlib.Path:
  shutil.rmtree(out, ignore_errors=True)
  out.mkdir(parents=True)
  return out


def _clocks(tally: common.Tally, quick: bool) -> None:
  """Kills a command and starts it again years earlier or later; so with times of files."""
  year = 365 * 24 * 3600
  for name, line in _commands(tally, quick).items():
    whole, out = tally.folder / f'{name}_whole', tally.folder / f'{name}_clock'
    for ahead in (-30 * year,) if quick else (-30 * year, -3600, 10 * year):
      with watched.Started(line(_new(out)), tally.folder) as started:
        while not any(out.iterdir()) and started.wait(0.02) is None:
          pass
        is_killed = started.wait(0.5) is None
        started.kill()
        left = started.left_behind()
      problems = [f'left behind: {left}'] if left else []
      variables = Faults(out, clock=ahead).variables(tally.folder)
      problems += _goes_on(tally, line(out), whole, out, **variables)
      tally.count('clocks set', problems, f'{name}, {ahead / 3600:,.0f} h', stopped=is_killed)
  if not quick:
    _times_of_files(tally, year)


def _times_of_files(tally: common.Tally, year: int) -> None:
  """Gives images times of the future, or of 1970, between two starts that read them decoded."""
  films = tally.folder / 'films'
  shutil.rmtree(films, ignore_errors=True)
  shutil.copytree(common.phantom(tally.folder), films)
  prepared = tally.folder / 'prepared'
  study = [common.CONFIG, *common.TINY, f'--config.data.root={films}']
  common.must(common.command('prepare', *study, f'--output={prepared}'), tally.folder)
  whole = _new(tally.folder / 'stamped_whole')

  def line(out: pathlib.Path) -> list[str]:
    return common.training(out, films, f'--config.data.prepared={prepared}')

  common.must(line(whole), tally.folder)
  for stamp in (time.time() + 10 * year, 0.0):
    for path in films.rglob('*.jpg'):
      os.utime(path, (stamp, stamp))
    out = _new(tally.folder / 'train_stamped')
    problems = _goes_on(tally, line(out), whole, out)
    tally.count('times of files', problems, f'{stamp:.0f}', stopped=False)
