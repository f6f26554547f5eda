"""A network as ONNX gives the run's probabilities by ONNX Runtime, or is not written."""

import csv
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_networks import random_variables
from scipy import special
from tiny_runs import run

from medjax.config import Config, Data, Model, vocabulary
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.evaluation import calibration as calibrations
from medjax.inference import export_calibration, onnx_of_run, onnx_program, triton_folder
from medjax.models.normalisation import Normalisation
from medjax.runs.finished import open_run
from medjax.training import learner

needs_onnx = pytest.mark.skipif(
  importlib.util.find_spec('jax2onnx') is None, reason="needs the extra 'slow'"
)
# Neither medjax nor jax can be imported.
BARE = """
import sys
for name in ('medjax', 'jax', 'flax', 'onnx', 'jax2onnx', 'pandas', 'PIL'):
  sys.modules[name] = None
import numpy as np
from run import LABELS, decide, load
probabilities = load()(np.load('images.npy'))
np.save('ours.npy', probabilities)
print(len(decide(probabilities)))
"""


def learner_of(name, side, **settings):
  config = Config(Data('', '', ('x', 'y'), side), Model(name, settings=settings))
  return learner.build(config, ImageFormat(side, 1), Normalisation((0.5,), (0.25,)))


def predictor(learn):
  """Random parameters, statistics of images as training leaves them, probabilities that vary."""
  side = learn.image_format.size
  images = pictures(side, 8)['pictures 8']
  drawn = random_variables(learn.network, np.zeros((1, *learn.image_format.shape), np.float32))
  variables = with_statistics(learn, jax.tree.map(jnp.asarray, drawn), images)
  log_odds = np.asarray(jax.jit(learn.eval_step)(variables, images))
  mean, spread = log_odds.mean(axis=0), log_odds.std(axis=0)
  return lambda images: jax.nn.sigmoid((learn.eval_step(variables, images) - mean) / spread)


def with_statistics(learn, variables, images):
  """Returns the variables with the mean and variance of these images in each BatchNorm.

  Of a pass in training BatchNorm keeps m · old + (1 - m) · its own: two old ones tell both.
  """
  if not variables.get('batch_stats'):
    return variables

  @jax.jit
  def kept(params, value):
    old = jax.tree.map(lambda leaf: jnp.full_like(leaf, value), variables['batch_stats'])
    given = learn.normalisation(images / np.float32(255))
    _, changed = learn.network.apply(
      {'params': params, 'batch_stats': old}, given, train=True,
      mutable=['batch_stats'], rngs={'dropout': jax.random.key(0)},
    )  # fmt: skip
    return changed['batch_stats']

  zeros, ones = (kept(variables['params'], value) for value in (0.0, 1.0))
  own = jax.tree.map(lambda zero, one: zero / (1 - (one - zero)), zeros, ones)
  return {**variables, 'batch_stats': own}


