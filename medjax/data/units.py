"""Which images are tested together: the studies, patients and slides that they are of."""

from collections.abc import Iterable

import pandas as pd

from medjax.config import vocabulary
from medjax.errors import InputError, check_option


def keys(
  level: str,
  images: Iterable[str],
  patients: Iterable[str],
  about: pd.DataFrame | None,
  setting: str = 'level',
) -> list[str]:
  """Returns the unit of each of N images: the patient, the slide, or 'patient/study'.

  Patients may number their studies alike, so a study is known by its patient too.

  Args:
    level: one of medjax.config.vocabulary.LEVELS.
    images, patients: N names each.
    about: N rows, with a column 'study' or 'slide' if that is the level.
    setting: what the caller calls the level.

  Raises:
    InputError: no such level, nothing that says it, an image without a study or slide, a slide of
      two patients.
  """
  check_option(setting, level, vocabulary.LEVELS)
  images, patients = list(images), list(patients)
  if level in ('image', 'patient'):
    return images if level == 'image' else patients
  instead = f"or set {setting}='image'"
  if about is None or level not in about:
    raise InputError(
      f"{setting}='{level}': there is no column '{level}' that says which {level} an image is of; "
      f'add it to the table, {instead}'
    )
  parts = text(about[level])
  for image, part in zip(images, parts):
    if not part:
      raise InputError(
        f"{setting}='{level}': image '{image}' has no {level} ({parts.count(''):,} such images); "
        f"fill in the column '{level}', {instead}"
      )
  if level == 'study':
    parts = [f'{patient}/{part}' for patient, part in zip(patients, parts)]
  first: dict[str, str] = {}
  for part, patient in zip(parts, patients):
    if first.setdefault(part, patient) != patient:
      raise InputError(
        f"{setting}='{level}': {level} '{part}' is of the patients '{first[part]}' and "
        f"'{patient}'; give each {level} a name of its own, {instead}"
      )
  return parts


def text(column: pd.Series) -> list[str]:
  """Returns a column as text without spaces around it, '' where it is empty."""
  return column.astype(object).where(column.notna(), '').astype(str).str.strip().tolist()
