"""A generated set of retinal photographs in EyePACS' own layout and its hidden truth.

    root/trainLabels.csv           image, level: EyePACS' header, codes and names
    root/train/1_left.jpeg, …      both eyes of every patient
    root/truth.csv                 what the graders' errors hide, and how many lesions were drawn
    root/phantom.json              the settings that made it

A patient's eyes share pigment, camera the course of the vessels, and mostly the grade. So a split
by image flatters a model here as it does on real photographs.
"""

import csv
import pathlib

import numpy as np
from PIL import Image

from medjax.data.phantom import folder, retina_drawing

# Raise it with every change of the pixels (retina_drawing.py) or the tables.
FORMAT = 1
# In a smaller photograph a microaneurysm falls between the pixels.
LEAST = {'images': 2, 'image_size': 32}
HEADER = ('image', 'level')
TRUTH_HEADER = ('image', 'level', *retina_drawing.LESIONS)

# Share of patients by the grade of their worse eye. Severe disease is commoner than in a screening
# programme, so that a small set has some.
GRADES = (0.56, 0.11, 0.2, 0.07, 0.06)
AGREE = 0.87  # share of patients whose eyes have one grade, as in EyePACS
MISREAD = 0.06  # share of eyes that the grader puts one grade off


def generate(
  root: pathlib.Path, *, images: int = 1000, image_size: int = 96, seed: int = 0
) -> None:
  """Writes the data set at `root`: all of it or, when interrupted, nothing.

  The files' bytes depend on `images` (an odd count leaves the last patient one eye), `image_size`
  (pixels a side) and `seed` alone. A root that holds these settings already is left as it is.

  Raises:
    InputError: a setting is out of range, or `root` exists and holds anything else.
  """
  numbers = {'images': images, 'image_size': image_size, 'seed': seed}
  folder.check_least(numbers, LEAST)
  settings: dict[str, int | str] = {'kind': 'retina', 'format': FORMAT, **numbers}
  folder.make(root, settings, lambda path: _write(path, images, image_size, seed))


def _write(root: pathlib.Path, images: int, size: int, seed: int) -> None:
  (root / 'train').mkdir(parents=True)
  rows, truths = [], []
  for number in range((images + 1) // 2):
    rng = np.random.default_rng([seed, number])
    patient = retina_drawing.draw_patient(rng)
    levels = _levels(rng)
    for side, level in list(zip(('left', 'right'), levels))[: images - 2 * number]:
      name = f'{number + 1}_{side}'
      pixels, lesions = retina_drawing.draw_eye(rng, patient, side=side, level=level, size=size)
      # Without subsampling: a lesion is a pixel or two of colour.
      Image.fromarray(pixels).save(root / 'train' / f'{name}.jpeg', quality=92, subsampling=0)
      rows.append({'image': name, 'level': _published_grade(rng, level)})
      truths.append({'image': name, 'level': level, **lesions})
  for name, header, lines in (('trainLabels', HEADER, rows), ('truth', TRUTH_HEADER, truths)):
    with open(root / f'{name}.csv', 'w', newline='', encoding='utf-8') as file:
      writer = csv.DictWriter(file, header, lineterminator='\n')
      writer.writeheader()
      writer.writerows(lines)


def _levels(rng: np.random.Generator) -> tuple[int, int]:
  """Returns the true grades of the left and the right eye."""
  worse = int(rng.choice(len(GRADES), p=GRADES))
  # Both eyes of a patient without disease are healthy, so all disagreements are among the others.
  apart = rng.random() < (1 - AGREE) / (1 - GRADES[0]) and worse > 0
  other = worse - 1 if apart else worse
  return (worse, other) if rng.random() < 0.5 else (other, worse)


def _published_grade(rng: np.random.Generator, level: int) -> int:
  """Returns the grade for the table: sometimes one too high or too low."""
  misread, up = rng.random() < MISREAD, rng.random() < 0.5
  if not misread:
    return level
  return level + 1 if level == 0 or (up and level < 4) else level - 1
