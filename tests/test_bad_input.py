"""A user's mistakes, through the command: one line, a non-zero exit, nothing half-written."""

import json
import shutil

import jax
import numpy as np
import pytest
from conftest import PROJECT, TINY
from orbax.checkpoint import v1 as ocp

from medjax import config
from medjax.data import study
from medjax.errors import InputError
from medjax.experiment.run import run as run_experiment
from medjax.training import objective

CONFIG = str(PROJECT / 'configs/phantom.py')
PHANTOM = f'--config={CONFIG}'


@pytest.fixture
def refused(command, phantom_root, tmp_path):
  """Runs main with a mistake; checks the exit, the one line and that nothing was written."""

  def run(
    *arguments, words, config_flag=PHANTOM, root=phantom_root, workdir=tmp_path / 'run', **settings
  ):
    finished = command(
      'main',
      config_flag,
      f'--workdir={workdir}',
      *TINY,
      f'--config.data.root={root}',
      *arguments,
      **settings,
    )
    assert finished.returncode not in (0, None), finished.stdout
    lines = finished.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: '), finished.stderr[-3000:]
    for word in words:
      assert word in lines[0]
    assert not (tmp_path / 'run').exists()

  return run


@pytest.mark.parametrize(
  ('argument', 'words'),
  [
    ('--config.batch_size=0', ['config.batch_size=0']),
    ('--config.data.image_size=-1', ['config.data.image_size=-1']),
    ('--config.losss.name=x', ['config.losss', "did you mean 'loss'?"]),
    ('config.steps=3', ["'config.steps=3' is no flag"]),
    ('--config=README.md', ['README.md is no Python file']),
    ('--wrkdir=x', ["Unknown command line flag 'wrkdir'"]),
    ('--processes=2', ['--coordinator']),
    ('--config=configs/phantm.py', ["did you mean 'configs/phantom.py'"]),
    ('--config.loss.name=focl', ['config.loss.name', "did you mean 'focal'?"]),
    ('--config.data.labels=Edma', ["'Edma'", "did you mean 'Edema'?"]),
  ],
)
def test_one_line_on_standard_error(refused, argument, words):
  refused(argument, words=words)


@pytest.mark.parametrize(
  ('argument', 'words'),
  [
    ('--config.loss.name=focl', ['config.loss.name', "did you mean 'focal'?"]),
    ('--config.loss.name=my_lab:tversky', ['config.loss.name', 'cannot import my_lab']),
    ('--config.loss.settings.gama=2', ['config.loss.settings', 'gama']),
    ('--config.model.name=resnet_tyni', ['config.model.name', "did you mean 'resnet_tiny'?"]),
    ('--config.model.settings.width=wide', ['config.model.settings.width', 'must be int']),
    ('--config.model.settings.width=0', ['config.model', 'width=0']),
    ('--config.model.settings.num_labels=2', ['config.model.settings', 'num_labels']),
    ('--config.loss.settings.logits=2', ['config.loss.settings', 'logits']),
    (
      '--config.loss.settings.positive_weight=[1,2]',
      ["config.loss.name='weighted_binary_cross_entropy': ValueError: Incompatible"],
    ),
    ('--config.loss.name=jax.numpy:pi', ["no function or class 'pi'"]),
    ('--config.model.settings.widht=2', ['config.model.settings', "did you mean 'width'?"]),
    ('--config.augment=chst', ['config.augment', "did you mean 'chest'?"]),
    ('--config.sampling.name=balance', ['sampling', "did you mean 'balanced'?"]),
    ('--config.sampling.name=balanced', ['sampling', 'label']),
    ('--config.data.uncertain=one', ['uncertain', "did you mean 'ones'?"]),
    ('--config.data.blank=zero', ['blank', "did you mean 'zeros'?"]),
    ('--config.data.labels=Edma', ["'Edma'", "did you mean 'Edema'?"]),
    (
      '--config.split.test_floor={"Lung Lesion":0.9}',
      ['Lung Lesion', 'the largest possible floor'],
    ),
    ('--config.batch_size=800', ['config.batch_size=800', 'training images']),
    ('--config.split.test=0.9', ['test', 'train']),
  ],
)
def test_a_name_or_a_number_that_does_not_fit_the_data(phantom_root, tmp_path, argument, words):
  # Without a process of their own, which would take seconds each; the test above has some.
  overrides = [*TINY, f'--config.data.root={phantom_root}', argument]
  experiment = config.load(CONFIG, [override.removeprefix('--config.') for override in overrides])
  with pytest.raises(InputError) as error:
    run_experiment(experiment, tmp_path / 'run')
  assert '\n' not in str(error.value)
  for word in words:
    assert word in str(error.value)
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_batch_size_that_devices_do_not_divide(refused):
  refused(
    '--config.batch_size=9',
    words=['config.batch_size=9', 'divisible by the 2 devices', '8 or 10 would do'],
    env={'JAX_NUM_CPU_DEVICES': '2'},
  )


