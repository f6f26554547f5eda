"""DICOM files of our own making, for several tests."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def dataset(
  pixels, photometric='MONOCHROME2', bits=None, syntax=ExplicitVRLittleEndian, **attributes
):
  """pixels int[H, W], [H, W, 3] or, of several frames, [N, H, W]; `bits` stored, all by default."""
  made = Dataset()
  made.file_meta = FileMetaDataset()
  made.file_meta.TransferSyntaxUID = syntax
  made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
  made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
  colour = pixels.ndim == 3 and pixels.shape[2] == 3
  made.Rows, made.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
  if pixels.ndim == 3 and not colour:
    made.NumberOfFrames = len(pixels)
  made.SamplesPerPixel = 3 if colour else 1
  if colour:
    made.PlanarConfiguration = 0
  made.PhotometricInterpretation = photometric
  made.BitsAllocated = 8 * pixels.dtype.itemsize
  made.BitsStored = bits or made.BitsAllocated
  made.HighBit = made.BitsStored - 1
  made.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
  for name, value in attributes.items():
    setattr(made, name, value)
  made.PixelData = pixels.tobytes()
  made['PixelData'].VR = 'OB' if made.BitsAllocated == 8 else 'OW'
  return made


def write(path, pixels, *arguments, **attributes):
  """Writes such a file and returns what it was made of."""
  made = dataset(pixels, *arguments, **attributes)
  path.parent.mkdir(parents=True, exist_ok=True)
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  return made
