"""Compares a network with its published implementation in torch, weights carried by safetensors."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from medjax.models.pretrained import fit


def torch_or_skip():
  """Returns (torch, timm), or skips the test; networks made afterwards have the same weights."""
  if importlib.util.find_spec('timm') is None:
    pytest.skip("the oracles of the extra 'parity' are not installed")
  import timm
  import torch

  torch.manual_seed(0)
  return torch, timm


def first_slow_rest_deep(names, first=()):
  """Returns a family's names as parameters: `first`, by default one, stand for the others."""
  first = first or list(names)[:1]
  marks = {True: pytest.mark.slow, False: pytest.mark.deep}
  return [pytest.param(name, marks=marks[name in first]) for name in names]


def shapes(model, image_size, channels=3):
  """Returns the shapes of a network's variables, computing nothing."""
  images = jax.ShapeDtypeStruct((1, image_size, image_size, channels), jnp.float32)
  return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)


def randomise(torch, module, images):
  """Gives every parameter and statistic of a torch module a value that hides no mistake.

  Scales, biases and tokens of 1 and 0 hide a swap; running statistics must fit the activations, or
  deep networks overflow. Convolutions are orthogonal: as the libraries initialise them, untrained
  networks of a hundred layers amplify rounding, in torch as here.
  """
  norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for layer in module.modules():
      if isinstance(layer, torch.nn.Conv2d):
        torch.nn.init.orthogonal_(layer.weight, generator=generator)
    for name, parameter in module.named_parameters():
      if parameter.ndim == 1 and 'bias' in name:
        parameter.uniform_(-0.2, 0.2, generator=generator)
      elif parameter.ndim == 1 or 'layer_scale' in name:
        # What starts at zero ends a residual branch. A hundred branches as strong as their
        # shortcuts are chaotic: torch's own float32 then differs by 1e-4 from its float64.
        low, high = (0.5, 1.5) if parameter.any() else (0.1, 0.3)
        parameter.uniform_(low, high, generator=generator)
      elif 'token' in name or 'pos_embed' in name:
        parameter.normal_(std=0.5, generator=generator)
    for norm in norms:
      norm.momentum = 1.0
    module.train()
    module(images)
    for norm in norms:
      norm.momentum = 0.1
      shift = torch.randn(norm.running_mean.shape, generator=generator)
      norm.running_mean.add_(0.1 * norm.running_var.sqrt() * shift)
  module.eval()


def check_initialisation(model, torchs, image_size, otherwise=()):
  """Asserts that fresh parameters have the means and deviations of a fresh torch module's.

  Args:
    model: of ours, with as many labels as theirs.
    theirs: the torch module, as its library initialises it.
    image_size: pixels.
    otherwise: modules of theirs that start otherwise, on purpose.
  """
  make = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))
  params = make(jnp.zeros((1, image_size, image_size, 3)))['params']
  tensors = {name: tensor.numpy() for name, tensor in torchs.state_dict().items()}
  rules = _scheme(model, {'params': params}, tensors)
  wrong, compared = [], 0
  for path, leaf in traverse_util.flatten_dict(dict(params), sep='/').items():
    name = fit.published_name(path, rules)
    if name.rpartition('.')[0] in otherwise:
      continue
    ours, wanted = np.asarray(leaf, np.float64), tensors[name].astype(np.float64)
    spread = wanted.std()
    # Of two samples of n each.
    apart = abs(ours.mean() - wanted.mean()) > 6 * spread * (2 / wanted.size) ** 0.5 + 1e-6
    other = abs(ours.std() - spread) > 6 * spread / wanted.size**0.5 + 1e-6
    compared += 1
    if apart or other:
      wrong.append(
        f'{name}: {ours.mean():.3g} ± {ours.std():.3g}, not {wanted.mean():.3g} ± {spread:.3g}'
      )
  assert compared and not wrong, wrong


def check(model, torchs, image_size, tmp_path, batch=2):
  """Asserts equal parameter counts, logits, and statistics after one step in training mode.

  Args:
    model: of ours, with as many labels as theirs.
    theirs: the torch module, without dropout.
    image_size: pixels; small keeps the test fast.
    tmp_path: for the safetensors file.
    batch: images.
  """
  torch, _ = torch_or_skip()
  from safetensors.numpy import load_file
  from safetensors.torch import save_file

  pixels = np.random.default_rng(0).normal(size=(batch, image_size, image_size, 3))
  images = torch.tensor(pixels.transpose(0, 3, 1, 2).astype(np.float32))
  randomise(torch, torchs, images)
  save_file({key: value.contiguous() for key, value in torchs.state_dict().items()}, tmp_path / 'w')
  with torch.no_grad():
    expected = torchs(images).numpy()

  like = shapes(model, image_size)
  fitted = fit.fit(like, load_file(tmp_path / 'w'), model.names, 'the oracle', head=True)
  assert fitted.new == []
  ours = sum(leaf.size for leaf in jax.tree.leaves(fitted.variables['params']))
  assert ours == sum(parameter.numel() for parameter in torchs.parameters())
  run = jax.jit(model.apply, static_argnames=('train', 'mutable'))
  logits = run(fitted.variables, jnp.asarray(pixels, jnp.float32), train=False)
  error = np.abs(logits - expected).max() / np.abs(expected).max()
  assert error <= 1e-4, f'logits differ by {error:.1e} of their maximum'
  if 'batch_stats' in like:
    _check_statistics(torch, run, model, torchs, fitted.variables, pixels, images)


def _check_statistics(torch, run, model, torchs, variables, pixels, images):
  counts = {}

  def note(name):
    return lambda module, inputs, output: counts.update(
      {name: inputs[0].numel() // output.shape[1]}
    )

  for name, module in torchs.named_modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      module.register_forward_hook(note(name))
  torchs.train()
  with torch.no_grad():
    torchs(images)
  after = {key: value.numpy() for key, value in torchs.state_dict().items()}
  _, updated = run(
    variables,
    jnp.asarray(pixels, jnp.float32),
    train=True,
    mutable=('batch_stats', 'auxiliary'),
    rngs={'dropout': jax.random.key(0)},
  )
  rules = _scheme(model, variables, after)
  for path, ours in traverse_util.flatten_dict(updated['batch_stats'], sep='/').items():
    name = fit.published_name(path, rules)
    module, _, kind = name.rpartition('.')
    ours, wanted = np.asarray(ours, np.float64), after[name].astype(np.float64)
    if kind == 'running_var':
      # torch keeps the unbiased variance of a batch, flax the biased one.
      old = np.asarray(traverse_util.flatten_dict(variables['batch_stats'], sep='/')[path])
      momentum = torchs.get_submodule(module).momentum
      kept = (1 - momentum) * old
      ours = kept + (ours - kept) * counts[module] / (counts[module] - 1)
    scale = np.abs(wanted).max()
    assert np.abs(ours - wanted).max() <= 1e-3 * scale, f'{name} after a step in training mode'


def _scheme(model, variables, tensors):
  paths = traverse_util.flatten_dict(variables['params'], sep='/')
  return max(
    model.names.values(),
    key=lambda rules: sum(fit.published_name(path, rules) in tensors for path in paths),
  )
