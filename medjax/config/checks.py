"""What no single field can say: settings that no run could use together."""

import dataclasses
import json

from medjax.config import fields, names, protocol, vocabulary
from medjax.config.settings import OPTIMIZERS, Config
from medjax.errors import InputError, check_option


def check(config: Config) -> None:
  """Checks a config; whole numbers become floats, and lists tuples, where a field asks for them.

  Names of losses, models, policies and labels are checked where they are looked up. What an
  optimizer leaves open is filled in by its recipe.

  Raises:
    InputError: naming field, value and what is allowed, for values that no run could use.
  """
  fields.check(config)
  try:
    json.dumps(dataclasses.asdict(config))
  except TypeError as error:
    raise InputError(
      f'config: settings must be plain numbers, text, lists and dicts ({error})'
    ) from None
  _check_data(config)
  _check_model(config)
  protocol.check(config.protocol, config.data.labels, protocol.IN_CONFIG)
  _check_optimizer(config)
  _check_averaging(config)
  _check_subgroups(config)
  _check_folds(config)
  _check_seeds(config)
  _check_tracking(config)


def _check_tracking(config: Config) -> None:
  trackers = config.tracking
  for name in trackers:
    if ':' not in name:
      check_option('config.tracking', name, vocabulary.TRACKERS)
  if len(set(trackers)) < len(trackers):
    raise InputError(f'config.tracking names one twice: {", ".join(trackers)}')


def _check_data(config: Config) -> None:
  data = config.data
  if not data.labels:
    raise InputError('config.data.labels is empty; name at least one label')
  if len(set(data.labels)) < len(data.labels):
    raise InputError(f'config.data.labels names a label twice: {", ".join(data.labels)}')
  names.check_labels(data.labels, 'config.data.labels')
  if data.channels not in (1, 3):
    raise InputError(f'config.data.channels={data.channels}: must be 1 (grey) or 3 (RGB)')
  vocabulary.check_intensity(data.intensity, 'config.data.intensity')


def _check_model(config: Config) -> None:
  model, steps = config.model, config.model.unfreeze_at
  if len(config.data.labels) < 2 and model.head != 'sigmoid':
    raise InputError(f"config.model.head='{model.head}': needs two labels or more to choose from")
  if steps and model.finetune != 'head':
    raise InputError("config.model.unfreeze_at: only with model.finetune='head' is anything frozen")
  if list(steps) != sorted(set(steps)) or not all(0 < step < config.steps for step in steps):
    raise InputError(
      f'config.model.unfreeze_at={steps}: must be rising steps between 0 and steps={config.steps}'
    )
  if model.finetune == 'head' and not model.pretrained:
    raise InputError(
      "config.model.finetune='head': trains a head on random features unless "
      'config.model.pretrained says what they come from'
    )
  for name, values in (('mean', model.mean), ('std', model.std)):
    if len(values) not in (0, 1, config.data.channels):
      raise InputError(
        f'config.model.{name}={values}: must have one value for each of the '
        f'{config.data.channels} channels'
      )
  if not all(0 <= value <= 1 for value in model.mean):
    raise InputError(f'config.model.mean={model.mean}: must be of pixels in [0, 1], not 0 to 255')
  if not all(0 < value <= 1 for value in model.std):
    raise InputError(f'config.model.std={model.std}: must be in (0, 1], of pixels in [0, 1]')


