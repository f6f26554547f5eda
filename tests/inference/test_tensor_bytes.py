"""The same weights are the same bytes, and safetensors reads them."""

import numpy as np
from safetensors import numpy as safetensors
from safetensors import safe_open

from medjax.inference.tensor_bytes import tensor_bytes

TENSORS = {
  'weight': np.arange(6, dtype=np.float32).reshape(2, 3),
  'count': np.array(7, np.int64),
  'Übergang': np.array([True, False, True]),
}
METADATA = {name: f'"{name}" \\ \n ß' for name in ('step', 'format', 'names', 'split_sha256', 'x')}


def test_two_files_of_the_same_tensors_have_the_same_bytes():
  wanted = tensor_bytes(TENSORS, METADATA)
  others = [tensor_bytes(TENSORS, dict(reversed(METADATA.items()))) for _ in range(20)]
  assert {wanted} == {*others}
  # What the library alone writes has not, or this module is no longer needed.
  assert len({safetensors.save(TENSORS, metadata=METADATA) for _ in range(20)}) > 1


def test_the_library_reads_what_was_given(tmp_path):
  path = tmp_path / 'w.safetensors'
  path.write_bytes(tensor_bytes(TENSORS, METADATA))
  assert int.from_bytes(path.read_bytes()[:8], 'little') % 8 == 0
  with safe_open(path, 'np') as file:
    assert file.metadata() == METADATA and {*file.keys()} == {*TENSORS}
    for name, array in TENSORS.items():
      read = file.get_tensor(name)
      assert read.dtype == array.dtype and np.array_equal(read, array)
