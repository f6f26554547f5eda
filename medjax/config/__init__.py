"""Every setting of an experiment: typed dataclasses with units, defaults and checks.

A config file defines `get_config(arg='') -> Config`. On the command line `--config=file.py:arg` names
it and `--config.data.root=…` overrides any field; values are read as Python literals where they are
some, as text otherwise.
"""

import dataclasses
import importlib.util
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from medjax.config import fields, protocol, vocabulary
from medjax.config.protocol import Protocol
from medjax.errors import InputError, check_option, nearest, one_line

MODALITIES = ('chest', 'retina', 'skin', 'histopathology')


@dataclasses.dataclass
class Data:
  """Which images, which labels, and what imperfect labels mean.

  Attributes:
    source: a module of medjax.data.datasets, or 'package.module:function' of your own.
    root: the folder that image paths are relative to.
    labels: the labels to learn, in this order.
    image_size: height and width of the network's input, pixels; 0 takes that of the pretrained
      weights, or the one that the network was published with.
    channels: 1 (grey) or 3 (RGB).
    views: keep only these views ('frontal', 'lateral'); empty keeps all.
    uncertain: 'ignore', 'zeros', 'ones' or a smoothing range 'low..high'; or a dict label → policy.
    blank: 'ignore' or 'zeros'; or a dict label → policy.
    broken: 'stop' at an image that cannot be read, or 'set_aside' and report it.
    workers: input processes; 0 reads in threads of the main process.
    settings: keyword arguments of the source.
    fit: how an image that is not square becomes so: 'pad' keeps the aspect ratio, the rest is black;
      'crop' keeps it and cuts the longer side at both ends; 'stretch' does not keep it.
    intensity: what becomes black and white of greys of more than 8 bits: 'file', a DICOM's own window,
      else all that the bits can hold; 'stretch', each image's darkest and brightest value; or values
      'low..high', such as '0..4095'. See medjax.data.images.intensity.
    modality: 'chest', 'retina', 'skin' or 'histopathology', by which augmentation is checked; ''
      where it is none of them.
  """

  source: str
  root: str
  labels: tuple[str, ...]
  image_size: int = 0
  channels: int = 1
  views: tuple[str, ...] = ()
  uncertain: str | dict = 'ignore'
  blank: str | dict = 'ignore'
  broken: str = 'stop'
  workers: int = 0
  settings: dict = dataclasses.field(default_factory=dict)
  fit: str = 'pad'
  intensity: str = 'file'
  modality: str = ''


@dataclasses.dataclass
class Split:
  """Who trains and who is tested; sampled by patient, test first.

  Attributes:
    test: share (0.1) or count (500) of patients, 'official', or 'official or 0.1', which asks each of
      several sets by itself.
    validation: likewise; drawn to match the test set's class distribution.
    test_floor: label → least share (0.2) or count (50) of test patients positive for it.
    seed: of the draw.
  """

  test: float | int | str = 0.1
  validation: float | int | str = 0.1
  test_floor: dict = dataclasses.field(default_factory=dict)
  seed: int = 0


@dataclasses.dataclass
class Sampling:
  """How training images are re-sampled.

  Attributes:
    name: a mode of medjax.data.sampling.
    label: the label that the mode goes by, where it needs one.
    mixture: with source 'several', set → its share of the images shown, such as {'nih': 0.5, 'mimic':
      0.5}; empty shows each image as often as any other.
  """

  name: str = 'none'
  label: str = ''
  mixture: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Model:
  """The network, what it starts from and what of it is trained.

  Attributes:
    name: a network of medjax.models, or 'package.module:class' of your own.
    settings: keyword arguments of the network, such as dropout and stochastic_depth.
    head: 'sigmoid', each label a question of its own; 'softmax', exclusive classes; 'ordinal', grades
      in the order of data.labels. With the last two an image has exactly one of the labels.
    pretrained: published weights of the hub, 'timm/densenet121.tv_in1k' (with '@revision' of a state
      of them); a .safetensors file; the work directory of another run; '' starts from random ones.
    finetune: 'all' or 'head': everything else, and its running statistics, stay as they are.
    unfreeze_at: with 'head', the steps at which one more stage trains, the last stage first.
    mean: of the image's channels in [0, 1], subtracted; empty takes the pretrained weights' own, or
      0.5. One value serves all channels.
    std: of the channels, divided by; empty likewise, or 0.25.
  """

  name: str
  settings: dict = dataclasses.field(default_factory=dict)
  head: str = 'sigmoid'
  pretrained: str = ''
  finetune: str = 'all'
  unfreeze_at: tuple[int, ...] = ()
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()


