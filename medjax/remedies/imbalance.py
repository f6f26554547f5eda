"""Class imbalance: of a rare finding a network sees few positives and much else.

The same network learns to detect lung lesions in 20, 5, 1 and 0.3 % of 3,000 patients, with each
remedy in turn; 2,000 more choose the checkpoint and calibrate it. What is measured is of 5,000 new
patients of whom a tenth have a lesion; where the share of lesions matters they are counted so often
that it is that of the level. The AUC margin loss takes balanced batches, for it has nothing to rank
in a batch without a positive.
"""

import fractions
import math
import pathlib

import numpy as np
import pandas as pd

import medjax
from medjax.api.runs import Run
from medjax.config import Loss, Sampling
from medjax.remedies import films, training
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.overlap import NEW_PATIENTS_SEED

LABEL = 'Lung Lesion'
_CONDITIONS: dict[str, dict] = {
  'plain': {},
  'weighted': {'loss': Loss('weighted_binary_cross_entropy')},
  'over-sampling': {'sampling': Sampling('oversample')},
  'under-sampling': {'sampling': Sampling('undersample')},
  'balanced batches': {'sampling': Sampling('balanced')},
  'focal': {'loss': Loss('focal')},
  'logit-adjusted': {'loss': Loss('logit_adjusted')},
  'AUC margin': {'loss': Loss('auc_margin'), 'sampling': Sampling('balanced')},
}
_MEASURES = (
  Measure('auroc', 'AUROC of new patients', 'higher'),
  Measure('auprc', 'AUPRC of new patients', 'higher'),
  Measure('excess_raw', 'log2 of expected to observed lesions, before calibration', 'zero'),
  Measure('excess', 'log2 of expected to observed lesions, calibrated on validation', 'zero'),
)


def _measure(repetition: Repetition) -> Values:
  sizes, prevalence = repetition.sizes, repetition.level
  new = repetition.shared / f'new_{sizes["new_patients"]}'
  truth = films.draw(new, patients=sizes['new_patients'], films=1, seed=NEW_PATIENTS_SEED)
  counts = {part: sizes[part] for part in ('train', 'validation', 'test')}
  root = repetition.folder / 'films'
  table = films.draw(
    root,
    patients=sum(counts.values()),
    films=1,
    seed=repetition.seed,
    prevalence=films.PREVALENCE | {LABEL: prevalence},
  )
  training.parted(table, counts, repetition.seed, LABEL).to_csv(root / 'parted.csv', index=False)
  values: Values = {}
  for number, (condition, changes) in enumerate(_CONDITIONS.items()):
    if number >= sizes['conditions']:
      values[condition] = {measure.name: None for measure in _MEASURES}
      continue
    config = training.config(
      root,
      [LABEL],
      steps=sizes['steps'],
      seed=repetition.seed,
      table='parted.csv',
      split=training.BY_TABLE,
      **changes,
    )
    run = training.train(config, repetition.folder / f'run{number}')
    values[condition] = _figures(run, new, truth, prevalence)
  return values


def _figures(
  run: Run, new: pathlib.Path, table: pd.DataFrame, prevalence: float
) -> dict[str, float | None]:
  predicted = run.predict(new / 'films.csv')
  truth = table[LABEL].to_numpy()
  times = np.array(repeats(int((truth == 0).sum()), int((truth == 1).sum()), prevalence))[truth]
  assessed = medjax.assess(
    np.repeat(truth, times).astype(float),
    np.repeat(predicted[f'prob_{LABEL}'].to_numpy(float), times),
    patients=list(np.repeat(table['patient'].to_numpy(), times)),
    replicates=0,
    calibration='none',
    operating_points=('threshold=0.5',),
  ).mean
  weight = np.where(truth == 1, prevalence / truth.mean(), (1 - prevalence) / (1 - truth.mean()))
  expected = {
    prefix: float(np.average(predicted[f'{prefix}_{LABEL}'], weights=weight))
    for prefix in ('raw', 'prob')
  }
  return {
    'auroc': assessed.auroc.value,
    'auprc': assessed.auprc.value,
    'excess_raw': math.log2(expected['raw'] / prevalence),
    'excess': math.log2(expected['prob'] / prevalence),
  }


def repeats(negatives: int, positives: int, prevalence: float) -> tuple[int, int]:
  """Returns how often each negative and each positive is to count to have about a prevalence."""
  ratio = fractions.Fraction((1 - prevalence) / prevalence * positives / negatives)
  ratio = ratio.limit_denominator(9)
  return ratio.numerator, ratio.denominator


_EXPERIMENT = Experiment(
  name='rare_lesions',
  title='Losses and sampling for a rare finding',
  level_title='patients with a lung lesion',
  conditions=tuple(_CONDITIONS),
  measures=_MEASURES,
  measure=_measure,
  full=Plan(
    {'20 %': 0.2, '5 %': 0.05, '1 %': 0.01, '0.3 %': 0.003},
    repetitions=3,
    sizes={
      'train': 3_000,
      'validation': 2_000,
      'test': 400,
      'steps': 400,
      'new_patients': 5_000,
      'conditions': len(_CONDITIONS),
    },
  ),
  quick=Plan(
    {'5 %': 0.05},
    repetitions=3,
    sizes={
      'train': 600,
      'validation': 400,
      'test': 40,
      'steps': 60,
      'new_patients': 1_000,
      'conditions': 2,
    },
  ),
)

PROBLEM = Problem(
  name='imbalance',
  title='Class imbalance',
  wrong='Of a rare finding a network sees few positives, and the negatives, which are easy, make '
  'nearly all of its loss.',
  remedy='A loss or a sampling that gives positives more weight, and a calibration on validation '
  'that takes the weight out of the probabilities again.',
  limits='Weights cannot take the place of positive patients. With weights and re-sampling a '
  'network promises more findings than there are, by design; a calibration on validation takes '
  'that out again where validation has positives enough, and half a dozen are not.',
  config="loss=Loss('weighted_binary_cross_entropy' | 'focal' | 'logit_adjusted' | 'auc_margin'), "
  "sampling=Sampling('oversample' | 'undersample' | 'balanced'), "
  "evaluation=Evaluation(calibration='platt')",
  literature=(
    'van den Goorbergh et al. 2022, The harm of class imbalance corrections for risk prediction '
    'models, JAMIA 29(9), doi 10.1093/jamia/ocac093',
    'Buda, Maki & Mazurowski 2018, A systematic study of the class imbalance problem in '
    'convolutional neural networks, Neural Networks 106, arXiv 1710.05381',
    'Lin et al. 2017, Focal loss for dense object detection, arXiv 1708.02002',
    'Menon et al. 2020, Long-tail learning via logit adjustment, arXiv 2007.07314',
    'Yuan et al. 2020, Large-scale robust deep AUC maximization, arXiv 2012.03173',
    'Van Calster et al. 2019, Calibration: the Achilles heel of predictive analytics, BMC Medicine '
    '17:230, doi 10.1186/s12916-019-1466-7',
  ),
  experiments=(_EXPERIMENT,),
)
