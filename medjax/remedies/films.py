"""Generated films whose truth is known: the data of every experiment here."""

import pathlib
import tempfile
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.phantom import chest_drawing

FINDINGS = ('Lung Lesion', 'Pneumonia', 'Edema')
PREVALENCE = {'Lung Lesion': 0.1, 'Pneumonia': 0.2, 'Edema': 0.3}
MIRRORED = 'Dextrocardia'  # the heart on the right, as a film shows it that is mirrored whole
SIZE = 48  # pixels a side; a mass is 5 to 8 of them wide


def once(folder: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
  """Makes a folder unless it is there: all of it or nothing, even if others make it too.

  Args:
    folder: what is to be there.
    make: puts everything into the empty folder that it is given.
  """
  if folder.exists():
    return
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix=f'.{folder.name}.', dir=folder.parent) as scratch:
    made = pathlib.Path(scratch, folder.name)
    made.mkdir()
    make(made)
    try:
      made.rename(folder)
    except OSError:
      if not folder.exists():  # Else another process was faster.
        raise


def draw(
  root: pathlib.Path,
  *,
  patients: int,
  films: int,
  seed: int,
  prevalence: Mapping[str, float] = PREVALENCE,
) -> pd.DataFrame:
  """Draws the films of new patients, all of them or none; what `root` holds already stays.

  A patient's anatomy and findings are the same in all of their films, which differ in pose,
  exposure and grain.

  Args:
    root: folder for the films and their table, films.csv.
    patients: how many.
    films: of each patient.
    seed: patients of different seeds are different people.
    prevalence: finding → share of patients, met exactly up to rounding; a finding that is not named
      is nobody's. With `MIRRORED` among them the films of so many are mirrored, and the table has a
      column of it.

  Returns:
    A row per film: image (relative to root), patient, and 1 or 0 for each of `FINDINGS`.
  """

  def make(folder: pathlib.Path) -> None:
    rows = _draw(folder, patients, films, seed, prevalence)
    pd.DataFrame(rows).to_csv(folder / 'films.csv', index=False)

  once(root, make)
  return pd.read_csv(root / 'films.csv')


def _draw(
  folder: pathlib.Path, patients: int, films: int, seed: int, prevalence: Mapping[str, float]
) -> list[dict]:
  # Not [seed, 0], whose draws are those of `seed` alone, by which a split is drawn.
  chance = np.random.default_rng([7, seed])
  has = {
    finding: chance.permutation(patients) < round(prevalence.get(finding, 0.0) * patients)
    for finding in (*FINDINGS, *({MIRRORED} & set(prevalence)))
  }
  rows = []
  for patient in range(patients):
    rng = np.random.default_rng([8, seed, patient])
    anatomy, lesions = chest_drawing.draw_patient(rng, female=bool(rng.integers(2)))
    truth = {finding: bool(has[finding][patient]) for finding in has}
    for film in range(films):
      pixels, _ = chest_drawing.draw_film(
        rng, anatomy, lesions, projection='PA', truth=truth, size=SIZE
      )
      if truth.get(MIRRORED):
        pixels = np.fliplr(pixels)
      name = f'{patient:05d}_{film}.png'
      Image.fromarray(pixels).save(folder / name, compress_level=1)
      rows.append(
        {'image': name, 'patient': f'{seed}-{patient:05d}'}
        | {finding: int(value) for finding, value in truth.items()}
      )
  return rows
