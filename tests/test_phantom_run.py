"""A run that has learned something, on the built-in data set: what only such a run can show."""

import json

import pytest

from medjax.evaluation import frozen


@pytest.mark.slow
def test_calibration_thresholds_and_heat_maps_of_a_trained_run(command, tmp_path):
  workdir = tmp_path / 'run'
  command(
    'main', '--config=configs/phantom.py', f'--workdir={workdir}',
    f'--config.data.root={tmp_path / "data"}', '--config.data.settings.images=3000',
    '--config.steps=800', '--config.evaluate_every=200', '--config.replicates=500',
    check=True, env={'XLA_FLAGS': ''},
  )  # fmt: skip
  result = json.loads((workdir / 'evaluation/test.json').read_text())
  labels = result['labels']
  assert result['mean']['auroc']['value'] > 0.75
  # A weighted loss makes probabilities too high by design; validation has set that right.
  before = [label_result['uncalibrated']['test']['ece'] for label_result in labels.values()]
  assert result['mean']['ece']['value'] < 0.6 * sum(before) / len(before)
  kept = frozen.read(workdir, list(labels)).levels['image'].operating_points
  for label, label_result in labels.items():
    thresholds = [point['threshold'] for point in label_result['operating_points']]
    assert thresholds == [point.threshold for point in kept[label]]
  pointing = result['localisation']['labels']['Pneumonia']['pointing']
  assert pointing['figure']['interval'][0] > 3 * pointing['chance']
  assert pointing['figure']['value'] > 1.5 * pointing['other_patients']
