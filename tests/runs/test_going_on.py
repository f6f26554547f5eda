"""A finished run is trained further or tested otherwise, and says that its test set was read."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil

import pandas as pd
import pytest
from conftest import TINY

from medjax import config
from medjax.data.leakage import seen_before
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.result import Result
from medjax.experiment import loop, run
from medjax.final_test import again, notes, report_files
from medjax.runs import finished as finished_runs
from medjax.runs import integrity, readings, seen_by_run, workdir
from medjax.runs.layout import Layout
from medjax.runtime import files


def tiny(root, *overrides):
  settings = (*(flag.removeprefix('--config.') for flag in TINY), f'data.root={root}', *overrides)
  return config.load('configs/phantom.py', settings)


class Stopped(Exception):
  pass


def check_earlier(layout, number):
  """Compares what an earlier result vouches for with the files that are kept of it."""
  content = json.loads(layout.earlier_result(number).read_text())
  vouched = content['files']
  own = json.dumps({**content, 'files': {}}, sort_keys=True)
  assert vouched.pop('evaluation/test.json') == hashlib.sha256(own.encode()).hexdigest()
  for name, digest in vouched.items():
    kept = layout.earlier_files(number) / name
    path = kept if kept.is_file() else layout.workdir / name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, name
  assert '<h1>' in (layout.earlier_files(number) / 'report/index.html').read_text()


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
  check_earlier(layout, 1)
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
  (words,) = readings.in_words(before, readings.make(shown, 3))
  assert 'so the figures mean what they did' in words and 'flatter' not in words
  (words,) = readings.in_words(before, readings.make(chosen, 3))
  assert 'those here flatter' in words
  assert readings.in_words([], readings.make(chosen, 3)) == []


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


def test_a_folder_of_results_taken_away_is_missed(finished, phantom_root, tmp_path, monkeypatch):
  def stop(*arguments, **settings):
    raise Stopped

  monkeypatch.setattr(loop, 'train', stop)
  for number, (settings, said) in enumerate(
    [(('steps=9',), 'with other settings (config.steps: was 6, is now 9)'), ((), 'with these')]
  ):
    layout = Layout(shutil.copytree(finished[0], tmp_path / str(number)))
    shutil.rmtree(layout.evaluation)
    experiment = tiny(phantom_root, *settings)
    with pytest.raises(Stopped):
      run.run(experiment, layout.workdir)
    # The config is of the new steps by now, the record still of the old.
    before = readings.before(layout, readings.make(experiment, 3))
    (words,) = readings.in_words(before, readings.make(experiment, 3))
    assert words.startswith(
      f'The test set was read at least once before: (1) after 6 steps, {said}'
    )
    assert 'there may have been more' in words and 'those here flatter' in words
    assert readings.times([*before, *before]) == 'at least 2 times'
  for path in (layout.predictions('test'), layout.frozen, layout.report, layout.readings):
    path.unlink()
  assert readings.read(layout) == []


@pytest.mark.parametrize(
  ('gone', 'asked', 'words'),
  [
    ('config.json', 'seed=3', r'config\.json: no such file, though a run has trained there'),
    ('checkpoints', 'seed=3', r'holds a run with another config: config\.seed: was 0, is now 3'),
    ('checkpoints', 'steps=9', r'checkpoints: no checkpoint is left .*\(config\.steps: was 6, is'),
  ],
)
def test_what_was_never_trained_is_not_called_complete(
  finished, phantom_root, tmp_path, gone, asked, words
):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  path = tmp_path / 'run' / gone
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  with pytest.raises(InputError, match=words):
    workdir.check(tiny(phantom_root, asked), layout)
  if gone == 'checkpoints':  # Whoever made room is not asked for more than was taken away.
    workdir.check(tiny(phantom_root), layout)


@pytest.mark.slow
def test_weights_and_members_that_were_tested_before_are_told(
  finished, phantom_root, tmp_path, monkeypatch, capsys
):
  def stop(*arguments, **settings):
    raise Stopped

  monkeypatch.setattr(loop, 'train', stop)
  images = pd.read_csv(finished[0] / 'split.csv', dtype=str)
  tested = images.loc[images['split'] == 'test', 'patient'].nunique()
  workdir = tmp_path / 'run'
  with pytest.raises(Stopped):
    run.run(tiny(phantom_root, f'model.pretrained={finished[0]}'), workdir)
  words = f'{tested} of the {tested} test patients had been tested before with the weights that'
  assert f'note      {words} this run started from ({finished[0]})' in capsys.readouterr().out
  # A run that starts from this one, which was never tested itself, is told the same.
  assert set(seen_by_run.seen_by(Layout(workdir))['split']) == {'train', 'validation'}
  seen, split = seen_by_run.tested_by(Layout(workdir)), images['split'].to_numpy(object)
  assert seen_before.tested_before(images, split, str(phantom_root), seen) == (tested, tested)
  # Others of the same names, in a folder of their own.
  renamed = images.assign(image='x' + images['image'])
  assert seen_before.tested_before(renamed, split, str(tmp_path), seen) == (0, tested)
  assert notes.notes_on_members(tiny(phantom_root)) == []
  (words,) = notes.notes_on_members(tiny(phantom_root, f'evaluation.members={finished[0]}'))
  assert str(finished[0]) in words and 'tested on the same patients before' in words


def test_evaluating_again_is_a_reading_too(finished, phantom_root, tmp_path, capsys):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  first, predicted = layout.result.read_bytes(), layout.predictions('test').read_bytes()
  again.evaluate_run(layout.workdir)  # As it was.
  assert layout.result.read_bytes() == first and len(readings.read(layout)) == 1
  for number, replicates in ((1, 20), (2, 30)):
    again.evaluate_run(layout.workdir, replicates=replicates)
    check_earlier(layout, number)
  assert layout.earlier_result(1).read_bytes() == first
  result = finished_runs.open_run(layout.workdir).result
  assert result.replicates == 30 and result.facts['test set read'] == '3 times'
  told = [note for note in result.study_notes if 'was read' in note]
  assert len(told) == 1 and told[0].startswith(
    'The test set was read 2 times before: (1) after 6 steps, with other settings (without '
    'replicates=30); (2) after 6 steps, with other settings (with replicates=20; without'
  )
  assert 'the figures mean what they did' in told[0]
  assert '2 times before' in layout.report.read_text()
  assert layout.predictions('test').read_bytes() == predicted
  run.run(tiny(phantom_root), layout.workdir)
  assert 'this run is complete' in capsys.readouterr().out


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_a_reading_that_fails_leaves_the_run_as_it_was(finished, tmp_path, monkeypatch, error):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  names = ('evaluation', 'report', 'predictions', 'frozen.json', 'config.json')

  def contents():
    paths = [path for name in names for path in layout.workdir.glob(f'{name}*/**/*')]
    return {path: path.read_bytes() for path in (*paths, layout.frozen) if path.is_file()}

  def fail(*arguments):
    raise error

  before = contents()
  with monkeypatch.context() as patched:
    patched.setattr(results_file, 'save', fail)
    with pytest.raises(type(error)):
      again.evaluate_run(layout.workdir, replicates=20)
  after = contents()
  assert {path: after.get(path) for path in before} == before
  assert not layout.earlier_result(1).exists() and not layout.earlier_files(1).exists()
  assert finished_runs.open_run(layout.workdir).result.replicates != 20


def test_a_reading_repeated_and_cut_off_anywhere_leaves_a_run_that_opens(
  finished, tmp_path, monkeypatch
):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  monkeypatch.setattr(report_files, 'versions', lambda: {'numpy': 'another'})
  write, save = files.write_whole, results_file.save

  def cut_off(path, *rest):
    raise KeyboardInterrupt

  for name, stopped in (
    ('before the result', {'save': cut_off}),
    ('before the page', {'write_whole': lambda path, text: (
      cut_off(path) if path == layout.report else write(path, text))}),
  ):  # fmt: skip
    with monkeypatch.context() as patched:
      patched.setattr(results_file, 'save', stopped.get('save', save))
      patched.setattr(files, 'write_whole', stopped.get('write_whole', write))
      with pytest.raises(KeyboardInterrupt):
        again.evaluate_run(layout.workdir)
    assert not layout.report.exists(), name
    assert finished_runs.open_run(layout.workdir).result.mean is not None
  again.evaluate_run(layout.workdir)
  assert finished_runs.open_run(layout.workdir).report.is_file()


class Killed(BaseException):
  """Ends a call where a test has it end, and nothing is put in order after it."""


def killed_before(monkeypatch, number):
  """Has a reading end before the file of a number gets its name, as a SIGKILL does."""
  count = 0

  def counting(function):
    def one(*arguments, **settings):
      nonlocal count
      count += 1
      if count >= number:
        raise Killed
      return function(*arguments, **settings)

    return one

  for name in ('rename', 'replace'):
    monkeypatch.setattr(os, name, counting(getattr(os, name)))
  monkeypatch.setattr(readings, 'bring_back', lambda layout, number: None)


def contents(layout):
  return {
    path.relative_to(layout.workdir).as_posix(): path.read_bytes()
    for path in layout.workdir.rglob('*')
    if path.is_file() and 'checkpoints' not in path.parts and path != layout.lock
  }


def test_a_reading_that_was_killed_goes_on_to_the_same_files(finished, tmp_path, monkeypatch):
  whole = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  again.evaluate_run(whole.workdir, replicates=20)
  wanted = contents(whole)
  shutil.move(whole.workdir, tmp_path / 'whole')
  is_unfinished = set()
  for number in (1, 2, 3, 4, 9, 1000):
    layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
    with monkeypatch.context() as patched, contextlib.suppress(Killed):
      killed_before(patched, number)
      again.evaluate_run(layout.workdir, replicates=20)
    is_unfinished.add(not layout.is_finished())
    (layout.beside_report / '.labels.csv.host-1.tmp').touch()  # As the killed process leaves it.
    again.evaluate_run(layout.workdir, replicates=20)
    assert contents(layout) == wanted, number
    shutil.rmtree(layout.workdir)
  assert is_unfinished == {True, False}


def test_the_figures_of_a_killed_reading_may_have_been_seen(finished, tmp_path, monkeypatch):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  first = layout.result.read_bytes()
  with monkeypatch.context() as patched, pytest.raises(Killed):
    patched.setattr(readings, 'bring_back', lambda layout, number: None)
    patched.setattr(report_files, 'write', killed)
    again.evaluate_run(layout.workdir, replicates=20)
  assert not layout.is_finished()
  with files.locked(layout.lock, ''), pytest.raises(InputError, match='another process is at work'):
    again.evaluate_run(layout.workdir, replicates=30)
  with pytest.raises(InputError, match='replicates'):
    again.evaluate_run(layout.workdir, replicates=-1)
  again.evaluate_run(layout.workdir, replicates=30)
  assert not layout.cut_off_readings.exists()
  assert layout.earlier_result(1).read_bytes() == first
  check_earlier(layout, 1)
  result = finished_runs.open_run(layout.workdir).result
  assert result.replicates == 30 and result.facts['test set read'] == '3 times'
  again.evaluate_run(layout.workdir)
  check_earlier(layout, 3)
  assert len(readings.read(layout)) == 4


def killed(*arguments, **settings):
  raise Killed


def killed_while_testing(monkeypatch, layout, **settings):
  with monkeypatch.context() as patched, pytest.raises(Killed):
    patched.setattr(readings, 'bring_back', lambda layout, number: None)
    patched.setattr(report_files, 'write', killed)
    again.evaluate_run(layout.workdir, **settings)


def test_readings_killed_one_after_the_other_are_all_counted(finished, tmp_path, monkeypatch):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  killed_while_testing(monkeypatch, layout, replicates=20)
  with monkeypatch.context() as patched, pytest.raises(Killed):  # While it is put in order.
    replace = pathlib.Path.replace
    patched.setattr(
      pathlib.Path, 'replace',
      lambda path, target: killed() if path.name == 'test.1.json' else replace(path, target),
    )  # fmt: skip
    again.evaluate_run(layout.workdir, replicates=30)
  for replicates in (30, 40):
    readings.bring_back_cut_off(layout)
    assert layout.is_finished()
    killed_while_testing(monkeypatch, layout, replicates=replicates)
  again.evaluate_run(layout.workdir, replicates=60)
  counted = [reading.get('again') for reading in readings.read(layout)]
  assert counted == [None, *([f'replicates={number}'] for number in (20, 30, 40, 60))]
  assert not layout.cut_off_readings.exists()


def test_a_run_that_trains_further_counts_a_reading_that_was_cut_off(
  finished, tmp_path, monkeypatch
):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  killed_while_testing(monkeypatch, layout, replicates=20)
  readings.bring_back_cut_off(layout)
  settings = json.loads(layout.config.read_text())
  workdir.reopen(config.from_dict({**settings, 'steps': settings['steps'] + 1}), layout)
  reading = readings.make(config.from_dict(json.loads(layout.config.read_text())), 1)
  assert [one.get('again') for one in readings.add(layout, reading)] == [None, ['replicates=20']]


def test_a_run_that_was_put_aside_to_train_further_is_not_brought_back(finished, tmp_path):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  readings.put_aside(layout)
  settings = json.loads(layout.config.read_text())
  layout.config.write_text(json.dumps({**settings, 'steps': 9}))
  assert readings.bring_back_cut_off(layout) is None and not layout.is_finished()
  with pytest.raises(InputError, match='not a finished run'):
    again.evaluate_run(layout.workdir)
