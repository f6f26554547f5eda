"""Images that are not what they were when a run started, and those that are there twice."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import PROJECT, TINY
from PIL import Image

from medjax import config as configs
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.result import Result
from medjax.experiment import loop, run
from medjax.runs.layout import Layout


def tiny(root, *overrides):
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*tiny, f'data.root={root}', *overrides])


@pytest.fixture
def images(finished):
  """Side of the split → its images, as split.csv has them."""
  sides = {}
  with (finished[0] / 'split.csv').open() as file:
    for row in csv.DictReader(file):
      sides.setdefault(row['split'], []).append(row['image'])
  return sides


@pytest.fixture
def stopped(monkeypatch):
  class Stopped(Exception):
    pass

  def train(*arguments, **settings):
    raise Stopped

  monkeypatch.setattr(loop, 'train', train)
  return Stopped


@pytest.mark.slow
def test_a_test_image_under_a_training_name_is_on_the_first_screen(
  finished, phantom_root, images, tmp_path, stopped, capsys
):
  root = shutil.copytree(phantom_root, tmp_path / 'root')
  for test, train in zip(images['test'][:3], images['train']):
    (root / train).write_bytes((root / test).read_bytes())
  (root / images['train'][9]).write_bytes((root / images['validation'][0]).read_bytes())
  with pytest.raises(stopped):
    run.run(tiny(root), tmp_path / 'run')
  said = capsys.readouterr().out
  tested = len(images['test'])
  assert (
    f'note      3 of the {tested} test images are byte for byte train images, such as '
    f"'{images['test'][0]}' and '{images['train'][0]}': the network was trained on what"
  ) in said
  assert f'1 of the {len(images["validation"])} validation images are byte for byte train' in said
  # It is part of the split's proof, so that restarts and the report say it too.
  proof = json.loads((tmp_path / 'run/split.json').read_text())
  assert proof['duplicates']['identical_images'] == {
    'test in train': 3, 'test in validation': 0, 'validation in train': 1
  }  # fmt: skip
  assert sum('byte for byte' in note for note in proof['notes']) == 2
  of_others = json.loads((finished[0] / 'split.json').read_text())
  assert not any('byte for byte' in note for note in of_others['notes'])


def test_test_images_that_changed_after_the_start_are_on_the_report(
  finished, phantom_root, images, tmp_path
):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  layout.result.unlink()
  root = shutil.copytree(phantom_root, tmp_path / 'root')
  changed = images['test'][-1]
  pixels = np.asarray(Image.open(root / changed))
  Image.fromarray(255 - pixels).save(root / changed)
  Image.fromarray(pixels).save(root / images['train'][0])
  run.run(tiny(root, 'evaluation.saliency=none', 'replicates=0'), layout.workdir)
  result = results_file.load(layout.result, Result, '')
  tested, trained = [note for note in result.study_notes if 'when the run started' in note]
  assert tested.startswith(f'1 of the {len(images["test"])} test images are not the files that')
  assert f"such as '{changed}'" in tested
  assert trained.startswith(f'1 of the {len(images["train"])} train images are not the files that')
  assert 'whether it is tested too is not known' in trained
  assert changed in layout.report.read_text()
  before = results_file.load(finished[0] / 'evaluation/test.json', Result, '')
  assert not any('when the run started' in note for note in before.study_notes)


def test_a_good_image_cannot_be_set_aside_by_hand(
  finished, phantom_root, images, tmp_path, stopped
):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  shutil.rmtree(layout.checkpoints)  # Killed before the first one.
  layout.result.unlink()
  with pytest.raises(stopped):
    run.run(tiny(phantom_root), layout.workdir)
  layout.set_aside.write_text(f'image,split,reason\n{images["test"][0]},test,broken\n')
  with pytest.raises(InputError, match=r'set_aside\.csv: .* is set aside, and it can be read'):
    run.run(tiny(phantom_root), layout.workdir)
