"""The hub of published weights: on this machine, silent, or out of reach."""

import functools
import hashlib
import http.server
import json
import shlex
import socket
import subprocess
import threading

import numpy as np
import pytest
from safetensors.numpy import save

from medjax.errors import InputError
from medjax.models.pretrained import hub as hub_module
from medjax.models.pretrained import weights

DESCRIPTION = {'pretrained_cfg': {'input_size': [3, 224, 224], 'interpolation': 'bicubic'}}


class Hub(http.server.BaseHTTPRequestHandler):
  """Answers as the hub does for one repository, timm/tiny.test."""

  commit = 'a' * 40

  def do_HEAD(self):
    self.answer(body=False)

  def do_GET(self):
    self.answer(body=True)

  def answer(self, body):
    name = self.path.rpartition('/')[2]
    if self.server.status:
      self.send_response(self.server.status)
      self.end_headers()
      return
    if f'/timm/tiny.test/resolve/main/{name}' != self.path or name not in self.server.files:
      self.send_response(404)
      self.send_header('X-Error-Code', 'RepoNotFound')
      self.end_headers()
      return
    content = self.server.files[name]
    self.send_response(200)
    self.send_header('X-Repo-Commit', self.commit)
    self.send_header('ETag', f'"{self.server.tags.get(name) or hash(content)}"')
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    if body:
      self.wfile.write(content[: self.server.breaks_off_after])

  def log_message(self, *_):
    pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
  """A hub on this machine, and an empty cache."""
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
  server.breaks_off_after = None  # Bytes of each answer.
  server.status = None  # Of every answer, in place of its own.
  server.tags = {}  # The hashes that it gives for files.
  server.files = {
    'model.safetensors': save({'w': np.ones(3, np.float32)}),
    'config.json': json.dumps(DESCRIPTION).encode(),
  }
  use(monkeypatch, f'http://127.0.0.1:{server.server_port}', tmp_path / 'cache')
  threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
  yield server
  server.shutdown()


def use(monkeypatch, address, cache):
  """Has the hub's client ask another address, and keep what it gets in this folder."""
  import huggingface_hub
  from huggingface_hub import constants

  for name, given in (('hf_hub_download', {'cache_dir': str(cache)}), ('hf_hub_url', {})):
    function = functools.partial(getattr(huggingface_hub, name), endpoint=address, **given)
    monkeypatch.setattr(huggingface_hub, name, function)
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(cache))


def refused(name='timm/tiny.test', match='the hub cannot be asked'):
  with pytest.raises(InputError, match=match) as raised:
    weights.find(name)
  assert '\n' not in str(raised.value)
  return str(raised.value)


def test_weights_come_with_their_revision_and_stay_in_the_cache(hub, monkeypatch):
  result = weights.find('timm/tiny.test')
  assert result.origin['from'] == 'timm/tiny.test'
  assert result.origin['revision'] == Hub.commit
  assert len(result.origin['sha256']) == 64
  assert (result.image_size, result.interpolation) == (224, 'bicubic')
  assert list(result.tensors['w']) == [1, 1, 1]
  from huggingface_hub import constants

  hub.files.clear()
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  assert weights.find('timm/tiny.test').origin == result.origin
  assert 'HF_HUB_OFFLINE is set' in refused('timm/other.test')


def test_a_name_that_the_hub_does_not_know_is_one_line(hub):
  refused('timm/unknown.test', match='the hub has no such weights')


def test_a_download_that_breaks_off_is_one_line(hub, monkeypatch, caplog, capfd):
  monkeypatch.setattr('time.sleep', lambda seconds: None)  # Between the client's attempts.
  hub.breaks_off_after = 0
  assert 'hf download timm/tiny.test' in refused(match='the download broke off')
  assert 'Error while downloading' not in capfd.readouterr().err + caplog.text  # Of each attempt.


def git_hash(content):
  return subprocess.run(
    ['git', 'hash-object', '--stdin'], input=content, capture_output=True, check=True
  ).stdout.decode()[:40]


@pytest.mark.parametrize('name', ['model.safetensors', 'config.json'])
def test_other_bytes_than_the_hub_has_are_refused_and_fetched_anew(hub, name):
  whole = dict(hub.files)
  hub.tags = {
    'model.safetensors': hashlib.sha256(whole['model.safetensors']).hexdigest(),
    'config.json': git_hash(whole['config.json']),
  }
  hub.files[name] = whole[name][:-1] + bytes([whole[name][-1] ^ 1])
  assert name in refused(match='other bytes than the hub has')
  hub.files = whole
  assert weights.find('timm/tiny.test').origin['sha256'] == hub.tags['model.safetensors']
  assert len(weights.find('timm/tiny.test').tensors) == 1


