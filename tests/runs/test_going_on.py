"""A finished run is trained further or tested otherwise, and says that its test set was read."""

import json
import shutil

import pytest
from conftest import TINY

from medjax import config
from medjax.evaluation import results_file
from medjax.evaluation.result import Result
from medjax.experiment import run
from medjax.runs import finished as finished_runs
from medjax.runs import integrity, readings
from medjax.runs.layout import Layout


def tiny(root, *overrides):
  settings = (*(flag.removeprefix('--config.') for flag in TINY), f'data.root={root}', *overrides)
  return config.load('configs/phantom.py', settings)


def study_notes(layout):
  return results_file.load(layout.result, Result, '').study_notes


@pytest.mark.slow
def test_more_steps_and_another_reading_go_on_and_are_told(
  finished, phantom_root, tmp_path, capsys
):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  first = layout.result.read_bytes()
  assert not any('was read' in note for note in study_notes(layout))

  run.run(tiny(phantom_root, 'steps=9'), layout.workdir)
  said = capsys.readouterr().out
  assert 'going on from the checkpoint of step 6' in said and 'step 9/9' in said
  once = 'The test set was read once before: (1) after 6 steps, with other settings (config.steps: '
  assert f'note      {once}was 6, is now 9)' in said
  parts = 'from step 0 on under a schedule of 6 steps, then from step 6 on under a schedule of 9'
  trained_on, in_parts = study_notes(layout)[:2]
  assert trained_on.startswith(once) and 'those here flatter' in trained_on
  assert parts in in_parts
  assert layout.earlier_result(1).read_bytes() == first
  assert results_file.load(layout.result, Result, '').facts['test set read'] == '2 times'
  assert max(layout.saved_steps()) == 9
  assert len(finished_runs.open_run(layout.workdir).predictions()) > 0

  # What only says what is shown: told, and told to be that.
  run.run(tiny(phantom_root, 'steps=9', 'replicates=20'), layout.workdir)
  said = capsys.readouterr().out
  assert (
    'step 9/9' not in said and 'The test set was read 2 times before: (1) after 6 steps' in said
  )
  again = study_notes(layout)[0]
  assert '(2) after 9 steps, with other settings (config.replicates: was 50, is now 20)' in again
  assert results_file.load(layout.result, Result, '').replicates == 20

  run.run(tiny(phantom_root, 'steps=9', 'replicates=20'), layout.workdir)
  assert 'this run is complete' in capsys.readouterr().out
  assert len(readings.read(layout)) == 3

  # Deleted and tested again as it was: the same reading.
  result = layout.result.read_bytes()
  layout.result.unlink()
  run.run(tiny(phantom_root, 'steps=9', 'replicates=20'), layout.workdir)
  assert layout.result.read_bytes() == result


def test_a_reading_cannot_be_taken_away(finished, tmp_path):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  layout.readings.unlink()
  with pytest.raises(Exception, match=r'readings\.json: no such file, though'):
    integrity.check(layout)
  (reading,) = readings.read(layout)  # As of a medjax that recorded none.
  assert reading['config']['steps'] == 6
  carried = layout.checkpoints / str(layout.saved_steps()[-1]) / '_CHECKPOINT_METADATA'
  metadata = json.loads(carried.read_text())
  metadata['custom_metadata']['readings'] = [reading, reading]
  carried.write_text(json.dumps(metadata))
  assert len(readings.read(layout)) == 2


def test_what_differs_only_in_what_is_shown_flatters_nothing():
  shown, chosen = (
    tiny('data', override)
    for override in ('evaluation.subgroups=view', 'evaluation.calibration=none')
  )
  before = [{'best_step': 3, 'config': config.to_dict(tiny('data'))}]
  (words,) = readings.in_words(before, shown)
  assert 'so the figures mean what they did' in words and 'flatter' not in words
  (words,) = readings.in_words(before, chosen)
  assert 'those here flatter' in words
  assert readings.in_words([], chosen) == []


def test_a_config_of_a_medjax_with_fewer_settings_is_that_of_the_checkpoints(finished, tmp_path):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  layout.result.unlink()
  saved = json.loads(layout.config.read_text())
  for name in ('schedule', 'schedule_settings', 'settings'):
    del saved['optimizer'][name]
  layout.config.write_text(json.dumps(saved))
  integrity.check(layout)
  saved['optimizer']['momentum'] = 0.5
  layout.config.write_text(json.dumps(saved))
  with pytest.raises(Exception, match=r'config\.optimizer\.momentum: was 0\.9, is now 0\.5'):
    integrity.check(layout)
