"""What a run says of slides and patients: tables, figures with intervals, and heat maps.

  slides.csv, patients.csv            probability, truth and decision of each
  slides.json                         every figure, as evaluation/test.json has them of patches
  predictions/{validation,test}.csv   slides in the place of images
  heatmaps/SLIDE.LABEL.png            what the patches contributed, over the slide

The decision is at the operating point of validation, one for slides and another for patients: the more
slides a patient has, the higher the highest of them is by chance.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.config import Config
from medjax.data import datasets, labels
from medjax.data.table import label_values, read_csv
from medjax.errors import InputError
from medjax.evaluation import frozen, levels, notes, predictions, summary, wording
from medjax.evaluation.predictions import Predictions
from medjax.runtime import files
from medjax.whole_slides import patch_sets, patches, pictures

_PARTS = ('validation', 'test')


class Origin(NamedTuple):
  """Where patches come from.

  Attributes:
    root: the folder of the patches.
    slide: image → its slide.
    truth: slide → its truth [L] and whether known bool[L].
  """

  root: pathlib.Path
  slide: dict[str, str]
  truth: dict[str, tuple[np.ndarray, np.ndarray]]


class Heat(NamedTuple):
  """What a heat map shows.

  Attributes:
    values: image → a value f[L].
    what: they are, in words.
    limits: of the scale; None takes each slide's own.
  """

  values: Mapping[str, np.ndarray]
  what: str
  limits: tuple[float, float] | None


def origin(config: Config) -> Origin:
  """Returns where the patches of a run come from, and what is known of their slides.

  A slide's label is that of slides.csv beside the patches, if it says; else it follows from its
  patches: tumour if any is, none if none of them is and all are known.

  Raises:
    InputError: the source tells no slides.
  """
  table = datasets.read(config.data)
  if 'slide' not in table:
    raise InputError(
      f"config.data.source='{config.data.source}': tells no slides; a column 'slide' must say which "
      'slide an image is of'
    )
  names = list(config.data.labels)
  truth, known = labels.reference(table, names, config.data.blank)
  root = pathlib.Path(config.data.root)
  said = _said_of_slides(root / patch_sets.SLIDES, names)
  found = {}
  slides, order, starts = levels.grouped(table['slide'])
  for slide, value, certain in zip(slides, *levels.any_of(truth[order], known[order], starts)):
    if slide in said:
      stated = ~np.isnan(said[slide])
      value, certain = np.where(stated, said[slide] == 1, value), stated | certain
    found[slide] = (value, certain)
  return Origin(root, dict(zip(table['image'], table['slide'])), found)


def _said_of_slides(path: pathlib.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
  if not path.is_file():
    return {}
  frame = read_csv(path, ['slide'])
  columns = [
    label_values(frame, name, path) if name in frame else np.full(len(frame), np.nan)
    for name in names
  ]
  stacked = np.stack(columns, axis=1)
  stacked[stacked == -1] = np.nan  # Nobody is sure.
  return dict(zip(frame['slide'], stacked))


def of_patches(patches_of: Predictions, where: Origin, path: pathlib.Path) -> list[str]:
  """Returns the slide of each predicted patch.

  Raises:
    InputError: `path` predicts an image that the source does not have.
  """
  for row, image in enumerate(patches_of.images):
    if image not in where.slide:
      raise InputError(
        f"{path}: row {row + 2}: image '{image}' is none of the patches in {where.root}; give the "
        'folder that the run was trained on'
      )
  return [where.slide[image] for image in patches_of.images]


def of_slides(
  patches_of: Predictions, names: Sequence[str], where: Origin, aggregate: str
) -> Predictions:
  """Returns the predictions of slides, made of those of their patches; `names` are their slides."""
  # The source says more of a slide than do those of its patches that were predicted.
  slides = levels.of_units(patches_of._replace(about=None), names, aggregate)
  truth, known = (
    np.array([where.truth[slide][each] for slide in slides.images], bool).reshape(
      slides.known.shape
    )
    for each in (0, 1)
  )
  return slides._replace(truth=(truth & known).astype(np.float32), known=known)


def write(
  directory: pathlib.Path,
  parts: Mapping[str, Predictions],
  counts: Mapping[str, int],
  config: Config,
  facts: Mapping[str, Any],
) -> dict[str, Any]:
  """Evaluates slides and patients, writes tables and figures, and returns what slides.json holds.

  Args:
    directory: to write to.
    parts: 'validation' and 'test' → predictions of slides.
    counts: slide → how many patches.
    config: of the run.
    facts: to be in slides.json too.
  """
  settings = {'replicates': config.replicates, 'seed': config.seed}
  result: dict[str, Any] = {**facts, 'slides': _evaluate(parts, 'slide', settings)}
  several = any(len(set(part.patients)) < len(part.patients) for part in parts.values())
  # A patient is as likely to have it as the most likely of the patient's slides.
  of_patients = {name: levels.to_level(part, 'patient', 'max') for name, part in parts.items()}
  result['patients'] = _evaluate(of_patients, 'patient', settings) if several else None
  for name, part in parts.items():
    predictions.write(directory / 'predictions' / f'{name}.csv', *part)
  table = _decisions(parts, result['slides'])
  table.insert(3, 'patches', [counts[slide] for slide in table['image']])
  files.write_whole(
    directory / 'slides.csv', table.rename(columns={'image': 'slide'}).to_csv(index=False)
  )
  if several:
    table = _decisions(of_patients, result['patients']).drop(columns='image')
    files.write_whole(directory / 'patients.csv', table.to_csv(index=False))
  else:
    (directory / 'patients.csv').unlink(missing_ok=True)  # Of an earlier command.
  files.write_whole(
    directory / 'slides.json', json.dumps(result, indent=2, default=dataclasses.asdict) + '\n'
  )
  return result


def _evaluate(
  parts: Mapping[str, Predictions], thing: str, settings: Mapping[str, int]
) -> dict[str, Any]:
  chosen = frozen.freeze(parts['validation'], head='sigmoid', calibration='none', rules=('youden',))
  result = summary.evaluate(
    parts['validation'], parts['test'], chosen['operating_points'], unit=thing, **settings
  )
  of_units = [*result['notes']]
  if thing == 'slide':
    of_units = [*notes.unidentified(parts['validation'], parts['test']), *of_units]
  return {**result, 'notes': [note.replace('image', thing) for note in of_units]}


def _decisions(parts: Mapping[str, Predictions], result: Mapping[str, Any]) -> pd.DataFrame:
  tables = []
  for name in _PARTS:
    part = parts[name]
    table = pd.DataFrame({'image': part.images, 'patient': part.patients, 'split': name})
    for index, label in enumerate(part.labels):
      (point,) = result['labels'][label]['operating_points']
      scores, known = part.probabilities[:, index], part.known[:, index]
      table[f'prob_{label}'] = [f'{score:.6g}' for score in scores]
      decided = None if point['threshold'] is None else scores >= point['threshold']
      table[f'decided_{label}'] = '' if decided is None else np.where(decided, '1', '0')
      truth = np.where(part.truth[:, index] == 1, '1', '0')
      table[f'true_{label}'] = np.where(known, truth, '')
    tables.append(table)
  return pd.concat(tables, ignore_index=True)


def in_words(result: Mapping[str, Any]) -> list[str]:
  """Returns the answer in plain lines: of slides, of patients, and what weakens it."""
  lines = []
  for things in ('slides', 'patients'):
    found = result[things]
    if found is None:
      lines.append('patients: each has one slide, so what holds for slides holds for them')
      continue
    for label, of in found['labels'].items():
      figures = of['test']
      many = f'{figures["images"]:,} test slides of {figures["patients"]:,} patients'
      if things == 'patients':
        many = f'{figures["patients"]:,} test patients'
      words = f'{things}: {label}: AUROC {wording.plain(figures["auroc"], 3)} on {many}'
      (point,) = of['operating_points']
      if point['threshold'] is not None:
        words += (
          f'; at {point["threshold"]:.3g}, chosen on validation, sensitivity '
          f'{wording.plain(point["sensitivity"], 3)}, specificity '
          f'{wording.plain(point["specificity"], 3)}'
        )
      lines.append(words)
  weak = [*result['slides']['notes'], *(result['patients'] or {'notes': ()})['notes']]
  return [*lines, *(f'note: {note}' for note in dict.fromkeys(weak))]


def heat_maps(
  directory: pathlib.Path, where: Origin, names: Sequence[str], parts: Sequence[str], heat: Heat
) -> int:
  """Draws a heat map of every slide in `parts` for every label; returns how many.

  None where the patches were not cut by medjax.slides: then nobody knows where they lie.
  """
  settings = where.root / patch_sets.SETTINGS
  if not settings.is_file():
    return 0
  cut = files.read_json(settings)
  of_slides = read_csv(where.root / patch_sets.SLIDES, ['slide', 'width', 'mpp_x', 'mpp_y'])
  of_slides = of_slides.set_index('slide')
  places = read_csv(where.root / patch_sets.PATCHES, ['image', 'slide', 'x', 'y'])
  places = places[places['slide'].isin(parts) & places['image'].isin(heat.values)]
  folder = directory / 'heatmaps'
  folder.mkdir(parents=True, exist_ok=True)
  drawn = 0
  for slide, each in places.groupby('slide'):
    with Image.open(patches.thumbnail_path(where.root, slide)) as file:
      picture = file.convert('RGB')
    facts = of_slides.loc[slide]
    shrink = picture.width / float(facts['width'])
    own = np.array([float(facts['mpp_x']), float(facts['mpp_y'])])
    # A thumbnail's pixels are square in µm, those of the slide need not be.
    shrink = shrink * own / own[0]
    corners = each[['x', 'y']].to_numpy(np.float64) * shrink
    size = cut['patch_size'] * cut['mpp'] / own * shrink
    values = np.stack([heat.values[image] for image in each['image']])
    for index, name in enumerate(names):
      column = values[:, index]
      limits = heat.limits or (0.0, float(column.max()))
      page = pictures.heat(
        picture, np.hstack([corners, corners + size]), column, limits, heat.what.format(name)
      )
      page.save(folder / f'{slide}.{name.replace("/", "_")}.png', compress_level=1)
      drawn += 1
  return drawn
