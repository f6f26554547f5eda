"""Finds pretrained weights and what belongs to them: on the hub or in a file.

Only safetensors are read: unpickling a file runs whatever code its author put there.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401  Teaches numpy bfloat16, which safetensors asks it for.
import numpy as np
from safetensors import SafetensorError, safe_open

from medjax.errors import InputError
from medjax.runtime import progress

_HUB_NAME = re.compile(r'(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?')
_PICKLES = {'.pth', '.pt', '.bin', '.pkl', '.ckpt', '.tar'}
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
  if path.suffix == '.safetensors' and path.is_file():
    return _of_file(path, path.parent / 'config.json', {'from': str(path.resolve())}, setting)
  if path.is_file() and _PICKLES & set(path.suffixes):
    raise InputError(f'{setting}={path}: {_convert_first(path)}')
  if path.is_file():
    raise InputError(f'{setting}={path}: no .safetensors file')
  if path.is_dir():
    raise InputError(f'{setting}={path}: is a folder; name a .safetensors file in it')
  match = _HUB_NAME.fullmatch(name)
  if match and not (_PICKLES | {'.safetensors'}) & set(path.suffixes):
    return _of_hub(match['repository'], match['revision'], f"{setting}='{name}'", setting)
  raise InputError(
    f"{setting}='{name}': no such file or work directory, and no name of the hub, such as "
    'timm/densenet121.tv_in1k'
  )


def _convert_first(path: pathlib.Path) -> str:
  converted = path.with_suffix('.safetensors')
  convert = (
    'import torch, safetensors.torch as s; '
    f"d = torch.load({str(path)!r}, map_location='cpu', weights_only=True); "
    "d = next((d[k] for k in ('state_dict', 'model_state_dict', 'model') if k in d), d); "
    't = {k: v.clone(memory_format=torch.contiguous_format) for k, v in d.items() '
    'if torch.is_tensor(v)}; '
    "assert t, 'no tensors in it, but ' + ', '.join(map(str, d)); "
    f's.save_file(t, {str(converted)!r})'
  )
  return (
    'a pickle can run any code, so it is not read; where torch and safetensors are installed, '
    'convert it once (of a whole network that was pickled, save its state_dict() first, with its '
    f'own code): python -c {shlex.quote(convert)}'
  )


def _of_hub(repository: str, revision: str | None, where: str, setting: str) -> Weights:
  import huggingface_hub
  from huggingface_hub import errors

  # A hub that does not answer is waited for, a minute and more.
  progress.say(f'{where}: asking the hub; what it sends is kept in {_cache()}')
  try:
    description, weights = (
      pathlib.Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
      for file in ('config.json', 'model.safetensors')
    )
  except errors.LocalEntryNotFoundError:
    raise InputError(
      f'{where}: no such file or folder here, not in the cache of the hub ({_cache()}), and the '
      'hub cannot be asked (no connection, or HF_HUB_OFFLINE is set)'
    ) from None
  except (errors.HfHubHTTPError, errors.HFValidationError) as error:
    raise InputError(
      f'{where}: the hub has no such weights ({_reason(error)}); names look like '
      'timm/densenet121.tv_in1k, and there is no such file'
    ) from None
  # The hub's client has no error of its own for what its connections raise: HTTPError is the base
  # of those; a proxy's malformed address is a ValueError, a full disk an OSError.
  except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
    raise InputError(
      f'{where}: the download broke off ({_reason(error)}); where connection, proxy and disk space '
      'are as they should be, start again'
    ) from None
  # The cache keeps every file under the commit that it belongs to.
  origin = {'from': repository, 'revision': weights.parent.name}
  return _of_file(weights, description, origin, setting)


def _reason(error: Exception) -> str:
  line = next((line for line in str(error).splitlines() if line.strip()), '')
  return f'{type(error).__name__}: {line[:200]}'


def _cache() -> str:
  from huggingface_hub import constants

  return constants.HF_HUB_CACHE


def _of_file(
  path: pathlib.Path, description: pathlib.Path, origin: dict[str, Any], setting: str
) -> Weights:
  """Reads a safetensors file and, next to it, the description that timm publishes with weights."""
  try:
    with safe_open(path, 'np') as tensor_file:
      tensors = {name: tensor_file.get_tensor(name) for name in tensor_file.keys()}  # noqa: SIM118
      metadata = tensor_file.metadata() or {}
    with path.open('rb') as file:
      sha256 = hashlib.file_digest(file, 'sha256').hexdigest()
  except FileNotFoundError:
    raise InputError(f'{setting}: {path}: no such file') from None
  except (SafetensorError, OSError, TypeError) as error:
    raise InputError(
      f'{setting}: {path}: cannot be read as safetensors ({" ".join(str(error).split())}); it may '
      'be cut off: fetch it again'
    ) from None
  return Weights(
    tensors,
    origin | {'sha256': sha256},
    **_described(description),
    own_names=metadata.get('names') == 'medjax',
    metadata=metadata,
  )


def _described(path: pathlib.Path) -> dict[str, Any]:
  if not path.is_file():
    return {}
  try:
    description = json.loads(path.read_text())
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
