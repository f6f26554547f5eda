"""Finds pretrained weights and what belongs to them: on the hub or in a file.

Only safetensors are read: unpickling a file runs whatever code its author put there.
"""

import hashlib
import json
import pathlib
import re
import shlex
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  Teaches numpy bfloat16, which safetensors asks it for.
import numpy as np
from safetensors import SafetensorError, safe_open

from medjax.errors import InputError
from medjax.models.pretrained import fit
from medjax.models.published import NETWORKS
from medjax.runtime import progress

_HUB_NAME = re.compile(r'(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?')
_PICKLES = {'.pth', '.pt', '.bin', '.pkl', '.ckpt', '.tar'}
# Settings that change nothing that evaluation computes; fitting accounts for auxiliary parameters.
_OF_TRAINING = ('dropout', 'stochastic_depth', 'auxiliary', 'momentum')
_INTERPOLATIONS = ('nearest', 'bilinear', 'bicubic', 'lanczos')


class Weights(NamedTuple):
  """Weights and what they need.

  Attributes:
    tensors: by their published names, in torch's layouts.
    origin: where they come from, JSON: 'from', and 'revision', 'sha256', 'step' where there are any.
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
  metadata: Mapping[str, str] = types.MappingProxyType({})


def find(name: str) -> Weights:
  """Returns the weights of a .safetensors file, or of a name of the hub.

  medjax.runs.weights_of_run finds those of a run too.

  Raises:
    InputError: there are none, they are damaged, or of a format that must be converted first.
  """
  path = pathlib.Path(name)
  if path.suffix == '.safetensors' and path.is_file():
    return _of_file(path, path.parent / 'config.json', {'from': str(path.resolve())})
  if path.is_file() and _PICKLES & set(path.suffixes):
    raise InputError(_convert_first(path))
  if path.is_file():
    raise InputError(f'config.model.pretrained={path}: no .safetensors file')
  if _HUB_NAME.fullmatch(name) and not (_PICKLES | {'.safetensors'}) & set(path.suffixes):
    return _of_hub(name)
  raise InputError(
    f"config.model.pretrained='{name}': no such file or work directory, and no name of the hub, such as "
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
    f'config.model.pretrained={path}: a pickle can run any code, so it is not read; where torch and '
    'safetensors are installed, convert it once (of a whole network that was pickled, save its '
    f'state_dict() first, with its own code): python -c {shlex.quote(convert)}'
  )


def _of_hub(name: str) -> Weights:
  import huggingface_hub
  from huggingface_hub import errors

  match = _HUB_NAME.fullmatch(name)
  repository, revision = match['repository'], match['revision']
  # A hub that does not answer is waited for, a minute and more.
  progress.say(
    f"config.model.pretrained='{name}': asking the hub; what it sends is kept in {_cache()}"
  )
  try:
    files = [
      pathlib.Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
      for file in ('config.json', 'model.safetensors')
    ]
  except errors.LocalEntryNotFoundError:
    raise InputError(
      f"config.model.pretrained='{name}': no such file or folder here, not in the cache of the hub "
      f'({_cache()}), and the hub cannot be asked (no connection, or HF_HUB_OFFLINE is set)'
    ) from None
  except (errors.HfHubHTTPError, errors.HFValidationError) as error:
    raise InputError(
      f"config.model.pretrained='{name}': the hub has no such weights ({_reason(error)}); names look "
      'like timm/densenet121.tv_in1k, and there is no such file'
    ) from None
  # The hub's client has no error of its own for what its connections raise: HTTPError is the base of
  # those; a proxy's malformed address is a ValueError, a full disk an OSError.
  except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
    raise InputError(
      f"config.model.pretrained='{name}': the download broke off ({_reason(error)}); where connection, "
      'proxy and disk space are as they should be, start again'
    ) from None
  # The cache keeps every file under the commit that it belongs to.
  return _of_file(files[1], files[0], {'from': repository, 'revision': files[1].parent.name})


def _reason(error: Exception) -> str:
  line = next((line for line in str(error).splitlines() if line.strip()), '')
  return f'{type(error).__name__}: {line[:200]}'


def _cache() -> str:
  from huggingface_hub import constants

  return constants.HF_HUB_CACHE


def _of_file(path: pathlib.Path, description: pathlib.Path, origin: dict[str, Any]) -> Weights:
  """Reads a safetensors file and, beside it, the description that timm publishes with its weights."""
  try:
    with safe_open(path, 'np') as file:
      tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
      metadata = file.metadata() or {}
    with path.open('rb') as file:
      sha256 = hashlib.file_digest(file, 'sha256').hexdigest()
  except FileNotFoundError:
    raise InputError(f'config.model.pretrained: {path}: no such file') from None
  except (SafetensorError, OSError, TypeError) as error:
    raise InputError(
      f'config.model.pretrained: {path}: cannot be read as safetensors ({" ".join(str(error).split())}); '
      'it may be cut off: fetch it again'
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
    whole = json.loads(path.read_text())
    values = whole.get('pretrained_cfg', {})
    described = {
      'architecture': str(whole.get('architecture', '')),
      'settings': None if whole.get('settings') is None else dict(whole['settings']),
      'image_size': int(values.get('input_size', (0, 0, 0))[-1]),
      'mean': tuple(map(float, values.get('mean', ()))),
      'std': tuple(map(float, values.get('std', ()))),
      'interpolation': str(values.get('interpolation', '')),
    }
  except (ValueError, TypeError, AttributeError, IndexError) as error:
    raise InputError(
      f"{path}: not the description of weights that timm's format holds ({error})"
    ) from None
  fits = all(0 <= each <= 1 for each in described['mean'])
  if not (fits and all(0 < each <= 1 for each in described['std'])):
    raise InputError(f'{path}: mean and std must be those of pixels in [0, 1]')
  if described['interpolation'] not in ('', *_INTERPOLATIONS):
    raise InputError(f"{path}: unknown interpolation '{described['interpolation']}'")
  return described


def load(
  weights: Weights,
  variables: Any,
  network: Any,
  architecture: str,
  settings: Mapping[str, Any],
) -> fit.Fitted:
  """Fits the weights to the network with these variables (shapes suffice); its head stays new.

  Args:
    weights: from `find`.
    variables: {'params', 'batch_stats'} of the network.
    network: whose names, and what else it says of weights (see medjax.models), are gone by.
    architecture: the network's name.
    settings: the network's.

  Raises:
    InputError: they do not fit, they are of another architecture or need other settings though their
      shapes may fit, or a network of one's own has no head or says no names.
  """
  where = f'config.model.pretrained ({weights.origin["from"]})'
  _check_architecture(weights, architecture, settings, where)
  if not any(name.split('_')[0] == 'head' for name in variables['params']):
    raise InputError(
      f'{where}: the network has no module named head, so nothing says what is new for the labels; '
      'medjax/models/__init__.py says how to name it'
    )
  schemes = {'medjax': ()} if weights.own_names else getattr(network, 'names', None)
  if not schemes:
    raise InputError(
      f'{where}: the network has no `names`, so published weights cannot be fitted to it; '
      'medjax/models/__init__.py says what to add'
    )
  fitted = fit.fit(variables, weights.tensors, schemes, where, spare=getattr(network, 'spare', ()))
  required = getattr(network, 'required', {}).get(fitted.scheme, {})
  missing = [
    f'config.model.settings.{name}={value!r}'
    for name, value in required.items()
    if getattr(network, name) != value
  ]
  if missing:
    raise InputError(
      f"{where}: {fitted.scheme}'s weights of {architecture} need {' and '.join(missing)}"
    )
  return fitted


def _check_architecture(
  weights: Weights, architecture: str, settings: Mapping[str, Any], where: str
) -> None:
  """Two networks may have the same shapes and compute otherwise: other padding, other epsilon."""
  # timm's names go on with the image size: vit_small_patch16_224.
  known = weights.architecture and architecture in NETWORKS
  if known and not f'{weights.architecture}_'.startswith(f'{architecture}_'):
    raise InputError(
      f'{where}: weights of {weights.architecture}; config.model.name is {architecture}'
    )
  if weights.settings is not None:
    mine, theirs = (
      json.loads(json.dumps({name: each[name] for name in each if name not in _OF_TRAINING}))
      for each in (settings, weights.settings)
    )
    if mine != theirs:
      raise InputError(
        f'{where}: weights of a network with settings {theirs}; config.model.settings is {mine}'
      )