def test_missing_data(refused, tmp_path):
  words = [f'{tmp_path}/nowhere', 'available from', 'configs/phantom.py']
  refused(
    '--config.data.settings={}',
    config_flag='--config=configs/chexpert.py',
    root=tmp_path / 'nowhere',
    words=words,
  )


def test_a_work_directory_that_cannot_be_written(refused, tmp_path):
  (tmp_path / 'file').write_text('')
  refused(
    workdir=tmp_path / 'file' / 'run', words=['--workdir', 'not a folder that can be written']
  )
  refused(workdir='/proc/run', words=['--workdir', '/proc'])


@pytest.fixture
def damaged(phantom_root, tmp_path):
  """The phantom with four damaged images, read as chexpert."""
  root = tmp_path / 'damaged'
  shutil.copytree(phantom_root, root)
  files = sorted(root.glob('train/*/*/*.jpg'))[:4]
  files[0].unlink()
  files[1].write_bytes(files[1].read_bytes()[:-100])
  files[2].write_text('not an image')
  files[3].write_bytes(b'')
  return root, files


READ_AS_CHEXPERT = ('--config.data.source=chexpert', '--config.data.settings={}')


def test_a_missing_image_stops_the_run_by_file_and_row(refused, damaged):
  root, files = damaged
  image = files[0].relative_to(root).as_posix()
  lines = (root / 'train.csv').read_text().splitlines()
  row = next(number for number, line in enumerate(lines, start=1) if image in line)
  words = [f'train.csv: row {row}: ', image, '1 such row', 'set_aside']
  refused(*READ_AS_CHEXPERT, root=root, words=words)


def test_a_damaged_image_stops_the_run_by_file_and_row(refused, damaged):
  root, files = damaged
  files[0].write_bytes(b'')
  image = files[0].relative_to(root).as_posix()
  refused(*READ_AS_CHEXPERT, root=root, words=['train.csv: row ', image, '3 more', 'set_aside'])


@pytest.mark.slow
def test_damaged_images_are_set_aside_and_counted(command, damaged, tmp_path):
  root, files = damaged
  workdir = tmp_path / 'run'
  arguments = (*TINY, *READ_AS_CHEXPERT, '--config.data.broken=set_aside')
  command(
    'main', PHANTOM, f'--workdir={workdir}', *arguments, f'--config.data.root={root}', check=True
  )
  listed = (workdir / 'set_aside.csv').read_text().splitlines()
  assert len(listed) == 5
  for file, line in zip(files, listed[1:]):
    assert file.relative_to(root).as_posix() in line
  assert '4 images could not be read' in (workdir / 'report' / 'index.html').read_text()
  predicted = (workdir / 'predictions' / 'test.csv').read_text()
  assert not any(file.relative_to(root).as_posix() in predicted for file in files)


@pytest.mark.slow
def test_a_label_without_positives_trains_on_and_has_no_auroc(command, phantom_root, tmp_path):
  workdir = tmp_path / 'run'
  labels = '--config.data.labels=Edema,Fracture'
  command(
    'main',
    PHANTOM,
    f'--workdir={workdir}',
    *TINY,
    labels,
    f'--config.data.root={phantom_root}',
    check=True,
  )
  result = json.loads((workdir / 'evaluation' / 'test.json').read_text())
  assert result['labels']['Fracture']['auroc']['value'] is None
  assert result['labels']['Edema']['auroc']['value'] is not None
  assert result['mean']['labels'] == ['Edema']
  assert 'No positives in train: Fracture.' in (workdir / 'report' / 'index.html').read_text()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
  command, phantom_root, tmp_path
):
  # The loss is NaN at the first batch with a lesion; the index stream tells which that is.
  (tmp_path / 'failing_loss.py').write_text(
    'import jax.numpy as jnp\n'
    'def nan_at_a_lesion(logits, labels):\n'
    '  return jnp.where(jnp.any(labels[:, 0] > 0), jnp.nan, logits**2)\n'
  )
  flags = [*TINY, f'--config.data.root={phantom_root}']
  flags += [
    '--config.batch_size=2',
    '--config.evaluate_every=1',
    '--config.steps=40',
    '--config.seed=1',
  ]
  experiment = config.load(CONFIG, [flag.removeprefix('--config.') for flag in flags])
  data, _ = study.make(experiment)
  made = objective.make(experiment, data)
  lesions = data.values[made.rows['train']][:, 0]
  failing = next(step for step in range(1, 40) if lesions[made.stream.batch(step - 1, 2)].any())
  assert failing > 2

  workdir = tmp_path / 'run'
  finished = command(
    'main',
    PHANTOM,
    f'--workdir={workdir}',
    *flags,
    '--config.loss.name=failing_loss:nan_at_a_lesion',
    env={'PYTHONPATH': str(tmp_path)},
  )
  assert finished.returncode == 1
  lines = finished.stderr.strip().splitlines()
  assert len(lines) == 1 and f'step {failing}:' in lines[0] and 'is nan' in lines[0]
  assert not (workdir / 'report').exists()
  with ocp.training.Checkpointer(workdir / 'checkpoints') as checkpointer:
    assert checkpointer.latest.step == failing - 1
    state = checkpointer.load_checkpointables(failing - 1)['state']
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
