"""Patient overlap: a split by image puts films of one patient into training and test.

A network of its own is trained and tested under either split. What its test says is compared with
its AUROC on new patients: the difference is flattery.
"""

import dataclasses

from medjax.remedies import films, training
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values

LABELS = ('Lung Lesion', 'Pneumonia', 'Edema')
NEW_PATIENTS_SEED = 1_000_000
# Condition → what the table's patient column is said to hold.
GROUPED_BY = {'split by image': 'image', 'split by patient': 'patient'}


def _measure(repetition: Repetition) -> Values:
  sizes = repetition.sizes
  new = repetition.shared / f'new_{sizes["new_patients"]}'
  truth = films.draw(new, patients=sizes['new_patients'], films=1, seed=NEW_PATIENTS_SEED)
  root = repetition.folder / 'films'
  films.draw(root, patients=sizes['patients'], films=repetition.level, seed=repetition.seed)
  values: Values = {}
  for condition, grouped_by in GROUPED_BY.items():
    config = training.config(root, LABELS, steps=sizes['steps'], seed=repetition.seed, test=0.3)
    settings = config.data.settings | {'grouped_by': grouped_by}
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, settings=settings))
    run = training.train(config, repetition.folder / grouped_by)
    tested = training.auroc_of_test(run)
    true = training.auroc_of_new_patients(run, new, truth, LABELS)
    values[condition] = {
      'flattery': None if tested is None or true is None else tested - true,
      'tested': tested,
      'true': true,
    }
  return values


_EXPERIMENT = Experiment(
  name='flattery',
  title='What the test says beyond the truth',
  level_title='films of each patient',
  conditions=tuple(GROUPED_BY),
  measures=(
    Measure('flattery', 'AUROC of the test less that of new patients', 'zero'),
    Measure('tested', 'AUROC of the test', ''),
    Measure('true', 'AUROC of new patients', 'higher'),
  ),
  measure=_measure,
  full=Plan(
    {'1': 1, '2': 2, '4': 4, '8': 8},
    repetitions=6,
    sizes={'patients': 300, 'steps': 500, 'new_patients': 5_000},
  ),
  quick=Plan({'6': 6}, repetitions=3, sizes={'patients': 80, 'steps': 200, 'new_patients': 1_000}),
)

PROBLEM = Problem(
  name='overlap',
  title='Patient overlap',
  wrong='Films of one patient look alike and mostly share their findings, so a network that has '
  'seen some of them in training recognises the patient in the others.',
  remedy='Patients, not films, are drawn into training, validation and test.',
  limits='It must be known who the patient is. Nobody who is tested can train, so that the network '
  'sees fewer patients and may do a little worse on new ones: the price of an honest figure. With '
  'one film of each patient both splits are the same, and neither says anything about another '
  'hospital.',
  config="config.split (always by patient); data.settings.grouped_by says what the table's "
  'patient column holds',
  literature=(
    'Kapoor & Narayanan 2023, Leakage and the reproducibility crisis in machine-learning-based '
    'science, Patterns 4(9), doi 10.1016/j.patter.2023.100804',
    'Saeb et al. 2017, The need to approximate the use-case in clinical machine learning, '
    'GigaScience 6(5), doi 10.1093/gigascience/gix019',
  ),
  experiments=(_EXPERIMENT,),
)