@dataclasses.dataclass
class Loss:
  """A loss of medjax.losses, or 'package.module:function' of your own, with its settings."""

  name: str = 'binary_cross_entropy'
  settings: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Optimizer:
  """Attributes:
  name: 'adamw' or 'sgd'.
  learning_rate: the peak, after warm-up; a cosine then brings it to zero at the last step.
  head_learning_rate: the peak of the head, and of an auxiliary one; 0 takes learning_rate.
  layer_decay: a stage's rate is learning_rate times this to the power of its distance from the head.
  weight_decay: decoupled for adamw, added to the gradient for sgd; on kernels only.
  warmup_steps: linear rise from zero.
  momentum: of sgd.
  clip_norm: largest global norm of the gradient; 0 never clips.
  accumulate: parts that a batch is computed in, one after another, to save memory.
  ema: decay per step of the exponential moving average that is evaluated; 0 keeps none.
  """

  name: str = 'adamw'
  learning_rate: float = 1e-4
  head_learning_rate: float = 0.0
  layer_decay: float = 1.0
  weight_decay: float = 1e-4
  warmup_steps: int = 0
  momentum: float = 0.9
  clip_norm: float = 0.0
  accumulate: int = 1
  ema: float = 0.0


@dataclasses.dataclass
class Evaluation:
  """How the test set is read, and what is chosen for it on validation.

  Attributes:
    calibration: of the probabilities, per label: 'none', 'temperature', 'platt' or 'isotonic'.
    operating_points: rules by which thresholds are chosen: 'youden', 'sensitivity=0.9',
      'specificity=0.9', 'cost=5' (a missed positive costs as much as 5 false alarms), or
      'threshold=0.5', which chooses nothing. The first makes the decisions.
    prevalence: label → a prevalence in (0, 1) for which PPV and NPV are told too, such as the clinic's.
    level: what is tested: 'image', 'study', 'patient' or 'slide'; images of one are aggregated first.
    aggregate: 'max', 'mean' or 'top:0.05', the mean of the highest 5 %; with model.head='softmax' only
      'mean'.
    subgroups: columns of the study table by whose values the figures are told; those absent are
      passed over.
    test_augment: how many times an image is predicted under the policy of config.augment, beside once
      as it is, and averaged; 0 predicts it as it is.
    checkpoints: how many of the best checkpoints are averaged.
    members: work directories of further runs of the same labels and split whose probabilities are
      averaged with this run's.
    saliency: of the report's examples: 'grad_cam', 'grad_cam_plus_plus', 'integrated_gradients' or
      'none'.
  """

  calibration: str = 'platt'
  operating_points: tuple[str, ...] = ('youden', 'sensitivity=0.9', 'specificity=0.9')
  prevalence: dict = dataclasses.field(default_factory=dict)
  level: str = 'image'
  aggregate: str = 'max'
  subgroups: tuple[str, ...] = ('sex', 'age', 'view', 'site', 'scanner', 'dataset')
  test_augment: int = 0
  checkpoints: int = 1
  members: tuple[str, ...] = ()
  saliency: str = 'grad_cam'


