"""A file of weights as they are published, for a tiny network."""

import numpy as np
import oracle
from flax import traverse_util
from safetensors.numpy import save_file

from medjax import models
from medjax.models.pretrained import fit

NETWORK = models.resnet_tiny(num_labels=2, width=4)
DESCRIPTION = {
  'pretrained_cfg': {
    'input_size': [3, 224, 224],
    'mean': [0.485, 0.456, 0.406],
    'std': [0.229, 0.224, 0.225],
    'interpolation': 'bicubic',
  }
}


def random_tensors(network, channels=3, labels=1000):
  """A published file for a network: torch's names and layouts, a head for other labels."""
  like = oracle.shapes(network.clone(num_labels=labels), 64, channels)
  rng = np.random.default_rng(0)
  tensors = {}
  for path, leaf in traverse_util.flatten_dict(dict(like), sep='/').items():
    name = fit.published_name(path.partition('/')[2], network.names['timm'])
    values = rng.normal(size=leaf.shape).astype(np.float32)
    values = np.abs(values) if path.endswith('/var') else values
    tensors[name] = np.ascontiguousarray(fit.to_torch(values, path))
  tensors['bn1.num_batches_tracked'] = np.array(7)
  return tensors


def write(folder):
  """Writes a complete safetensors file; returns its path."""
  save_file(random_tensors(NETWORK), folder / 'model.safetensors')
  return folder / 'model.safetensors'
