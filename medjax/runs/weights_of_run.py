"""Weights that another run trained: from its work directory, or from its export."""

import dataclasses
import pathlib

import numpy as np
from flax import traverse_util

from medjax.errors import InputError
from medjax.models.pretrained import fit, weights
from medjax.models.pretrained.weights import Weights
from medjax.runs import checkpoints, integrity, model_file, trained_network
from medjax.runs.layout import Layout
from medjax.runtime import files


def find(name: str) -> Weights:
  """Returns the weights that config.model.pretrained names; see medjax.config.Model.

  Raises:
    InputError: there are none, they are damaged, of a format that must be converted first, or of a
      run whose files are not those that it wrote.
  """
  path = pathlib.Path(name)
  if path.is_dir():
    return _of_run(path)
  weights_of_file = weights.find(name)
  run = _exported_from(path, weights_of_file.metadata.get('split_sha256'))
  if run is None:
    return weights_of_file
  origin = {
    **weights_of_file.origin,
    'step': int(weights_of_file.metadata['step']),
    'pretrained': model_file.read(Layout(run)).pretrained,
  }
  return dataclasses.replace(weights_of_file, origin=origin, run=run)


def _of_run(workdir: pathlib.Path) -> Weights:
  """Reads the best checkpoint of another run, its parameters named and laid out as torch would."""
  layout = Layout(workdir)
  if not layout.model.is_file():
    raise InputError(
      f'config.model.pretrained={workdir}: no work directory of a run (it has no model.json); of '
      f'other weights name {weights.file_in(workdir)}'
    )
  integrity.check(layout)
  started = model_file.read(layout)
  config = files.read_json(layout.config)
  model = config['model']
  variables, step = checkpoints.best_variables(layout)
  if layout.is_finished() and config['evaluation'].get('checkpoints', 1) == 1:
    expected = files.read_json(layout.frozen).get('weights_sha256')
    trained_network.check_weights(layout, trained_network.stacked([variables]), expected)
  leaves = traverse_util.flatten_dict(variables, sep='/')
  tensors = {
    fit.published_name(path.partition('/')[2], ()): fit.to_torch(np.asarray(leaf), path)
    for path, leaf in leaves.items()
  }
  return Weights(
    tensors,
    {'from': str(workdir.resolve()), 'step': step, 'pretrained': started.pretrained},
    image_size=started.image_format.size,
    mean=started.mean,
    std=started.std,
    interpolation=started.image_format.interpolation,
    architecture=model['name'],
    settings=model['settings'],
    run=workdir.resolve(),
    own_names=True,
  )


def _exported_from(path: pathlib.Path, split_sha256: str | None) -> pathlib.Path | None:
  """Returns the work directory whose export/ holds the file, if its run trained these weights."""
  layout = Layout(path.resolve().parent.parent)
  if not split_sha256 or not layout.split_proof.is_file():
    return None
  integrity.check(layout)
  recorded = files.read_json(layout.split_proof).get('split_sha256')
  return layout.workdir if recorded == split_sha256 else None
