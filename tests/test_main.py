"""The main job through its command: what it leaves, and what people bring to it."""

import csv
import json
import sys

import pytest
from conftest import PROJECT, TINY
from sklearn.metrics import average_precision_score, roc_auc_score

from medjax import config as configs
from medjax.errors import InputError
from medjax.evaluation import calibration, frozen, operating_points, predictions
from medjax.experiment.run import run

PHANTOM = '--config=configs/phantom.py'
LABELS = ['Lung Lesion', 'Pneumonia', 'Edema']


def phantom_config(root, *flags):
  flags = (*TINY, f'--config.data.root={root}', *flags)
  return configs.load(
    str(PROJECT / 'configs/phantom.py'), [flag.removeprefix('--config.') for flag in flags]
  )


def test_everything_a_run_promises_is_there(finished):
  workdir, _ = finished
  for name in (
    'config.json',
    'model.json',
    'split.csv',
    'split.json',
    'set_aside.csv',
    'checkpoints/6',
    'metrics.jsonl',
    'augmented.png',
    'predictions/validation.csv',
    'predictions/test.csv',
    'evaluation/test.json',
    'report/index.html',
  ):
    assert (workdir / name).exists(), name
  assert list((workdir / 'tensorboard').glob('events*'))
  assert not list(workdir.rglob('*.tmp'))


def test_the_first_screen_says_what_is_at_stake(finished):
  _, printed = finished
  for words in (
    'data      phantom', '120 images', 'patients', 'Edema', 'split     test drawn', 'by patient',
    'model     resnet_tiny', 'parameters', 'grey images of 32 px, float32', 'devices   1 × cpu',
    'step 6/6', 'images/s', 'left', 'validation mean AUROC', 'test mean AUROC', 'report: ',
  ):  # fmt: skip
    assert words in printed, words


def test_metrics_are_json_lines_every_step_once(finished):
  rows = [json.loads(line) for line in (finished[0] / 'metrics.jsonl').open()]
  train = [row for row in rows if row['split'] == 'train']
  assert [row['step'] for row in train] == [1, 2, 3, 4, 5, 6]
  assert set(train[0]) == {'step', 'split', 'loss', 'gradient_norm', 'learning_rate'}
  assert train[-1]['images_per_second'] > 0  # the first row compiled
  validation = [row for row in rows if row['split'] == 'validation']
  assert [row['step'] for row in validation] == [3, 6]
  for row in validation:
    assert row['loss'] > 0 and 0 < row['auprc_mean'] < 1
    assert set(row['auprc']) == set(row['auroc'])


def test_predictions_are_of_the_split_and_patients_do_not_cross(finished):
  workdir, _ = finished
  rows = list(csv.DictReader((workdir / 'split.csv').open()))
  sides = {}
  for row in rows:
    sides.setdefault(row['patient'], set()).add(row['split'])
  assert all(len(side) == 1 for side in sides.values())
  for part in ('validation', 'test'):
    read = predictions.read(workdir / 'predictions' / f'{part}.csv')
    assert sorted(read.images) == sorted(row['image'] for row in rows if row['split'] == part)


def test_the_evaluation_is_that_of_the_predictions(finished):
  workdir, _ = finished
  result = json.loads((workdir / 'evaluation' / 'test.json').read_text())
  test = predictions.read(workdir / 'predictions' / 'test.csv')
  validation = predictions.read(workdir / 'predictions' / 'validation.csv')
  for index, label in enumerate(LABELS):
    known = test.known[:, index]
    truth, scores = test.truth[known, index], test.probabilities[known, index]
    figures = result['labels'][label]
    if 0 < truth.sum() < len(truth):
      assert figures['auroc']['value'] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
      assert figures['auprc']['value'] == pytest.approx(
        average_precision_score(truth, scores), abs=1e-12
      )
    point = result['labels'][label]['operating_points'][0]
    kept = frozen.read(workdir, LABELS).levels['image']
    assert kept.threshold(label) == point['threshold']
    if point['threshold'] is not None:
      column = kept.calibration, validation.probabilities, validation.labels, validation.log_odds
      known = validation.known[:, index]
      calibrated = calibration.apply(*column)[known, index]
      threshold = operating_points.choose('youden', calibrated, validation.truth[known, index])
      assert point['threshold'] == threshold


