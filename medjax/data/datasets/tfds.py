"""Sets that TensorFlow Datasets has prepared as array_record, read without TensorFlow.

Preparing needs an environment with TensorFlow, once:

    tfds build patch_camelyon --file_format=array_record --data_dir=data/tfds

Reading does not. Labels are in the records with the images, so a start reads all of them
once: about a minute for PatchCamelyon, longer for large photographs.

Patients come from the builders that name them (chexpert, diabetic_retinopathy_detection). With the
others every image counts as a patient of its own, unless a setting names a feature.
"""

import pathlib
import re
from typing import Any

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.datasets import chexpert, classes
from medjax.errors import InputError, nearest
from medjax.runtime import remote

# TFDS' own order of CheXpert's codes: uncertain, positive, negative, unmentioned.
_CHEXPERT_CODES = np.array([-1, 1, 0, np.nan], np.float32)
_BATCH = 256  # records, with their images, in memory at a time
_SPLITS = {'train': 'train', 'validation': 'validation', 'test': 'test'}


def read(
  root: pathlib.Path, builder: str = '', label_feature: str = 'label', patient_feature: str = ''
) -> pd.DataFrame:
  """Returns the study table of a prepared set; an image is record i of one of its splits.

  Args:
    root: TFDS' data_dir.
    builder: 'patch_camelyon', 'diabetic_retinopathy_detection/original', … in which a version may
      follow; without one, the newest.
    label_feature: the ClassLabel that becomes one label for each class, by the classes' names. For
      `chexpert`, `diabetic_retinopathy_detection` and `patch_camelyon` the labels are those of our
      own sources.
    patient_feature: a text or number that names the patient.

  The splits train, validation and test are the official ones; CheXpert's validation is its test, as
  in our own source. A split of another name has none. The `sample` of
  diabetic_retinopathy_detection, which has no labels, is left out.

  Raises:
    InputError: nothing prepared there, another file format, or a feature that is missing or no
      ClassLabel.
  """
  if not builder:
    raise InputError("config.data.settings.builder: name the builder, such as 'patch_camelyon'")
  folder = _folder(root, builder)
  prepared = _open(folder)
  name = builder.partition('/')[0]
  frames = []
  for split in prepared.info.splits:
    if name == 'diabetic_retinopathy_detection' and split == 'sample':
      continue
    records = _records(prepared, split, folder)
    frame = _patients(name, records, folder, split, patient_feature)
    official = _SPLITS.get(split, '')
    frame['official_split'] = 'test' if name == 'chexpert' and split == 'validation' else official
    labels = _labels(name, prepared, records, folder, label_feature)
    # CheXpert's reports may not mention a finding; elsewhere a missing label is unknown.
    if name != 'chexpert':
      frame['unlabelled'] = table.unlabelled(labels)
    frames.append(pd.concat([frame, labels], axis=1))
  frame = pd.concat(frames, ignore_index=True)
  where = folder.relative_to(root).as_posix()
  frame['image'] = [f'{where}#{image}' for image in frame['image']]
  if 'grouped_by' in frame and (frame['grouped_by'] == 'image').all():
    frame['patient'] = frame['image']
  return table.check(frame, str(folder))


def _folder(root: pathlib.Path, builder: str) -> pathlib.Path:
  """Returns the folder of the builder's newest version: the one that holds dataset_info.json."""
  folders = sorted(
    (path.parent for path in (root / builder).glob('**/dataset_info.json')), key=_version
  )
  if not folders:
    prepared = sorted(
      {
        path.parent.parent.relative_to(root).as_posix()
        for path in root.glob('*/**/dataset_info.json')
      }
    )
    known = f'There are: {", ".join(prepared)}' if prepared else 'Nothing prepared by TFDS is there'
    raise InputError(
      f"{root}: no prepared '{builder}'{nearest(builder, prepared) or '.'} {known}. Prepare it "
      f'where TensorFlow is installed: tfds build {builder} --file_format=array_record '
      f'--data_dir={root}'
    )
  configs = sorted({path.parent.relative_to(root).as_posix() for path in folders})
  if len(configs) > 1:
    raise InputError(
      f"config.data.settings.builder='{builder}': several are prepared; name one of "
      f'{", ".join(configs)}'
    )
  return folders[-1]


def _version(folder: pathlib.Path) -> tuple[int, ...]:
  return tuple(int(number) for number in re.findall(r'\d+', folder.name))


