"""Trained at one phantom hospital, tested at another: the drop is shown, and what would mend it."""

import json

import pytest

SIZES = ('--config.data.settings.images=2000', '--config.data.settings.image_size=64')


@pytest.mark.slow
def test_another_scanner_costs_ranking_and_recalibration_mends_calibration(command, tmp_path):
  workdir, output = tmp_path / 'run', tmp_path / 'external'
  command(
    'main', '--config=configs/phantom.py', f'--workdir={workdir}', *SIZES,
    f'--config.data.root={tmp_path / "a"}', '--config.steps=500', '--config.evaluate_every=100',
    '--config.replicates=200', '--config.evaluation.saliency=none', check=True,
    env={'XLA_FLAGS': ''},
  )  # fmt: skip
  printed = command(
    'external', f'--workdir={workdir}', '--config=configs/phantom.py', *SIZES,
    f'--config.data.root={tmp_path / "b"}', '--config.data.settings.seed=7',
    '--config.data.settings.exposure=0.3', '--config.data.settings.prevalence=2.0',
    f'--output={output}', check=True,
  ).stdout  # fmt: skip
  content = json.loads((output / 'external.json').read_text())
  edema = content['contrast']['labels']['Edema']
  assert edema['auroc']['difference']['interval'][1] < -0.03  # Dark films hide it.
  assert edema['prevalence']['difference']['interval'][0] > 0.1
  assert 'Frozen probabilities do not hold' in printed and 'The prevalence differs' in printed
  moved = content['labels']['Edema']['recalibration']
  frozen, large, logistic = moved['ways']
  assert frozen['calibration_intercept']['interval'][0] > 0.3
  for way in (large, logistic):
    off = abs(way['calibration_intercept']['value'])
    assert off < frozen['calibration_intercept']['value'] / 2
    assert way['brier']['value'] < frozen['brier']['value']
    assert abs(way['observed_expected']['value'] - 1) < 0.25
  # It mends no ranking.
  assert moved['auroc']['value'] < edema['auroc']['other']['value']
