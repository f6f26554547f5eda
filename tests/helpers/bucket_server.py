"""A server that speaks S3, on this machine."""

import contextlib
import logging
from collections.abc import Iterator

import fsspec
import pytest

from medjax.runtime import remote


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
  """Yields the environment in which an S3 of this machine is found; skips without moto."""
  moto = pytest.importorskip('moto.server')
  pytest.importorskip('s3fs')
  server = moto.ThreadedMotoServer('127.0.0.1', 0)
  logging.getLogger('werkzeug').setLevel(logging.ERROR)  # A line for each request.
  server.start()
  _, port = server.get_host_and_port()
  environment = {
    'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}',
    'AWS_ACCESS_KEY_ID': 'test',
    'AWS_SECRET_ACCESS_KEY': 'test',
    'AWS_DEFAULT_REGION': 'us-east-1',
  }
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(remote, '_listings', {})
    for name, value in environment.items():
      patch.setenv(name, value)
    fsspec.filesystem('s3').clear_instance_cache()
    yield environment
  fsspec.filesystem('s3').clear_instance_cache()
  server.stop()
