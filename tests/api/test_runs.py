"""Runs from Python are those of the commands: the same files, figures, predictions and mistakes."""

import csv
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT, TINY

import medjax


def config_of(root, *overrides):
  return medjax.load_config(
    PROJECT / 'configs/phantom.py',
    *(flag.removeprefix('--config.') for flag in TINY),
    f'data.root={root}',
    *overrides,
  )


def test_importing_it_imports_nothing_heavy():
  code = """
import sys, medjax
assert medjax.__version__ and {'train', 'assess', 'InputError', 'losses'} <= set(dir(medjax))
heavy = {'jax', 'numpy', 'pandas', 'flax', 'absl'} & set(sys.modules)
assert not heavy, heavy
medjax.InputError, medjax.split_patients, medjax.assess
assert 'pandas' in sys.modules and 'jax' not in sys.modules
try:
  medjax.trian
except AttributeError as error:
  assert 'trian' in str(error)
"""
  subprocess.run([sys.executable, '-c', code], cwd=PROJECT, check=True)


def test_a_finished_run_of_the_command_is_the_run_that_train_returns(
  finished, phantom_root, tmp_path, capsys
):
  workdir = shutil.copytree(finished[0], tmp_path / 'run')
  run = medjax.train(config_of(phantom_root), workdir)
  assert 'this run is complete' in capsys.readouterr().out
  assert repr(run) == f"Run('{workdir}')" and run.config.data.labels[2] == 'Edema'
  saved = json.loads((workdir / 'evaluation/test.json').read_text())
  assert run.result.mean.auroc.value == saved['mean']['auroc']['value']
  assert run.result.labels['Edema'].auroc.value == saved['labels']['Edema']['auroc']['value']
  frame = run.result.to_frame()
  assert list(frame.index) == list(run.config.data.labels)
  assert frame.loc['Edema', 'auroc'] == run.result.labels['Edema'].auroc.value


def test_a_notebook_shows_the_report(finished):
  report = medjax.open_run(finished[0]).report
  assert report.read_text('utf-8').startswith('<!doctype html>')
  shown = report._repr_html_()
  assert shown.startswith('<iframe srcdoc="&lt;!doctype') and 'Pneumonia' in shown
  assert report.parent.name == 'report' and report.parent._repr_html_() is None
  assert pickle.loads(pickle.dumps(report)) == report


def test_predictions_are_those_of_the_files_and_of_the_images(finished, phantom_root):
  run = medjax.open_run(finished[0])
  test = run.predictions('test')
  rows = list(csv.DictReader((finished[0] / 'predictions/test.csv').open()))
  assert list(test['image']) == [row['image'] for row in rows]
  np.testing.assert_allclose(test['raw_Edema'], [float(row['raw_Edema']) for row in rows], atol=0)
  assert set(test['decision_Edema'].dropna()) <= {0, 1}
  paths = [phantom_root / image for image in test['image'][:5]]
  predicted = run.predict(paths)
  assert list(predicted['image']) == [str(path) for path in paths]
  for column in ('prob_Edema', 'raw_Edema', 'decision_Edema'):
    np.testing.assert_allclose(
      predicted[column].astype(float), test[column][:5].astype(float), atol=1e-6
    )
  assert run.predict(str(paths[1]))['raw_Edema'][0] == predicted['raw_Edema'][1]
  with pytest.raises(medjax.InputError, match=r'^images=nowhere: no such folder'):
    run.predict('nowhere')
  with pytest.raises(medjax.InputError, match=r"part is 'train'; allowed: validation, test"):
    run.predictions('train')
  with pytest.raises(medjax.InputError, match='insist with allow_training_images=True'):
    run.predict(phantom_root)


def test_an_image_that_cannot_be_read_has_no_decision(finished, phantom_root, tmp_path):
  run = medjax.open_run(finished[0])
  good = phantom_root / run.predictions('test')['image'][0]
  (tmp_path / 'broken.png').write_text('no pixels')
  predicted = run.predict(path for path in (tmp_path / 'broken.png', good))
  assert np.isnan(predicted['prob_Edema'][0]) and predicted['decision_Edema'][0] is None
  assert 'cannot be read' in predicted['reason'][0] and not predicted['reason'][1]
  assert predicted['decision_Edema'][1] == run.predict([good])['decision_Edema'][0]
  assert predicted['decision_Edema'][1] in (0, 1)


