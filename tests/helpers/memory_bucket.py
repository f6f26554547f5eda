"""A bucket in memory, what a folder there holds, and the folders of machines that work on it."""

import time

import fsspec

from medjax.runtime import bucket
from medjax.runtime.bucket import Place
from medjax.runtime.remote_folder import RemoteFolder

URL = 'memory://runs/a'
MEMORY = type(fsspec.filesystem('memory'))


class Cut(BaseException):
  """The machine dies."""


def dying(monkeypatch, after):
  """Has the machine die before the call that changes the bucket after so many others."""
  calls = []

  def counted(name):
    method = getattr(MEMORY, name)

    def call(self, *arguments, **options):
      calls.append(name)
      if len(calls) > after:
        raise Cut
      return method(self, *arguments, **options)

    monkeypatch.setattr(MEMORY, name, call)

  for name in ('pipe_file', 'cp_file', 'rm_file'):
    counted(name)
  return calls


def write(folder, **texts):
  """Leaves in a folder these files and no others; None is a file that is left as it is."""
  for path in list(folder.rglob('*')):
    if path.is_file() and path.name.replace('.', '_') not in texts:
      path.unlink()
  for name, text in texts.items():
    if text is not None:
      path = folder / name.replace('_', '.')
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text)


def content(folder):
  return {
    str(path.relative_to(folder)): path.read_text()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }


def fetched(machine, name):
  """Returns what a machine that was never there finds."""
  machine(name)
  folder = RemoteFolder(Place(URL))
  folder.open()
  folder.close()
  return content(folder.folder)


def until(is_so):
  end = time.monotonic() + 20
  while not is_so():
    assert time.monotonic() < end
    time.sleep(0.005)


def objects(url=URL):
  return sorted(bucket.look(Place(url)).objects)
