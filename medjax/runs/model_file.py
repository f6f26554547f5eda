"""What a run's network takes in and where its parameters started: the file model.json.

Written when a run starts, so that it goes on, predicts and is exported without its weights' source.
"""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.runs.layout import Layout
from medjax.runtime import files

if TYPE_CHECKING:  # A run is opened without jax.
  from medjax.models.pretrained.fit import Fitted
  from medjax.models.pretrained.weights import Weights
  from medjax.training.learner import Learner


@dataclasses.dataclass(frozen=True)
class Provenance:
  """Attributes:
  image_format: of the images.
  mean: of their normalisation, see medjax.training.preprocessing.Normalisation.
  std: likewise.
  parameters: how many the network has.
  pretrained: None, or where the weights come from ('from'; and 'revision', 'sha256' or 'step' where
    there are any; 'pretrained', what a run that they come from started from itself) and how they
    fit: 'new', parameters that they do not fill, 'unused', tensors without a place in the network,
    and 'adapted', what was done to tensors of another shape, in words.
  """

  image_format: ImageFormat
  mean: tuple[float, ...]
  std: tuple[float, ...]
  parameters: int
  pretrained: dict[str, Any] | None


def describe(learner: 'Learner', weights: 'Weights | None', fitted: 'Fitted | None') -> Provenance:
  """Returns what model.json says of a run that starts now."""
  pretrained = None
  if weights and fitted:
    pretrained = {
      **weights.origin,
      'new': fitted.new,
      'unused': fitted.unused,
      'adapted': fitted.adapted,
    }
  mean, std = learner.normalisation.mean, learner.normalisation.std
  return Provenance(learner.image_format, mean, std, learner.parameters(), pretrained)


def to_json(provenance: Provenance) -> str:
  """Returns the text of model.json."""
  image_format = provenance.image_format
  preprocessing = {
    'image_size': image_format.size,
    'channels': image_format.channels,
    'mean': provenance.mean,
    'std': provenance.std,
    'interpolation': image_format.interpolation,
    'fit': image_format.fit,
    'intensity': image_format.intensity,
  }
  values = {
    'preprocessing': preprocessing,
    'parameters': provenance.parameters,
    'pretrained': provenance.pretrained,
  }
  return json.dumps(values, indent=2) + '\n'


def read(layout: Layout) -> Provenance:
  """Reads model.json of a work directory.

  Raises:
    InputError: there is none, or it is not what a run wrote.
  """
  path = layout.model
  values = files.read_json(path)
  try:
    given = dict(values['preprocessing'])
    mean, std = (tuple(map(float, given.pop(name))) for name in ('mean', 'std'))
    return Provenance(
      ImageFormat(given.pop('image_size'), **given),
      mean,
      std,
      values['parameters'],
      values['pretrained'],
    )
  except (ValueError, KeyError, TypeError) as error:
    raise InputError(f'{path}: not the JSON that the run wrote ({error})') from None


def in_words(provenance: Provenance) -> str:
  """Returns where the parameters started, in one line."""
  start = provenance.pretrained
  if not start:
    return 'random'
  details = [
    f'revision {start["revision"][:12]}' if 'revision' in start else '',
    f'step {start["step"]:,}' if 'step' in start else '',
    f'SHA-256 {start["sha256"][:12]}' if 'sha256' in start else '',
    f'new: {", ".join(name.partition("/")[2] for name in start["new"]) or "nothing"}',
    f'{len(start["unused"]):,} tensors unused',
    *start.get('adapted', ()),
  ]
  return f'{start["from"]}; ' + '; '.join(detail for detail in details if detail)


def note(provenance: Provenance) -> str | None:
  """Returns what weakens an answer that these weights gave, as a sentence, or None.

  Runs, and their exports where they lie in them, are checked (see medjax.data.leakage.seen_before)
  and timm's weights saw no patients; of others nobody knows.
  """
  start = provenance.pretrained
  while start and 'step' in start:
    start = start.get('pretrained')  # What the run that it comes from started from.
  if not start or start['from'].startswith('timm/'):
    return None
  return (
    f'The network started from {start["from"]}; whether patients of this study trained those '
    'weights is not recorded, and if so the figures are too high.'
  )
