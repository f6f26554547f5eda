"""Small generated copies of the published layouts of retina, skin and histopathology sets."""

import io
import pathlib

import h5py
import numpy as np
from PIL import Image

from medjax.config import Data
from medjax.data import datasets
from medjax.data.table import label_columns


def read(source, root, **settings):
  """Reads through the door that training uses, which checks the table; all labels are wanted."""
  columns = label_columns(datasets.SOURCES[source](pathlib.Path(root), **settings))
  return datasets.read(Data(source, str(root), tuple(columns), image_size=32, settings=settings))


def write(path, text):
  """Writes a table whose lines are indented as in the test."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('\n'.join(line.strip() for line in text.strip().splitlines()) + '\n')


def picture(path, size=8):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', (size, size), (200, 100, 50)).save(path)


def edit(path, old, new):
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new, 1))


def there(table, root):
  """Whether every image of a table is a file."""
  return table['image'].map(lambda image: (root / image).is_file()).all()


def eyepacs(root, solution=True):
  write(
    root / 'trainLabels.csv',
    """image,level
    10_left,0
    10_right,1
    13_left,2
    13_right,4""",
  )
  for name in ('10_left', '10_right', '13_left', '13_right'):
    picture(root / 'train' / f'{name}.jpeg')
  if solution:
    write(
      root / 'retinopathy_solution.csv',
      """image,level,Usage
      1_left,0,Private
      1_right,3,Private
      2_left,0,Public""",
    )
    for name in ('1_left', '1_right', '2_left'):
      picture(root / 'test' / f'{name}.jpeg')
  return root


def aptos(root):
  write(
    root / 'train.csv',
    """id_code,diagnosis
    000c1434d8d7,2
    001639a390f0,4
    0024cdab0c1e,0""",
  )
  for name in ('000c1434d8d7', '001639a390f0', '0024cdab0c1e'):
    picture(root / 'train_images' / f'{name}.png')
  return root


def messidor(root):
  write(
    root / 'messidor_data.csv',
    """image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable
    20051020_43808_0100_PP.png,0,0,1
    20051020_43832_0100_PP.png,1,0,1
    20051020_44261_0100_PP.png,,,0
    IM000099.jpg,3,1,1""",
  )
  for name in ('20051020_43808_0100_PP', '20051020_43832_0100_PP', '20051020_44261_0100_PP'):
    picture(root / 'IMAGES' / f'{name}.png')
  picture(root / 'IMAGES' / 'IM000099.JPG')
  return root


def isic2019(root):
  write(
    root / 'ISIC_2019_Training_GroundTruth.csv',
    """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
    ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
    ISIC_0000002,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
    ISIC_0053462_downsampled,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0
    ISIC_0053463,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0
    ISIC_0053464,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0""",
  )
  # In another order than the ground truth.
  write(
    root / 'ISIC_2019_Training_Metadata.csv',
    """image,age_approx,anatom_site_general,lesion_id,sex
    ISIC_0053464,,,BCN_1,
    ISIC_0053463,80,head/neck,BCN_1,male
    ISIC_0053462_downsampled,70,anterior torso,BCN_0,female
    ISIC_0000000,55,anterior torso,,female
    ISIC_0000002,30,anterior torso,,female""",
  )
  for name in ('0000000', '0000002', '0053462_downsampled', '0053463', '0053464'):
    picture(root / 'ISIC_2019_Training_Input' / f'ISIC_{name}.jpg')
  return root


def isic2020(root, release=2):
  lesion = 'lesion_id,' if release == 2 else ''
  rows = [
    ('ISIC_0015719', 'IL_3579794', 'IP_3075186', 'female,45,upper extremity,unknown,benign,0'),
    ('ISIC_0052212', 'IL_1423454', 'IP_2842074', 'female,50,lower extremity,nevus,benign,0'),
    ('ISIC_0068279', 'IL_9127189', 'IP_6890425', 'male,45,head/neck,melanoma,malignant,1'),
    ('ISIC_0074268', 'IL_9127189', 'IP_6890425', 'male,45,head/neck,melanoma,malignant,1'),
    ('ISIC_0074311', 'IL_5922152', 'IP_8723313', ',,,unknown,benign,0'),
  ]
  header = (
    f'image_name,{lesion}patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,'
    'benign_malignant,target'
  )
  lines = [
    ','.join((name, *((lesion_id,) if release == 2 else ()), patient, rest))
    for name, lesion_id, patient, rest in rows
  ]
  name = 'ISIC_2020_Training_GroundTruth' + ('_v2' if release == 2 else '') + '.csv'
  write(root / name, '\n'.join([header, *lines]))
  write(
    root / 'ISIC_2020_Training_Duplicates.csv',
    """image_name_1,image_name_2
    ISIC_0074268,ISIC_0068279
    ISIC_0000001,ISIC_0000002""",
  )
  for image, *_ in rows:
    picture(root / 'train' / f'{image}.jpg')
  return root


def ham10000(root, newer=False):
  more = ',dataset' if newer else ''
  collection = ',vidir_modern' if newer else ''
  write(
    root / 'HAM10000_metadata.csv',
    f"""lesion_id,image_id,dx,dx_type,age,sex,localization{more}
    HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp{collection}
    HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp{collection}
    HAM_0002730,ISIC_0026769,nv,follow_up,45.0,female,back{collection}
    HAM_0001466,ISIC_0031633,mel,histo,,unknown,unknown{collection}
    HAM_0002761,ISIC_0029176,akiec,consensus,60.0,female,face{collection}
    HAM_0005132,ISIC_0025837,bcc,confocal,70.0,female,back{collection}""",
  )
  names = ('0027419', '0025030', '0026769', '0031633', '0029176', '0025837')
  for number, name in enumerate(names):
    picture(root / f'HAM10000_images_part_{1 + number % 2}' / f'ISIC_{name}.jpg')
  return root


def patchcamelyon(root, meta=True):
  rng = np.random.default_rng(0)
  root.mkdir(parents=True, exist_ok=True)
  for part, labels in (('train', [0, 1, 1, 0]), ('valid', [1, 0]), ('test', [0, 1])):
    stem = f'camelyonpatch_level_2_split_{part}'
    with h5py.File(root / f'{stem}_x.h5', 'w') as file:
      file['x'] = rng.integers(0, 256, (len(labels), 96, 96, 3), dtype=np.uint8)
    with h5py.File(root / f'{stem}_y.h5', 'w') as file:
      file['y'] = np.uint8(labels)[:, None, None, None]
    if meta:
      lines = [
        f'{row},{100 + row},{200 + row},{label == 1},{label == 1},'
        f'camelyon16_{part}_tumor_{row // 2:03d}'
        for row, label in enumerate(labels)
      ]
      header = ',coord_y,coord_x,tumor_patch,center_tumor_patch,wsi'
      write(root / f'{stem}_meta.csv', '\n'.join([header, *lines]))
  return root


def camelyon17(root):
  write(
    root / 'metadata.csv',
    """,patient,node,x_coord,y_coord,tumor,slide,center,split
    0,004,4,3328,21792,1,0,0,0
    1,004,4,3200,22272,0,0,0,1
    2,022,4,2016,3600,1,10,1,0
    3,042,3,1500,2500,0,23,2,0
    4,060,1,128,64,0,30,3,0""",
  )
  for patient, node, x, y in (
    ('004', 4, 3328, 21792),
    ('004', 4, 3200, 22272),
    ('022', 4, 2016, 3600),
    ('042', 3, 1500, 2500),
    ('060', 1, 128, 64),
  ):
    folder = f'patient_{patient}_node_{node}'
    picture(root / 'patches' / folder / f'patch_{folder}_x_{x}_y_{y}.png')
  return root


def medmnist(root, name, labels, shape=(28, 28, 3)):
  """`labels` is of the training part; validation and test have its first two rows."""
  rng = np.random.default_rng(0)
  root.mkdir(parents=True, exist_ok=True)
  labels = np.array(labels, np.uint8)
  labels = labels[:, None] if labels.ndim == 1 else labels
  arrays = {}
  for part, rows in (('train', labels), ('val', labels[:2]), ('test', labels[:2])):
    arrays[f'{part}_images'] = rng.integers(0, 256, (len(rows), *shape), dtype=np.uint8)
    arrays[f'{part}_labels'] = rows
  np.savez_compressed(root / f'{name}.npz', **arrays)
  return arrays


def tfds(root, name, version, features, splits):
  """Prepares a set as array_record, which needs no TensorFlow where images are encoded already."""
  import tensorflow_datasets

  class Prepared(tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tensorflow_datasets.core.Version(version)

    def _info(self):
      return tensorflow_datasets.core.DatasetInfo(
        builder=self, features=tensorflow_datasets.features.FeaturesDict(features)
      )

    def _split_generators(self, dl_manager):
      return {split: self._generate_examples(examples) for split, examples in splits.items()}

    def _generate_examples(self, examples):
      yield from enumerate(examples)

  Prepared.name = name
  Prepared(data_dir=str(root), file_format='array_record').download_and_prepare()
  return root


def encoded(pixels):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, 'PNG')
  return io.BytesIO(buffer.getvalue())
