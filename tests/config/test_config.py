"""Config files, overrides, and what a wrong name or value is told."""

import pytest
from conftest import PROJECT
from pytest import mark

from medjax import config
from medjax.config import published
from medjax.errors import InputError
from medjax.training import learner, preprocessing

PHANTOM = 'configs/phantom.py'


@pytest.fixture(autouse=True)
def in_project(monkeypatch, request):
  monkeypatch.chdir(request.config.rootpath)


@pytest.mark.parametrize(
  'path', ['configs/phantom.py', 'configs/chexpert.py', 'configs/chestxray14.py']
)
def test_shipped_configs_load_and_name_another_network(path):
  assert config.load(path).model.name != 'resnet34'
  assert config.load(f'{path}:resnet34').model.name == 'resnet34'


@pytest.mark.parametrize(
  ('override', 'path', 'value'),
  [
    ('batch_size=16', 'batch_size', 16),
    ('optimizer.learning_rate=1e-3', 'optimizer.learning_rate', 1e-3),
    ('optimizer.learning_rate=1', 'optimizer.learning_rate', 1.0),
    ('optimizer.layer_decay=1', 'optimizer.layer_decay', 1.0),
    ('optimizer.momentum=0', 'optimizer.momentum', 0.0),
    ('seed=4294967295', 'seed', 4294967295),
    ('steps=1e3', 'steps', 1000),
    ('data.root=/some where/1', 'data.root', '/some where/1'),
    ('data.root=7', 'data.root', '7'),
    ('data.labels=Edema,Lung Lesion', 'data.labels', ('Edema', 'Lung Lesion')),
    ("data.labels=('Edema',)", 'data.labels', ('Edema',)),
    ('data.views=', 'data.views', ()),
    ('data.uncertain=ones', 'data.uncertain', 'ones'),
    ("data.uncertain={'Edema': 'ones'}", 'data.uncertain', {'Edema': 'ones'}),
    ('split.test=0.25', 'split.test', 0.25),
    ('split.test=120', 'split.test', 120),
    ('split.test=official or 0.2', 'split.test', 'official or 0.2'),
    ('split.test_floor.Edema=0.4', 'split.test_floor', {'Lung Lesion': 0.05, 'Edema': 0.4}),
    ('model.settings.width=8', 'model.settings', {'width': 8}),
    ('evaluation.calibration=isotonic', 'evaluation.calibration', 'isotonic'),
    (
      'evaluation.operating_points=cost=5, threshold=0.5',
      'evaluation.operating_points',
      ('cost=5', 'threshold=0.5'),
    ),
    ('evaluation.prevalence.Edema=0.02', 'evaluation.prevalence', {'Edema': 0.02}),
  ],
)
def test_overrides(override, path, value):
  changed = config.load(PHANTOM, [override])
  for name in path.split('.'):
    changed = getattr(changed, name)
  if isinstance(value, dict):
    changed = {key: changed[key] for key in value}
  assert changed == value and type(changed) is type(value)


