"""The settings of an experiment: units, defaults, ranges and what each means."""

import dataclasses

from medjax.config import vocabulary
from medjax.config.fields import setting
from medjax.config.protocol import Protocol


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
    ids: what to do with patients, studies, lesions, slides and readers that look like one, such as
      0007 and 7: 'refuse' them, or 'normalise', which takes them for one and says so.
    broken: 'stop' at an image that cannot be read or would show nothing, or 'set_aside' and report
      it.
    workers: input processes; 0 reads in threads of the main process, as an evaluation of fewer than
      10,000 images does anyway: workers take seconds to start.
    prepared: a folder of medjax.prepare, of a disk or a bucket, which holds the images decoded; ''
      decodes the files.
    cache: of the decoded images: 'auto' keeps them in the work directory until the run has ended,
      where training reads them at least twice and they take no more than a fifth of the disk's
      free space; 'none' decodes the files whenever they are read.
    placement: of the training images while training: 'host' reads a batch for each step, 'device'
      reads all once into the memory of the devices, 'auto' does so on accelerators where they take
      no more than 40 % of what is free.
    settings: keyword arguments of the source.
    fit: how an image that is not square becomes so: 'pad' keeps the aspect ratio, the rest is
      black; 'crop' keeps it and cuts the longer side at both ends; 'stretch' does not keep it.
    intensity: what becomes black and white of greys of more than 8 bits: 'file', a DICOM's own
      window, else all that the bits can hold; 'stretch', each image's darkest and brightest value;
      or values 'low..high', such as '0..4095'. See medjax.data.images.intensity.
    modality: 'chest', 'retina', 'skin' or 'histopathology', by which augmentation is checked; ''
      where it is none of them.
  """

  source: str
  root: str
  labels: tuple[str, ...]
  image_size: int = setting(0, least=0)
  channels: int = 1
  views: tuple[str, ...] = ()
  uncertain: str | dict = 'ignore'
  blank: str | dict = 'ignore'
  ids: str = setting('refuse', options=('refuse', 'normalise'))
  broken: str = setting('stop', options=('stop', 'set_aside'))
  workers: int = setting(0, least=0)
  prepared: str = ''
  cache: str = setting('auto', options=('auto', 'none'))
  placement: str = setting('auto', options=('auto', 'host', 'device'))
  settings: dict = dataclasses.field(default_factory=dict)
  fit: str = setting('pad', options=vocabulary.FITS)
  intensity: str = 'file'
  modality: str = setting('', options=('', *vocabulary.MODALITIES))


@dataclasses.dataclass
class Split:
  """Who trains and who is tested; sampled by patient, test first.

  Attributes:
    test: share (0.1) or count (500) of patients, 'official', or 'official or 0.1', which asks each
      of several sets by itself.
    validation: likewise; drawn to match the test set's class distribution.
    test_floor: label → least share (0.2) or count (50) of test patients positive for it.
    seed: of the draw.
    folds: how many times another part of the patients is tested, as 5, by networks that have not
      seen them; or 'site', which tests one site after another; 0 tests once. `test` and
      `test_floor` are then not used, and the work directory holds a run for each, `fold0` and so
      on; see docs/folds_and_seeds.md.
    fold: which of them this run is, the first being 0; -1 runs them all.
    file: a table of your own split, relative to data.root: image or patient, and split. What is
      'official' is then what it says.
    date: instead of a file: patients imaged on that day (2024-05-31) or later, by the table's
      column `date`, are the official test set; their earlier images are unused.
    names: what the column of a split calls train, validation, test and unused, if not by such
      words: {'0': 'train', '1': 'test'}.
  """

  test: float | int | str = 0.1
  validation: float | int | str = 0.1
  test_floor: dict = dataclasses.field(default_factory=dict)
  seed: int = setting(0, least=0, below=2**32)
  folds: int | str = 0
  fold: int = setting(-1, least=-1)
  file: str = ''
  date: str = ''
  names: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Sampling:
  """How training images are re-sampled.

  Attributes:
    name: a mode of medjax.data.sampling.
    label: the label that the mode goes by, where it needs one.
    mixture: with source 'several', set → its share of the images shown, such as {'nih': 0.5,
      'mimic': 0.5}; empty shows each image as often as any other.
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
    head: 'sigmoid', each label a question of its own; 'softmax', exclusive classes; 'ordinal',
      grades in the order of data.labels. With the last two an image has exactly one of the labels.
    pretrained: published weights of the hub, 'timm/densenet121.tv_in1k' (with '@revision' of a
      state of them); a .safetensors file, as `hf download` fetches it where there is a network; the
      work directory of another run; '' starts from random ones.
    finetune: 'all' or 'head': everything else, and its running statistics, stay as they are.
    unfreeze_at: with 'head', the steps at which one more stage trains, the last stage first.
    remat: whether the activations of a stage are computed again where the gradient needs them,
      which takes about a third more time and saves most of their memory.
    mean: of the image's channels in [0, 1], subtracted; empty takes the pretrained weights' own, or
      0.5. One value serves all channels.
    std: of the channels, divided by; empty likewise, or 0.25.
  """

  name: str
  settings: dict = dataclasses.field(default_factory=dict)
  head: str = 'sigmoid'
  pretrained: str = ''
  finetune: str = setting('all', options=('all', 'head'))
  unfreeze_at: tuple[int, ...] = ()
  remat: bool = False
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()


@dataclasses.dataclass
class Loss:
  """What training minimises.

  Attributes:
    name: a loss of medjax.losses that fits model.head, or 'package.module:function' of your own.
    settings: keyword arguments of the loss, such as {'gamma': 2.0}; weights also by label,
      {'positive_weight': {'Edema': 0.9}}.
  """

  name: str = 'binary_cross_entropy'
  settings: dict = dataclasses.field(default_factory=dict)


# What is taken where a config leaves it open. AdamW: of fine-tuning ViT (He et al. 2021, arXiv
# 2111.06377, table 9) and pre-training ConvNeXt (arXiv 2201.03545, table 5), the rate that of
# CheXpert's authors (arXiv 1901.07031, Training Procedure). SGD: ResNet's (arXiv 1512.03385,
# section 3.4), its rate of random weights divided by ten.
_RECIPES = {
  'adamw': {'learning_rate': 1e-4, 'weight_decay': 0.05},
  'sgd': {'learning_rate': 1e-2, 'weight_decay': 1e-4},
}
OPTIMIZERS = tuple(_RECIPES)


@dataclasses.dataclass
class Optimizer:
  """How a gradient becomes a step.

  Attributes:
    name: 'adamw', 'sgd', or 'package.module:function' of your own or of optax, called with
      learning_rate (step → rate) and settings; see medjax.training.optimizers.
    settings: keyword arguments of an optimizer of your own, such as {'b1': 0.95}.
    learning_rate: the peak, after warm-up; None takes 1e-4 for adamw and 0.01 for sgd.
    head_learning_rate: the peak of the head, and of an auxiliary one; 0 takes learning_rate.
    layer_decay: a stage's rate is learning_rate times this to the power of its distance from the
      head.
    weight_decay: decoupled for adamw, added to the gradient for sgd; on kernels only. None takes
      0.05 for adamw and 1e-4 for sgd.
    schedule: 'cosine', which brings the rate to zero at the last step, or 'package.module:function'
      of your own, which returns step → rate; see medjax.training.optimizers.
    schedule_settings: keyword arguments of a schedule of your own.
    warmup_steps: steps of a linear rise to the peak, none of which is of rate zero.
    momentum: of sgd.
    clip_norm: largest global norm of the gradient; 0 never clips.
    accumulate: parts that a batch is computed in, one after another, to save memory.
    ema: decay per step of the exponential moving average that is evaluated; 0 keeps none.
  """

  name: str = 'adamw'
  learning_rate: float | None = setting(None, above=0)
  head_learning_rate: float = setting(0.0, least=0)
  layer_decay: float = setting(1.0, above=0, most=1)
  weight_decay: float | None = setting(None, least=0)
  warmup_steps: int = setting(0, least=0)
  momentum: float = setting(0.9, least=0, below=1)
  clip_norm: float = setting(0.0, least=0)
  accumulate: int = setting(1, least=1)
  ema: float = setting(0.0, least=0, below=1)
  settings: dict = dataclasses.field(default_factory=dict)
  schedule: str = 'cosine'
  schedule_settings: dict = dataclasses.field(default_factory=dict)

  def filled(self) -> 'Optimizer':
    """Returns the settings with the recipe of the optimizer where they leave it open."""
    filled = dataclasses.replace(self)
    for name, value in _RECIPES.get(self.name, {}).items():
      if getattr(self, name) is None:
        setattr(filled, name, value)
    return filled


@dataclasses.dataclass
class Evaluation:
  """How the test set is read, and what is chosen for it on validation.

  Attributes:
    calibration: of the probabilities, per label: 'none', 'temperature', 'platt' or 'isotonic'.
    operating_points: rules by which thresholds are chosen: 'youden', 'sensitivity=0.9',
      'specificity=0.9', 'cost=5' (a missed positive costs as much as 5 false alarms), or
      'threshold=0.5', which chooses nothing. The first makes the decisions.
    prevalence: label → a prevalence in (0, 1) for which PPV and NPV are reported too, such as the
      clinic's.
    level: what is tested: 'image', 'study', 'patient' or 'slide'; images of one are aggregated
      first.
    aggregate: 'max', 'mean' or 'top:0.05', the mean of the highest 5 %; with model.head='softmax'
      only 'mean'.
    subgroups: columns of the study table by whose values the figures are reported; where this is
      left as it is, absent ones are ignored.
    test_augment: how many times an image is predicted under the policy of config.augment, besides
      once as it is, and averaged; 0 predicts it as it is.
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
  test_augment: int = setting(0, least=0)
  checkpoints: int = setting(1, least=1)
  members: tuple[str, ...] = ()
  saliency: str = setting('grad_cam', options=(*vocabulary.SALIENCIES, 'none'))


