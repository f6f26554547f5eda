"""Few labels: what a network starts from, and what augmentation may not do to a label.

A network learns two findings of 25, 50, 100 or 400 labelled patients; half as many more choose the
checkpoint. It starts from random weights, with augmentation or without, or from those of a network
that learned a third finding of 3,000 other patients, and is then trained as a whole, in its head
alone (a linear probe by gradient descent), or stage by stage from the head down. Weights of
photographs would be the usual start; here generated films of another task stand for them. In a
second experiment half of the patients have films that are mirrored whole, the technician's letter
too, and the label is 'Dextrocardia': one policy of augmentation keeps the side, the other mirrors
every second film and leaves its label. All are tested on new patients.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from medjax.api.runs import Run
from medjax.augment import policies
from medjax.config import Model, Optimizer
from medjax.remedies import films, training
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.overlap import NEW_PATIENTS_SEED

LABELS = ('Pneumonia', 'Edema')
OTHER = 'Lung Lesion'  # what the network is pre-trained on
_PREVALENCE = {'Lung Lesion': 0.1, 'Pneumonia': 0.3, 'Edema': 0.3}
_OTHER_PATIENTS_SEED = 3_000_000
_TEST = 40  # patients of the test set that every run must have; what counts is new patients


def mirroring(key: jax.Array, images: jax.Array) -> jax.Array:
  """The policy 'chest', and every second image mirrored: what keeps no side."""
  of_chest, of_mirror = jax.random.split(key)
  images = policies.chest(of_chest, images)
  is_mirrored = jax.random.bernoulli(of_mirror, shape=(len(images), 1, 1, 1))
  return jnp.where(is_mirrored, images[:, :, ::-1], images)


def _optimizer(learning_rate: float, head: float = 0.0) -> Optimizer:
  return Optimizer(
    'adamw',
    learning_rate=learning_rate,
    head_learning_rate=head,
    weight_decay=1e-2,
    warmup_steps=20,
    ema=0.98,
  )


def _starts(steps: int, pretrained: str) -> dict[str, dict[str, Any]]:
  """Returns condition → changes of the config. The rates are those of benchmarks/transfer.py."""

  def model(**changes: Any) -> Model:
    return Model('resnet_tiny', {'width': 8}, pretrained=pretrained, **changes)

  quarters = tuple(steps * part // 4 for part in (1, 2, 3))
  return {
    'from scratch': {},
    'from scratch, augmented': {'augment': 'chest'},
    'pre-trained, whole': {'model': model()},
    'pre-trained, head alone': {
      'model': model(finetune='head'),
      'optimizer': _optimizer(3e-2),
    },
    'pre-trained, stage by stage': {
      'model': model(finetune='head', unfreeze_at=quarters),
      'optimizer': _optimizer(3e-3, head=3e-2),
    },
  }


def _pretrained(repetition: Repetition) -> str:
  """Returns the work directory of a network that learned another finding; made once."""
  patients, steps = (repetition.sizes[name] for name in ('other_patients', 'other_steps'))
  seed = _OTHER_PATIENTS_SEED + repetition.seed
  root = repetition.shared / f'lesions_{patients}_{seed}'
  films.draw(root, patients=patients, films=1, seed=seed, prevalence={OTHER: 0.5})
  workdir = root.with_name(f'{root.name}_run_{steps}')

  def make(folder: pathlib.Path) -> None:
    training.train(training.config(root, [OTHER], steps=steps, seed=repetition.seed), folder)

  films.once(workdir, make)
  return str(workdir)


def _measure_starts(repetition: Repetition) -> Values:
  sizes = repetition.sizes
  new = repetition.shared / f'new_{sizes["new_patients"]}'
  truth = films.draw(new, patients=sizes['new_patients'], films=1, seed=NEW_PATIENTS_SEED)
  root = _labelled(repetition, _PREVALENCE)
  values: Values = {}
  starts = _starts(sizes['steps'], _pretrained(repetition))
  for number, (condition, changes) in enumerate(starts.items()):
    run = _train(repetition, root, LABELS, f'run{number}', changes)
    values[condition] = {'auroc': training.auroc_of_new_patients(run, new, truth, LABELS)}
  return values


def _measure_mirrored(repetition: Repetition) -> Values:
  sizes, prevalence = repetition.sizes, {**_PREVALENCE, films.MIRRORED: 0.5}
  new = repetition.shared / f'new_mirrored_{sizes["new_patients"]}'
  truth = films.draw(
    new,
    patients=sizes['new_patients'],
    films=1,
    seed=NEW_PATIENTS_SEED,
    prevalence=prevalence,
  )
  root = _labelled(repetition, prevalence)
  labels = (films.MIRRORED,)
  values: Values = {}
  for number, (condition, changes) in enumerate(_POLICIES.items()):
    run = _train(repetition, root, labels, f'run{number}', changes)
    values[condition] = {'auroc': training.auroc_of_new_patients(run, new, truth, labels)}
  return values


def _labelled(repetition: Repetition, prevalence: dict[str, float]) -> pathlib.Path:
  """Returns the folder of the labelled films, whose table says who trains."""
  train = repetition.level
  counts = {'train': train, 'validation': train // 2, 'test': _TEST}
  root = repetition.folder / 'films'
  table = films.draw(
    root, patients=sum(counts.values()), films=1, seed=repetition.seed, prevalence=prevalence
  )
  training.parted(table, counts, repetition.seed).to_csv(root / 'parted.csv', index=False)
  return root


def _train(
  repetition: Repetition,
  root: pathlib.Path,
  labels: tuple[str, ...],
  name: str,
  changes: dict[str, Any],
) -> Run:
  config = training.config(
    root,
    labels,
    steps=repetition.sizes['steps'],
    seed=repetition.seed,
    table='parted.csv',
    split=training.BY_TABLE,
    batch_size=16,  # no more than train
    **changes,
  )
  return training.train(config, repetition.folder / name)


_POLICIES: dict[str, dict[str, Any]] = {
  'mirroring': {'augment': 'medjax.remedies.few_labels:mirroring', 'force_augment': True},
  "'chest'": {'augment': 'chest'},
}
_LEVELS = {'25': 25, '50': 50, '100': 100, '400': 400}

_STARTS = Experiment(
  name='starts',
  title='What a network starts from',
  level_title='labelled patients who train',
  conditions=tuple(_starts(4, '')),
  measures=(Measure('auroc', 'mean AUROC of new patients', 'higher'),),
  measure=_measure_starts,
  full=Plan(
    _LEVELS,
    repetitions=4,
    sizes={'steps': 300, 'new_patients': 5_000, 'other_patients': 3_000, 'other_steps': 400},
  ),
  quick=Plan({}, repetitions=0, sizes={}),
)
_MIRRORED = Experiment(
  name='mirrored',
  title='An augmentation that breaks the label',
  level_title='labelled patients who train',
  conditions=tuple(_POLICIES),
  measures=(Measure('auroc', 'AUROC of new patients', 'higher'),),
  measure=_measure_mirrored,
  full=Plan(_LEVELS, repetitions=4, sizes={'steps': 300, 'new_patients': 2_000}),
  quick=Plan({'100': 100}, repetitions=3, sizes={'steps': 100, 'new_patients': 500}),
)

PROBLEM = Problem(
  name='few_labels',
  title='Few labels',
  wrong='From a few dozen labelled patients a network learns these patients by heart and little of '
  'the finding.',
  remedy='It starts from the weights of a network that learned another task from many, of which '
  'all, some or only the last layer is trained further; augmentation shows each film as it could '
  'have looked with another position or exposure.',
  limits='What was learned must be of use: weights of another task may be worth nothing, and an '
  'augmentation that changes the label, such as mirroring where the side is the label, teaches '
  'what is wrong.',
  config="model=Model(…, pretrained='timm/densenet121.tv_in1k' or a work directory, "
  "finetune='head', unfreeze_at=(1_000, 2_000)), augment='chest'",
  literature=(
    'Raghu et al. 2019, Transfusion: understanding transfer learning for medical imaging, NeurIPS, '
    'arXiv 1902.07208',
    'Howard & Ruder 2018, Universal language model fine-tuning for text classification, ACL, arXiv '
    '1801.06146 (unfreezing stage by stage)',
    'Oliver et al. 2018, Realistic evaluation of deep semi-supervised learning algorithms, '
    'NeurIPS, arXiv 1804.09170 (validation no larger than training)',
    'Shorten & Khoshgoftaar 2019, A survey on image data augmentation for deep learning, Journal '
    'of Big Data 6:60, doi 10.1186/s40537-019-0197-0',
  ),
  experiments=(_STARTS, _MIRRORED),
)
