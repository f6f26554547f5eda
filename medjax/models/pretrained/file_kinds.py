"""What a file of weights is by its content, whatever it is called, and how to make it readable."""

import pathlib
import re
import shlex
import tarfile
import zipfile

from medjax.runtime import files

# The first object in a file of torch.save before it wrote zip files (torch/serialization.py).
_LEGACY_TORCH = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
_LFS_POINTER = re.compile(rb'version https://git-lfs\.github\.com.*?\nsize (\d+)', re.DOTALL)
_WEB_PAGE = re.compile(
  rb'(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*(<\?xml|<!doctype html|<html)', re.DOTALL
)
_LARGEST_HEADER = 100_000_000  # bytes, the most that the safetensors format allows
_FETCH_AGAIN = 'fetch it again'
# Opened here, because torch takes a path that ends in .safetensors at its word.
_LOAD = "torch.load(open({path!r}, 'rb'), map_location='cpu', weights_only={weights_only})"
_LOAD_PROGRAM = "torch.jit.load(open({path!r}, 'rb'), map_location='cpu').state_dict()"


def what_instead(path: pathlib.Path) -> str:
  """Returns what a file is in place of whole safetensors, and what to do; '' for one that is whole.

  Raises:
    OSError: the file cannot be read.
  """
  size = path.stat().st_size
  with path.open('rb') as file:
    start = file.read(4096)
  if not start:
    return f'the file is empty; {_FETCH_AGAIN}'
  if pointer := _LFS_POINTER.match(start):
    return (
      f'a pointer of git-LFS, in place of the {int(pointer[1]):,} bytes that it stands for; fetch '
      'them: git lfs pull'
    )
  if _WEB_PAGE.match(start.lower()):
    return (
      'a web page, in place of the file that it shows or asks to log in for; fetch the file itself'
    )
  return _archive_or_pickle(path, start) or _unlike_safetensors(path, start, size)


def _archive_or_pickle(path: pathlib.Path, start: bytes) -> str:
  if start.startswith(b'PK\x03\x04'):
    return _zip(path)
  if start.startswith(_LEGACY_TORCH):
    return _pickle(path, _LOAD.format(path=str(path), weights_only=True))
  if start[:1] == b'\x80' and start[1:2] in b'\x02\x03\x04\x05' and len(start) > 2:
    return (
      'a pickle, which can run any code, so it is not read; torch did not write it: load it with '
      'what did, where nothing can come of it, and save its arrays with '
      'safetensors.numpy.save_file'
    )
  if tarfile.is_tarfile(path):
    with tarfile.open(path) as archive:
      if 'pickle' in archive.getnames():  # The first format of torch, which is unpickled freely.
        return 'of an early torch, so convert it only if you trust who made it; ' + _pickle(
          path, _LOAD.format(path=str(path), weights_only=False)
        )
    return 'an archive (tar); unpack it'
  if start.startswith(b'\x1f\x8b'):
    return 'compressed (gzip); unpack it'
  if start.startswith(b'\x89HDF'):
    return (
      "HDF5, as Keras writes; Keras's networks name their weights otherwise, and none here takes "
      'them'
    )
  return ''


def _zip(path: pathlib.Path) -> str:
  try:
    with zipfile.ZipFile(path) as archive:
      names = {name.rpartition('/')[2] for name in archive.namelist()}
  except (zipfile.BadZipFile, ValueError):
    return f'a zip file, as torch saves, that is cut off or damaged; {_FETCH_AGAIN}'
  if 'data.pkl' not in names:
    return 'an archive (zip) without weights of torch in it; unpack it'
  load = _LOAD_PROGRAM if 'constants.pkl' in names else _LOAD  # The first is TorchScript.
  return _pickle(path, load.format(path=str(path), weights_only=True))


def _pickle(path: pathlib.Path, load: str) -> str:
  converted = path.with_suffix('.safetensors')
  if converted == path:
    converted = path.with_name(f'converted.{path.name}')
  convert = (
    f'import torch, safetensors.torch as s; d = {load}; '
    "d = next((d[k] for k in ('state_dict', 'model_state_dict', 'model') if k in d), d); "
    't = {k: v.clone(memory_format=torch.contiguous_format) for k, v in d.items() '
    'if torch.is_tensor(v)}; '
    "assert t, 'no tensors in it, but ' + ', '.join(map(str, d)); "
    f's.save_file(t, {str(converted)!r})'
  )
  return (
    'written by torch: a pickle can run any code, so it is not read; where torch and safetensors '
    'are installed, convert it once (of a whole network that was pickled, save its state_dict() '
    f'first, with its own code): python -c {shlex.quote(convert)}'
  )


def _unlike_safetensors(path: pathlib.Path, start: bytes, size: int) -> str:
  """A safetensors file: its header's length, u64, the header, JSON, and the bytes it counts."""
  length = int.from_bytes(start[:8], 'little')
  if start[8:9] != b'{' or not 0 < length <= _LARGEST_HEADER:
    return _unknown(path, start)
  with path.open('rb') as file:
    file.seek(8)
    header = file.read(length)
  if len(header) < length:
    return f'cut off: {size:,} bytes, and its header alone has {length:,}; {_FETCH_AGAIN}'
  try:
    ends = [
      value['data_offsets'][1] for name, value in files.parsed(header).items() if name[:2] != '__'
    ]
  except (ValueError, TypeError, KeyError, IndexError, AttributeError):
    return f'its header is damaged; {_FETCH_AGAIN}'
  whole = 8 + length + max(ends, default=0)
  return '' if size >= whole else f'cut off: {size:,} of {whole:,} bytes; {_FETCH_AGAIN}'


def _unknown(path: pathlib.Path, start: bytes) -> str:
  text = start.decode('utf-8', 'ignore')
  if text and all(letter.isprintable() or letter.isspace() for letter in text):
    return f"no .safetensors file, but a text that begins '{' '.join(text.split())[:60]}'"
  if path.suffix == '.safetensors':
    return f'not safetensors: it is cut off, or damaged; {_FETCH_AGAIN}'
  return 'no .safetensors file, nor a pickle of torch that could be made one'
