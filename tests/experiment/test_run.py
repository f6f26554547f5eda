"""What a start of a run does once."""

import collections
import shutil

import numpy as np
import pytest
from conftest import PROJECT, TINY

from medjax import config as configs
from medjax.data import datasets, study
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import table_audit
from medjax.evaluation import notes
from medjax.experiment import loop, run
from medjax.runs import finished as finished_runs
from medjax.runs import workdir
from medjax.runs.layout import Layout
from medjax.training import objective


class Stopped(Exception):
  pass


def tiny(root, *overrides):
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*tiny, f'data.root={root}', *overrides])


@pytest.fixture
def calls(monkeypatch):
  """Counts what costs time at a start; the loop is stopped before its first step."""
  counted = collections.Counter()

  def count(module, name):
    function = getattr(module, name)

    def counting(*arguments, **settings):
      counted[name] += 1
      return function(*arguments, **settings)

    monkeypatch.setattr(module, name, counting)

  count(datasets, 'read_all')
  count(table_audit, 'table_findings')
  count(objective, 'bound_loss')
  count(workdir, 'look_at_images')

  def stop(*arguments, **settings):
    raise Stopped

  monkeypatch.setattr(loop, 'train', stop)
  return counted


def test_a_start_reads_the_source_audits_and_builds_the_loss_once(
  finished, other_root, tmp_path, calls
):
  # Of weights of another run, which are fetched after the data are checked.
  config = tiny(other_root, 'data.settings.seed=1', f'model.pretrained={finished[0]}')
  once = {'read_all': 1, 'table_findings': 1, 'bound_loss': 1, 'look_at_images': 1}
  with pytest.raises(Stopped):
    run.run(config, tmp_path / 'run')
  assert calls == once
  # Killed before its first checkpoint it checks nothing again.
  calls.clear()
  with pytest.raises(Stopped):
    run.run(config, tmp_path / 'run')
  assert calls == {'read_all': 1, 'bound_loss': 1}
  # Other settings begin anew.
  calls.clear()
  config.split.seed = 7
  with pytest.raises(Stopped):
    run.run(config, tmp_path / 'run')
  assert calls == once


def test_a_finished_run_started_again_reads_the_source_once(
  finished, phantom_root, tmp_path, calls, capsys
):
  copy = shutil.copytree(finished[0], tmp_path / 'run')
  run.run(tiny(phantom_root), copy)
  assert calls == {'read_all': 1}
  assert f'this run is complete: {copy / "report/index.html"}' in capsys.readouterr().out


def test_a_new_study_is_what_a_restart_reads(phantom_root, tmp_path):
  config, layout = tiny(phantom_root), Layout(tmp_path / 'run')
  drafted = workdir.draft(config, layout)
  assert not drafted.is_kept
  looked = workdir.look_at_images(config, drafted.study, ImageFormat(16, 1))
  workdir.write(config, layout, drafted, looked, {})
  again = workdir.draft(config, layout)
  assert again.is_kept and again.split_csv == drafted.split_csv
  read = study.read(config, layout.workdir)
  for one in (again.study, read):
    assert one.proof == drafted.study.proof
    assert one.table.equals(drafted.study.table)
    for name in ('values', 'mask', 'truth', 'known', 'split'):
      np.testing.assert_array_equal(getattr(one, name), getattr(drafted.study, name))


@pytest.mark.slow
def test_a_floor_is_told_with_the_prevalence_of_the_source(phantom_root, tmp_path):
  config = tiny(
    phantom_root, 'split.test=0.15', 'split.validation=0.1', 'replicates=0',
    'split.test_floor={"Pneumonia": 0.4, "Edema": 0.5}',
  )  # fmt: skip
  run.run(config, tmp_path / 'run')
  opened = finished_runs.open_run(tmp_path / 'run')
  level = opened.frozen.levels['image']
  data = study.read(config, tmp_path / 'run')
  for column, label in enumerate(config.data.labels):
    share = data.truth[data.known[:, column], column].mean()
    assert level.source_counted and level.source_prevalence[label] == pytest.approx(share)
  # The rarest finding is in training alone.
  assert 'positive for Lung Lesion' in opened.frozen.absent
  (sentence,) = notes.of_absent('validation', opened.frozen.absent)
  assert sentence in opened.result.study_notes and 'Lung Lesion' in sentence
