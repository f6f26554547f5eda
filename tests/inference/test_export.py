"""What is exported runs without medjax and says what the run found."""

import csv
import json
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import oracle
import pytest
import vouched_runs
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_runs import run

from medjax.config import Config, Data, Loss, Model, Optimizer, Sampling
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.inference import export_files, export_program, model_card
from medjax.models.normalisation import Normalisation
from medjax.runs.finished import open_run
from medjax.runs.model_file import Provenance
from medjax.runs.trained_network import TrainedNetwork, stacked
from medjax.training import learner, preprocessing

# Neither medjax nor anything that it depends on but jax and numpy can be imported.
BARE = """
import sys
for name in ('medjax', 'flax', 'optax', 'orbax', 'pandas', 'PIL', 'safetensors', 'flatbuffers',
             'absl'):
  sys.modules[name] = None
import numpy as np
from run import LABELS, load
np.save('ours.npy', np.asarray(load()(np.load('images.npy'))))
print(LABELS)
"""


def check_artefact(command, workdir, root, size, tmp_path):
  """Asserts that a bare process gives the calibrated probabilities of the run's predictions."""
  said = command('export', f'--workdir={workdir}', f'--output={tmp_path / "export"}', check=True)
  for name in (
    'model.stablehlo',
    'run.py',
    'model.safetensors',
    'config.json',
    'frozen.json',
    'README.md',
  ):
    assert (tmp_path / 'export' / name).is_file() and name in said.stdout
  rows = list(csv.DictReader((workdir / 'predictions/test.csv').open()))[:11]
  pixels = np.stack(
    [decoding.decode(pathlib.Path(root) / row['image'], ImageFormat(size, 1)) for row in rows]
  )
  np.save(tmp_path / 'export/images.npy', pixels)
  finished = subprocess.run(
    [sys.executable, '-c', BARE], cwd=tmp_path / 'export', capture_output=True, text=True
  )
  assert finished.returncode == 0, finished.stderr[-2000:]
  labels = [name.removeprefix('prob_') for name in rows[0] if name.startswith('prob_')]
  assert finished.stdout.strip() == str(tuple(labels))
  expected = np.array([[float(row[f'prob_{label}']) for label in labels] for row in rows])
  np.testing.assert_allclose(np.load(tmp_path / 'export/ours.npy'), expected, atol=1e-5)
  picture = pathlib.Path(root) / rows[0]['image']
  answered = subprocess.run(
    [sys.executable, 'run.py', str(picture)],
    cwd=tmp_path / 'export', capture_output=True, text=True, check=True,
  )  # fmt: skip
  printed = [float(value) for value in re.findall(r'^  .*: (\d\.\d{4})', answered.stdout, re.M)]
  np.testing.assert_allclose(printed, expected[0], atol=1e-4)


@pytest.mark.slow
def test_the_artefact_gives_the_run_s_probabilities(command, finished, phantom_root, tmp_path):
  check_artefact(command, finished[0], phantom_root, 32, tmp_path)
  card = (tmp_path / 'export/README.md').read_text()
  runner = (tmp_path / 'export/run.py').read_text('utf-8')
  assert 'IMAGES = "grey images of 32 × 32 pixels, the aspect ratio kept' in runner
  proof = json.loads((finished[0] / 'split.json').read_text())
  result = json.loads((finished[0] / 'evaluation/test.json').read_text())
  for words in (
    'Intended use', 'Not a medical device', 'the aspect ratio kept and the rest black',
    proof['split_sha256'], 'Lung Lesion', 'threshold',
    f'{result["mean"]["auroc"]["value"]:.3f}', *result['notes'], *result['study_notes'],
  ):  # fmt: skip
    assert words in card


@pytest.mark.slow
def test_grades_are_exported_as_probabilities_too(command, graded_root, tmp_path):
  command(
    'main', '--config=tests/helpers/graded_config.py:ordinal', f'--workdir={tmp_path / "run"}',
    f'--config.data.root={graded_root}', check=True,
  )  # fmt: skip
  check_artefact(command, tmp_path / 'run', graded_root, 32, tmp_path)


