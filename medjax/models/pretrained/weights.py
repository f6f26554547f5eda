"""Finds pretrained weights and what belongs to them: on the hub or in a file.

Only safetensors are read: unpickling a file runs whatever code its author put there.
"""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401  Teaches numpy bfloat16, which safetensors asks it for.
import numpy as np
from safetensors import SafetensorError, safe_open

from medjax.errors import InputError
from medjax.models.pretrained import file_kinds, hub
from medjax.runtime import files

_HUB_NAME = re.compile(r'(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?')
# Of files that are not there; no name of the hub ends so.
_ENDINGS = {'.safetensors', '.pth', '.pt', '.th', '.bin', '.pkl', '.ckpt', '.tar'}
_INTERPOLATIONS = ('nearest', 'bilinear', 'bicubic', 'lanczos')


@dataclasses.dataclass(frozen=True)
class Weights:
  """Weights and what they need.

  Attributes:
    tensors: by their published names, in torch's layouts.
    origin: where they come from, JSON: 'from', and 'revision', 'sha256', 'step' where there are
      any.
    image_size: pixels they were made with, or 0 where that is not known.
    mean: of the channels they expect, in [0, 1]; () where not known.
    std: likewise.
    interpolation: that their images were resized with; '' where not known.
    architecture: the network's name; '' where not known.
    settings: of the network, where they come from a run.
    run: the work directory of the run that trained them; None where there is none, or not here.
    own_names: whether they are named as medjax names parameters.
    metadata: what the file says of itself.
  """

  tensors: Mapping[str, np.ndarray]
  origin: dict[str, Any]
  image_size: int = 0
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  interpolation: str = ''
  architecture: str = ''
  settings: dict[str, Any] | None = None
  run: pathlib.Path | None = None
  own_names: bool = False
  metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


def find(name: str, setting: str = 'config.model.pretrained') -> Weights:
  """Returns the weights of a .safetensors file, or of a name of the hub.

  medjax.runs.weights_of_run finds those of a run too.

  Args:
    name: a path, or 'timm/densenet121.tv_in1k', with '@revision' of a state of them.
    setting: what the caller calls the name, for messages.

  Raises:
    InputError: there are none, they are damaged, or of a format that must be converted first.
  """
  path = pathlib.Path(name)
  if path.is_file():
    return _of_file(path, path.parent / 'config.json', {'from': str(path.resolve())}, setting)
  if path.is_dir():
    raise InputError(f'{setting}={path}: is a folder; name {file_in(path)}')
  match = _HUB_NAME.fullmatch(name)
  if match and not _ENDINGS & set(path.suffixes):
    description, fetched = hub.fetch(
      match['repository'], match['revision'], f"{setting}='{name}'", setting
    )
    # The cache keeps every file under the commit that it belongs to.
    origin = {'from': match['repository'], 'revision': fetched.parent.name}
    return _of_file(fetched, description, origin, setting)
  raise InputError(
    f"{setting}='{name}': no such file or work directory, and no name of the hub, such as "
    'timm/densenet121.tv_in1k'
  )


def file_in(folder: pathlib.Path) -> str:
  """Returns what to name in place of a folder, in words."""
  file = folder / hub.FILES[1]
  return str(file) if file.is_file() else 'a .safetensors file in it'


def _of_file(
  path: pathlib.Path, description: pathlib.Path, origin: dict[str, Any], setting: str
) -> Weights:
  """Reads a safetensors file and, next to it, the description that timm publishes with weights."""
  try:
    if instead := file_kinds.what_instead(path):
      raise InputError(f'{setting}={path}: {instead}')
    with safe_open(path, 'np') as tensor_file:
      tensors, unknown = _tensors(tensor_file)
      metadata = tensor_file.metadata() or {}
    with path.open('rb') as file:
      sha256 = hashlib.file_digest(file, 'sha256').hexdigest()
  except OSError as error:
    raise InputError(f'{setting}={path}: cannot be read ({error.strerror or error})') from None
  except SafetensorError as error:
    raise InputError(
      f'{setting}={path}: cannot be read as safetensors ({" ".join(str(error).split())}); fetch it '
      'again'
    ) from None
  if unknown:
    raise InputError(
      f'{setting}={path}: {len(unknown):,} of its {len(tensors) + len(unknown):,} tensors are of '
      f'numbers that are nothing without a scale: {next(iter(unknown))} is '
      f'{next(iter(unknown.values()))}; save the weights as float32 where they were quantised'
    )
  return Weights(
    tensors,
    origin | {'sha256': sha256},
    **_described(description),
    own_names=metadata.get('names') == 'medjax',
    metadata=metadata,
  )


def _tensors(tensor_file: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Returns the tensors by name, and the dtype of each that numpy has no numbers for: float8."""
  tensors, unknown = {}, {}
  for name in tensor_file.keys():  # noqa: SIM118
    try:
      tensors[name] = tensor_file.get_tensor(name)
    except (AttributeError, TypeError):
      unknown[name] = tensor_file.get_slice(name).get_dtype()
  return tensors, unknown


def _described(path: pathlib.Path) -> dict[str, Any]:
  if not path.is_file():
    return {}
  try:
    description = files.parsed(path.read_text())
    values, settings = description.get('pretrained_cfg', {}), description.get('settings')
    mean, std = (tuple(map(float, values.get(name, ()))) for name in ('mean', 'std'))
    interpolation = str(values.get('interpolation', ''))
    described = {
      'architecture': str(description.get('architecture', '')),
      'settings': None if settings is None else dict(settings),
      'image_size': int(values.get('input_size', (0, 0, 0))[-1]),
      'mean': mean,
      'std': std,
      'interpolation': interpolation,
    }
  except (ValueError, TypeError, AttributeError, IndexError) as error:
    raise InputError(
      f"{path}: not the description of weights that timm's format holds ({error})"
    ) from None
  if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
    raise InputError(f'{path}: mean and std must be those of pixels in [0, 1]')
  if interpolation not in ('', *_INTERPOLATIONS):
    raise InputError(f"{path}: unknown interpolation '{interpolation}'")
  return described