def _check_optimizer(config: Config) -> None:
  config.optimizer = optimizer = config.optimizer.filled()
  if ':' not in optimizer.name:
    check_option('config.optimizer.name', optimizer.name, OPTIMIZERS)
    if optimizer.settings:
      raise InputError(
        f'config.optimizer.settings={optimizer.settings}: are for an optimizer of your own; those '
        f'of {optimizer.name} are fields of config.optimizer'
      )
  elif optimizer.learning_rate is None:
    raise InputError(
      f"config.optimizer.learning_rate is missing: config.optimizer.name='{optimizer.name}' has no "
      'rate that medjax knows'
    )
  elif config.model.unfreeze_at:
    raise InputError(
      f'config.model.unfreeze_at={config.model.unfreeze_at}: needs config.optimizer.name=adamw or '
      'sgd, which start anew for a stage that joins'
    )
  if ':' not in optimizer.schedule:
    check_option('config.optimizer.schedule', optimizer.schedule, ('cosine',))
    if optimizer.schedule_settings:
      raise InputError(
        f'config.optimizer.schedule_settings={optimizer.schedule_settings}: are for a schedule of '
        'your own'
      )
  if optimizer.warmup_steps >= config.steps:
    raise InputError(
      f'config.optimizer.warmup_steps={optimizer.warmup_steps}: must be below steps={config.steps}'
    )
  if config.batch_size % optimizer.accumulate:
    raise InputError(
      f'config.batch_size={config.batch_size}: must be divisible by '
      f'optimizer.accumulate={optimizer.accumulate}'
    )


def _check_averaging(config: Config) -> None:
  evaluation = config.evaluation
  if evaluation.test_augment and config.augment == 'none':
    raise InputError(
      f"config.evaluation.test_augment={evaluation.test_augment}: with config.augment='none' all "
      'passes would be the same; name a policy there, or set 0 here'
    )
  members = evaluation.members
  if not all(members) or len(set(members)) < len(members):
    raise InputError(
      f'config.evaluation.members={members}: must be work directories, each of them once'
    )


def _check_subgroups(config: Config) -> None:
  for name in config.evaluation.subgroups:
    if name in vocabulary.OWN_COLUMNS or name.startswith(vocabulary.OF_PREDICTIONS):
      raise InputError(
        f"config.evaluation.subgroups: a column cannot be called '{name}', as the run's own in its "
        f'files of predictions ({", ".join((*vocabulary.OWN_COLUMNS, *vocabulary.OF_PREDICTIONS))} '
        'and a label); rename it in the table'
      )


def _check_folds(config: Config) -> None:
  split = config.split
  folds, where = split.folds, f'config.split.folds={split.folds}'
  if folds in (1, True) or (isinstance(folds, int) and folds < 0):
    raise InputError(f"{where}: must be 2 or more, 'site', or 0 for a single test set")
  if isinstance(folds, str) and folds != 'site':
    raise InputError(f"{where}: must be a number of folds, such as 5, or 'site'")
  if not folds:
    if split.fold >= 0:
      raise InputError(
        f'config.split.fold={split.fold}: there are no folds; set config.split.folds=5 too'
      )
    return
  if isinstance(folds, int) and split.fold >= folds:
    raise InputError(f'config.split.fold={split.fold}: must be from 0 to {folds - 1}')
  for name in ('test', 'validation'):
    asked = str(getattr(split, name)).strip()
    if asked.startswith('official'):
      raise InputError(
        f"{where}: with config.split.{name}='{asked}' the publisher says who is tested, with folds "
        f'everybody is in turn; give config.split.{name}=0.1, or no folds'
      )
  if split.file or split.date:
    field = 'file' if split.file else 'date'
    raise InputError(
      f'{where}: config.split.{field} says who is tested, with folds everybody is in turn; leave '
      'one of them out'
    )


def _check_seeds(config: Config) -> None:
  seeds, split = config.seeds, config.split
  where = f'config.seeds={seeds}'
  if seeds > 1 and config.seed + seeds > 2**32:
    raise InputError(f'{where}: the last seed would be 2**32 or more; lower config.seed')
  is_folded = bool(split.folds) and split.fold < 0
  if seeds > 1 and is_folded:
    raise InputError(
      f'{where}: not together with config.split.folds={split.folds}; name the fold whose seeds are '
      'to be trained, such as config.split.fold=0'
    )
  if config.evaluation.members and (seeds > 1 or is_folded):
    which = where if seeds > 1 else f'config.split.folds={split.folds}'
    raise InputError(
      f'{which}: config.evaluation.members are averaged with one run; leave them out here, and '
      'name them when one of the runs is tested again'
    )
