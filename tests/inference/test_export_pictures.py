"""The program of an export makes the run's picture of a file, for timm too, and decides alike."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import oracle
import pytest
from PIL import Image

from medjax.config import Config, Data, Model
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.evaluation import classes
from medjax.inference import export_program
from medjax.models.normalisation import Normalisation
from medjax.training import learner

SIZE = 64


def runner(**facts):
  """The template of run.py as a module, with these facts in place of its own."""
  path = pathlib.Path(export_program.__file__).with_name('export_run_template.py')
  spec = importlib.util.spec_from_file_location('runner', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  vars(module).update(facts)
  return module


def runner_of(image_format):
  return runner(
    IMAGE_SHAPE=image_format.shape, FIT=image_format.fit, INTERPOLATION=image_format.interpolation
  )


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """Pictures of many kinds and shapes, none of them square but one."""
  folder, rng = tmp_path_factory.mktemp('pictures'), np.random.default_rng(0)
  colour = Image.fromarray(rng.integers(60, 256, (40, 70, 3), np.uint8))
  turned = Image.Exif()
  turned[0x0112] = 6
  colour.save(folder / 'turned.jpg', exif=turned)
  colour.convert('L').save(folder / 'grey.png')
  colour.convert('P').save(folder / 'palette.png')
  colour.convert('CMYK').save(folder / 'cmyk.jpg')
  colour.convert('1').save(folder / 'bits.bmp')
  colour.crop((0, 0, 40, 40)).save(folder / 'square.bmp')
  colour.resize((400, 2)).save(folder / 'thin.png')
  colour.resize((1700, 900)).save(folder / 'reduced.jpg')
  colour.putalpha(Image.fromarray(rng.integers(0, 256, (40, 70), np.uint8)))
  colour.save(folder / 'transparent.png')
  return sorted(folder.iterdir())


@pytest.mark.parametrize('fit', ['pad', 'crop', 'stretch'])
@pytest.mark.parametrize('channels', [1, 3])
def test_it_makes_the_run_s_picture_of_a_file(pictures, fit, channels):
  image_format = ImageFormat(SIZE, channels, fit=fit, interpolation='bicubic')
  program = runner_of(image_format)
  assert len(pictures) == 9
  for path in pictures:
    expected = decoding.decode(path, image_format)
    ours = np.asarray(program.picture(path), np.uint8).reshape(expected.shape)
    np.testing.assert_array_equal(ours, expected, path.name)


def test_what_it_does_not_read_it_refuses(tmp_path):
  deep = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
  deep.save(tmp_path / 'deep.png')
  with pytest.raises(ValueError, match=r'deep\.png: PNG of mode I;16; only 8-bit JPEG, PNG'):
    runner_of(ImageFormat(SIZE, 1)).picture(tmp_path / 'deep.png')


@pytest.mark.parametrize('fit', ['pad', 'crop', 'stretch'])
def test_timm_s_transform_of_it_is_the_network_s_input(pictures, fit):
  _, timm = oracle.torch_or_skip()
  config = Config(Data('', '', ('x', 'y'), SIZE, channels=3, fit=fit), Model('resnet18'))
  normalisation = Normalisation((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
  learn = learner.build(config, ImageFormat(SIZE, 3, fit=fit), normalisation)
  said = export_program.description(learn)['pretrained_cfg']
  transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=said))
  program = runner_of(learn.image_format)
  for path in pictures:
    pixels = decoding.decode(path, learn.image_format)
    expected = np.asarray(normalisation(pixels[None].astype(np.float32) / 255))[0]
    timms = transform(program.picture(path)).numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(timms, expected, atol=1e-5)


def test_it_says_what_timm_does_otherwise():
  config = Config(Data('', '', ('x',)), Model('resnet18'))
  (note,) = export_program.notes_on_timm(config, ImageFormat(SIZE, 1))
  assert 'the run padded with black' in note
  assert not export_program.notes_on_timm(config, ImageFormat(SIZE, 1, fit='crop'))
  config.model.name = 'resnet_tiny'
  (note,) = export_program.notes_on_timm(config, ImageFormat(SIZE, 1))
  assert 'timm has no network resnet_tiny' in note


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
def test_it_decides_for_one_class_as_the_run_did(head):
  labels = ('none', 'mild', 'moderate', 'severe')
  probabilities = np.random.default_rng(0).dirichlet(np.full(4, 0.7), size=200)
  decided = runner(HEAD=head, LABELS=labels).decide(probabilities)
  expected = [labels[index] for index in classes.decide(probabilities, head)]
  assert [row['decision'] for row in decided] == expected and len(set(expected)) == 4


def test_it_decides_at_the_frozen_thresholds(tmp_path):
  points = {
    'a': [{'threshold': 0.30000000000000004}, {'threshold': 0.9}],
    'b': [{'threshold': None}],
  }
  frozen = {'levels': {'image': {'operating_points': points}}}
  (tmp_path / 'frozen.json').write_text(json.dumps(frozen))
  program = runner(HEAD='sigmoid', LABELS=('a', 'b'), __file__=str(tmp_path / 'run.py'))
  probabilities = np.array([[0.3, 0.9], [0.29, 0.1]], np.float32)
  assert program.decide(probabilities) == [{'a': 1, 'b': None}, {'a': 0, 'b': None}]


@pytest.mark.parametrize(
  ('method', 'words'),
  [
    ('platt', 'note: probabilities are of patients of whom so many are positive: melanoma 0.021\n'),
    ('none', ''),
  ],
)
def test_it_says_of_which_prevalence_its_probabilities_are(pictures, tmp_path, method, words):
  path = pathlib.Path(export_program.__file__).with_name('export_run_template.py')
  (tmp_path / 'run.py').write_text(path.read_text('utf-8'), 'utf-8')
  level = {
    'calibration': {'method': method},
    'operating_points': {},
    'source_prevalence': {'melanoma': 0.021},
  }
  (tmp_path / 'frozen.json').write_text(json.dumps({'levels': {'image': level}}))
  said = subprocess.run(
    [sys.executable, 'run.py', str(pictures[0])], cwd=tmp_path, capture_output=True, text=True
  ).stdout
  assert said == words
