"""What a run needs at its end is asked for before anything is trained, and can be mended after."""

import json
import shutil

import pytest
from conftest import PROJECT, TINY

from medjax import config as configs
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.result import Result
from medjax.experiment import loop, run
from medjax.runs import finished as finished_runs
from medjax.runs.layout import Layout


def tiny(root, *overrides):
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*tiny, f'data.root={root}', *overrides])


@pytest.fixture
def nothing_trains(monkeypatch):
  def train(*arguments, **settings):
    pytest.fail('the training has begun')

  monkeypatch.setattr(loop, 'train', train)


@pytest.fixture
def their_code(tmp_path, monkeypatch):
  (tmp_path / 'their_code.py').write_text(
    'import flax.linen as nn\nimport jax.numpy as jnp\n'
    'def of_batches(key, images):\n'
    "  assert len(images) > 1, 'one image is no batch'\n"
    '  return images\n'
    'def typo(logits, labels):\n'
    '  return jnp.sigmod(logits)\n'
    'def root(logits, labels):\n'
    '  return jnp.where(labels > 0, jnp.sqrt(jnp.abs(logits)), logits)\n'
    'def negative(logits, labels):\n'
    '  return jnp.log(logits) * labels\n'
    'def mean(logits, labels):\n'
    '  return jnp.mean((logits - labels) ** 2)\n'
    'def cut(key, images):\n'
    '  return images[:, 1:]\n'
    'class OneAnswer(nn.Module):\n'
    '  num_labels: int\n'
    '  dtype: object = jnp.float32\n'
    '  @nn.compact\n'
    '  def __call__(self, images, train=False):\n'
    "    logits = nn.Dense(self.num_labels, name='head')(images.reshape(len(images), -1))\n"
    '    return logits if train else logits[:, :1]\n'
  )
  monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
  ('overrides', 'words'),
  [
    (['evaluation.saliency=gradcam'], "did you mean 'grad_cam'"),
    (['evaluation.subgroups=sex,vieww'], "did you mean 'view'"),
    (['evaluation.level=slide'], "no column 'slide'"),
    (['evaluation.members={run}'], 'run: this run has no checkpoint yet'),
    (
      ['augment=their_code:of_batches', 'evaluation.test_augment=1', 'force_augment=True'],
      'one image is no batch',
    ),
    (['loss.name=their_code:typo'], "config.loss.name='their_code:typo': AttributeError"),
    (['loss.name=their_code:root'], 'its gradient is nan at the logit 0 and the label'),
    (['loss.name=their_code:negative'], 'its value is nan at the logit -4 and the label'),
    (['loss.name=their_code:mean'], "their_code:mean' returned shape () of logits (14, 3)"),
    (['augment=their_code:cut', 'force_augment=True'], "'their_code:cut': changed the shape"),
    (
      ['model.name=their_code:OneAnswer', 'model.settings={{}}'],
      'evaluated, it predicts 1 labels of 3',
    ),
  ],
)
def test_what_the_end_will_need_is_told_before_the_training(
  finished, phantom_root, tmp_path, nothing_trains, their_code, overrides, words
):
  member = tmp_path / 'run'
  shutil.copytree(finished[0], member, ignore=shutil.ignore_patterns('checkpoints'))
  with pytest.raises(InputError) as refused:
    overrides = [override.format(run=member) for override in overrides]
    run.run(tiny(phantom_root, *overrides), tmp_path / 'new')
  assert words in str(refused.value) and '\n' not in str(refused.value)


class Stopped(Exception):
  pass


def test_what_the_report_will_lack_is_on_the_first_screen(
  phantom_root, tmp_path, monkeypatch, capsys
):
  def train(*arguments, **settings):
    raise Stopped

  monkeypatch.setattr(loop, 'train', train)
  root = shutil.copytree(phantom_root, tmp_path / 'root')
  (root / 'BBox_List_2017.csv').write_text('image,label\na.png,Edema\n')
  net = ('model.name=nnx_nets:Net', 'model.settings={}', 'evaluation.saliency=grad_cam')
  with pytest.raises(Stopped):
    run.run(tiny(root, *net), tmp_path / 'run')
  said = capsys.readouterr().out
  assert 'note      No heat maps: Grad-CAM finds no feature map inside a network of Flax' in said
  assert 'The boxes beside the data will be ignored: ' in said and "no column 'x'" in said


def test_what_shapes_the_training_may_not_change(finished, phantom_root, tmp_path):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  for is_finished in (True, False):
    for override in (
      'optimizer.learning_rate=1', 'evaluation.checkpoints=3', 'evaluation.level=patient', 'seed=3',
      'steps=5',
    ):  # fmt: skip
      with pytest.raises(InputError, match=f'config.{override.partition("=")[0]}: was') as refused:
        run.run(tiny(phantom_root, override), layout.workdir)
      assert 'goes on with more config.steps' in str(refused.value)
      assert '\n' not in str(refused.value)
    with pytest.raises(InputError, match="did you mean 'view'"):
      run.run(tiny(phantom_root, 'evaluation.subgroups=vieww'), layout.workdir)
    if is_finished:
      layout.result.unlink()
  assert layout.config.read_text() == (finished[0] / 'config.json').read_text()


def test_a_misspelt_method_of_an_earlier_medjax_may_be_set_right(finished, phantom_root, tmp_path):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  for tested in (layout.evaluation, layout.predictions('test').parent, layout.reports):
    shutil.rmtree(tested)
  layout.frozen.unlink()
  saved = layout.config.read_text()
  layout.config.write_text(saved.replace('"integrated_gradients"', '"gradcam"'))
  others = ('evaluation.calibration=none', 'evaluation.saliency=none', 'replicates=20')
  run.run(tiny(phantom_root, *others), layout.workdir)
  assert json.loads(layout.config.read_text())['evaluation']['calibration'] == 'none'
  result = results_file.load(layout.result, Result, '')
  assert result.replicates == 20 and not layout.examples.read_text().count('heat": "')
  (note,) = [note for note in result.study_notes if note.startswith('Set after the training')]
  assert "config.evaluation.calibration: was 'platt', is now 'none'. If the predictions" in note
  assert 'saliency' not in note and note in layout.report.read_text().replace('&#x27;', "'")
  assert finished_runs.open_run(layout.workdir).frozen.levels['image'].calibration.method == 'none'
