"""What a command has left in its folder: whether each file is whole, and its bits."""

import csv
import hashlib
import io
import json
import pathlib

import numpy as np

# They grow by lines or images, and their readers leave out a last one that is not whole.
_GROWN = ('metrics.jsonl', 'index.jsonl', 'pixels.npy', 'out.csv', 'out.broken.csv')


def half_written(out: pathlib.Path) -> list[str]:
  """Returns the files under their own names that cannot be read to their ends."""
  paths = [path for path in out.rglob('*') if path.is_file() and not path.name.startswith('.')]
  return [
    str(path.relative_to(out)) for path in paths if path.name not in _GROWN and not _is_whole(path)
  ]


def _is_whole(path: pathlib.Path) -> bool:
  try:
    content = path.read_bytes()
    if path.suffix == '.json':
      json.loads(content)
    elif path.suffix == '.csv':
      lengths = {len(row) for row in csv.reader(io.StringIO(content.decode()))}
      return content.endswith(b'\n') and len(lengths) == 1
    elif path.suffix == '.html':
      return content.rstrip().endswith(b'</html>')
    elif path.suffix == '.png':
      return content.endswith(b'IEND\xaeB`\x82')
    elif path.suffix == '.jpg':
      return content.endswith(b'\xff\xd9')
    elif path.suffix == '.npy':
      np.load(io.BytesIO(content), allow_pickle=False)
    elif path.suffix == '.safetensors':
      start = 8 + int.from_bytes(content[:8], 'little')
      parts = json.loads(content[8:start])
      ends = [part['data_offsets'][1] for name, part in parts.items() if name != '__metadata__']
      return len(content) == start + max(ends)
  except FileNotFoundError:  # Just removed.
    return True
  except (ValueError, UnicodeDecodeError):
    return False
  return True


def differences(whole: pathlib.Path, out: pathlib.Path) -> list[str]:
  """Returns where what was disturbed ended in other files or bits than what never was."""
  one, other = bits(whole), bits(out)
  return [
    *(f'in the end it lacks {name}' for name in sorted(one.keys() - other.keys())),
    *(f'in the end there is {name} too' for name in sorted(other.keys() - one.keys())),
    *(f'other bits: {name}' for name in sorted(one) if other.get(name, one[name]) != one[name]),
  ]


def bits(out: pathlib.Path) -> dict[str, str]:
  """Returns file → SHA-256 of all that does not hang on a clock, a process or the folder's name.

  A checkpoint counts as the arrays that it holds, metrics.jsonl without its speeds. TensorBoard's
  files, of which each start writes one, do not count, nor a search's journal, which has times: what
  it says of the trials is in other files.
  """
  found = {}
  for path in sorted(out.rglob('*')):
    parts = path.relative_to(out).parts
    if path.is_dir() and parts[-2:-1] == ('checkpoints',):
      found['/'.join(parts)] = _arrays(path)
    if (
      not path.is_file() or 'checkpoints' in parts[:-1] or {'tensorboard', 'trials.log'} & {*parts}
    ):
      continue
    content = path.read_bytes().replace(str(out).encode(), b'OUT')
    if path.name == 'metrics.jsonl':
      rows = [json.loads(line) for line in content.splitlines()]
      content = json.dumps([row | {'images_per_second': None} for row in rows]).encode()
    found['/'.join(parts)] = hashlib.sha256(content).hexdigest()
  return found


def _arrays(checkpoint: pathlib.Path) -> str:
  import jax
  import numpy as np
  from orbax.checkpoint import v1 as ocp

  here, step = jax.sharding.SingleDeviceSharding(jax.devices()[0]), int(checkpoint.name)
  with ocp.training.Checkpointer(checkpoint.parent) as checkpointer:
    saved = checkpointer.checkpointables_metadata(step).metadata['state']
    # Of however many processes and devices it is, it is read here.
    wanted = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), saved)
    state = checkpointer.load_checkpointables(step, {'state': wanted})['state']
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    array = np.asarray(leaf)
    digest.update(f'{path}{array.dtype}{array.shape}'.encode() + array.tobytes())
  return digest.hexdigest()
