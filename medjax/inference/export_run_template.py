"""Runs the network that lies beside this file, as model.stablehlo or model.onnx.

  python run.py film1.png film2.png    their probabilities and decisions; needs numpy, Pillow, and
                                       jax for model.stablehlo, onnxruntime for model.onnx

  from run import decide, load, picture
  probabilities = load()(images)       # uint8[batch, height, width, channels] → f32[batch, labels]
  decide(probabilities)                # at the thresholds of frozen.json

These two need no Pillow. `picture` makes the images of 8-bit JPEG, PNG and BMP files, as
IMAGES, below, says; anything else is for the reader to convert so. All that comes after is part of
the program.
"""

import dataclasses
import json
import pathlib
import sys

import numpy as np

IMAGES = ''
IMAGE_SHAPE = (1, 1, 1)
FIT = ''
INTERPOLATION = ''
LABELS = ('',)
HEAD = ''
PLATFORMS = ('cpu',)
CALLING_CONVENTION = 0


def load(program=None):
  """Returns a function uint8[batch, *IMAGE_SHAPE] → probabilities f32[batch, len(LABELS)].

  `program` is the name of the file beside this one, model.stablehlo or model.onnx; by default the
  first of them that is there.
  """
  folder = pathlib.Path(__file__).parent
  if program is None:
    program = next(name for name in LOADERS if (folder / name).is_file())
  return LOADERS[program](folder / program)


def _by_jax(path):
  import jax
  import jax.numpy as jnp
  from jax import export

  (batch,) = export.symbolic_shape('batch')
  images = jax.ShapeDtypeStruct((batch, *IMAGE_SHAPE), jnp.uint8)
  # jax reads its own format of exported programs only with a further package. A program of the same
  # signature, its body exchanged, needs none.
  same_signature = jax.jit(lambda images: jnp.zeros((images.shape[0], len(LABELS)), jnp.float32))
  exported = dataclasses.replace(
    export.export(same_signature, platforms=PLATFORMS)(images),
    mlir_module_serialized=path.read_bytes(),
    calling_convention_version=CALLING_CONVENTION,
    module_kept_var_idx=(0,),
  )
  return jax.jit(exported.call)


def _by_onnx_runtime(path):
  import onnxruntime

  here = onnxruntime.get_available_providers()
  wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
  session = onnxruntime.InferenceSession(path, providers=[name for name in wanted if name in here])
  return lambda images: session.run(None, {session.get_inputs()[0].name: np.asarray(images)})[0]


LOADERS = {'model.stablehlo': _by_jax, 'model.onnx': _by_onnx_runtime}


def picture(path):
  """Returns an 8-bit JPEG, PNG or BMP as the network takes it, a Pillow image.

  Of timm's transforms only the normalisation is then left to do.
  """
  from PIL import Image, ImageOps

  height, width, channels = IMAGE_SHAPE
  size, mode = (width, height), 'L' if channels == 1 else 'RGB'
  resampling = Image.Resampling[INTERPOLATION.upper()]
  with Image.open(path) as opened:
    if opened.format not in ('JPEG', 'MPO', 'PNG', 'BMP') or opened.mode.startswith(('I', 'F')):
      raise ValueError(
        f'{path}: {opened.format} of mode {opened.mode}; only 8-bit JPEG, PNG and BMP are read. '
        f'Convert it, or use medjax.predict. The network takes {IMAGES}'
      )
    opened.draft(mode, (2 * width, 2 * height))
    image: Image.Image = ImageOps.exif_transpose(opened)
    if image.has_transparency_data:
      image = image.convert('RGBA')
      image = Image.alpha_composite(Image.new('RGBA', image.size, 'black'), image)
    image = (image if image.mode in ('1', 'L', 'P') else image.convert('RGB')).convert(mode)
  if image.size == size:
    return image
  if FIT == 'stretch':
    return image.resize(size, resampling)
  if FIT == 'crop':
    return ImageOps.fit(image, size, resampling)
  # A strip so thin that it would vanish keeps a line of one pixel.
  short, long = sorted(image.size)
  if round(width * short / long) == 0:
    image = image.resize((width, 1) if image.width > image.height else (1, height), resampling)
  return ImageOps.pad(image, size, resampling)


def frozen():
  """Returns what validation chose for single images, of frozen.json: calibration and thresholds."""
  text = pathlib.Path(__file__).with_name('frozen.json').read_text('utf-8')
  return json.loads(text)['levels']['image']


def decide(probabilities):
  """Decides as validation chose: f[batch, len(LABELS)] → a dict for each image.

  Of labels that are questions of their own: label → 1, 0, or None where it has no threshold. Of
  exclusive classes and grades: 'decision' → the name of the one decided for.
  """
  probabilities = np.asarray(probabilities)
  if HEAD == 'softmax':
    return [{'decision': LABELS[index]} for index in probabilities.argmax(axis=1)]
  if HEAD == 'ordinal':  # The median of the grades.
    at_least = np.cumsum(probabilities[:, :0:-1], axis=1)
    return [{'decision': LABELS[index]} for index in (at_least >= 0.5).sum(axis=1)]
  points = frozen()['operating_points']
  thresholds = [points[label][0]['threshold'] for label in LABELS]
  return [
    {
      label: None if threshold is None else int(value >= np.float32(threshold))
      for label, threshold, value in zip(LABELS, thresholds, row)
    }
    for row in probabilities.astype(np.float32)
  ]


if __name__ == '__main__':
  if not sys.argv[1:]:
    sys.exit(f'usage: python run.py PICTURE …\nThe network takes {IMAGES}.')
  prevalence = frozen().get('source_prevalence')
  if prevalence and frozen()['calibration']['method'] != 'none':  # A floor enriched the test set.
    shares = ', '.join(f'{label} {share:.3g}' for label, share in prevalence.items())
    print(f'note: probabilities are of patients of whom so many are positive: {shares}')
  program = load()
  for name in sys.argv[1:]:
    try:
      pixels = np.asarray(picture(name), np.uint8).reshape(1, *IMAGE_SHAPE)
    except (OSError, ValueError) as error:
      sys.exit(f'error: {error}')
    row = np.asarray(program(pixels))
    decided = decide(row)[0]
    print(name)
    for label, probability in zip(LABELS, row[0]):
      answer = {1: 'positive', 0: 'negative', None: 'no threshold'}.get(decided.get(label))
      print(f'  {label}: {probability:.4f}' + (f' {answer}' if HEAD == 'sigmoid' else ''))
    if HEAD != 'sigmoid':
      print(f'  decision: {decided["decision"]}')
