"""Small copies of published layouts of chest X-ray sets, their rows written by hand."""

import gzip
import shutil

import numpy as np
from PIL import Image

from medjax.data.datasets import vindr_cxr
from medjax.data.datasets.chexpert import LABELS as CHEXPERT_LABELS


def write(path, *rows):
  """Writes the lines of a table, gzipped if the name ends in .gz; tuples are joined by commas."""
  path.parent.mkdir(parents=True, exist_ok=True)
  text = '\n'.join(row if isinstance(row, str) else ','.join(map(str, row)) for row in rows) + '\n'
  with gzip.open(path, 'wt') if path.suffix == '.gz' else open(path, 'w') as file:
    file.write(text)


def touch(root, *images):
  """Makes images of a few pixels, or empty files where the ending is not .jpg or .png."""
  for number, image in enumerate(images):
    path = root / image
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in ('.jpg', '.png'):
      Image.fromarray(np.full((8, 8), 20 * number % 256, np.uint8)).save(path)
    else:
      path.touch()


MIMIC_IMAGES = (
  'files/p10/p10000032/s50414267/02aa804e.jpg',
  'files/p10/p10000032/s50414267/174413ec.jpg',
  'files/p11/p11000011/s53189527/2a2277a9.jpg',
  'files/p19/p19999987/s58971208/58766883.jpg',
)
MIMIC_METADATA = (
  'dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate',
  '02aa804e,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506',
  '174413ec,10000032,50414267,CHEST (PA AND LAT),LATERAL,3056,2544,21800506',
  '2a2277a9,11000011,53189527,CHEST (PORTABLE AP),AP,2544,3056,21800626',
  '58766883,19999987,58971208,,,2022,2022,21460103',
)
MIMIC_SPLIT = (
  'dicom_id,study_id,subject_id,split',
  '58766883,58971208,19999987,test',
  '02aa804e,50414267,10000032,train',
  '174413ec,50414267,10000032,train',
  '2a2277a9,53189527,11000011,validate',
)


def mimic_labels(order=CHEXPERT_LABELS):
  """The study of 19999987 has no row: its report was not labelled."""
  rows = {
    ('11000011', '53189527'): {'Edema': '-1.0', 'Pneumonia': '0.0', 'Support Devices': '1.0'},
    ('10000032', '50414267'): {'No Finding': '1.0'},
  }
  yield ('subject_id', 'study_id', *order)
  for key, values in rows.items():
    yield (*key, *(values.get(label, '') for label in order))


def mimic(root, labeler='chexpert'):
  write(root / 'mimic-cxr-2.0.0-metadata.csv.gz', *MIMIC_METADATA)
  write(root / 'mimic-cxr-2.0.0-split.csv.gz', *MIMIC_SPLIT)
  write(root / f'mimic-cxr-2.0.0-{labeler}.csv.gz', *mimic_labels())
  touch(root, *MIMIC_IMAGES)
  return root


PADCHEST_TABLE = 'PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv'
PADCHEST_HEADER = (
  ',ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,'
  'Rows_DICOM,Columns_DICOM,Projection,MethodLabel,Labels'
)
PADCHEST_ROWS = (
  '0,a.png,0,20140915,s1,839860488694,1930.0,F,4280,3520,PA,Physician,"[\'normal\']"',
  '1,b.png,0,20140915,s1,839860488694,1930.0,F,4280,3520,L,Physician,"[\'normal\']"',
  '2,c.png,11,20150101,s2,32,1950.0,M,2000,1500,AP_horizontal,RNN_model,'
  '"[\'pseudonodule\', \' pleural effusion\', \'cardiomegaly\', \'\']"',
  '3,d.png,11,20160101,s3,33,1950.0,M,2000,1500,COSTAL,RNN_model,'
  '"[\'multiple nodules\', \'loculated pleural effusion\']"',
  '4,e.png,11,20160101,s4,33,,,2000,1500,AP,RNN_model,nan',
  '5,f.png,11,20170101,s5,33,1950.0,M,2000,1500,PA,Physician,'
  '"[\'unchanged\', \'cardiomegaly\']"',
)  # fmt: skip
PADCHEST_IMAGES = ('0/a.png', '0/b.png', '11/c.png', '11/d.png', '11/e.png', '11/f.png')


def padchest(root, rows=PADCHEST_ROWS, header=PADCHEST_HEADER, images=PADCHEST_IMAGES):
  write(root / PADCHEST_TABLE, header, *rows)
  touch(root, *images)
  return root


def _answers(labels, *positive):
  return [int(label in positive) for label in labels]