@pytest.mark.parametrize(
  ('name', 'settings'),
  [
    ('resnet18', {'depths': (1, 1, 1, 1)}),
    ('densenet121', {'depths': (2, 1, 1, 1), 'growth': 8}),
    ('efficientnet_b0', {'epsilon': 0.1}),
    ('convnext_tiny', {'depths': (1, 1, 1, 1), 'widths': (8, 16, 24, 32)}),
    ('vit_small_patch16', {'depth': 2, 'width': 48, 'heads': 3}),
    ('vit_small_patch14_dinov2', {'depth': 1, 'width': 48, 'heads': 3, 'layer_scale': 0.5}),
  ],
)
def test_timm_opens_the_export_and_computes_the_same(name, settings, tmp_path):
  torch, timm = oracle.torch_or_skip()
  side = 56 if 'patch14' in name else 64
  config = Config(Data('', '', ('x', 'y'), side), Model(name, settings=settings))
  learn = learner.build(config, ImageFormat(side, 1), Normalisation((0.5,), (0.25,)))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: rng.uniform(0.02, 0.2, leaf.shape).astype(np.float32), dict(learn.shapes)
  )
  network = TrainedNetwork(learn, stacked([variables]), (1,))
  tensors, scheme = export_program.published_tensors(network)
  said = export_program.description(learn)
  assert scheme == 'timm' and said['settings'] == settings
  save_file(tensors, tmp_path / 'model.safetensors')
  (tmp_path / 'config.json').write_text(json.dumps(said))
  timms = timm.create_model(f'local-dir:{tmp_path}', pretrained=True).eval()
  images = rng.normal(size=(2, side, side, 1)).astype(np.float32)
  with torch.no_grad():
    expected = timms(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
  ours = learn.network.apply(
    {kind: leaves for kind, leaves in variables.items() if leaves}, images, train=False
  )
  np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize('fit', ['pad', 'crop', 'stretch'])
def test_exported_preprocessing_is_timm_s(fit, tmp_path):
  """timm, told what config.json says, fits an image into the square as the run did."""
  _, timm = oracle.torch_or_skip()
  config = Config(Data('', '', ('x', 'y'), 64, fit=fit), Model('resnet18'))
  learn = learner.build(config, *preprocessing.resolve(config, None))
  said = export_program.description(learn)
  of_timm = said['pretrained_cfg']
  wide = np.tile(np.linspace(40, 255, 160).astype(np.uint8), (96, 1))
  Image.fromarray(wide).save(tmp_path / 'wide.png')
  transform = timm.data.create_transform(
    tuple(of_timm['input_size']), interpolation=of_timm['interpolation'],
    crop_mode=of_timm['crop_mode'],
    crop_pct=of_timm['crop_pct'], mean=(0,), std=(1,),
  )  # fmt: skip
  timms = transform(Image.open(tmp_path / 'wide.png'))[0].numpy() * 255
  ours = decoding.decode(tmp_path / 'wide.png', learn.image_format)[..., 0]
  # timm pads with the mean, for which run.py has `picture`, and rounds where the middle is by half
  # a pixel otherwise.
  inside = np.s_[14:50] if fit == 'pad' else np.s_[:]
  np.testing.assert_allclose(ours[inside].astype(float), timms[inside], atol=4)


@pytest.mark.slow
def test_the_weights_start_another_run(command, finished, other_root, tmp_path):
  command('export', f'--workdir={finished[0]}', f'--output={tmp_path}', check=True)
  tensors = load_file(tmp_path / 'model.safetensors')
  assert {'conv1.weight', 'bn1.running_mean', 'layer1.0.conv1.weight', 'fc.weight'} <= set(tensors)
  assert tensors['conv1.weight'].shape == (4, 1, 7, 7)
  run(
    command, tmp_path / 'run', other_root,
    f'--config.model.pretrained={tmp_path / "model.safetensors"}',
  )  # fmt: skip
  page = (tmp_path / 'run/report/index.html').read_text()
  assert 'whether patients of this study trained those weights is not recorded' in page


@pytest.mark.slow
def test_an_export_in_its_run_knows_who_trained_it(command, finished, phantom_root, tmp_path):
  shutil.copytree(finished[0], tmp_path / 'first')
  command('export', f'--workdir={tmp_path / "first"}', check=True)
  exported = f'--config.model.pretrained={tmp_path / "first/export/model.safetensors"}'
  refused = run(
    command, tmp_path / 'leak', phantom_root, exported, '--config.split.seed=3', check=False
  )
  assert refused.returncode == 1
  assert 'test patients, such as' in refused.stderr and refused.stderr.count('\n') == 1
  run(command, tmp_path / 'same', phantom_root, exported)
  assert (tmp_path / 'same/pretrained_on.csv').is_file()
  page = (tmp_path / 'same/report/index.html').read_text()
  assert 'is not recorded' not in page
  # No patient is in what may be published.
  patients = {row['patient'] for row in csv.DictReader((finished[0] / 'split.csv').open())}
  for path in (tmp_path / 'first/export').iterdir():
    content = path.read_bytes()
    assert not any(patient.encode() in content for patient in patients), path
  other = f'--config.model.settings.width=8 {exported}'.split()
  refused = run(command, tmp_path / 'other', phantom_root, *other, check=False)
  assert (
    refused.returncode == 1 and "weights of a network with settings {'width': 4}" in refused.stderr
  )


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [([], '--workdir is missing'), (['--workdir=tests'], 'not the work directory of a run')],
)
def test_a_wrong_folder_is_one_line(command, arguments, words):
  refused = command('export', *arguments)
  assert refused.returncode == 1
  assert words in refused.stderr and refused.stderr.strip().count('\n') == 0


