"""Files of a bucket: one list, whole files, and a server that does not answer."""

import pathlib

import fsspec
import pytest

from medjax.errors import InputError
from medjax.runtime import remote
from medjax.runtime.remote_path import RemotePath, path

FILES = ('labels.csv', 'a/1.png', 'a/2.png', 'a/b/3.png', 'c#d/4.png')


@pytest.fixture
def bucket(monkeypatch):
  """A bucket in memory, and what is asked of it."""
  system = fsspec.filesystem('memory')
  for name in FILES:
    system.pipe_file(f'/remote/{name}', name.encode())
  asked = []
  for call in ('find', 'ls', 'info', 'cat_file', 'exists'):
    method = getattr(type(system), call)

    def counted(self, *arguments, _call=call, _method=method, **options):
      asked.append(_call)
      return _method(self, *arguments, **options)

    monkeypatch.setattr(type(system), call, counted)
  monkeypatch.setattr(remote, '_listings', {})
  monkeypatch.setattr(remote, '_PAUSE', 0)
  yield 'memory://remote', asked
  system.rm('/remote', recursive=True)


def test_a_folder_of_a_bucket_is_what_pathlib_makes_of_one_on_disk(bucket, tmp_path):
  url, asked = bucket
  for name in FILES:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(name)

  def seen(root):
    def names(paths):
      return sorted(found.relative_to(root).as_posix() for found in paths)

    places = ('', 'a', 'a/b', 'a/1.png', 'a/9.png', 'x', 'c#d', './a//1.png', 'a/../labels.csv')
    return (
      [
        ((root / name).exists(), (root / name).is_file(), (root / name).is_dir()) for name in places
      ],
      [names(root.glob(pattern)) for pattern in ('*', 'a/*', '*/*.png', 'x*', '?/b/*')],
      [names(root.rglob(pattern)) for pattern in ('*', '*.png', 'b')],
      names((root / 'a').iterdir()),
      [(root / 'a/1.png').name, (root / 'a/1.png').stem, (root / 'a/1.png').suffix],
      (root / 'a/b').parent == root / 'a',
      (root / 'a/b').with_name('1.png').read_text(),
      (root / 'labels.csv').open().read(),
    )

  assert seen(path(url)) == seen(path(tmp_path))
  assert asked.count('find') == 1 and asked.count('cat_file') == 2
  assert not {'info', 'exists'} & set(asked)
  assert str(RemotePath(url) / '/abs/x.csv') == '/abs/x.csv'
  with pytest.raises(FileNotFoundError):
    (path(url) / 'x.csv').read_text()


def test_a_file_is_fetched_once_where_it_is_held(bucket):
  url, asked = bucket
  with remote.held(f'{url}/a/1.png'):
    assert remote.opened(f'{url}/a/1.png').read() == remote.read(f'{url}/a/1.png') == b'a/1.png'
  assert asked == ['cat_file']


def test_a_copy_on_disk_is_made_once_for_each_content(bucket, tmp_path, monkeypatch):
  url, _ = bucket
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  file, folder = remote.local_copy(f'{url}/a/1.png'), remote.local_copy(f'{url}/a')
  assert pathlib.Path(file).read_bytes() == b'a/1.png'
  assert pathlib.Path(folder, 'b/3.png').read_bytes() == b'a/b/3.png'
  assert remote.local_copy(f'{url}/a/1.png') == file
  fsspec.filesystem('memory').pipe_file('/remote/a/1.png', b'new and longer')
  remote._listings.clear()
  assert pathlib.Path(remote.local_copy(f'{url}/a/1.png')).read_bytes() == b'new and longer'
  assert remote.local_copy(tmp_path / 'x') == str(tmp_path / 'x')


def test_what_cannot_be_reached_is_tried_again_and_is_no_missing_file(bucket, monkeypatch):
  url, _ = bucket
  system = type(fsspec.filesystem('memory'))
  fetch, failures = system.cat_file, [TimeoutError('slow'), ConnectionError('gone')]

  def failing(self, *arguments, **options):
    if failures:
      raise failures.pop()
    return fetch(self, *arguments, **options)

  monkeypatch.setattr(system, 'cat_file', failing)
  assert remote.read(f'{url}/labels.csv') == b'labels.csv' and not failures
  failures += [ConnectionError('gone')] * 9
  with pytest.raises(remote.Unreachable, match=r'labels\.csv: cannot be reached .*gone'):
    remote.read(f'{url}/labels.csv')
  failures[:] = [PermissionError('not yours')]
  with pytest.raises(InputError, match=r'may not be read .*not yours'):
    remote.read(f'{url}/labels.csv')


def test_what_is_no_bucket(bucket):
  assert not remote.is_remote('/data/https://x/1.png') and not remote.is_remote('C:/films')
  assert not path('memory://nothing/here').is_file() and not path('memory://nothing').is_dir()
  with pytest.raises(InputError, match='nosuch://x: Protocol not known: nosuch'):
    path('nosuch://x').is_file()


def test_a_missing_package_is_named(monkeypatch):
  def absent(url):
    raise ImportError('Please install gcsfs to access Google Storage')

  monkeypatch.setattr(fsspec.core, 'url_to_fs', absent)
  with pytest.raises(InputError, match=r"install gcsfs.*pip install 'medjax\[remote\]'"):
    path('gs://nothing/here').is_file()


@pytest.mark.parametrize('name', ['a/../../../x.png', '..\\x.png'])
def test_a_key_that_leads_out_of_its_folder_is_refused(monkeypatch, name):
  class System:
    def invalidate_cache(self):
      pass

    def find(self, root, detail):
      return {f'set/{name}': {'size': 1}}

  monkeypatch.setattr(remote, '_listings', {})
  monkeypatch.setattr(remote, 'system', lambda url: (System(), 'set'))
  with pytest.raises(InputError, match='leads out of its folder'):
    remote.files_below('s3://bucket/set')
