"""One command for each modality trains on a generated set of it, in miniature."""

import json

import pytest
from conftest import TINY


@pytest.mark.slow
@pytest.mark.parametrize(
  ('modality', 'labels', 'grouped'),
  [
    ('retina', ['No DR', 'Mild', 'Moderate', 'Severe', 'Proliferative'], ''),
    ('skin', ['melanoma'], ''),
    ('histopathology', ['Tumor'], 'every slide counts as a patient'),
  ],
)
def test_one_command_trains_on_the_generated_set(command, tmp_path, modality, labels, grouped):
  workdir = tmp_path / 'run'
  printed = command(
    'main',
    f'--config=configs/{modality}.py:phantom',
    f'--workdir={workdir}',
    *TINY,
    f'--config.data.root={tmp_path / "data"}',
    check=True,
  ).stdout
  assert grouped in printed
  results = json.loads((workdir / 'evaluation/test.json').read_text())
  assert list(results['labels']) == labels
  header = (workdir / 'predictions/test.csv').read_text().splitlines()[0]
  assert [f'prob_{label}' for label in labels] == [
    name for name in header.split(',') if name.startswith('prob_')
  ]
  # Nobody is on two sides: patients, or slides where there are none.
  split = [line.split(',') for line in (workdir / 'split.csv').read_text().splitlines()[1:]]
  sides = {}
  for _, patient, side, *_ in split:
    sides.setdefault(patient, set()).add(side)
  assert len(split) > 100 and all(len(side) == 1 for side in sides.values())