def vindr_physionet(root):
  """Image a: two of three readers say Cardiomegaly; b: one of two says Pneumonia, a tie."""
  labels = vindr_cxr.LABELS
  write(
    root / 'annotations' / 'image_labels_train.csv',
    ('image_id', 'rad_id', *labels),
    ('a', 'R8', *_answers(labels, 'Cardiomegaly')),
    ('a', 'R9', *_answers(labels, 'Cardiomegaly', 'Other diseases')),
    ('a', 'R10', *_answers(labels, 'No finding')),
    ('b', 'R1', *_answers(labels, 'Pneumonia')),
    ('b', 'R2', *_answers(labels, 'No finding')),
  )
  renamed = [label.replace('Other diseases', 'Other disease') for label in reversed(labels)]
  write(
    root / 'annotations' / 'image_labels_test.csv',
    ('image_id', *renamed),
    ('c', *_answers(renamed, 'Other disease', 'Edema')),
  )
  touch(root, 'train/a.dicom', 'train/b.dicom', 'test/c.dicom')
  return root


VINDR_KAGGLE_ROWS = (
  'image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max',
  'a,Cardiomegaly,3,R8,691,1375,1653,1831',
  'a,Cardiomegaly,3,R9,700,1370,1650,1830',
  'b,No finding,14,R1,,,,',
  'a,Nodule/Mass,8,R9,10,10,20,20',
  'a,Nodule/Mass,8,R9,30,30,40,40',
  'a,No finding,14,R10,,,,',
  'b,No finding,14,R2,,,,',
  'b,No finding,14,R3,,,,',
)


def vindr_kaggle(root, rows=VINDR_KAGGLE_ROWS):
  write(root / 'train.csv', *rows)
  touch(root, 'train/a.dicom', 'train/b.dicom')
  return root


RSNA_LABELS = (
  'patientId,x,y,width,height,Target',
  'u1,,,,,0',
  'u2,264.0,152.0,213.0,379.0,1',
  'u2,562.0,152.0,256.0,453.0,1',
  'u3,,,,,0',
)
RSNA_CLASSES = (
  'patientId,class',
  'u3,Normal',
  'u1,No Lung Opacity / Not Normal',
  'u2,Lung Opacity',
  'u2,Lung Opacity',
)


def rsna(root, labels=RSNA_LABELS, classes=RSNA_CLASSES):
  write(root / 'stage_2_train_labels.csv', *labels)
  if classes:
    write(root / 'stage_2_detailed_class_info.csv', *classes)
  touch(root, *(f'stage_2_train_images/{name}.dcm' for name in ('u1', 'u2', 'u3')))
  return root


NIH_HEADER = (
  'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,'
  'OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]'
)
NIH_ROWS = (
  '00000001_000.png,Cardiomegaly|Effusion,0,1,57,M,PA,2682,2749,0.143,0.143',
  '00000001_001.png,No Finding,1,1,58,M,AP,2894,2729,0.143,0.143',
  '00000002_000.png,Mass,0,2,80,F,PA,2500,2048,0.171,0.171',
)


def nih(root):
  write(root / 'Data_Entry_2017_v2020.csv', NIH_HEADER, *NIH_ROWS)
  touch(root, *(f'images/{row.split(",")[0]}' for row in NIH_ROWS))
  return root


def chexpert(root):
  """Two patients in training, one in valid.csv."""
  columns = ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *CHEXPERT_LABELS)

  def row(path, sex, age, view, direction, **values):
    filled = {name.replace('_', ' '): value for name, value in values.items()}
    return (
      f'CheXpert-v1.0-small/{path}',
      sex,
      age,
      view,
      direction,
      *(filled.get(label, '') for label in CHEXPERT_LABELS),
    )

  images = (
    'train/patient00001/study1/view1_frontal.jpg',
    'train/patient00001/study1/view2_lateral.jpg',
    'train/patient00002/study1/view1_frontal.jpg',
    'valid/patient64541/study1/view1_frontal.jpg',
  )
  write(
    root / 'train.csv',
    columns,
    row(images[0], 'Female', 68, 'Frontal', 'AP', Edema='1.0', Pleural_Effusion='-1.0'),
    row(images[1], 'Female', 68, 'Lateral', '', Edema='1.0', Pleural_Effusion='-1.0'),
    row(images[2], 'Male', 40, 'Frontal', 'PA', Cardiomegaly='0.0'),
  )
  write(
    root / 'valid.csv',
    columns,
    row(images[3], 'Male', 73, 'Frontal', 'AP', **dict.fromkeys(('Edema', 'Cardiomegaly'), '1.0')),
  )
  touch(root, *images)
  return root


def chexpert_tables(phantom_root, folder):
  """Copies the tables of the chest phantom alone: sources never open an image."""
  for name in ('train.csv', 'valid.csv'):
    shutil.copy(phantom_root / name, folder / name)
  return folder