@pytest.mark.parametrize(
  ('images', 'words'),
  [
    (None, 'images: NoneType given'),
    ('', 'images: is empty'),
    (pd.DataFrame({'image': ['a.png']}), 'images: DataFrame given'),
    (np.zeros((2, 8, 8)), 'images: ndarray given'),
    ([], 'no image is given'),
  ],
)
def test_what_are_no_paths_is_one_line(images, words, finished):
  with pytest.raises(medjax.InputError, match=words):
    medjax.open_run(finished[0]).predict(images)


@pytest.mark.slow
def test_a_run_of_an_earlier_medjax_predicts_and_says_how_to_test_it_again(
  finished, phantom_root, tmp_path
):
  run = medjax.open_run(finished[0])
  copy = tmp_path / 'run'
  shutil.copytree(finished[0], copy)
  result = copy / 'evaluation/test.json'
  content = json.loads(result.read_text())
  del content['schema']
  for name in ('evaluation/test.json', 'report/index.html'):  # It vouched for neither.
    del content['files'][name]
  result.write_text(json.dumps(content))
  earlier = medjax.open_run(copy)
  assert earlier.predictions().equals(run.predictions())
  for call in (lambda: earlier.result, lambda: earlier.export(tmp_path / 'export')):
    with pytest.raises(medjax.InputError, match='delete it and start the run again, which tests'):
      call()
  result.unlink()
  with pytest.raises(medjax.InputError, match='not a finished run'):
    medjax.open_run(copy)
  again = medjax.train(config_of(phantom_root), copy)
  assert again.result == run.result


@pytest.mark.slow
def test_an_interrupt_saves_and_the_same_call_goes_on(finished, phantom_root, tmp_path):
  config = config_of(phantom_root, 'save_every=1')

  def interrupt():
    while not (tmp_path / 'run/checkpoints/1').is_dir():
      time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

  watcher = threading.Thread(target=interrupt)
  watcher.start()
  with pytest.raises(KeyboardInterrupt, match='the same call goes on'):
    medjax.train(config, tmp_path / 'run')
  watcher.join()
  assert not (tmp_path / 'run/evaluation').exists()
  run = medjax.train(config, tmp_path / 'run')
  assert run.result == medjax.open_run(tmp_path / 'run').result
  # The end is that of the command, which nobody interrupted.
  for name in ('predictions/test.csv', 'predictions/validation.csv'):
    assert (tmp_path / 'run' / name).read_bytes() == (finished[0] / name).read_bytes()


@pytest.mark.parametrize(
  ('call', 'words'),
  [
    (lambda _: medjax.load_config('configs/phantm.py'), 'no file configs/phantm.py; did you mean'),
    (
      lambda _: medjax.load_config('configs/phantom.py', 'stepz=3'),
      "did you mean 'steps'",
    ),
    (
      lambda _: medjax.load_config('configs/phantom.py', 'steps'),
      'steps: give the value as steps=value',
    ),
    (lambda _: medjax.load_config('configs/phantom.py', 3), '3: is no override'),
    (lambda _: medjax.load_config(None), 'path_and_arg: NoneType given'),
    (lambda folder: medjax.open_run(folder), 'not the work directory of a run'),
    (lambda _: medjax.open_run(None), 'workdir: NoneType given'),
    (lambda _: medjax.train(medjax.load_config('configs/phantom.py'), ''), 'workdir: is empty'),
    (
      lambda _: medjax.train(medjax.load_config('configs/phantom.py'), __file__),
      f'workdir={__file__}: {__file__} is not a folder',
    ),
    (lambda folder: medjax.train('configs/phantom.py', folder), 'config: str given; give a medjax'),
  ],
)
def test_a_mistake_is_the_line_of_the_command_without_its_flags(call, words, tmp_path, monkeypatch):
  monkeypatch.chdir(PROJECT)
  with pytest.raises(medjax.InputError) as error:
    call(tmp_path)
  message = str(error.value)
  assert words in message and '\n' not in message and '--' not in message


def test_a_config_made_by_hand_is_checked(tmp_path, phantom_root):
  config = config_of(phantom_root)
  config.optimizer.learning_rate = -1.0
  with pytest.raises(medjax.InputError, match=r'config\.optimizer\.learning_rate=-1'):
    medjax.train(config, tmp_path)
  config = config_of(phantom_root)
  config.optimizer.learning_rte = 1.0
  with pytest.raises(medjax.InputError, match=r"learning_rte: there is .* mean 'learning_rate'"):
    medjax.train(config, tmp_path)
