"""A generated chest X-ray data set in CheXpert's own layout, and its hidden truth.

    root/train.csv, valid.csv                       CheXpert's header and codes
    root/train/patient00001/study1/view1_frontal.jpg, …, valid/…
    root/truth.csv                                  what the label noise hides; lesion boxes
    root/phantom.json                               the settings that made it

Every patient has an anatomy that returns in all of their films, and findings mostly belong to the
patient. So a split by image flatters a model here as it does on real films.
"""

import concurrent.futures
import csv
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from medjax.data.phantom import chest_drawing
from medjax.data.phantom import folder as phantom_folder
from medjax.errors import InputError

# Raise it with every change of the pixels (chest_drawing.py) or the tables: an older root then no
# longer matches.
FORMAT = 1
PREFIX = 'CheXpert-v1.0-small'
LABELS = (
  'No Finding', 'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Opacity', 'Lung Lesion',
  'Edema', 'Consolidation', 'Pneumonia', 'Atelectasis', 'Pneumothorax', 'Pleural Effusion',
  'Pleural Other', 'Fracture', 'Support Devices',
)  # fmt: skip
HEADER = ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *LABELS)
FINDINGS = ('Lung Opacity', 'Lung Lesion', 'Edema', 'Consolidation', 'Pneumonia')
BOXED = ('Lung Lesion', 'Pneumonia')
BOX = ('x', 'y', 'width', 'height')  # of the upper left pixel, and in pixels
TRUTH_HEADER = ('Path', *FINDINGS, *(f'{finding} {side}' for finding in BOXED for side in BOX))
# In a smaller film a mass might fall between the pixels.
LEAST = {'images': 1, 'image_size': 16, 'seed': 0, 'workers': 1}

# Share of images. A mass is rare, so that class imbalance hurts; edema is common, as in CheXpert.
PREVALENCE = {'Lung Lesion': 0.06, 'Pneumonia': 0.15, 'Edema': 0.30}
# Pneumonia and edema come and go: seen in this share of an affected patient's studies.
PERSISTENCE = 0.85
# CheXpert's labeller reads reports. Some are hedged, and many never mention what is not there;
# what is there they hardly ever leave out.
UNCERTAIN, BLANK_NEGATIVE, BLANK_POSITIVE = 0.05, 0.15, 0.005
VALID_PATIENTS = 0.1
MOST_IMAGES, MORE_IMAGES = 8, 3.0  # per patient: at most, and on average beyond the first
# Only a study's later images may be lateral, which brings laterals to about a sixth of all images.
LATERAL = 0.3
BEDSIDE = 0.6  # share of studies taken AP
MOST_EXPOSURE = 0.5  # of a hospital; beyond, films are black or white


class Hospital(NamedTuple):
  """What tells one hospital's films from another's.

  Attributes:
    exposure: of its scanner beyond the usual, in thickness of tissue: above 0 films are darker.
    prevalence: how often each finding is there, times `PREVALENCE`.
  """

  exposure: float = 0.0
  prevalence: float = 1.0


USUAL = Hospital()


class _Film(NamedTuple):
  """A film to draw: its path, 'AP', 'PA' or '' (lateral), what it shows, its row of train.csv."""

  path: str
  projection: str
  truth: dict[str, bool]
  labels: dict[str, float | str]


class _Patient(NamedTuple):
  """A patient to draw; a stream of their own keeps the bits the same in any order of workers."""

  stream: list[int]
  split: str
  sex: str
  age: int
  images: list[_Film]


def generate(
  root: pathlib.Path,
  *,
  images: int = 2000,
  image_size: int = 128,
  seed: int = 0,
  hospital: Hospital = USUAL,
  workers: int = 2,
) -> None:
  """Writes the data set at `root`: all of it or, when interrupted, nothing.

  The files' bytes depend on `images`, `image_size` (pixels a side), `seed` and `hospital` alone. A
  root that holds these settings already is left as it is.

  Raises:
    InputError: a setting is out of range, or `root` exists and holds anything else.
  """
  settings = {'format': FORMAT, 'images': images, 'image_size': image_size, 'seed': seed}
  phantom_folder.check_least(settings | {'workers': workers}, LEAST)
  _check(hospital)
  # Where nothing is special the settings are those that older roots hold.
  special = {name: value for name, value in hospital._asdict().items() if hospital != USUAL}
  patients = _plan(images, seed, hospital.prevalence)
  phantom_folder.make(
    root,
    settings | special,
    lambda folder: _write(folder, patients, image_size, hospital.exposure, workers),
  )


def _check(hospital: Hospital) -> None:
  if not abs(hospital.exposure) <= MOST_EXPOSURE:
    raise InputError(
      f'phantom: exposure is {hospital.exposure}; it must be between -{MOST_EXPOSURE} and '
      f'{MOST_EXPOSURE}'
    )
  most = PERSISTENCE / max(PREVALENCE.values())
  if not 0 < hospital.prevalence <= most:
    raise InputError(
      f'phantom: prevalence is {hospital.prevalence} times the usual; it must be above 0 and at '
      f'most {most:.2f}'
    )


def _write(
  root: pathlib.Path, patients: Sequence[_Patient], size: int, exposure: float, workers: int
) -> None:
  for patient in patients:
    for image in patient.images:
      (root / image.path).parent.mkdir(parents=True, exist_ok=True)
  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    jobs = [pool.submit(_write_patient, root, patient, size, exposure) for patient in patients]
    try:
      truths = [row for job in jobs for row in job.result()]
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise
  for split in ('train', 'valid'):
    rows = [
      _label_row(patient, image)
      for patient in patients
      if patient.split == split
      for image in patient.images
    ]
    _write_csv(root / f'{split}.csv', HEADER, rows)
  _write_csv(root / 'truth.csv', TRUTH_HEADER, truths)


