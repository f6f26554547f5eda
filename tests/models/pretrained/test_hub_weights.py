"""The hub's weights: downloaded once, with their revision, or one line about what failed."""

import functools
import http.server
import json
import threading

import oracle
import published_file
import pytest
from published_file import DESCRIPTION, NETWORK

from medjax.errors import InputError
from medjax.models.pretrained import fit, weights


class Hub(http.server.BaseHTTPRequestHandler):
  """Answers as the hub does for one repository, timm/tiny.test."""

  commit = 'a' * 40

  def do_HEAD(self):
    self.answer(body=False)

  def do_GET(self):
    self.answer(body=True)

  def answer(self, body):
    name = self.path.rpartition('/')[2]
    if f'/timm/tiny.test/resolve/main/{name}' != self.path or name not in self.server.files:
      self.send_response(404)
      self.send_header('X-Error-Code', 'RepoNotFound')
      self.end_headers()
      return
    content = self.server.files[name]
    self.send_response(200)
    self.send_header('X-Repo-Commit', self.commit)
    self.send_header('ETag', f'"{hash(content)}"')
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    if body:
      self.wfile.write(content[: self.server.breaks_off_after])

  def log_message(self, *_):
    pass


@pytest.fixture
def file(tmp_path):
  """A complete safetensors file."""
  return published_file.write(tmp_path)


@pytest.fixture
def hub(file, tmp_path, monkeypatch):
  """A hub on this machine, and an empty cache."""
  from huggingface_hub import constants, file_download

  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
  server.breaks_off_after = None  # Bytes of each answer.
  server.files = {
    'model.safetensors': file.read_bytes(),
    'config.json': json.dumps(DESCRIPTION).encode(),
  }
  address = f'http://127.0.0.1:{server.server_port}'
  download = functools.partial(
    file_download.hf_hub_download, endpoint=address, cache_dir=str(tmp_path / 'cache')
  )
  monkeypatch.setattr('huggingface_hub.hf_hub_download', download)
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
  threading.Thread(target=server.serve_forever, daemon=True).start()
  yield server
  server.shutdown()


def test_the_hub_s_weights_come_with_their_revision_and_stay_in_the_cache(hub, monkeypatch):
  result = weights.find('timm/tiny.test')
  assert result.origin['from'] == 'timm/tiny.test'
  assert result.origin['revision'] == Hub.commit
  assert len(result.origin['sha256']) == 64
  assert (result.image_size, result.interpolation) == (224, 'bicubic')
  assert fit.fit(oracle.shapes(NETWORK, 64), result.tensors, NETWORK.names, 'the hub').variables
  from huggingface_hub import constants

  hub.files.clear()
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  again = weights.find('timm/tiny.test')
  assert again.origin == result.origin
  with pytest.raises(InputError, match='HF_HUB_OFFLINE'):
    weights.find('timm/other.test')


def test_a_name_that_the_hub_does_not_know_is_one_line(hub):
  with pytest.raises(InputError, match='the hub has no such weights') as raised:
    weights.find('timm/unknown.test')
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize('breaks', ['connection', 'proxy'])
def test_a_download_that_breaks_off_is_one_line(hub, breaks, monkeypatch):
  monkeypatch.setattr('time.sleep', lambda seconds: None)  # Between the client's attempts.
  if breaks == 'connection':
    hub.breaks_off_after = 0
  else:
    from huggingface_hub.utils import close_session

    close_session()
    monkeypatch.setenv('HTTP_PROXY', 'no-such-scheme://here')
  with pytest.raises(InputError, match='the download broke off') as raised:
    weights.find('timm/tiny.test')
  assert '\n' not in str(raised.value)
