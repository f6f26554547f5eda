"""Whether pre-training on generated films helps where few films are labelled.

  python benchmarks/transfer.py --output=runs/transfer --nih=data/nih

A small ResNet learns from generated films. Then a few patients train it: 80 of other generated
films and, with --nih, 15 % of those in a folder of ChestX-ray14, which should therefore be small.
For each seed the same patients train, choose the checkpoint (more of them than train) and test,
whether the network starts from scratch, is fine-tuned as a whole, or in its head alone.

Generated films are all exposed alike, real ones are not: what a network learns from them unchanged
hardly holds for real ones. `exposures` therefore varies exposure and framing by more than
augment='chest' does: domain randomisation (Tobin et al. 2017, arXiv 1703.06907).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import jax
import jax.numpy as jnp

from medjax.augment import policies

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PRETRAINING = (
  '--config.data.settings.images=16000',
  '--config.data.settings.seed=100',
  '--config.augment=benchmarks.transfer:exposures',
  '--config.data.labels=Lung Opacity,Lung Lesion,Pneumonia,Edema',
  '--config.steps=4000',
)
FEW = (
  '--config.steps=300',
  '--config.evaluate_every=30',
  '--config.optimizer.warmup_steps=30',
  '--config.optimizer.ema=0.97',
  '--config.replicates=0',
)
# A config, and the settings that leave few patients for training.
PHANTOM = 'configs/phantom.py', ('--config.split.test=0.5', '--config.split.validation=0.42')
NIH = (
  'configs/chestxray14.py:resnet_tiny',
  (
    '--config.split.test=0.45',
    '--config.split.validation=0.4',
    '--config.data.image_size=64',
    '--config.data.workers=0',
    '--config.precision=float32',
    '--config.batch_size=32',
  ),
)
# Chosen on validation patients of seeds 100 and 101: from 1e-3 and 3e-3, for heads from 3e-3, 1e-2
# and 3e-2.
ARMS = {
  'scratch': ('--config.optimizer.learning_rate=3e-3',),
  'fine-tuned': ('--config.optimizer.learning_rate=3e-3',),
  'head': ('--config.optimizer.learning_rate=3e-2', '--config.model.finetune=head'),
}


def exposures(key: jax.Array, images: jax.Array) -> jax.Array:
  """Images f32[B, H, W, C] in [0, 1] as other devices and technicians might have taken them."""
  chest, frame, gamma, contrast, brightness, blur = jax.random.split(key, 6)

  def uniform(key: jax.Array, low: float, high: float) -> jax.Array:
    return jax.random.uniform(key, (len(images), 1, 1, 1), minval=low, maxval=high)

  images = jax.vmap(_framed)(jax.random.split(frame, len(images)), policies.chest(chest, images))
  images = jnp.clip(images, 1e-3, 1.0) ** jnp.exp(uniform(gamma, -0.9, 0.9))
  images = 0.5 + (images - 0.5) * jnp.exp(uniform(contrast, -0.9, 0.1))
  images += uniform(brightness, -0.25, 0.25)
  images += uniform(blur, 0.0, 1.0) * (_blurred(images) - images)
  return jnp.clip(images, 0.0, 1.0)


def _framed(key: jax.Array, image: jax.Array) -> jax.Array:
  zoom, aspect, shift = jax.random.split(key, 3)
  size = jnp.array(image.shape[:2])
  scale = jax.random.uniform(zoom, minval=0.75, maxval=1.35)
  scale *= jax.random.uniform(aspect, (2,), minval=0.9, maxval=1.1)
  shift = jax.random.uniform(shift, (2,), minval=-0.1, maxval=0.1)
  translation = size * ((1 - scale) / 2 + shift)
  return jax.image.scale_and_translate(image, image.shape, (0, 1), scale, translation, 'linear')


def _blurred(images: jax.Array) -> jax.Array:
  for axis in (1, 2):
    images = (jnp.roll(images, 1, axis) + 2 * images + jnp.roll(images, -1, axis)) / 4
  return images


def run(workdir: pathlib.Path, config: str, *settings: str) -> float:
  """Trains one network, or resumes it, and returns the test set's mean AUROC."""
  command = (sys.executable, '-m', 'medjax.main', f'--config={config}', f'--workdir={workdir}')
  print(f'training {workdir.name}', file=sys.stderr)
  finished = subprocess.run([*command, *settings], cwd=PROJECT, capture_output=True, text=True)
  if finished.returncode:
    sys.exit(finished.stderr)
  return json.loads((workdir / 'evaluation' / 'test.json').read_text())['mean']['auroc']['value']


def compare(
  name: str, config: str, settings: tuple[str, ...], output: pathlib.Path, seeds: int
) -> None:
  """Prints every arm's mean AUROC for every seed, and their means."""
  print(f'\n{name:18}{"".join(f"{arm:>12}" for arm in ARMS)}')
  rows = []
  for seed in range(seeds):
    rows.append([])
    for arm, changes in ARMS.items():
      source = () if arm == 'scratch' else (f'--config.model.pretrained={output / "pretrained"}',)
      workdir = output / f'{name} {arm} {seed}'.replace(' ', '_')
      seeding = f'--config.seed={seed}', f'--config.split.seed={seed}'
      rows[-1].append(run(workdir, config, *FEW, *settings, *changes, *seeding, *source))
    print(f'{f"seed {seed}":18}{"".join(f"{value:12.3f}" for value in rows[-1])}', flush=True)
  print(f'{"mean":18}{"".join(f"{statistics.mean(arm):12.3f}" for arm in zip(*rows))}')


def main() -> None:
  """Prints a table for generated films, and one for ChestX-ray14's."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--output', required=True, type=lambda path: pathlib.Path(path).resolve())
  parser.add_argument('--nih', help='the folder of ChestX-ray14', type=pathlib.Path)
  parser.add_argument('--seeds', type=int, default=3)
  args = parser.parse_args()
  if args.nih and not args.nih.is_dir():
    parser.error(f'--nih={args.nih}: no such folder')
  if args.seeds < 1:
    parser.error(f'--seeds={args.seeds}: must be 1 or more')
  generated = f'--config.data.root={args.output / "generated"}'
  run(args.output / 'pretrained', PHANTOM[0], generated, *PRETRAINING)
  config, settings = PHANTOM
  few = f'--config.data.root={args.output / "few"}'
  compare('generated films', config, (*settings, few), args.output, args.seeds)
  if args.nih:
    config, settings = NIH
    compare(
      'ChestX-ray14',
      config,
      (*settings, f'--config.data.root={args.nih.resolve()}'),
      args.output,
      args.seeds,
    )


if __name__ == '__main__':
  try:
    main()
  except KeyboardInterrupt:
    sys.exit(130)