def _open(folder: pathlib.Path) -> Any:
  """Returns the read-only builder of a folder."""
  try:
    import tensorflow_datasets
  except ImportError as error:
    raise InputError(
      f"sets prepared by TFDS need tensorflow-datasets ({error}); pip install 'medjax[tfds]'"
    ) from None
  try:
    prepared = tensorflow_datasets.builder_from_directory(remote.local_copy(folder))
  except Exception as error:  # Whatever damaged metadata makes TFDS raise.
    raise InputError(f'{folder}: cannot be read as a set prepared by TFDS ({error})') from None
  file_format = prepared.info.file_format
  if file_format is None or file_format.value != 'array_record':
    raise InputError(
      f'{folder}: is prepared as {getattr(file_format, "value", "nothing known")}, which only '
      'TensorFlow reads; prepare it again with --file_format=array_record'
    )
  return prepared


def _records(prepared: Any, split: str, folder: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the features of a split's records without the images; none is decoded."""
  from tensorflow_datasets import decode, features

  wanted = features.FeaturesDict(
    {
      name: feature
      for name, feature in prepared.info.features.items()
      if not isinstance(feature, features.Image)
    }
  )
  try:
    source = prepared.as_data_source(split, deserialize_method=decode.DeserializeMethod.RAW_BYTES)
    examples: list[dict[str, Any]] = []
    for start in range(0, len(source), _BATCH):
      records = source.__getitems__(list(range(start, min(start + _BATCH, len(source)))))
      examples += [wanted.deserialize_example_np(record) for record in records]
    return examples
  except Exception as error:  # A missing or damaged shard; TFDS and array_record raise many kinds.
    raise InputError(f"{folder}: split '{split}' cannot be read ({error})") from None


def _text(value: object) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)


def _patients(
  name: str, records: list[dict[str, Any]], folder: pathlib.Path, split: str, patient_feature: str
) -> pd.DataFrame:
  rows = range(len(records))
  frame = pd.DataFrame(
    {
      'image': [f'{split}/{row}' for row in rows],
      'named_in': [f'{folder}: {split}[{row}]' for row in rows],
    }
  )
  if patient_feature:
    _check_feature(records, patient_feature, folder, 'patient_feature')
    frame['patient'] = [_text(record[patient_feature]) for record in records]
  elif name == 'chexpert':
    frame[['patient', 'study']] = _extracted(records, r'/(patient\d+)/(study\d+)/', frame)
    frame['view'] = ['lateral' if record['image_view'] else 'frontal' for record in records]
  elif name == 'diabetic_retinopathy_detection':
    frame[['patient', 'laterality']] = _extracted(records, r'^(\d+)_(left|right)$', frame)
  else:
    frame['patient'], frame['grouped_by'] = frame['image'], 'image'
  return frame


def _extracted(records: list[dict[str, Any]], pattern: str, frame: pd.DataFrame) -> pd.DataFrame:
  names = pd.Series([_text(record['name']) for record in records])
  columns = names.str.extract(pattern)
  unparsed = columns[0].isna()
  if unparsed.any():
    row = int(np.argmax(unparsed))
    raise InputError(
      f"{frame['named_in'][row]}: the feature 'name' is '{names[row]}', not of the form {pattern}"
    )
  return columns


def _labels(
  name: str, prepared: Any, records: list[dict[str, Any]], folder: pathlib.Path, label_feature: str
) -> pd.DataFrame:
  _check_feature(records, label_feature, folder, 'label_feature')
  values = [record[label_feature] for record in records]
  if name == 'chexpert':
    return pd.DataFrame(_CHEXPERT_CODES[np.array(values)], columns=list(chexpert.LABELS))
  feature = prepared.info.features[label_feature]
  if type(feature).__name__ != 'ClassLabel':
    raise InputError(
      f"{folder}: the feature '{label_feature}' is a {type(feature).__name__}, not a "
      'ClassLabel; name another in config.data.settings.label_feature'
    )
  codes = np.array(values, np.int64)
  if name == 'patch_camelyon':
    return pd.DataFrame({'Tumor': codes.astype(np.float32)})
  if name == 'diabetic_retinopathy_detection':
    referable = np.where(codes < 0, np.nan, codes >= 2).astype(np.float32)
    return classes.one_of(codes, classes.GRADES).assign(**{classes.REFERABLE: referable})
  return classes.one_of(codes, feature.names)


def _check_feature(
  records: list[dict[str, Any]], feature: str, folder: pathlib.Path, setting: str
) -> None:
  if records and feature not in records[0]:
    names = list(records[0])
    raise InputError(
      f"{folder}: the records have no feature '{feature}' beside their image"
      f'{nearest(feature, names) or "."} There are: {", ".join(names) or "none"}; set '
      f'config.data.settings.{setting}'
    )
