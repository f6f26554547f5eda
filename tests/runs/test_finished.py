"""A work directory, opened."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import vouched_runs
from conftest import PROJECT
from scipy import special

from medjax.errors import InputError
from medjax.evaluation import calibration, frozen, predictions
from medjax.final_test import again
from medjax.runs.finished import open_run
from medjax.runs.layout import Layout

LABELS = ['Lung Lesion', 'Pneumonia', 'Edema']


def test_every_file_that_a_run_leaves_is_in_the_layout(finished):
  layout = Layout(finished[0])
  named = {
    getattr(layout, name)
    for name, attribute in vars(Layout).items()
    if isinstance(attribute, property)
  } | {layout.predictions(part) for part in ('validation', 'test')}
  folders = {layout.checkpoints, layout.tensorboard, layout.beside_report}
  for path in finished[0].rglob('*'):
    if path.is_file() and not folders & set(path.parents):
      assert path in named, path
  assert layout.is_run() and layout.is_finished() and max(layout.saved_steps()) == 6
  nothing = Layout(finished[0] / 'nowhere')
  assert not nothing.is_run() and not nothing.is_finished() and nothing.saved_steps() == []


def test_predictions_are_calibrated_and_decided_at_the_frozen_thresholds(finished):
  run = open_run(finished[0])
  for part in ('validation', 'test'):
    table = run.predictions(part)
    saved = list(csv.DictReader((finished[0] / 'predictions' / f'{part}.csv').open()))
    assert list(table['image']) == [row['image'] for row in saved]
    assert list(table['patient']) == [row['patient'] for row in saved]
    assert list(table['view']) == [row['view'] for row in saved]
    # The file says the same by the same names.
    for name in ('raw', 'prob', 'decision'):
      columns = [f'{name}_{label}' for label in LABELS]
      written = np.array([[float(row[column] or 'nan') for column in columns] for row in saved])
      np.testing.assert_array_equal(table[columns].astype(float), written)
    raw = np.array([[float(row[f'raw_{label}']) for label in LABELS] for row in saved])
    logit = np.array([[float(row[f'logit_{label}']) for label in LABELS] for row in saved])
    np.testing.assert_allclose(special.expit(logit), raw, rtol=1e-12)
    level = frozen.read(finished[0], LABELS).levels['image']
    expected = calibration.apply(level.calibration, raw, LABELS)
    np.testing.assert_allclose(
      table[[f'prob_{label}' for label in LABELS]], expected, rtol=1e-9, atol=1e-12
    )
    for label in LABELS:
      threshold = level.operating_points[label][0].threshold
      decisions = table[f'decision_{label}']
      if threshold is None:
        assert decisions.isna().all()
      else:
        assert list(decisions) == list((table[f'prob_{label}'] >= threshold).astype(int))
      truth = [float(row[f'true_{label}'] or 'nan') for row in saved]
      np.testing.assert_array_equal(table[f'true_{label}'], truth)


def test_opening_and_reading_the_predictions_need_no_jax(finished):
  code = (
    'import sys\nfrom medjax.runs.finished import open_run\nrun = open_run(sys.argv[1])\n'
    'run.predictions("test"), run.frozen, run.result, run.report\n'
    'print([name for name in ("jax", "flax", "orbax") if name in sys.modules])'
  )
  said = subprocess.run(
    [sys.executable, '-c', code, str(finished[0])], cwd=PROJECT, capture_output=True, text=True
  )
  assert said.stdout == '[]\n', said.stderr[-2000:]


def without(file):
  return lambda folder: (folder / file).unlink()


def damaged(file, text):
  return lambda folder: (folder / file).write_text(text)


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (without('config.json'), 'not the work directory of a run'),
    (damaged('config.json', '{"modle": 1}'), 'not a config of this version of medjax'),
    (damaged('config.json', 'no JSON'), 'not the JSON that a run wrote'),
    (without('evaluation/test.json'), 'not a finished run'),
    (without('model.json'), 'model.json: no such file'),
    (damaged('model.json', '{}'), 'model.json: not the file that'),
  ],
)
def test_what_is_not_a_whole_finished_run_is_refused_in_one_line(finished, tmp_path, change, words):
  shutil.copytree(finished[0], tmp_path / 'run', ignore=shutil.ignore_patterns('checkpoints'))
  change(tmp_path / 'run')
  with pytest.raises(InputError) as raised:
    open_run(tmp_path / 'run')
  assert words in str(raised.value) and str(tmp_path / 'run') in str(raised.value)
  assert '\n' not in str(raised.value)


def test_a_file_is_no_run(tmp_path):
  (tmp_path / 'notes.txt').touch()
  with pytest.raises(InputError, match=r'notes\.txt is not the work directory of a run$'):
    open_run(tmp_path / 'notes.txt')


def test_a_run_says_where_its_parts_are_and_what_it_found(finished):
  run = open_run(str(finished[0]))
  assert run.workdir == finished[0] and run.report == finished[0] / 'report/index.html'
  proof = json.loads((finished[0] / 'split.json').read_text())
  assert run.split_sha256 == proof['split_sha256'] and run.members == ()
  assert list(run.config.data.labels) == LABELS and run.model_file.image_format.size == 32
  assert run.network.steps in ((3,), (6,)) and run.network is run.network


def test_predictions_of_an_earlier_version_are_read_as_what_they_are(finished, tmp_path):
  workdir = shutil.copytree(finished[0], tmp_path / 'run')
  for part in ('validation', 'test'):
    path = workdir / 'predictions' / f'{part}.csv'
    now = predictions.read(path)
    # Their `prob_` was as the network gave it, in float32, and there was nothing beside it.
    predictions.write(path, now._replace(log_odds=None))
    header = path.read_text().splitlines()[0]
    assert 'prob_Edema' in header and 'raw_' not in header and 'decision_' not in header
  run, old = open_run(finished[0]), open_run(vouched_runs.vouch(workdir))
  for part in ('validation', 'test'):
    table, of_old = run.predictions(part), old.predictions(part)
    for label in LABELS:
      for name in ('prob', 'raw'):
        column = f'{name}_{label}'
        np.testing.assert_allclose(
          of_old[column].astype(float), table[column].astype(float), rtol=1e-5, atol=1e-7
        )
      # At the threshold itself float32 may decide otherwise.
      threshold = old.frozen.levels['image'].threshold(label)
      if threshold is not None:
        decided = (of_old[f'prob_{label}'] >= threshold).astype(int)
        assert list(of_old[f'decision_{label}']) == list(decided)
  again.evaluate_run(workdir, replicates=0)
  for label in LABELS:
    before, after = (opened.result.labels[label] for opened in (run, open_run(workdir)))
    assert after.auroc.value == pytest.approx(before.auroc.value, abs=1e-12)
    assert after.brier.value == pytest.approx(before.brier.value, abs=1e-6)
