"""The bytes of a safetensors file, the same for the same tensors."""

import json
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import save


def tensor_bytes(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
  """Returns what `safetensors.numpy.save` does, with the metadata in the order of their names.

  The library writes metadata in another order each time, so that no hash of a file could be
  compared with that of another export of the same weights.

  Args:
    tensors: name → array of any shape and any dtype of the format.
    metadata: name → text.
  """
  saved = save(dict(tensors), metadata=dict(metadata))
  start = 8 + int.from_bytes(saved[:8], 'little')
  header = json.loads(saved[8:start])
  header['__metadata__'] = dict(sorted(metadata.items()))
  text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
  text += b' ' * (-len(text) % 8)  # Tensors begin at a multiple of 8, as the format wants it.
  return len(text).to_bytes(8, 'little') + text + saved[start:]
