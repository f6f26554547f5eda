"""Fine-tuning through the command: what starts where, what stays, and who must not be tested."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from conftest import TINY
from PIL import Image
from tiny_runs import run

from medjax import config as configs
from medjax.data.images.lists import Item
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import seen_before
from medjax.errors import InputError
from medjax.experiment import loop
from medjax.runs import checkpoints, model_file, seen_by_run, workdir
from medjax.runs.layout import Layout


def same(one, other, kind, name):
  left, right = (jax.tree.leaves(item[kind].get(name, {})) for item in (one, other))
  return len(left) == len(right) and all(map(np.array_equal, left, right))


@pytest.mark.slow
def test_head_only_leaves_everything_else_bit_for_bit(command, finished, other_root, tmp_path):
  message = run(
    command, tmp_path / 'run', other_root, f'--config.model.pretrained={finished[0]}',
    '--config.model.finetune=head', '--config.optimizer.weight_decay=0.1', '--config.steps=12',
  ).stdout  # fmt: skip
  assert f'weights   {finished[0]}; step' in message and 'the head alone' in message
  before, _ = checkpoints.best_variables(Layout(finished[0]))
  after, _ = checkpoints.best_variables(Layout(tmp_path / 'run'))
  for name in before['params']:
    assert same(before, after, 'params', name) == (name != 'head'), name
    assert same(before, after, 'batch_stats', name), name
  record = json.loads((tmp_path / 'run/model.json').read_text())['pretrained']
  assert sorted(record['new']) == ['params/head/bias', 'params/head/kernel']


@pytest.mark.slow
def test_unfrozen_stages_train_and_the_others_stay(command, finished, other_root, tmp_path):
  run(
    command, tmp_path / 'run', other_root, f'--config.model.pretrained={finished[0]}',
    '--config.model.finetune=head', '--config.model.unfreeze_at=2,4', '--config.evaluate_every=6',
  )  # fmt: skip
  before, _ = checkpoints.best_variables(Layout(finished[0]))
  after, step = checkpoints.best_variables(Layout(tmp_path / 'run'))
  assert step == 6
  for name in before['params']:
    unfrozen = name.startswith(('head', 'stage3', 'stage2'))
    assert same(before, after, 'params', name) == (not unfrozen), name
    if name in before['batch_stats']:
      assert same(before, after, 'batch_stats', name) == (not unfrozen), name


@pytest.mark.slow
def test_patients_that_trained_the_weights_are_not_tested(
  command, finished, phantom_root, tmp_path
):
  pretrained = f'--config.model.pretrained={finished[0]}'
  refused = run(
    command, tmp_path / 'a', phantom_root, pretrained, '--config.split.seed=3', check=False
  )
  assert refused.returncode == 1
  assert 'test patients, such as' in refused.stderr and refused.stderr.count('\n') == 1
  assert not (tmp_path / 'a').exists()
  run(command, tmp_path / 'b', phantom_root, pretrained)  # The same split is no leak.
  # What the first run saw stays known two runs later.
  again = run(
    command, tmp_path / 'c', phantom_root, f'--config.model.pretrained={tmp_path / "b"}',
    '--config.split.seed=3', check=False,
  )  # fmt: skip
  assert again.returncode == 1 and str(phantom_root) in again.stderr


@pytest.mark.slow
def test_the_same_files_are_known_under_other_patients_and_names(
  command, finished, phantom_root, tmp_path
):
  # The films that trained, copied under other names, of patients who are called otherwise.
  rows = csv.DictReader((finished[0] / 'split.csv').open())
  lines = ['image,patient,Lung Lesion,Pneumonia,Edema']
  for number, row in enumerate(rows):
    shutil.copy(phantom_root / row['image'], tmp_path / f'{number}.jpg')
    lines.append(
      f'{number}.jpg,new{row["patient"]},{number % 2},{number // 2 % 2},{number // 3 % 2}'
    )
  (tmp_path / 'labels.csv').write_text('\n'.join(lines))
  refused = command(
    'main', '--config=configs/phantom.py', f'--workdir={tmp_path / "run"}', *TINY[2:],
    '--config.data.source=csv', f'--config.data.root={tmp_path}', '--config.data.settings={}',
    f'--config.model.pretrained={finished[0]}',
  )  # fmt: skip
  assert refused.returncode == 1 and refused.stderr.count('\n') == 1, refused.stderr
  assert 'are byte for byte images that trained or chose these weights' in refused.stderr
  trained = Item('x.jpg', str(tmp_path / '0.jpg'), '')
  seen = seen_by_run.seen_by(Layout(finished[0]))
  known = {(tmp_path / f'{n}.jpg').read_bytes() for n in range(len(lines) - 1)}
  assert len(known) == len(lines) - 1  # So that each is an image of its own.
  count, words = seen_before.find_seen([trained], seen.assign(patient='z', image='gone.jpg'))
  first = next(csv.DictReader((finished[0] / 'split.csv').open()))
  assert count == (first['split'] in ('train', 'validation'))
  assert not count or "'x.jpg' is byte for byte" in words


def test_the_same_films_at_another_size_are_the_same_patients(finished, phantom_root, tmp_path):
  seen = seen_by_run.seen_by(Layout(finished[0]))
  for image in seen['image']:
    (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
    Image.open(phantom_root / image).resize((48, 48)).save(tmp_path / image, quality=80)
  split = np.full(len(seen), 'test', object)
  with pytest.raises(InputError, match='test patients'):
    seen_before.check_unseen(seen[['image', 'patient']], split, str(tmp_path), seen)


def test_weights_changed_before_anything_was_trained_are_noticed(finished, tmp_path):
  texts = {'model.json': 'new', 'pretrained_on.csv': None}
  (tmp_path / 'model.json').write_text('old')
  assert not workdir.holds(Layout(tmp_path), texts)
  (tmp_path / 'model.json').write_text('new')
  assert workdir.holds(Layout(tmp_path), texts)
  (tmp_path / 'pretrained_on.csv').write_text('image,patient,split,root')
  assert not workdir.holds(Layout(tmp_path), texts)


def test_an_origin_that_nobody_knows_is_not_forgotten_by_the_next_run():
  inputs = ImageFormat(32, 1), (0.5,), (0.25,)
  file = {'from': '/weights.safetensors', 'sha256': '0' * 64}
  first = {'from': '/runs/one', 'step': 3, 'pretrained': file}
  second = {'from': '/runs/two', 'step': 5, 'pretrained': first}
  assert '/weights.safetensors' in model_file.note(model_file.Provenance(*inputs, 1, second))
  timm = {'from': '/runs/one', 'step': 3, 'pretrained': {'from': 'timm/resnet18.tv_in1k'}}
  assert model_file.note(model_file.Provenance(*inputs, 1, timm)) is None
  alone = {'from': '/runs/one', 'step': 3, 'pretrained': None}
  assert model_file.note(model_file.Provenance(*inputs, 1, alone)) is None


def test_patience_begins_with_the_last_unfreezing():
  config = configs.load('configs/phantom.py')
  config.patience, config.model.unfreeze_at = 1, (300,)
  history = [{'step': step, 'auroc_mean': 0.9 - step / 1000} for step in (100, 200, 300)]
  assert not loop._is_stale(config, history)
  assert loop._is_stale(config, [*history, {'step': 400, 'auroc_mean': 0.1}])
  config.model.unfreeze_at = ()
  assert loop._is_stale(config, history)


@pytest.mark.slow
def test_other_patients_under_the_same_names_are_others(command, finished, other_root, tmp_path):
  run(
    command, tmp_path / 'run', other_root, f'--config.model.pretrained={finished[0]}',
    '--config.split.seed=3',
  )  # fmt: skip
  assert (tmp_path / 'run/pretrained_on.csv').is_file()
  page = (tmp_path / 'run/report/index.html').read_text()
  assert 'patients who trained the weights that this run started from' in page


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (['--config.model.finetune=head'], 'config.model.pretrained'),
    (['--config.model.unfreeze_at=3'], "model.finetune='head'"),
    (['--config.model.pretrained=WEIGHTS', '--config.model.settings.width=8'], "'width': 4"),
    (['--config.model.pretrained=WEIGHTS', '--config.model.name=resnet18'],
    'weights of resnet_tiny'),
    (['--config.model.settings.dropout=1'], 'dropout=1'),
    (['--config.model.mean=123.7'], 'not 0 to 255'),
    (['--config.model.name=convnext_tiny', '--config.data.image_size=16'], 'width'),
    (
      ['--config.model.pretrained=WEIGHTS', '--config.model.finetune=head',
       '--config.model.unfreeze_at=1,2,3,4,5'],
      'only 4 stages',
    ),
    (['--config.model.pretrained=tests'], 'no work directory of a run'),
    (['--config.optimizer.layer_decay=1.5'], 'layer_decay=1.5'),
    (['--config.model.mean=0.5,0.5'], 'each of the 1 channels'),
    (['--config.model.head=sofmax'], "did you mean 'softmax'?"),
    (['--config.model.head=softmax'], 'exactly one of the labels'),
  ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(command, finished, other_root, tmp_path, arguments, words):
  arguments = [item.replace('WEIGHTS', str(finished[0])) for item in arguments]
  refused = run(command, tmp_path / 'run', other_root, *arguments, check=False)
  assert refused.returncode == 1
  assert words in refused.stderr and refused.stderr.strip().count('\n') == 0, refused.stderr
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('head', 'figures'),
  [
    ('softmax', ['balanced_accuracy', 'kappa']),
    ('ordinal', ['balanced_accuracy', 'quadratic_kappa']),
  ],
)
@pytest.mark.slow
def test_classes_and_grades_are_learned(command, graded_root, tmp_path, head, figures):
  message = command(
    'main', f'--config=tests/helpers/graded_config.py:{head}', f'--workdir={tmp_path / "run"}',
    f'--config.data.root={graded_root}', check=True,
  ).stdout  # fmt: skip
  assert 'balanced accuracy' in message
  result = json.loads((tmp_path / 'run/evaluation/test.json').read_text())
  for name in figures:
    assert result['classes'][name]['value'] > 0.8, name
  assert result['mean']['auroc']['value'] > 0.9


def test_a_loss_of_another_head_is_named(command, graded_root, tmp_path):
  refused = command(
    'main', '--config=tests/helpers/graded_config.py:softmax', f'--workdir={tmp_path / "run"}',
    f'--config.data.root={graded_root}', '--config.loss.name=binary_cross_entropy',
  )  # fmt: skip
  assert refused.returncode == 1
  assert "model.head='softmax'" in refused.stderr and 'cross_entropy' in refused.stderr


@pytest.mark.slow
def test_uncertain_classes_are_refused_before_training(command, graded_root, tmp_path):
  lines = ['image,patient,none,mild,severe']
  lines += [f'{number}.png,{number // 3},1,0,{-(number % 7 == 0)}' for number in range(240)]
  (graded_root / 'columns.csv').write_text('\n'.join(lines))
  refused = command(
    'main', '--config=tests/helpers/graded_config.py:softmax', f'--workdir={tmp_path / "run"}',
    f'--config.data.root={graded_root}', '--config.data.uncertain=zeros',
    '--config.data.settings={"table_file": "columns.csv"}',
  )  # fmt: skip
  assert refused.returncode == 1 and 'severe unknown' in refused.stderr, refused.stderr