def test_the_checkpoint_carries_the_split_and_the_position(finished):
  from orbax.checkpoint import v1 as ocp

  workdir, _ = finished
  with ocp.training.Checkpointer(workdir / 'checkpoints') as checkpointer:
    saved = checkpointer.checkpointables_metadata(6).custom_metadata
  proof = json.loads((workdir / 'split.json').read_text())
  assert saved['split_sha256'] == proof['split_sha256']
  assert saved['next_batch'] == 6
  assert saved['config'] == json.loads((workdir / 'config.json').read_text())


@pytest.mark.slow
def test_workers_change_nothing(command, finished, phantom_root, tmp_path):
  workdir = tmp_path / 'run'
  command(
    'main', PHANTOM, f'--workdir={workdir}', *TINY, f'--config.data.root={phantom_root}',
    '--config.data.workers=2', check=True,
  )  # fmt: skip
  for name in ('predictions/test.csv', 'predictions/validation.csv'):
    assert (workdir / name).read_bytes() == (finished[0] / name).read_bytes()
  ours, others = (
    json.loads((folder / 'evaluation/test.json').read_text()) for folder in (workdir, finished[0])
  )
  for result in (ours, others):
    for name in ('config.json', 'evaluation/readings.json', 'report/index.html'):
      del result['files'][name]  # They name the number of workers.
    del result['files']['evaluation/test.json']  # Which has their hashes.
  assert ours == others


@pytest.mark.slow
@pytest.mark.parametrize('network', ['Net', 'NnxNet'])
def test_the_loss_and_the_networks_of_the_readme_by_import_path(
  phantom_root, tmp_path, monkeypatch, network
):
  text = (PROJECT / 'README.md').read_text()
  (tmp_path / 'my_lab').mkdir()
  for name in ('losses', 'nets'):
    code = text.split(f'# my_lab/{name}.py\n')[1].split('```')[0]
    (tmp_path / 'my_lab' / f'{name}.py').write_text(code)
  flags = text.split('--workdir=runs/mine ')[1].split('\n')[0].split()
  assert flags[0] == '--config.loss.name=my_lab.losses:tversky_like'
  monkeypatch.syspath_prepend(tmp_path)
  name = f'--config.model.name=my_lab.nets:{network}'
  run(phantom_config(phantom_root, *flags, name), tmp_path / 'run')
  for module in ('my_lab', 'my_lab.losses', 'my_lab.nets'):  # Others have no such package.
    sys.modules.pop(module, None)
  metrics = (tmp_path / 'run/metrics.jsonl').read_text().splitlines()
  losses = [json.loads(line)['loss'] for line in metrics]  # of six steps and two validations
  # The sum over three labels of terms between 0 and 0.8.
  assert len(losses) == 8 and all(0 < loss < 2.4 for loss in losses)


@pytest.mark.slow
@pytest.mark.parametrize(
  'flags',
  [
    ('--config.precision=bfloat16', '--config.loss.name=focal', '--config.optimizer.name=sgd'),
    (
      '--config.optimizer.accumulate=2',
      '--config.optimizer.clip_norm=1',
      '--config.sampling.name=class_aware',
      '--config.data.uncertain=0.55..0.85',
      '--config.data.channels=3',
      '--config.augment=plain',
    ),
  ],
)
def test_other_settings_run_to_the_end(command, phantom_root, tmp_path, flags):
  printed = command(
    'main', PHANTOM, f'--workdir={tmp_path / "run"}', *TINY, f'--config.data.root={phantom_root}',
    *flags, check=True,
  ).stdout  # fmt: skip
  assert 'report: ' in printed


@pytest.mark.slow
def test_chexpert_config_reads_the_phantom_frontal_views_only(command, phantom_root, tmp_path):
  workdir = tmp_path / 'run'
  flags = [flag for flag in TINY if 'settings.image' not in flag and 'floor' not in flag]
  command(
    'main', '--config=configs/chexpert.py:resnet_tiny', f'--workdir={workdir}', *flags,
    f'--config.data.root={phantom_root}', '--config.data.workers=0', check=True,
  )  # fmt: skip
  split = (workdir / 'split.csv').read_text()
  assert '_frontal.jpg' in split and '_lateral.jpg' not in split
  tested = predictions.read(workdir / 'predictions' / 'test.csv').images
  assert tested and all(image.startswith('valid/') for image in tested)