@dataclasses.dataclass
class Config:
  """One experiment.

  Attributes:
    augment: a policy of medjax.augment.policies: 'none', 'plain', 'chest', 'retina', 'skin' or
      'histopathology'; or an import path.
    force_augment: take the policy even if it turns or mirrors what data.modality says must not be.
    batch_size: images per step over all devices and processes.
    steps: optimizer steps.
    evaluate_every: steps between validations.
    save_every: steps between checkpoints beside those of validations; 0 saves at validations only.
    patience: validations without a better mean AUROC before stopping early; 0 never stops early.
    precision: of the forward and backward pass, 'float32' or 'bfloat16'; parameters stay float32.
    replicates: bootstrap replicates of the test intervals.
    seed: of the parameters, of the order of images and of augmentation.
  """

  data: Data
  model: Model
  split: Split = dataclasses.field(default_factory=Split)
  sampling: Sampling = dataclasses.field(default_factory=Sampling)
  augment: str = 'none'
  force_augment: bool = False
  loss: Loss = dataclasses.field(default_factory=Loss)
  optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
  batch_size: int = 64
  steps: int = 10_000
  evaluate_every: int = 1_000
  save_every: int = 0
  patience: int = 0
  precision: str = 'float32'
  replicates: int = 2_000
  seed: int = 0
  evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)

  @property
  def protocol(self) -> Protocol:
    """How the test set is read: what of these settings evaluation needs."""
    settings = self.evaluation
    return Protocol(
      head=self.model.head,
      level=settings.level,
      aggregate=settings.aggregate,
      calibration=settings.calibration,
      operating_points=tuple(settings.operating_points),
      prevalence=dict(settings.prevalence),
      subgroups=tuple(settings.subgroups),
      replicates=self.replicates,
      seed=self.seed,
    )


def load(path_and_arg: str, overrides: Sequence[str] = ()) -> Config:
  """Returns the checked config of 'file.py' or 'file.py:arg' with 'data.root=…' overrides applied."""
  path, _, arg = path_and_arg.partition(':')
  config = _read(pathlib.Path(path), arg)
  for override in overrides:
    name, equals, text = override.partition('=')
    if not equals:
      raise InputError(f'--config.{override}: give the value as --config.{name}=value')
    fields.override(config, name, text)
  check(config)
  return config


