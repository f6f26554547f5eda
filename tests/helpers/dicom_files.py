"""DICOM files of our own making, for several tests."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

SECRET = 'Doe^Jane of Elm Street'  # what no message may show


def dataset(
  pixels, photometric='MONOCHROME2', bits=None, syntax=ExplicitVRLittleEndian, **attributes
):
  """pixels int[H, W], [H, W, 3] or, of several frames, [N, H, W]; `bits` stored, all by default."""
  file = Dataset()
  file.file_meta = FileMetaDataset()
  file.file_meta.TransferSyntaxUID = syntax
  file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = SecondaryCaptureImageStorage
  file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
  colour = pixels.ndim == 3 and pixels.shape[2] == 3
  file.Rows, file.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
  if pixels.ndim == 3 and not colour:
    file.NumberOfFrames = len(pixels)
  file.SamplesPerPixel = 3 if colour else 1
  if colour:
    file.PlanarConfiguration = 0
  file.PhotometricInterpretation = photometric
  file.BitsAllocated = 8 * pixels.dtype.itemsize
  file.BitsStored = bits or file.BitsAllocated
  file.HighBit = file.BitsStored - 1
  file.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
  for name, value in attributes.items():
    setattr(file, name, value)
  file.PixelData = pixels.tobytes()
  file['PixelData'].VR = 'OB' if file.BitsAllocated == 8 else 'OW'
  return file


def write(path, pixels, *arguments, **attributes):
  """Writes such a file and returns its data set."""
  file = dataset(pixels, *arguments, **attributes)
  path.parent.mkdir(parents=True, exist_ok=True)
  pydicom.dcmwrite(path, file, enforce_file_format=True)
  return file


def refusal(path):
  """The one line that refuses to decode a file; it names the file and nobody in it."""
  with pytest.raises(InputError) as error:
    decoding.decode(path, ImageFormat(8, 1))
  assert str(path) in str(error.value) and '\n' not in str(error.value)
  assert SECRET not in str(error.value)
  return str(error.value)