@pytest.fixture
def silent(request, hub, tmp_path, monkeypatch):
  """A hub that cannot be asked, in one of many ways; returns how the message says so."""
  way, address = request.param, None
  if way == 'accepts and never answers':
    listening = socket.create_server(('127.0.0.1', 0))
    request.addfinalizer(listening.close)
    address = f'http://127.0.0.1:{listening.getsockname()[1]}'
    monkeypatch.setattr(hub_module, '_PATIENCE', 0.2)
    says = 'no answer in 0.2 s; HF_HUB_ETAG_TIMEOUT=60 waits longer'
  elif way == 'name servers never answer':
    gone = threading.Event()
    request.addfinalizer(gone.set)
    monkeypatch.setattr('socket.getaddrinfo', lambda *_, **__: gone.wait())
    monkeypatch.setattr(hub_module, '_PATIENCE', 0.2)
    address, says = 'http://hub.invalid', 'no answer in 0.2 s'
  elif way == 'no such name':
    address, says = 'http://hub.invalid', 'ConnectError'
  elif way == 'nobody listens':
    address, says = 'http://127.0.0.1:9', 'ConnectError'
  elif way == 'proxy':
    from huggingface_hub.utils import close_session

    close_session()
    request.addfinalizer(close_session)
    monkeypatch.setenv('HTTP_PROXY', 'no-such-scheme://here')
    says = 'no-such-scheme'
  else:  # A firewall answers in its place.
    hub.status = {'forbidden': 403, 'a page': 200}[way]
    says = 'X-Repo-Commit' if way == 'a page' else str(hub.status)
  if address:
    use(monkeypatch, address, tmp_path / 'cache')
  return says


WAYS = [
  'accepts and never answers', 'name servers never answer', 'no such name', 'nobody listens',
  'proxy', 'forbidden', 'a page',
]  # fmt: skip


@pytest.mark.parametrize('silent', WAYS, indirect=True)
def test_without_the_hub_two_commands_bring_the_weights(silent, monkeypatch):
  # The client's own attempts, half a minute of them, would be in vain.
  monkeypatch.setattr('time.sleep', lambda seconds: pytest.fail('tried again'))
  line = refused('timm/tiny.test@v1')
  assert silent in line
  fetch, use_it = line.rpartition('on a machine with network: ')[2].split(
    '; bring that folder here'
  )
  assert shlex.split(fetch) == [
    'hf', 'download', 'timm/tiny.test', 'config.json', 'model.safetensors',
    '--local-dir', 'tiny.test', '--revision', 'v1',
  ]  # fmt: skip
  assert use_it.endswith(' --config.model.pretrained=tiny.test/model.safetensors')


def test_a_hub_that_is_busy_is_asked_again(hub, monkeypatch):
  pauses = []
  monkeypatch.setattr('time.sleep', pauses.append)
  hub.status = 503
  assert 'hf download timm/tiny.test' in refused() and len(pauses) > 2


def test_what_was_brought_by_hand_is_read_and_its_folder_points_to_it(tmp_path):
  with pytest.raises(InputError, match=r'name a \.safetensors file in it'):
    weights.find(str(tmp_path))
  (tmp_path / 'model.safetensors').write_bytes(save({'w': np.ones(3, np.float32)}))
  (tmp_path / 'config.json').write_text(json.dumps(DESCRIPTION))
  with pytest.raises(InputError, match=f'is a folder; name {tmp_path}/model.safetensors'):
    weights.find(str(tmp_path))
  assert weights.find(f'{tmp_path}/model.safetensors').image_size == 224


@pytest.mark.parametrize('silent', ['accepts and never answers'], indirect=True)
def test_a_silent_hub_leaves_what_the_cache_has(silent, tmp_path):
  folder = tmp_path / 'cache' / 'models--timm--tiny.test'
  (folder / 'refs').mkdir(parents=True)
  (folder / 'refs' / 'main').write_text(Hub.commit)
  kept = folder / 'snapshots' / Hub.commit
  kept.mkdir(parents=True)
  (kept / 'model.safetensors').write_bytes(save({'w': np.ones(3, np.float32)}))
  (kept / 'config.json').write_text(json.dumps(DESCRIPTION))
  assert weights.find('timm/tiny.test').origin['revision'] == Hub.commit
