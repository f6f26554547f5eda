"""What training minimises: the loss with its settings bound, over which images in which order."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import jax.numpy as jnp
import numpy as np

from medjax import losses
from medjax.config import Config
from medjax.data import sampling, targets
from medjax.data.study import Study
from medjax.errors import InputError, check_option
from medjax.losses import class_weights
from medjax.models import heads
from medjax.runtime import import_by_name


@dataclasses.dataclass(frozen=True)
class Objective:
  """Attributes:
  rows: train, validation and test → the positions of its images in the study table, int64[n].
  stream: the order in which training shows its rows.
  loss: (logits f32[B, K], labels f32[B, K]) → f32[B, K]; see medjax.losses.
  """

  rows: dict[str, np.ndarray]
  stream: sampling.IndexStream
  loss: Callable


def make(config: Config, study: Study, broken: Set[str] = frozenset()) -> Objective:
  """Returns what training on this study minimises.

  Args:
    config: of the run.
    study: its images.
    broken: images that are set aside.

  Raises:
    InputError: a split without images, no label to train on, or a loss or re-sampling that does
      not exist or fit.
  """
  rows = {part: study.rows(part, broken) for part in ('train', 'validation', 'test')}
  if config.batch_size > len(rows['train']):
    raise InputError(
      f'config.batch_size={config.batch_size}: more than the {len(rows["train"]):,} training images'
    )
  values, mask = study.values[rows['train']], study.mask[rows['train']]
  if not mask.any():
    raise InputError(
      'no training image has a known label, so there is nothing to learn; fill in the labels '
      f'({", ".join(config.data.labels)}) in the table, or set config.data.blank or '
      'config.data.uncertain to what empty or uncertain ones mean'
    )
  stream = sampling.IndexStream(
    config.sampling.name,
    values,
    mask,
    labels=config.data.labels,
    label=config.sampling.label or None,
    seed=config.seed,
    sets=study.table['dataset'].iloc[rows['train']] if 'dataset' in study.table else (),
    mixture=config.sampling.mixture,
  )
  # Weights and priors are those of what training shows: re-sampling has already moved the balance.
  shown = stream.epoch(0)
  return Objective(
    rows,
    stream,
    bound_loss(config, *targets.targets(config.model.head, values[shown], mask[shown])),
  )


def loss_of(
  config: Config, loss: Callable, log_odds: np.ndarray, values: np.ndarray, mask: np.ndarray
) -> float | None:
  """Returns the loss of predictions, nats per image, as training would have it of one batch.

  None of a loss that compares the images of a batch with each other: it has no value of so many.

  Args:
    config: of the run.
    loss: as of `Objective`.
    log_odds: f[N, L], of each label.
    values: f32[N, L] in [0, 1], the labels.
    mask: f32[N, L], 1 where the label is known.
  """
  if import_by_name.takes(loss, 'mask'):
    return None
  head = config.model.head
  asked, is_known = targets.targets(head, values, mask)
  logits = heads.logits(head, jnp.asarray(log_odds, jnp.float32))
  everyone = jnp.ones(len(logits))
  value = float(losses.reduce(loss(logits, jnp.asarray(asked)), jnp.asarray(is_known), everyone))
  return value if np.isfinite(value) else None


def bound_loss(config: Config, values: np.ndarray, mask: np.ndarray) -> Callable:
  """Returns the config's loss with its settings, and what it asks of the training targets, bound.

  Args:
    config: of the run.
    values: f32[M, K] in [0, 1], the targets of one epoch.
    mask: f32[M, K], 1 where the target is known.

  Raises:
    InputError: a loss that does not exist or fit.
  """
  head = config.model.head
  module = losses.softmax if head == 'softmax' else losses.binary
  what = f"config.loss.name (with model.head='{head}')"
  loss = import_by_name.find(config.loss.name, import_by_name.public(module), what)
  import_by_name.check_settings(
    loss, config.loss.settings, 'config.loss.settings', given=('logits', 'labels', 'mask')
  )
  if import_by_name.takes(loss, 'mask') and config.optimizer.accumulate > 1:
    raise InputError(
      f'config.optimizer.accumulate={config.optimizer.accumulate}: {config.loss.name} compares the '
      'images of a batch with each other and cannot be computed in parts; set it to 1'
    )
  counted = class_weights.count(values, mask)
  bound = {name: value for name, value in counted.items() if import_by_name.takes(loss, name)}
  names = output_names(config)
  for name, value in config.loss.settings.items():
    by_label = name in bound and isinstance(value, Mapping)
    bound[name] = _by_label(value, bound[name], names, name) if by_label else value
  return functools.partial(loss, **bound)


def output_names(config: Config) -> list[str]:
  """Returns what each output of the head is called in settings by label.

  Of grades an output says whether a grade is reached that its neighbour below is, so it is called
  by that grade, and the lowest has none.
  """
  labels = list(config.data.labels)
  return labels[1:] if config.model.head == 'ordinal' else labels


def _by_label(
  given: Mapping[str, Any], counted: np.ndarray, names: Sequence[str], setting: str
) -> np.ndarray:
  """Returns f32[K]: what is given by label, and what was counted for the others."""
  what = f'config.loss.settings.{setting}'
  values = np.array(counted, np.float32)
  for label, value in given.items():
    check_option(f'{what}: the label', label, names)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 <= value < math.inf):
      raise InputError(f"{what}['{label}']={value!r}: must be a number, 0 or more")
    values[names.index(label)] = value
  return values
