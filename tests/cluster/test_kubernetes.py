"""The manifest: valid for the API, and what it starts trains."""

import os
import subprocess
import sys

import pytest
from conftest import PROJECT, TINY

from medjax.runtime import shards

MANIFEST = PROJECT / 'launch/kubernetes/job.yaml'


@pytest.fixture
def manifests():
  yaml = pytest.importorskip('yaml')
  return {one['kind']: one for one in yaml.safe_load_all(MANIFEST.read_text('utf-8'))}


def test_the_manifests_are_valid_for_the_api(manifests):
  kubernetes_validate = pytest.importorskip('kubernetes_validate')
  for manifest in manifests.values():
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
  manifests['Job']['spec']['complétions'] = 2
  with pytest.raises(kubernetes_validate.ValidationError):
    kubernetes_validate.validate(
      manifests['Job'], kubernetes_validate.latest_version(), strict=True
    )


def test_the_pods_that_predict_are_as_many_as_the_pieces():
  yaml = pytest.importorskip('yaml')
  kubernetes_validate = pytest.importorskip('kubernetes_validate')
  manifest = yaml.safe_load((PROJECT / 'launch/kubernetes/predict.yaml').read_text('utf-8'))
  kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
  (container,) = manifest['spec']['template']['spec']['containers']
  flags = dict(argument.removeprefix('--').split('=', 1) for argument in container['args'])
  last = manifest['spec']['completions'] - 1
  shard = shards.asked(flags['shard'], {'JOB_COMPLETION_INDEX': str(last)})
  assert shard == shards.Shard(last, last + 1)


def test_names_in_the_manifests_fit_each_other(manifests):
  job = manifests['Job']['spec']
  pod = job['template']['spec']
  (container,) = pod['containers']
  service = manifests['Service']
  assert service['spec']['selector'] == {'job-name': manifests['Job']['metadata']['name']}
  assert pod['subdomain'] == service['metadata']['name']
  name, subdomain = manifests['Job']['metadata']['name'], pod['subdomain']
  assert f'--coordinator={name}-0.{subdomain}:12345' in container['args']
  assert f'--processes={job["completions"]}' in container['args']
  assert job['completions'] == job['parallelism'] and job['completionMode'] == 'Indexed'


@pytest.mark.slow
def test_the_command_of_the_pods_trains(manifests, phantom_root, tmp_path):
  (container,) = manifests['Job']['spec']['template']['spec']['containers']
  replaced = {
    '--coordinator=medjax-0.medjax:12345': '--coordinator=127.0.0.1:29411',
    '--config=chexpert': '--config=phantom',
    '--config.data.root=/work/data': f'--config.data.root={phantom_root}',
    '--workdir=/work/runs/chexpert': f'--workdir={tmp_path / "run"}',
  }
  arguments = [replaced.get(argument, argument) for argument in container['args']]
  command = [sys.executable, '-m', 'medjax', *container['command'][1:], *arguments, *TINY]
  pods = [
    subprocess.Popen(
      [part.replace('$(PROCESS)', str(index)) for part in command],
      cwd=PROJECT, env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    for index in range(2)
  ]  # fmt: skip
  said = [pod.communicate(timeout=500)[0] for pod in pods]
  assert [pod.returncode for pod in pods] == [0, 0], said
  assert '2 processes' in said[0] and 'test mean AUROC' in said[0]