@pytest.mark.slow
def test_early_stopping_stops_and_the_best_checkpoint_is_tested(command, phantom_root, tmp_path):
  workdir = tmp_path / 'run'
  flags = ('--config.steps=60', '--config.evaluate_every=2', '--config.patience=2')
  flags += ('--config.optimizer.learning_rate=1e-12',)  # Nothing improves.
  printed = command(
    'main',
    PHANTOM,
    f'--workdir={workdir}',
    *TINY,
    *flags,
    f'--config.data.root={phantom_root}',
    check=True,
  ).stdout
  rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').open()]
  validations = [row for row in rows if row['split'] == 'validation']
  means = [row['auroc_mean'] for row in validations]
  best = len(means) - 1 - means[::-1].index(max(means))
  assert len(means) - 1 - best == 2 and validations[-1]['step'] < 60
  steps = sorted(int(path.name) for path in (workdir / 'checkpoints').iterdir())
  assert steps == sorted({validations[best]['step'], validations[-1]['step']})
  assert 'report: ' in printed


def test_split_command(command, phantom_root, finished, tmp_path):
  output = tmp_path / 'split'
  flags = (f'--config.data.root={phantom_root}', *TINY)
  printed = command('split', PHANTOM, f'--output={output}', *flags, check=True).stdout
  assert 'patients' in printed and 'Edema' in printed
  assert (output / 'split.csv').read_bytes() == (finished[0] / 'split.csv').read_bytes()
  proof = json.loads((output / 'split.json').read_text())
  overlap = proof['patient_overlap']
  used = ('train', 'validation', 'test')
  assert all(overlap[a][b] == 0 for a in used for b in used if a != b)
  assert sum(overlap[a][a] for a in used) == len(
    {row['patient'] for row in csv.DictReader((output / 'split.csv').open())}
  )


@pytest.mark.parametrize(
  ('name', 'words'), [('main', '--workdir is missing'), ('split', '--output is missing')]
)
def test_a_forgotten_flag(command, name, words):
  finished = command(name, PHANTOM)
  assert finished.returncode == 1 and words in finished.stderr
  assert len(finished.stderr.strip().splitlines()) == 1
  assert '--config is missing' in command(name).stderr


@pytest.mark.slow
def test_a_folder_in_which_nothing_is_trained_yet_takes_another_config(
  command, finished, phantom_root, tmp_path
):
  import shutil

  workdir = tmp_path / 'run'
  workdir.mkdir()
  for name in ('config.json', 'model.json', 'split.csv', 'split.json', 'set_aside.csv'):
    shutil.copy(finished[0] / name, workdir / name)
  flags = (*TINY, f'--config.data.root={phantom_root}', '--config.split.seed=5', '--config.steps=2')
  command('main', PHANTOM, f'--workdir={workdir}', *flags, check=True)
  assert json.loads((workdir / 'config.json').read_text())['split']['seed'] == 5
  assert (workdir / 'split.csv').read_bytes() != (finished[0] / 'split.csv').read_bytes()


def test_a_second_run_in_the_same_folder_is_refused(command, finished, phantom_root, tmp_path):
  import fcntl
  import shutil

  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  (workdir / 'evaluation' / 'test.json').unlink()
  with (workdir / '.lock').open('w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    second = command(
      'main', PHANTOM, f'--workdir={workdir}', *TINY, f'--config.data.root={phantom_root}'
    )
  assert second.returncode == 1 and 'another run is at work there' in second.stderr


@pytest.mark.parametrize('loss', ['mean', 'per_image'])
def test_a_loss_that_breaks_the_contract_is_refused(phantom_root, tmp_path, monkeypatch, loss):
  (tmp_path / 'their_losses.py').write_text(
    'def mean(logits, labels):\n  return ((logits - labels) ** 2).mean()\n'
    'def per_image(logits, labels):\n  return ((logits - labels) ** 2).sum(1)\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  config = phantom_config(phantom_root, f'--config.loss.name=their_losses:{loss}')
  with pytest.raises(InputError, match=r'returned shape .*must be \(\d+, 3\)'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