@pytest.mark.parametrize(
  ('override', 'words'),
  [
    ('batchsize=16', ['config.batchsize', "did you mean 'batch_size'?"]),
    ('evaluation.subgroups=sex,raw_material', ["'raw_material'", 'evaluation.subgroups', 'rename']),
    ('evaluation.subgroups=source_weight', ["'source_weight'", 'evaluation.subgroups']),
    ('data.rot=x', ['config.data.rot', "did you mean 'root'?"]),
    ('dat.root=x', ['config.dat', "did you mean 'data'?"]),
    ('optimizer.lr=1', ['config.optimizer.lr: ', "did you mean 'learning_rate'?"]),
    ('lr=1', ['config.lr: ', "did you mean 'optimizer.learning_rate'?"]),
    ('wieght_decay=1', ["did you mean 'optimizer.weight_decay'?"]),
    ('root=1', ["did you mean 'data.root'?"]),
    ('name=x', ["did you mean 'model.name' or 'sampling.name' or"]),
    ('batch_size.x=1', ['config.batch_size.x', 'no such setting']),
    ('data=x', ['config.data is a group of settings', 'data.root']),
    ('batch_size', ['--config.batch_size=value']),
    ('batch_size=many', ['config.batch_size', 'many', 'must be int']),
    ('batch_size={[]: 1}', ['config.batch_size', 'must be int']),
    ('batch_size=' + '(' * 9_999, ['config.batch_size', 'must be int']),
    ('batch_size=0', ['config.batch_size=0', '1 or more']),
    ('batch_size=-8', ['config.batch_size=-8', '1 or more']),
    ('data.image_size=-64', ['config.data.image_size=-64', '0 or more']),
    ('data.channels=2', ['config.data.channels=2', '1 (grey) or 3 (RGB)']),
    ('data.labels=', ['config.data.labels is empty']),
    ('data.labels=Edema,Edema', ['names a label twice']),
    ('data.modality=eye', ['config.data.modality', 'retina']),
    ('model.finetune=heads', ['config.model.finetune', "did you mean 'head'?"]),
    ('data.broken=skip', ['config.data.broken', 'stop, set_aside']),
    ('data.fit=padd', ['config.data.fit', "did you mean 'pad'?"]),
    ('data.intensity=4095..0', ['config.data.intensity', 'low..high']),
    ('precision=float23', ['config.precision', "did you mean 'float32'?"]),
    ('optimizer.name=adam', ['config.optimizer.name', "did you mean 'adamw'?"]),
    ('optimizer.learning_rate=0', ['config.optimizer.learning_rate=0.0', 'more than 0']),
    ('optimizer.layer_decay=0', ['config.optimizer.layer_decay=0.0', 'in (0, 1]']),
    ('optimizer.layer_decay=1.5', ['config.optimizer.layer_decay=1.5', 'in (0, 1]']),
    ('optimizer.momentum=1', ['config.optimizer.momentum=1.0', 'in [0, 1)']),
    ('optimizer.momentum=-0.1', ['config.optimizer.momentum=-0.1', 'in [0, 1)']),
    ('optimizer.weight_decay=-1', ['config.optimizer.weight_decay=-1.0', '0 or more']),
    ('seed=-1', ['config.seed=-1', 'in [0, 4294967296)']),
    ('split.seed=4294967296', ['config.split.seed=4294967296', 'in [0, 4294967296)']),
    ('optimizer.learning_rate=1e999', ['config.optimizer.learning_rate=inf', 'finite']),
    ('optimizer.clip_norm=1e999', ['config.optimizer.clip_norm=inf', 'finite']),
    ('model.mean=1e999', ['config.model.mean=inf', 'finite']),
    ('optimizer.ema=1', ['config.optimizer.ema']),
    ('optimizer.warmup_steps=1000000', ['config.optimizer.warmup_steps', 'below steps']),
    ('optimizer.accumulate=5', ['config.batch_size=32', 'divisible', 'accumulate=5']),
    ('evaluation.calibration=plat', ['config.evaluation.calibration', "did you mean 'platt'?"]),
    ('evaluation.operating_points=', ['config.evaluation.operating_points is empty', 'youden']),
    ('evaluation.operating_points=Youden', ["no rule 'Youden'", "did you mean 'youden'?"]),
    (
      'evaluation.operating_points=youden,sensitivty=0.8',
      ['config.evaluation.operating_points', "did you mean 'sensitivity=0.8'?"],
    ),
    (
      'evaluation.operating_points=cost=5,cost=5.0',
      ['config.evaluation.operating_points', "'cost=5.0' and 'cost=5' are the same rule"],
    ),
    (
      'evaluation.prevalence.Edma=0.1',
      ['config.evaluation.prevalence', 'Edma', "did you mean 'Edema'?"],
    ),
    ('evaluation.prevalence.Edema=1', ["config.evaluation.prevalence['Edema']=1", '(0, 1)']),
    ('evaluation.prevalence.Edema=rare', ["['Edema']='rare'", '(0, 1)']),
  ],
)
def test_a_wrong_override_is_one_clear_line(override, words):
  with pytest.raises(InputError) as error:
    config.load(PHANTOM, [override])
  assert '\n' not in str(error.value)
  for word in words:
    assert word in str(error.value)


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('def get_config(arg=""):\n  return 3', ['returned int']),
    ('x = 3', ['no get_config']),
    ('def get_config(', ['line 1']),
    (
      'from medjax.config import Data\nData(rot=3)',
      ['config.data.rot: there is no such setting', "did you mean 'root'?", 'mine.py, line 2'],
    ),
    (
      'from medjax.config import *\ndef get_config(arg=""):\n  return Config(stps=3)',
      ['config.stps: there is no such setting', "did you mean 'steps'?"],
    ),
    (
      'from medjax.config import *\ndef get_config(arg=""):\n  made = Config('
      'Data("a", "", ("b",)), Model("c"))\n  made.optimizer.lr = 3\n  return made',
      ["config.optimizer.lr: there is no such setting; did you mean 'learning_rate'?"],
    ),
    (
      'from medjax.config.published import fine_tuned\nfrom medjax.config import *\n'
      'def get_config(arg=""):\n  return fine_tuned('
      'Config(Data("a", "", ("b",)), Model("phantm")), ("phantom",))',
      ["'phantm' is no network; did you mean 'phantom'?", 'python -m medjax.models'],
    ),
    (
      'from medjax.config import *\ndef get_config(arg=""):\n  return Config(data=Data("phantom", '
      '"x", "Edema", 8), model=Model("a"))',
      ['config.data.labels', 'tuple'],
    ),
  ],
)
def test_a_wrong_config_file_is_one_clear_line(tmp_path, text, words):
  path = tmp_path / 'mine.py'
  path.write_text(text)
  with pytest.raises(InputError) as error:
    config.load(str(path))
  assert ('\n' not in str(error.value) and str(path) in str(error.value)) or 'config.' in str(
    error.value
  )
  for word in words:
    assert word in str(error.value)


