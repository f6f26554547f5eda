"""The report's section of pictures: the surest hits and the worst misses, with their heat maps."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from medjax.evaluation import wording
from medjax.evaluation.predictions import Predictions
from medjax.report import markup
from medjax.report.markup import Markup, small, tag

KINDS = {  # in the order shown: what a reader should look at first comes first
  'false negative': (
    'Worst misses',
    'The finding is there, and the model was surest that it is not.',
  ),
  'false positive': (
    'Worst false alarms',
    'The finding is not there, and the model was surest that it is.',
  ),
  'true positive': ('Surest hits', 'The finding is there, and the model was surest of it.'),
  'true negative': ('Surest rejections', 'The finding is not there, and the model was surest.'),
}


def choose(test: Predictions, thresholds: Mapping[str, float | None], each: int = 3) -> list[dict]:
  """Returns which test images to show: of every kind those furthest from the threshold.

  How far, is counted in log odds from the label's own threshold, so that a rare label, whose
  probabilities are all low, is not passed over. Every label gives its furthest image before any
  gives its second, and no two images are of one patient.

  Args:
    test: what is tested, probabilities calibrated as they are decided on.
    thresholds: label → threshold; labels that are absent or have None or NaN are passed over.
    each: how many of each kind at most.

  Returns:
    Dictionaries {'kind', 'label', 'row': int, 'image', 'patient', 'probability': float,
    'threshold': float, 'truth': 0 or 1}, by kind, the furthest first; `row` is that in `test`.
  """
  candidates: dict[str, list[tuple]] = {kind: [] for kind in KINDS}
  for index, label in enumerate(test.labels):
    threshold = thresholds.get(label)
    if threshold is None or np.isnan(threshold):
      continue
    scores = np.asarray(test.probabilities[:, index], np.float64)
    distance = np.abs(_log_odds(scores) - _log_odds(np.float64(threshold)))
    called, true = scores >= threshold, np.asarray(test.truth[:, index]) == 1
    for kind in KINDS:
      right, positive = kind.split(' ')
      group = (called == (positive == 'positive')) & ((called == true) == (right == 'true'))
      rows = np.flatnonzero(group & np.asarray(test.known[:, index], bool))
      # Enough to find others in place of patients who are shown already.
      furthest = rows[np.argsort(-distance[rows], kind='stable')][: 50 * each]
      candidates[kind] += [
        (place, -float(distance[row]), index, int(row)) for place, row in enumerate(furthest)
      ]
  shown: list[dict] = []
  used: set[str] = set()
  for kind, of_kind in candidates.items():
    chosen = []
    for _, distance, index, row in sorted(of_kind):
      patient = str(test.patients[row])
      if patient in used or len(chosen) == each:
        continue
      used.add(patient)
      label = test.labels[index]
      example = {
        'kind': kind,
        'label': label,
        'row': row,
        'image': str(test.images[row]),
        'patient': patient,
        'probability': float(test.probabilities[row, index]),
        'threshold': float(thresholds[label]),
        'truth': int(test.truth[row, index] == 1),
      }
      chosen.append((distance, example))
    shown += [example for _, example in sorted(chosen, key=lambda pair: pair[0])]
  return shown


def _log_odds(probability: np.ndarray) -> np.ndarray:
  bounded = np.clip(probability, 1e-7, 1 - 1e-7)
  return np.log(bounded) - np.log1p(-bounded)


def section(examples: Sequence[Mapping], method: str = 'heat maps', unit: str = 'image') -> Markup:
  """Returns the section.

  Args:
    method: of the heat maps, in words.
    unit: what the report is of.
    examples: what `choose` returns, each with 'picture' too: the bytes of a PNG or JPEG file or a
      data URI, None where it could not be drawn; and, where there are any, 'heat': the same of the
      picture under its heat map, and 'boxes': (left, top, width, height) as shares of the picture's
      sides, where readers say that the finding is.
  """
  groups = []
  for kind, (heading, meaning) in KINDS.items():
    figures = [_figure(example) for example in examples if example['kind'] == kind]
    if figures:
      groups.append(tag('h3', heading))
      groups.append(tag('p', meaning, class_='quiet'))
      groups.append(tag('div', figures, class_='examples'))
  heat = any(example.get('heat') for example in examples)
  boxes = any(example.get('boxes') for example in examples)
  return markup.section(
    'Examples from the test set',
    tag(
      'p',
      'The ones furthest from the threshold, no two of one patient: extremes, not a fair sample.',
      None
      if unit == 'image'
      else f' They are single images at the thresholds of images, while this report is of {wording.plural(unit)}.',
      ' Below each stand its probability and the threshold.',
      f' Beside each picture is what speaks for that label, by {method} of the single best checkpoint: '
      'every map has a scale of its own, one without colour found nothing that does. That it points '
      'there does not say that the network saw what a reader sees.'
      if heat
      else None,
      ' Frames are where the finding is marked.' if boxes else None,
      class_='quiet lead',
    ),
    groups,
  )


def _figure(example: Mapping) -> Markup:
  label, boxes = example['label'], example.get('boxes') or ()
  pictures = [_picture(example.get('picture'), f'{example["image"]}', boxes)]
  if example.get('heat'):
    words = f'Heat map of {label} on {example["image"]}'
    pictures.append(_picture(example['heat'], words, boxes))
  return tag(
    'figure',
    tag('div', pictures, class_='two'),
    tag(
      'figcaption',
      tag('b', label),
      f' {wording.percent(example["probability"])}',
      tag('span', f' threshold {wording.percent(example["threshold"])}', class_='beside')
      if example.get('threshold') is not None
      else None,
      small(f'patient {example["patient"]} · {example["image"]}'),
    ),
  )


def _picture(picture: bytes | str | None, words: str, boxes: Sequence[Sequence[float]]) -> Markup:
  uri = data_uri(picture)
  if uri is None:
    return tag('div', small('could not be drawn'), class_='picture')
  frames = [
    tag('rect', x=f'{x:.4f}', y=f'{y:.4f}', width=f'{width:.4f}', height=f'{height:.4f}')
    for x, y, width, height in boxes
  ]
  drawn = frames and tag(
    'svg', frames, viewBox='0 0 1 1', preserveAspectRatio='none', aria_hidden='true', class_='boxes'
  )
  return tag('div', tag('img', src=uri, alt=words), drawn or None, class_='picture')


def data_uri(picture: bytes | str | None) -> str | None:
  """Returns a PNG or JPEG file's bytes as a data URI, one that is given as it is, else None."""
  if isinstance(picture, bytes):
    kind = 'png' if picture.startswith(b'\x89PNG') else 'jpeg'
    return f'data:image/{kind};base64,{base64.b64encode(picture).decode()}'
  # Anything else would be fetched from somewhere, and the page fetches nothing.
  return picture if picture and picture.startswith('data:image/') else None
