"""File systems that can do less than a bucket, and files of ours that are read in the midst."""

import pathlib

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem
from memory_bucket import MEMORY, URL, content, objects, write

from medjax.errors import InputError
from medjax.runtime import bucket, files, leases, remote, remote_work
from medjax.runtime.bucket import Place

LEASE = '.medjax/all.lease.json'


class Half(AsyncFileSystem):
  """As that of HTTP: it reads, and copies nothing."""

  protocol, cachable = 'half', False


def test_a_system_that_copies_nothing_is_refused_before_anything_is_done(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a')
  with monkeypatch.context() as patch:
    patch.setattr(MEMORY, 'cp_file', AbstractFileSystem.cp_file)
    message = r'memory:// copies no files .*; s3, gs, az, hf, file and memory are supported'
    with pytest.raises(InputError, match=message), remote_work.local(URL):
      pass
  assert objects() == ['a.txt']
  fsspec.register_implementation('half', Half, clobber=True)
  with pytest.raises(InputError, match='half:// copies no files'):
    bucket.refuse_system(Place('half://x/y'))


@pytest.mark.parametrize(('name', 'package'), [('s3', 's3fs'), ('hf', 'huggingface_hub')])
def test_those_that_are_called_supported_are(name, package, monkeypatch):
  pytest.importorskip(package)
  system = fsspec.filesystem(name)
  monkeypatch.setattr(remote, 'system', lambda url: (system, 'x/y'))
  bucket.refuse_system(Place(f'{name}://x/y'))


def test_a_lease_that_is_being_written_is_read_again(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL):
    lease, cat, halves = bucket.read_json(Place(URL), LEASE), MEMORY.cat_file, [b'', b'{"na']
    monkeypatch.setattr(bucket, '_PAUSE', 0)
    monkeypatch.setattr(
      MEMORY, 'cat_file', lambda *rest, **options: halves.pop() if halves else cat(*rest, **options)
    )
    assert bucket.read_json(Place(URL), LEASE) == lease and not halves
    for damage in (b'{"na', b'[]'):
      halves[:] = [damage] * bucket._READS
      with pytest.raises(InputError, match=f'{URL}/{LEASE}: damaged; if no command works there'):
        leases.read(Place(URL), bucket.WHOLE)


def test_on_a_disk_nobody_finds_half_a_lease(machine, tmp_path, monkeypatch):
  machine('a')
  url, write_whole, own = f'file://{tmp_path}/there', files.write_whole, []
  monkeypatch.setattr(
    files, 'write_whole', lambda path, text: own.append(path) or write_whole(path, text)
  )
  with remote_work.local(url) as folder:
    write(folder, a_txt='a')
    assert tmp_path / 'there' / LEASE in own
  assert content(tmp_path / 'there') == {'a.txt': 'a'}
  assert [path.name for path in pathlib.Path(tmp_path, 'there').iterdir()] == ['a.txt']