def test_a_missing_config_file_names_the_nearest():
  with pytest.raises(
    InputError, match=r"no file configs/fantom.py; did you mean 'configs/phantom.py'"
  ):
    config.load('configs/fantom.py')


def test_differences_name_the_field_and_both_values():
  old, new = (config.to_dict(config.load(PHANTOM, [f'optimizer.ema={ema}'])) for ema in (0.5, 0.9))
  assert config.differences(old, old) == []
  assert config.differences(old, new) == ['config.optimizer.ema: was 0.5, is now 0.9']


@pytest.mark.parametrize(
  'name', ['resnet50', 'densenet121', 'efficientnet_b4', 'convnext_tiny', 'vit_base_patch16']
)
def test_chexpert_takes_a_family_by_one_argument(name):
  experiment = config.load(f'configs/chexpert.py:{name}')
  assert experiment.model.name == name
  assert experiment.model.pretrained == published.NETWORKS[name].weights != ''


NETWORK_CONFIGS = [
  path for path in sorted(PROJECT.glob('configs/*.py')) if path.name != 'medmnist.py'
]


@pytest.mark.parametrize('path', NETWORK_CONFIGS, ids=lambda path: path.name)
@pytest.mark.parametrize('name', ['vit_small_patch16', 'vit_small_patch14_dinov2', 'inception_v3'])
def test_every_config_takes_networks_of_special_sizes(path, name):
  experiment = config.load(f'{path}:{name}')
  if path.name != 'phantom.py':  # It starts from random weights.
    assert (experiment.optimizer.layer_decay < 1) == name.startswith('vit')
  # A block is as much of a transformer as sizes depend on.
  if name.startswith('vit'):
    experiment.model.settings['depth'] = 1
  assert learner.build(experiment, *preprocessing.resolve(experiment, None)).parameters() > 0


def test_sizes_are_the_nearest_that_a_network_takes():
  assert [published.image_size_for('vit_base_patch16', size) for size in (380, 320, 8)] == [
    384,
    320,
    16,
  ]
  assert published.image_size_for('vit_base_patch14_dinov2', 320) == 322
  assert [published.image_size_for('inception_v3', size) for size in (96, 380)] == [299, 380]
  for name in ('densenet121', 'my_lab.nets:Net', ''):
    assert published.image_size_for(name, 381) == 381


ONE_OF_EACH_FAMILY = (
  'resnet50', 'densenet121', 'inception_v3', 'efficientnet_b0', 'convnext_tiny',
  'vit_small_patch16',
)  # fmt: skip


@pytest.mark.parametrize('path', ['configs/chexpert.py', 'configs/chestxray14.py'])
@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=mark.slow if name in ONE_OF_EACH_FAMILY else mark.deep)
    for name in published.NETWORKS
  ],
)
def test_every_network_fits_the_configs(path, name):
  experiment = config.load(f'{path}:{name}')
  assert learner.build(experiment, *preprocessing.resolve(experiment, None)).parameters() > 0


@pytest.mark.parametrize(
  ('name', 'settings', 'words'),
  [
    ('convnext_tiny', {'depths': (1, 1, 1)}, 'each stage needs one of both'),
    ('resnet18', {'depths': 3}, 'config.model.settings.depths=3: must be whole numbers'),
    ('vit_small_patch16', {'depth': 0}, 'depth=0: must be 1 or more'),
    ('vit_small_patch16', {'heads': 5}, 'heads=5: must divide width=384'),
  ],
)
def test_settings_that_no_network_can_have_are_named(name, settings, words):
  experiment = config.load(f'{PHANTOM}:{name}')
  experiment.model.settings = settings
  with pytest.raises(InputError) as raised:
    learner.build(experiment, *preprocessing.resolve(experiment, None))
  assert words in str(raised.value) and '\n' not in str(raised.value)


def test_the_readme_s_table_of_ones_own_is_fine_tuned_for_some_epochs(tmp_path):
  text = (PROJECT / 'README.md').read_text().split('name its columns:\n\n```python\n')[1]
  (tmp_path / 'mine.py').write_text(text.split('```')[0])
  loaded = config.load(str(tmp_path / 'mine.py'))
  assert loaded.model.pretrained == published.weights_of(loaded.model.name) != ''
  assert loaded.steps * loaded.batch_size == 20 * 3_200
  assert loaded.evaluate_every < loaded.steps