def pictures(side, *sizes):
  """Images of 4 × 4 squares, which differ more than noise does."""
  rng = np.random.default_rng(0)
  square = np.ones((1, side // 4, side // 4, 1))
  return {
    f'pictures {size}': np.kron(rng.integers(0, 256, (size, 4, 4, 1)), square).astype(np.uint8)
    for size in sizes
  }


class Pools(nn.Module):
  """Every pooling that a network may do, and convolutions of the forms that a CPU has."""

  num_labels: int

  @nn.compact
  def __call__(self, images, train):
    x = nn.Conv(4, (3, 3), strides=2, padding=((0, 1), (2, 1)))(images)
    x = nn.max_pool(x - 1, (3, 2), (2, 1), padding=((1, 0), (0, 1)))
    x = nn.avg_pool(nn.relu(x), (2, 2), (2, 2), padding=((1, 1), (0, 0)))
    x = nn.Conv(4, (3, 3), feature_group_count=4)(x)
    return nn.Dense(self.num_labels)(jax.checkpoint(nn.silu)(x).mean(axis=(1, 2)))


def test_the_operations_for_the_converter_compute_what_was_traced():
  learn = learner_of('test_onnx:Pools', 32)
  predict = predictor(learn)
  (images,) = pictures(32, 3).values()
  traced = jax.make_jaxpr(predict)(images)
  (ours,) = onnx_program._evaluated(traced.jaxpr, traced.consts, images)
  np.testing.assert_allclose(ours, predict(images), atol=1e-6)


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize(
  'name',
  ['resnet50', 'densenet121', 'efficientnet_b0', 'convnext_tiny', 'vit_small_patch16',
   'test_onnx:Pools', 'nnx_nets:Net'],
)  # fmt: skip
def test_every_family_agrees(name, capsys):
  side = 224 if name == 'vit_small_patch16' else 64
  predict = predictor(learner_of(name, side))
  content = onnx_program.program(predict, (side, side, 1), {'labels': '["x", "y"]'})
  differences = onnx_program.largest_difference(content, predict, pictures(side, 1, 5))
  with capsys.disabled():
    print(f'\n{name}: ONNX Runtime and jax differ by {max(differences.values()):.1g} at most')
  (images,) = pictures(side, 5).values()
  values = onnx_program.session(content)(images)
  assert max(differences.values()) <= 1e-4 and np.ptp(values, axis=0).min() > 0.1


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize('method', vocabulary.CALIBRATIONS)
@pytest.mark.parametrize('head', ['sigmoid', 'softmax', 'ordinal'])
def test_every_calibration_is_inside(method, head):
  rng = np.random.default_rng(0)
  labels, scores = ['a', 'b', 'c'], rng.normal(size=(200, 3))
  probabilities = special.softmax(scores, axis=1) if head != 'sigmoid' else special.expit(scores)
  chosen = (np.log(probabilities) + rng.gumbel(size=scores.shape)).argmax(axis=1)
  truth = np.eye(3, dtype=bool)[chosen]
  log_odds = special.logit(probabilities).astype(np.float32)
  fitted = calibrations.fit(
    method, probabilities, truth, np.ones(truth.shape, bool), labels, head, log_odds=log_odds
  )

  def predict(images):  # A picture of 1 × 3 pixels stands for three log-odds.
    return export_calibration.apply(fitted, images[:, 0, :, 0] / 32.0 - 4.0, labels)

  content = onnx_program.program(predict, (1, 3, 1), {})
  images = rng.integers(0, 256, (50, 1, 3, 1), np.uint8)
  shown = images[:, 0, :, 0] / 32 - 4
  expected = calibrations.apply(fitted, special.expit(shown), labels, shown.astype(np.float32))
  np.testing.assert_allclose(onnx_program.session(content)(images), expected, atol=3e-5)


@pytest.mark.slow
@needs_onnx
def test_a_bare_process_gives_the_run_s_probabilities(command, finished, phantom_root, tmp_path):
  workdir, export = finished[0], tmp_path / 'export'
  said = command(
    'export', f'--workdir={workdir}', f'--output={export}', '--format=onnx', check=True
  )
  assert 'model.onnx' in said.stdout and 'timm' not in said.stdout
  assert sorted(path.name for path in export.iterdir()) == [
    'README.md', 'frozen.json', 'model.onnx', 'run.py'
  ]  # fmt: skip
  rows = list(csv.DictReader((workdir / 'predictions/test.csv').open()))[:7]
  files = [phantom_root / row['image'] for row in rows]
  np.save(export / 'images.npy', [decoding.decode(file, ImageFormat(32, 1)) for file in files])
  bare = subprocess.run(
    [sys.executable, '-c', BARE], cwd=export, capture_output=True, text=True, check=False
  )
  assert bare.returncode == 0, bare.stderr[-2000:]
  assert bare.stdout.strip() == '7'
  labels = open_run(workdir).config.data.labels
  expected = [[float(row[f'prob_{label}']) for label in labels] for row in rows]
  np.testing.assert_allclose(np.load(export / 'ours.npy'), expected, atol=1e-5)
  card = (export / 'README.md').read_text('utf-8')
  for words in (
    'opset 18', '`images`, uint8[batch, 32, 32, 1]', 'float32[batch, 3]', 'images of validation',
    'Not a medical device', 'What weakens these figures',
  ):  # fmt: skip
    assert words in card
  images = open_run(workdir).raw_predictions('validation').images
  assert f' on {min(32, len(images))} images of validation' in card
  import onnx

  model = onnx.load(export / 'model.onnx')
  assert {entry.key: entry.value for entry in model.metadata_props}['labels'] == json.dumps(
    list(labels)
  )
  assert [entry.version for entry in model.opset_import] == [18]


@pytest.mark.slow
@needs_onnx
def test_bfloat16_is_computed_in_float32_and_the_card_says_so(command, phantom_root, tmp_path):
  run(command, tmp_path / 'run', phantom_root, '--config.precision=bfloat16')
  opened = open_run(tmp_path / 'run')
  made = onnx_of_run.make(opened, opened.frozen.levels['image'].calibration)
  assert 'It computes in float32 and the run did in bfloat16, which moves a' in made.in_words


@pytest.mark.slow
@needs_onnx
def test_the_model_repository_is_one_by_triton_s_own_definition(command, finished, tmp_path):
  command(
    'export', f'--workdir={finished[0]}', f'--output={tmp_path}', '--format=triton', check=True
  )
  subprocess.run(  # Without what it needs to connect, which contradicts what else is installed.
    [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target',
     tmp_path / 'client', 'tritonclient>=2.50'],
    check=True,
  )  # fmt: skip
  path = tmp_path / 'client/tritonclient/grpc/model_config_pb2.py'
  spec = importlib.util.spec_from_file_location('model_config_pb2', path)
  definition = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(definition)
  from google.protobuf import text_format

  folder = tmp_path / 'model_repository/run'
  config = text_format.Parse((folder / 'config.pbtxt').read_text(), definition.ModelConfig())
  assert (config.name, config.backend) == (folder.name, 'onnxruntime')
  import onnxruntime

  program = onnxruntime.InferenceSession(folder / '1/model.onnx')
  (given,), (answer,) = program.get_inputs(), program.get_outputs()
  (image,), (probability,) = config.input, config.output
  # Triton adds the batch as the first dimension where max_batch_size is not 0.
  assert config.max_batch_size > 0
  assert (image.name, list(image.dims)) == (given.name, given.shape[1:])
  assert (probability.name, list(probability.dims)) == (answer.name, answer.shape[1:])
  assert given.type == 'tensor(uint8)' and image.data_type == definition.TYPE_UINT8
  assert answer.type == 'tensor(float)' and probability.data_type == definition.TYPE_FP32
  labels = (folder / probability.label_filename).read_text().split('\n')[:-1]
  assert labels == list(open_run(finished[0]).config.data.labels)


@pytest.mark.slow
@needs_onnx
def test_a_program_that_computes_anything_else_is_refused():
  learn = learner_of('test_onnx:Pools', 32)
  predict = predictor(learn)
  content = onnx_program.program(lambda images: predict(images) + 2e-4, (32, 32, 1), {})
  with pytest.raises(InputError, match=r'other probabilities than the run, by up to 0\.0002 on 2'):
    onnx_program.largest_difference(content, predict, pictures(32, 2))
  nothing = onnx_program.program(lambda images: predict(images) * jnp.nan, (32, 32, 1), {})
  with pytest.raises(InputError, match='by up to inf'):
    onnx_program.largest_difference(nothing, predict, pictures(32, 2))


@pytest.mark.slow
@needs_onnx
def test_what_the_converter_cannot_do_is_one_line():
  def predict(images):
    return jax.pure_callback(
      np.asarray, jax.ShapeDtypeStruct((1, 1), jnp.float32), images[0, :1, 0]
    )

  with pytest.raises(InputError, match='jax2onnx cannot make ONNX of this network') as raised:
    onnx_program.program(predict, (2, 2, 1), {})
  assert '\n' not in str(raised.value) and '--format=stablehlo' in str(raised.value)


def test_without_the_converter_it_is_one_line_with_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  with pytest.raises(InputError, match=r"pip install 'medjax\[onnx\]'") as raised:
    onnx_program.program(lambda images: images, (2, 2, 1), {})
  assert '\n' not in str(raised.value)


def test_images_of_validation_must_be_there(finished, tmp_path, monkeypatch):
  opened = open_run(finished[0])
  monkeypatch.setattr(opened.config.data, 'root', str(tmp_path))
  with pytest.raises(
    InputError, match='tried on images of validation, which must be there'
  ) as raised:
    onnx_of_run._batches(opened)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
  ('given', 'words'),
  [('onx', "--format is 'onx'; allowed: stablehlo, onnx, triton; did you mean 'onnx'?"),
   ('', '--format is empty; allowed: stablehlo')],
)  # fmt: skip
def test_a_wrong_format_is_one_line(command, finished, tmp_path, given, words):
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  refused = command('export', f'--workdir={workdir}', f'--format={given}')
  assert refused.returncode == 1
  assert words in refused.stderr and refused.stderr.count('\n') == 1
  assert not (workdir / 'export').exists()


@pytest.mark.parametrize(
  ('folder', 'name'), [('chexpert', 'chexpert'), ('a run, 2', 'a_run_2'), ('è', 'medjax')]
)
def test_a_model_s_name_fits_into_an_address(folder, name):
  assert triton_folder.name_of(folder) == name
  assert pathlib.PurePosixPath(name).name == name
