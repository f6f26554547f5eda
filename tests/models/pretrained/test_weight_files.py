"""Files in place of weights are told by their content, whatever they are called."""

import gzip
import io
import pickle
import shlex
import struct
import tarfile
import zipfile

import numpy as np
import oracle
import pytest
from safetensors.numpy import load_file, save

from medjax.errors import InputError
from medjax.models.pretrained import weights

WHOLE = save({'w': np.arange(300, dtype=np.float32)})


def refused(path, content=None):
  """Returns the line that refuses a file."""
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(InputError) as raised:
    weights.find(str(path))
  line = str(raised.value)
  assert '\n' not in line and str(path) in line
  return line


def test_safetensors_are_read_whatever_they_are_called(tmp_path):
  (tmp_path / 'weights.bin').write_bytes(WHOLE)
  assert weights.find(str(tmp_path / 'weights.bin')).tensors['w'].shape == (300,)


@pytest.mark.parametrize('kept', [4, 20, 1000, -1])
def test_a_file_that_is_cut_off_says_by_how_much(kept, tmp_path):
  cut = WHOLE[:kept]
  line = refused(tmp_path / 'w.safetensors', cut)
  assert 'cut off' in line and line.endswith('fetch it again')
  if kept in (1000, -1):
    assert f'{len(cut):,} of {len(WHOLE):,} bytes' in line


POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 46807446\n'


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    (b'', 'the file is empty'),
    (POINTER, 'a pointer of git-LFS, in place of the 46,807,446 bytes'),
    (b'\n<!DOCTYPE html>\n<html lang="en"><head>', 'a web page'),
    (b'\xef\xbb\xbf<!-- proxy --><html>', 'a web page'),
    (b'{"error": "Repository not found"}', 'a text that begins \'{"error": "Repository not'),
    (b'Access to this file\nis denied', "a text that begins 'Access to this file is denied'"),
    (gzip.compress(WHOLE, mtime=0), 'compressed (gzip); unpack it'),
    (b'\x89HDF\r\n\x1a\n' + bytes(100), 'HDF5, as Keras writes'),
    (bytes(range(128, 256)), 'not safetensors'),
    (WHOLE[:8] + b'{' + b'x' * 400, 'header is damaged'),
  ],
)
@pytest.mark.parametrize('name', ['model.safetensors', 'weights.pth'])
def test_what_is_no_weights_is_named(content, words, name, tmp_path):
  if name == 'weights.pth' and words == 'not safetensors':
    words = 'no .safetensors file, nor a pickle'
  assert words in refused(tmp_path / name, content)


def test_another_archive_is_to_be_unpacked(tmp_path):
  np.savez(tmp_path / 'w.npz', w=1)
  assert 'an archive (zip) without weights of torch in it' in refused(tmp_path / 'w.npz')
  with tarfile.open(tmp_path / 'w.tar', 'w') as archive:
    archive.addfile(tarfile.TarInfo('w.safetensors'))
  assert 'an archive (tar); unpack it' in refused(tmp_path / 'w.tar')


@pytest.mark.parametrize(
  'name', ['a.th', 'a.pt', 'a.pth.tar', 'a.ckpt', 'a.bin', 'a', 'a.safetensors']
)
def test_pickles_are_refused_with_the_way_to_convert_them(name, tmp_path):
  path, content = tmp_path / name, io.BytesIO()
  with zipfile.ZipFile(content, 'w') as archive:
    archive.writestr('archive/data.pkl', pickle.dumps({}))
  line = refused(path, content.getvalue())
  assert 'weights_only=True' in line and 'written by torch' in line
  assert 'cut off or damaged' in refused(path, content.getvalue()[:-10])
  assert 'torch did not write it' in refused(path, pickle.dumps({'w': [1.0]}))


def converted(path):
  """Runs the command that the refusal names; returns the tensors that it writes."""
  program, flag, code = shlex.split(refused(path).partition('code): ')[2])
  assert (program, flag) == ('python', '-c')
  exec(code, {})  # Here, because a process that imports torch takes seconds.
  written = set(path.parent.glob('*.safetensors')) - {path}
  return load_file(written.pop())


@pytest.mark.parametrize(
  ('name', 'key', 'zipped'),
  [
    ("it's $HOME.pth", 'state_dict', True),
    ('w.th', 'model', True),
    ('model.safetensors', 'state_dict', True),
    ('pytorch_model.bin', 'model', False),
  ],
)
def test_the_way_to_convert_a_pickle_works(name, key, zipped, tmp_path):
  torch, _ = oracle.torch_or_skip()
  tensors = {'a': torch.arange(6.0).reshape(2, 3).T, 'b': torch.ones(2), 'epoch': 3}
  saved = {key: tensors, 'epoch': 3}
  torch.save(saved, tmp_path / name, _use_new_zipfile_serialization=zipped)
  np.testing.assert_array_equal(converted(tmp_path / name)['a'], tensors['a'].numpy())


def test_the_way_to_convert_torchscript_works(tmp_path):
  torch, _ = oracle.torch_or_skip()
  layer = torch.nn.Linear(3, 2)
  torch.jit.script(layer).save(tmp_path / 'model.ts')
  np.testing.assert_array_equal(
    converted(tmp_path / 'model.ts')['weight'], layer.weight.detach().numpy()
  )


def test_the_way_to_convert_an_early_torch_s_archive_works_and_warns(tmp_path):
  torch, _ = oracle.torch_or_skip()
  values = np.arange(6, dtype=np.float32)

  def pickled(*values):
    return b''.join(pickle.dumps(value, 2) for value in values)

  class Referring(pickle.Pickler):
    def persistent_id(self, value):
      return '1' if value == 'the tensor' else None

  content = io.BytesIO()
  Referring(content, 2).dump({'state_dict': {'w': 'the tensor'}})
  # As torch/serialization.py reads it: storages, views of them, tensors by shape and strides.
  files = {
    'storages': pickled(1, (0, 'cpu', torch.FloatStorage)) + struct.pack('<q', 6)
    + values.tobytes() + pickled([]),
    'tensors': pickled(1, (1, 0, torch.FloatTensor)) + struct.pack('<ii5q', 2, 0, 2, 3, 3, 1, 0),
    'pickle': content.getvalue(),
  }  # fmt: skip
  path = tmp_path / 'old.pth.tar'
  with tarfile.open(path, 'w') as archive:
    for name, data in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(data)
      archive.addfile(member, io.BytesIO(data))
  assert 'only if you trust who made it' in refused(path)
  np.testing.assert_array_equal(converted(path)['w'], values.reshape(2, 3))


def header_of(dtype, size):
  """A file of one tensor 'w' of four elements, whose dtype numpy need not know."""
  header = f'{{"w":{{"dtype":"{dtype}","shape":[4],"data_offsets":[0,{size}]}}}}'.encode()
  return struct.pack('<Q', len(header)) + header + bytes(size)


@pytest.mark.parametrize('dtype', ['F8_E4M3', 'F8_E5M2', 'F8_E8M0'])
def test_numbers_that_need_a_scale_are_refused_by_name(dtype, tmp_path):
  line = refused(tmp_path / 'w.safetensors', header_of(dtype, 4))
  assert f'w is {dtype}' in line and 'save the weights as float32' in line