def _write_csv(path: pathlib.Path, header: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
  with open(path, 'w', newline='', encoding='utf-8') as file:
    writer = csv.DictWriter(file, header, restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)


def _write_patient(
  root: pathlib.Path, patient: _Patient, size: int, exposure: float
) -> list[dict[str, Any]]:
  """Writes a patient's films; returns their rows of truth.csv."""
  rng = np.random.default_rng(patient.stream)
  anatomy, lesions = chest_drawing.draw_patient(rng, female=patient.sex == 'Female')
  rows = []
  for image in patient.images:
    pixels, boxes = chest_drawing.draw_film(
      rng,
      anatomy,
      lesions,
      projection=image.projection,
      truth=image.truth,
      size=size,
      exposure=exposure,
    )
    Image.fromarray(pixels).save(root / image.path, quality=92)
    row: dict[str, Any] = {'Path': f'{PREFIX}/{image.path}'}
    row |= {finding: int(image.truth[finding]) for finding in FINDINGS}
    for finding, box in boxes.items():
      row |= {f'{finding} {side}': pixel for side, pixel in zip(BOX, box)}
    rows.append(row)
  return rows


# ---- who is imaged, how often, and with what ---------------------------------------------------


def _plan(images: int, seed: int, prevalence: float) -> list[_Patient]:
  """Returns the patients with their images' paths, views and findings; no pixels yet."""
  rng = np.random.default_rng([seed, 0])
  counts: list[int] = []
  while sum(counts) < images:
    # Half at most, so that even the smallest set has a patient for validation.
    most = max(1, min(MOST_IMAGES, images - sum(counts), images // 2))
    counts.append(min(1 + int(rng.poisson(MORE_IMAGES)), most))
  training = len(counts) - (max(1, round(VALID_PATIENTS * len(counts))) if len(counts) > 1 else 0)
  affected = {
    finding: np.concatenate([
      _affected(rng, part, prevalence * share / _persistence(finding))
      for part in (counts[:training], counts[training:])
    ])
    for finding, share in PREVALENCE.items()
  }  # fmt: skip
  patients = []
  for index, count in enumerate(counts):
    split = 'train' if index < training else 'valid'
    sex = str(rng.choice(['Male', 'Female']))
    age = int(np.clip(rng.normal(60, 17), 18, 90))
    sick = [finding for finding in PREVALENCE if affected[finding][index]]
    films = _plan_images(rng, f'{split}/patient{index + 1:05d}', count, sick)
    patients.append(_Patient([seed, index + 1], split, sex, age, films))
  return patients


def _persistence(finding: str) -> float:
  return 1.0 if finding == 'Lung Lesion' else PERSISTENCE


def _affected(rng: np.random.Generator, counts: list[int], share: float) -> np.ndarray:
  """Returns the patients, bool[patients], drawn until they hold this share of the images."""
  order = rng.permutation(len(counts))
  before = np.cumsum(np.array(counts, int)[order]) - np.array(counts, int)[order]
  chosen = np.zeros(len(counts), bool)
  chosen[order[before < share * sum(counts)]] = True
  return chosen


def _plan_images(rng: np.random.Generator, folder: str, count: int, sick: list[str]) -> list[_Film]:
  studies = np.sort(rng.integers(1, rng.integers(1, 4) + 1, count))
  images = []
  for number, study in enumerate(np.unique(studies), start=1):
    present = {
      finding for finding in sick if finding == 'Lung Lesion' or rng.random() < PERSISTENCE
    }
    truth = {
      **{finding: finding in present for finding in PREVALENCE},
      'Consolidation': 'Pneumonia' in present,
      'Lung Opacity': bool(present),
    }
    projection = 'AP' if rng.random() < BEDSIDE else 'PA'
    for view in range(1, int((studies == study).sum()) + 1):
      lateral = view > 1 and rng.random() < LATERAL
      path = f'{folder}/study{number}/view{view}_{"lateral" if lateral else "frontal"}.jpg'
      images.append(_Film(path, '' if lateral else projection, truth, _labels(rng, truth)))
  return images


def _label_row(patient: _Patient, image: _Film) -> dict[str, Any]:
  """Returns a row of train.csv, labelled from a report, or of valid.csv, read by radiologists."""
  row = {
    'Path': f'{PREFIX}/{image.path}',
    'Sex': patient.sex,
    'Age': patient.age,
    'Frontal/Lateral': 'Frontal' if image.projection else 'Lateral',
    'AP/PA': image.projection,
  }
  healthy = not image.truth['Lung Opacity']
  if patient.split == 'valid':
    findings = {finding: float(image.truth[finding]) for finding in FINDINGS}
    return row | {'No Finding': float(healthy)} | findings
  return row | {'No Finding': 1.0 if healthy else ''} | image.labels


def _labels(rng: np.random.Generator, truth: dict[str, bool]) -> dict[str, float | str]:
  labels: dict[str, float | str] = {}
  for finding in FINDINGS:
    blank = BLANK_POSITIVE if truth[finding] else BLANK_NEGATIVE
    draw = rng.random()
    hedged = -1.0 if draw < UNCERTAIN else float(truth[finding])
    labels[finding] = '' if UNCERTAIN <= draw < UNCERTAIN + blank else hedged
  return labels
