"""Training without its test: nothing of the test set is predicted, and the run can go on."""

import numpy as np
import pytest
from conftest import PROJECT, TINY

from medjax import config as configs
from medjax.data import study
from medjax.errors import InputError
from medjax.experiment import loop, run
from medjax.final_test import evaluate_once
from medjax.runs import finished as finished_runs
from medjax.runs import metrics_file, predict, readings, workdir
from medjax.runs.layout import Layout


class Ended(Exception):
  pass


def tiny(root):
  overrides = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*overrides, f'data.root={root}'])


def test_validation_alone_is_predicted_and_the_run_goes_on_as_one_in_one_piece(
  finished, phantom_root, tmp_path, monkeypatch
):
  config, layout, sides = tiny(phantom_root), Layout(tmp_path / 'run'), set()
  make = predict.predictor

  def spying(config, data, *rest):
    predict_rows = make(config, data, *rest)

    def spy(variables, rows):
      sides.update(data.split[rows])
      return predict_rows(variables, rows)

    return spy

  def refuse(*_, **__):
    raise AssertionError('the test set is read')

  def end(step, auroc_mean):
    assert auroc_mean is not None
    raise Ended(step)

  seen = []
  with monkeypatch.context() as patched:
    patched.setattr(predict, 'predictor', spying)
    patched.setattr(evaluate_once, 'test_and_report', refuse)
    with pytest.raises(Ended, match='3'):  # TINY validates at its steps 3 and 6.
      run.train_only(config, layout.workdir, end)
    assert layout.saved_steps() == [3]
    predicted = run.train_only(
      config, layout.workdir, lambda step, auroc: seen.append((step, auroc))
    )
  assert sides == {'validation'}
  assert readings.read(layout) == [] and not layout.has_traces_of_a_test()
  # What was validated before the end is told again, once, and then what follows.
  rows = [row for row in metrics_file.read(layout) if row['split'] == 'validation']
  assert seen == [(row['step'], row['auroc_mean']) for row in rows]
  assert [step for step, _ in seen] == [3, 6]

  run.run(config, layout.workdir)
  whole = Layout(finished[0])
  for path in ('evaluation/test.json', 'predictions/validation.csv', 'predictions/test.csv'):
    assert (layout.workdir / path).read_bytes() == (whole.workdir / path).read_bytes()
  reported = finished_runs.open_run(layout.workdir).raw_predictions('validation')
  assert reported.images == predicted.images
  np.testing.assert_allclose(reported.probabilities, predicted.probabilities, rtol=1e-6)

  with pytest.raises(InputError, match='its test set has been read'):
    run.train_only(config, layout.workdir, end)


def test_a_run_begun_like_another_has_its_split_and_looks_at_no_image(
  finished, phantom_root, tmp_path, monkeypatch
):
  config, layout, other = tiny(phantom_root), Layout(tmp_path / 'run'), Layout(finished[0])
  config.optimizer.learning_rate = 1e-3
  workdir.begin_like(config, layout, other)

  def refuse(*_):
    raise AssertionError('images are looked at, or the split is drawn')

  def stop(*_, **__):
    raise Ended

  monkeypatch.setattr(workdir, 'look_at_images', refuse)
  monkeypatch.setattr(study, 'make', refuse)
  monkeypatch.setattr(loop, 'train', stop)
  with pytest.raises(Ended):
    run.train_only(config, layout.workdir, loop.unwatched)
  for path in ('split.csv', 'split.json', 'images.csv', 'set_aside.csv', 'model.json'):
    assert (layout.workdir / path).read_bytes() == (other.workdir / path).read_bytes()
  assert finished_runs.read_config(layout) == config
