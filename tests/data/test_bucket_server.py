"""A data root on a server that speaks S3."""

import bucket_server
import fsspec
import pytest
from conftest import PROJECT

from medjax import config as configs
from medjax.data import datasets
from medjax.errors import InputError
from medjax.experiment import prepare
from medjax.runtime import remote

CONFIG = str(PROJECT / 'tests/helpers/graded_config.py') + ':softmax'


@pytest.fixture
def server():
  """The environment in which an S3 of this machine is found."""
  with bucket_server.running() as environment:
    yield environment


@pytest.mark.slow
def test_images_of_a_bucket_are_prepared_by_workers_as_those_of_a_disk(
  server, command, graded_root, tmp_path
):
  system = fsspec.filesystem('s3')
  system.mkdir('films')
  system.put(str(graded_root), 'films/graded', recursive=True)
  config = configs.load(CONFIG, [f'data.root={graded_root}'])
  prepare.prepare(config, tmp_path / 'disk')
  command(
    'prepare', f'--config={CONFIG}', '--config.data.root=s3://films/graded',
    '--config.data.workers=1', f'--output={tmp_path / "bucket"}', env=server, check=True,
  )  # fmt: skip
  pixels = [(tmp_path / name / 'pixels.npy').read_bytes() for name in ('disk', 'bucket')]
  assert pixels[0] == pixels[1]
  # What has changed since is refused by name.
  there = configs.load(CONFIG, ['data.root=s3://films/graded'])
  prepare.prepare(there, tmp_path / 'bucket')
  system.pipe_file('films/graded/7.png', b'another')
  system.invalidate_cache()
  remote._listings.clear()
  with pytest.raises(InputError, match=r's3://films/graded/7\.png: has changed since'):
    prepare.prepare(there, tmp_path / 'bucket')


@pytest.mark.slow
def test_what_is_not_there_and_a_server_that_is_gone_are_one_line(server, monkeypatch):
  with pytest.raises(InputError, match=r's3://none/x/labels\.csv: no such table'):
    datasets.read(configs.load(CONFIG, ['data.root=s3://none/x']).data)
  monkeypatch.setattr(remote, '_TRIES', 1)
  monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:9')
  fsspec.filesystem('s3').clear_instance_cache()
  with pytest.raises(remote.Unreachable, match=r's3://films/graded: cannot be reached'):
    datasets.read(configs.load(CONFIG, ['data.root=s3://films/graded']).data)