def test_the_card_says_what_defines_the_training(tmp_path):
  config = Config(
    Data('', '', ('x', 'y'), 32), Model('resnet_tiny', settings={'width': 4}),
    sampling=Sampling(mixture={'a': 0.5, 'b': 0.5}), loss=Loss('focal', {'gamma': 1.5}),
    optimizer=Optimizer(ema=0.99), precision='bfloat16',
  )  # fmt: skip
  started = Provenance(ImageFormat(32, 1), (0.5,), (0.25,), 1, None)
  card = model_card._details(config, started, 1)
  for words in (
    'resnet_tiny (width=4)', 'focal (gamma=1.5)', "sampling {'a': 0.5, 'b': 0.5}", 'bfloat16',
    'moving average of decay 0.99', 'all layers',
  ):  # fmt: skip
    assert words in card
  config.model.finetune, config.model.unfreeze_at = 'head', (500,)
  assert 'the head alone, one more stage from steps 500 on' in model_card._details(
    config, started, 1
  )


def test_figures_that_are_not_all_there_are_one_line(finished, tmp_path):
  shutil.copytree(finished[0], tmp_path / 'run')
  (tmp_path / 'run/evaluation/test.json').write_text('{}')
  vouched_runs.vouch(tmp_path / 'run')
  with pytest.raises(InputError, match=r'test\.json: not the figures that this') as raised:
    export_files.write(open_run(tmp_path / 'run'), tmp_path / 'export')
  assert '\n' not in str(raised.value) and not (tmp_path / 'export').exists()


def test_an_unfinished_run_is_not_exported(command, finished, tmp_path):
  shutil.copytree(finished[0], tmp_path / 'run')
  (tmp_path / 'run/evaluation/test.json').unlink()
  refused = command('export', f'--workdir={tmp_path / "run"}')
  assert refused.returncode == 1 and 'let the run end' in refused.stderr
  assert not (tmp_path / 'run/export').exists()
