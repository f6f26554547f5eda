"""A generated set of dermoscopic pictures in ISIC 2020's layout and its hidden truth.

    root/ISIC_2020_Training_GroundTruth.csv       the first release's header and codes
    root/ISIC_2020_Training_GroundTruth_v2.csv    the second's: lesion_id too
    root/ISIC_2020_Training_Duplicates.csv        pairs of names for one picture
    root/train/ISIC_0000001.jpg, …
    root/truth.csv                                how atypical each lesion was drawn, 0 to 1
    root/phantom.json                             the settings that made it

A patient has several lesions on the same skin, photographed with the same dermatoscope, some of
them more than once; patients with one melanoma have more. So a split by image flatters a model here
as it does on real pictures.
"""

import csv
import pathlib
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from medjax.data.phantom import folder, skin_drawing

# Raise it with every change of the pixels (skin_drawing.py) or the tables.
FORMAT = 1
LEAST = {'images': 2, 'image_size': 32}
HEADER = (
  'image_name', 'patient_id', 'sex', 'age_approx', 'anatom_site_general_challenge', 'diagnosis',
  'benign_malignant', 'target',
)  # fmt: skip
HEADER_V2 = ('image_name', 'lesion_id', *HEADER[1:])
DUPLICATES_HEADER = ('image_name_1', 'image_name_2')
TRUTH_HEADER = ('image_name', 'atypical', 'asymmetry', 'border', 'colours')
SITES = ('torso', 'lower extremity', 'upper extremity', 'head/neck', 'palms/soles', 'oral/genital')
SITE_SHARES = (0.5, 0.25, 0.15, 0.06, 0.03, 0.01)

LESIONS = 3.0  # per patient, on average beyond the first
# Share of patients at risk, and of melanomas among their lesions and among other patients'.
# Together about a tenth of the images: rare, but not as rare as in ISIC 2020, so that a small set
# has some.
AT_RISK, MELANOMA, MELANOMA_ELSEWHERE = 0.18, 0.45, 0.015
AGAIN = 0.6  # more pictures of a lesion, on average beyond the first; two at most
DUPLICATE = 0.02  # share of pictures that are in the set under a second name


class _Person(NamedTuple):
  name: str
  sex: str
  age: int
  melanomas: float  # share of their lesions


class _Tables(NamedTuple):
  """Rows of the label tables, of the list of duplicates and of truth.csv."""

  rows: list[dict[str, Any]]
  pairs: list[dict[str, Any]]
  truths: list[dict[str, Any]]


def generate(
  root: pathlib.Path, *, images: int = 1000, image_size: int = 96, seed: int = 0
) -> None:
  """Writes the data set at `root`: all of it or, when interrupted, nothing.

  The files' bytes depend on `images` (published duplicates among them), `image_size` (pixels a
  side) and `seed` alone. A root that holds these settings already is left as it is.

  Raises:
    InputError: a setting is out of range, or `root` exists and holds anything else.
  """
  numbers = {'images': images, 'image_size': image_size, 'seed': seed}
  folder.check_least(numbers, LEAST)
  settings: dict[str, int | str] = {'kind': 'skin', 'format': FORMAT, **numbers}
  folder.make(root, settings, lambda path: _write(path, images, image_size, seed))


def _write(root: pathlib.Path, images: int, size: int, seed: int) -> None:
  (root / 'train').mkdir(parents=True)
  # Names are in no order of the patients, so that they hold no information.
  names = [f'ISIC_{number:07d}' for number in np.random.default_rng([seed, 0]).permutation(images)]
  tables = _Tables([], [], [])
  patient = 0
  while names:
    patient += 1
    rng = np.random.default_rng([seed, patient])
    look = skin_drawing.draw_patient(rng)
    person = _person(rng, patient)
    for lesion in range(1 + int(rng.poisson(LESIONS))):
      _write_lesion(root, rng, look, person, lesion, names, size, tables)
  for name, header, lines in (
    ('ISIC_2020_Training_GroundTruth', HEADER, tables.rows),
    ('ISIC_2020_Training_GroundTruth_v2', HEADER_V2, tables.rows),
    ('ISIC_2020_Training_Duplicates', DUPLICATES_HEADER, tables.pairs),
    ('truth', TRUTH_HEADER, tables.truths),
  ):
    lines = sorted(lines, key=lambda row: next(iter(row.values())))
    with open(root / f'{name}.csv', 'w', newline='', encoding='utf-8') as file:
      writer = csv.DictWriter(file, header, lineterminator='\n', extrasaction='ignore')
      writer.writeheader()
      writer.writerows(lines)


def _person(rng: np.random.Generator, number: int) -> _Person:
  return _Person(
    name=f'IP_{number:07d}',
    sex=str(rng.choice(['male', 'female'])),
    # The archive rounds ages to five years.
    age=5 * int(np.clip(rng.normal(50, 15), 15, 90) / 5),
    melanomas=MELANOMA if rng.random() < AT_RISK else MELANOMA_ELSEWHERE,
  )


def _write_lesion(
  root: pathlib.Path,
  rng: np.random.Generator,
  look: SimpleNamespace,
  person: _Person,
  number: int,
  names: list[str],
  size: int,
  tables: _Tables,
) -> None:
  """Writes the pictures of one lesion and adds their rows; takes their names from `names`."""
  malignant = rng.random() < person.melanomas
  lesion, truth = skin_drawing.draw_lesion(rng, look, malignant=malignant)
  row = {
    'lesion_id': f'IL_{int(person.name[3:]):05d}{number:02d}',
    'patient_id': person.name,
    'sex': person.sex,
    'age_approx': person.age,
    'anatom_site_general_challenge': str(rng.choice(SITES, p=SITE_SHARES)),
    # Most benign lesions were never excised, so they have no diagnosis.
    'diagnosis': 'melanoma' if malignant else str(rng.choice(['unknown', 'nevus'], p=[0.8, 0.2])),
    'benign_malignant': 'malignant' if malignant else 'benign',
    'target': int(malignant),
  }
  for _ in range(1 + min(2, int(rng.poisson(AGAIN)))):
    pixels = skin_drawing.draw_picture(rng, look, lesion, size=size)
    copies = 2 if rng.random() < DUPLICATE else 1
    own_names = [names.pop() for _ in range(min(copies, len(names)))]
    for name, quality in zip(own_names, (92, 80)):
      Image.fromarray(pixels).save(root / 'train' / f'{name}.jpg', quality=quality, subsampling=0)
      tables.rows.append({'image_name': name, **row})
      tables.truths.append({'image_name': name, **truth})
    if len(own_names) == 2:
      tables.pairs.append(dict(zip(DUPLICATES_HEADER, own_names)))