def _read(path: pathlib.Path, arg: str) -> Config:
  if not path.is_file():
    beside = (
      sorted(str(other) for other in path.parent.glob('*.py')) if path.parent.is_dir() else []
    )
    raise InputError(f'--config: no file {path}{nearest(str(path), beside)}')
  if path.suffix != '.py':
    raise InputError(f'--config: {path} is no Python file; configs/phantom.py is an example')
  spec = importlib.util.spec_from_file_location(f'config_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except SyntaxError as error:
    raise InputError(f'{path}, line {error.lineno}: {error.msg}') from None
  except Exception as error:  # Whatever anybody's file may raise; a misspelt field is a TypeError.
    raise InputError(f'{path}: {one_line(error)}') from error
  if not hasattr(module, 'get_config'):
    raise InputError(f"{path}: defines no get_config(arg='')")
  try:
    config = module.get_config(arg)
  except InputError as error:
    raise InputError(f'{path}: {error}') from None
  except Exception as error:
    raise InputError(f'{path}: {one_line(error)}') from error
  if not isinstance(config, Config):
    raise InputError(
      f'{path}: get_config returned {type(config).__name__}, not medjax.config.Config'
    )
  return config


def check(config: Config) -> None:
  """Raises InputError, naming field, value and what is allowed, for values no run could use.

  Names of losses, models, policies and labels are checked where they are looked up.
  """
  fields.check_types(config)
  try:
    to_dict(config)
  except TypeError as error:
    raise InputError(
      f'config: settings must be plain numbers, text, lists and dicts ({error})'
    ) from None
  data, model, optimizer = config.data, config.model, config.optimizer
  if not data.labels:
    raise InputError('config.data.labels is empty; name at least one label')
  if len(set(data.labels)) < len(data.labels):
    raise InputError(f'config.data.labels names a label twice: {", ".join(data.labels)}')
  check_option('config.data.modality', data.modality, ('', *MODALITIES))
  check_option('config.data.broken', data.broken, ('stop', 'set_aside'))
  check_option('config.data.fit', data.fit, ('pad', 'crop', 'stretch'))
  vocabulary.check_intensity(data.intensity, 'config.data.intensity')
  check_option('config.precision', config.precision, ('float32', 'bfloat16'))
  check_option('config.optimizer.name', optimizer.name, ('adamw', 'sgd'))
  check_option('config.model.finetune', model.finetune, ('all', 'head'))
  _check_model(config)
  protocol.check(config.protocol, data.labels, protocol.IN_CONFIG)
  _check_averaging(config)
  if data.channels not in (1, 3):
    raise InputError(f'config.data.channels={data.channels}: must be 1 (grey) or 3 (RGB)')
  for name, value, least in (
    ('data.image_size', data.image_size, 0),
    ('data.workers', data.workers, 0),
    ('batch_size', config.batch_size, 1),
    ('steps', config.steps, 1),
    ('evaluate_every', config.evaluate_every, 1),
    ('save_every', config.save_every, 0),
    ('patience', config.patience, 0),
    ('split.seed', config.split.seed, 0),
    ('optimizer.warmup_steps', optimizer.warmup_steps, 0),
    ('optimizer.accumulate', optimizer.accumulate, 1),
    ('optimizer.weight_decay', optimizer.weight_decay, 0),
    ('optimizer.clip_norm', optimizer.clip_norm, 0),
    ('optimizer.head_learning_rate', optimizer.head_learning_rate, 0),
  ):
    if not value >= least:
      raise InputError(f'config.{name}={value}: must be {least} or more')
  if not optimizer.learning_rate > 0:
    raise InputError(f'config.optimizer.learning_rate={optimizer.learning_rate}: must be positive')
  if not 0 < optimizer.layer_decay <= 1:
    raise InputError(f'config.optimizer.layer_decay={optimizer.layer_decay}: must be in (0, 1]')
  for name, value in (('seed', config.seed), ('split.seed', config.split.seed)):
    if value >= 2**32:
      raise InputError(f'config.{name}={value}: must be below 2**32')
  for name, value in (('momentum', optimizer.momentum), ('ema', optimizer.ema)):
    if not 0 <= value < 1:
      raise InputError(f'config.optimizer.{name}={value}: must be in [0, 1)')
  if optimizer.warmup_steps >= config.steps:
    raise InputError(
      f'config.optimizer.warmup_steps={optimizer.warmup_steps}: must be below steps={config.steps}'
    )
  if config.batch_size % optimizer.accumulate:
    raise InputError(
      f'config.batch_size={config.batch_size}: must be divisible by '
      f'optimizer.accumulate={optimizer.accumulate}'
    )


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
      "config.model.finetune='head': trains a head on random features unless config.model.pretrained "
      'says what they come from'
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


def _check_averaging(config: Config) -> None:
  evaluation = config.evaluation
  for name, least in (('test_augment', 0), ('checkpoints', 1)):
    value = getattr(evaluation, name)
    if value < least:
      raise InputError(f'config.evaluation.{name}={value}: must be {least} or more')
  if evaluation.test_augment and config.augment == 'none':
    raise InputError(
      f"config.evaluation.test_augment={evaluation.test_augment}: with config.augment='none' all passes "
      'would be the same; name a policy there, or set 0 here'
    )
  members = evaluation.members
  if not all(members) or len(set(members)) < len(members):
    raise InputError(
      f'config.evaluation.members={members}: must be work directories, each of them once'
    )


def to_dict(config: Config) -> dict[str, Any]:
  """Returns the config as nested dicts that JSON gives back unchanged."""
  return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any]) -> Config:
  """Returns the checked config that `to_dict` gave."""
  config = fields.from_dict(Config, values)
  check(config)
  return config


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = '') -> list[str]:
  """Returns a line 'field: was X, is now Y' for every field in which two config dicts differ."""
  lines = []
  for name in sorted(old.keys() | new.keys()):
    before, after = old.get(name), new.get(name)
    if isinstance(before, dict) and isinstance(after, dict):
      lines += differences(before, after, f'{prefix}{name}.')
    elif before != after:
      lines.append(f'config.{prefix}{name}: was {before!r}, is now {after!r}')
  return lines
