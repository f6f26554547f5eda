"""The built package works without its checkout, and the container files say what is there."""

import configparser
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

PROJECT = pathlib.Path(__file__).parents[1]


def interpreter(version):
  """Returns a Python of that version that this machine has, None for none."""
  if sys.version_info[:2] == tuple(map(int, version.split('.'))):
    return sys.executable
  managed = sorted(glob.glob(os.path.expanduser(f'~/.pyenv/versions/{version}.*/bin/python')))
  for path in (*reversed(managed), shutil.which(f'python{version}')):
    # pyenv's shims are on the path for versions that are not chosen, and then only say so.
    if path and subprocess.run([path, '--version'], capture_output=True).returncode == 0:
      return path
  return None


@pytest.mark.parametrize(
  'version',
  [pytest.param('3.11', marks=pytest.mark.slow), pytest.param('3.12', marks=pytest.mark.deep)],
)
def test_the_wheel_goes_through_a_study_in_an_empty_environment(version):
  python = interpreter(version)
  if python is None:
    pytest.skip(f'no Python {version} here')
  environment = {**os.environ, 'PYTHON': python}
  finished = subprocess.run(
    ['bash', PROJECT / 'launch/check_wheel.sh'],
    cwd='/', env=environment, capture_output=True, text=True, timeout=900,
  )  # fmt: skip
  assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-3000:]
  assert f'the package works outside its checkout, on Python {version}.' in finished.stdout


def test_extras_that_are_documented_are_those_that_there_are():
  settings = configparser.ConfigParser()
  settings.read(PROJECT / 'setup.cfg', 'utf-8')
  extras = set(settings['options.extras_require'])
  pages = [*(PROJECT / 'docs').rglob('*.md'), PROJECT / 'README.md']
  texts = {path.name: path.read_text('utf-8') for path in pages}
  named = re.findall(r'(?<!\w)(?:\.|medjax)\[([a-z0-9,]+)\]', '\n'.join(texts.values()))
  assert len(named) > 5
  assert {extra for names in named for extra in names.split(',')} <= extras
  rows = re.findall(r'^\| (`[^|]+) \|', texts['install.md'], re.M)
  assert set(re.findall(r'`(\w+)`', ' '.join(rows))) == extras


def test_what_the_dockerfile_copies_and_runs_is_there():
  """No image is built by tests: install.sh, which has the steps, is run by the test above."""
  text = (PROJECT / 'Dockerfile').read_text('utf-8').replace('\\\n', ' ')
  steps = [line.split() for line in text.splitlines() if re.match('[A-Z]', line)]
  copied = [
    word for name, *words in steps if name == 'COPY' and '--from' not in words[0]
    for word in words[:-1] if not word.startswith('--')
  ]  # fmt: skip
  assert copied
  for path in copied:
    assert (PROJECT / path).exists(), path
  scripts = re.findall(r'RUN .*bash (\S+\.sh)', text)
  assert scripts == ['launch/install.sh']
  for path in ('medjax', 'configs', 'setup.py', 'setup.cfg', 'pyproject.toml', 'README.md'):
    assert path in copied  # install.sh builds from it.
  users = [words[0] for name, *words in steps if name == 'USER']
  assert users and users[-1] not in ('root', '0')


def test_the_devcontainer_runs_the_scripts_of_this_project():
  settings = json.loads((PROJECT / '.devcontainer/devcontainer.json').read_text('utf-8'))
  assert (PROJECT / '.devcontainer' / settings.get('build', {}).get('dockerfile', '.')).exists()
  for script in re.findall(r'\S+\.sh', settings['postCreateCommand']):
    assert (PROJECT / script).is_file()
  assert settings['remoteUser'] != 'root'