@dataclasses.dataclass
class Config:
  """One experiment.

  Attributes:
    augment: a policy of medjax.augment.policies: 'none', 'plain', 'chest', 'retina', 'skin' or
      'histopathology'; or an import path.
    force_augment: take the policy even if it turns or mirrors what data.modality says must not be.
    batch_size: images per step over all devices and processes.
    steps: optimizer steps.
    steps_per_call: optimizer steps that the devices do in one call; 0 takes 1 on a CPU, elsewhere
      so many, at most 32, that a call takes about 10 ms.
    evaluate_every: steps between validations.
    save_every: steps between checkpoints besides those of validations; 0 saves at validations only.
    patience: validations without a better mean AUROC before stopping early; 0 never stops early.
    precision: of the forward and backward pass, 'float32' or 'bfloat16'; parameters stay float32.
    deterministic: whether a GPU must give the same bits every time, by slower ways to scatter and
      to convolve and without trying which way is fastest; a CPU always does.
    replicates: bootstrap replicates of the test intervals.
    seed: of the parameters, of the order of images and of augmentation.
    seeds: how many networks are trained on the same split, with this seed and those after it; the
      work directory holds a run for each, `seed0` and so on; see docs/folds_and_seeds.md.
    tracking: who is told of metrics and the report, beside the work directory: 'tensorboard',
      'mlflow', 'wandb', or 'package.module:class' of your own; see docs/tracking.md.
  """

  data: Data
  model: Model
  split: Split = dataclasses.field(default_factory=Split)
  sampling: Sampling = dataclasses.field(default_factory=Sampling)
  augment: str = 'none'
  force_augment: bool = False
  loss: Loss = dataclasses.field(default_factory=Loss)
  optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
  batch_size: int = setting(64, least=1)
  steps: int = setting(10_000, least=1)
  steps_per_call: int = setting(0, least=0)
  evaluate_every: int = setting(1_000, least=1)
  save_every: int = setting(0, least=0)
  patience: int = setting(0, least=0)
  precision: str = setting('float32', options=('float32', 'bfloat16'))
  deterministic: bool = False
  replicates: int = setting(2_000, least=0)
  seed: int = setting(0, least=0, below=2**32)
  seeds: int = setting(1, least=1)
  tracking: tuple[str, ...] = ('tensorboard',)
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
