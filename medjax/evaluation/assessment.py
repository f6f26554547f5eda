"""From predictions to everything that is said of them: freeze on validation, then read the test set.

The order is the point: images are aggregated to the level that is tested, calibration is fitted and
thresholds are chosen on validation, and only then is the test set looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.evaluation import classes, frozen, levels, notes, subgroups, summary
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import intervals, metrics, resampled


class Assessment(NamedTuple):
  """What `assess` returns.

  Attributes:
    frozen: level → what medjax.evaluation.frozen.freeze returns.
    summary: what medjax.evaluation.summary.evaluate returns, and 'aggregate', 'levels',
      'subgroups' and 'beside'.
    validation: at the level that is tested, calibrated; None without validation.
    test: likewise.
  """

  frozen: dict[str, dict]
  summary: dict[str, Any]
  validation: Predictions | None
  test: Predictions


def assess(
  validation: Predictions | None,
  test: Predictions,
  *,
  head: str = 'sigmoid',
  calibration: str = 'none',
  rules: Sequence[str] = ('youden',),
  prevalence: Mapping[str, float] | None = None,
  level: str = 'image',
  aggregate: str = 'max',
  columns: Sequence[str] = (),
  replicates: int = 2000,
  seed: int = 0,
  chosen: Mapping[str, dict] | None = None,
  beside: Mapping[str, Predictions] | None = None,
) -> Assessment:
  """Freezes calibration and thresholds on validation and evaluates test.

  Args:
    validation: predictions of images as the model gives them, None where there are none: then nothing
      is calibrated, and only rules that choose nothing ('threshold=0.5') have a threshold.
    test: likewise, with the same labels.
    head: 'sigmoid', 'softmax' or 'ordinal'.
    calibration: a method of medjax.evaluation.calibration.
    rules: of medjax.evaluation.operating_points; the first makes the decisions.
    prevalence: label → a prevalence for which PPV and NPV are told too.
    level: what is tested, one of medjax.config.vocabulary.LEVELS.
    aggregate: how images become one of it, see there.
    columns: of `test.about`, by whose values the figures are told; absent ones are passed over.
    replicates, seed: of the bootstrap over patients.
    chosen: what an earlier call has frozen, which then stays.
    beside: name → other predictions of the same images, whose mean areas are told too.

  Raises:
    InputError: as medjax.evaluation.summary.evaluate.
  """
  if head != 'sigmoid':
    # Once calibrated, whatever it was sums to 1.
    for name, part in (('test', test), ('validation', validation)):
      if part is not None:
        classes.check(part, name)
  chosen = dict(chosen or {})
  of_test = levels.to_level(test, level, aggregate, head)
  of_validation = None
  if validation is not None:
    of_validation = levels.to_level(validation, level, aggregate, head)
    if level not in chosen:
      chosen = freeze(
        validation,
        head=head,
        calibration=calibration,
        rules=rules,
        level=level,
        aggregate=aggregate,
      )
  of_level = chosen.get(level) or frozen.without_validation(test.labels, head, rules)
  raw = {'test': of_test} | ({} if of_validation is None else {'validation': of_validation})
  ready = {name: frozen.calibrated(of_level, part) for name, part in raw.items()}
  points = of_level['operating_points']
  found = summary.evaluate(
    ready.get('validation'),
    ready['test'],
    points,
    uncalibrated=None if of_level['calibration']['method'] == 'none' else raw,
    head=head,
    prevalence=prevalence,
    unit=level,
    replicates=replicates,
    seed=seed,
  )
  by_group, of_groups = subgroups.summarise(
    ready['test'],
    {label: points[label][0]['threshold'] for label in test.labels},
    columns,
    replicates=replicates,
    seed=seed,
    level=summary.LEVEL,
  )
  drawn = {'replicates': replicates, 'seed': seed}
  found |= {
    'aggregate': aggregate,
    'levels': {
      each: mean_areas(frozen.calibrated(chosen[each], part) if each in chosen else part, **drawn)
      for each, part in (
        (each, levels.to_level(test, each, aggregate, head))
        for each in _told(test, aggregate, head)
      )
    },
    'subgroups': by_group,
    'beside': [
      {'name': name, **mean_areas(levels.to_level(part, level, aggregate, head), **drawn)}
      for name, part in (beside or {}).items()
    ],
    'notes': [
      *(() if level == 'image' else notes.unidentified(validation, test)),
      *found['notes'],
      *notes.not_calibrated(of_level['calibration']),
      *of_groups,
    ],
  }
  return Assessment(chosen, found, ready.get('validation'), ready['test'])


def freeze(
  validation: Predictions,
  *,
  head: str,
  calibration: str,
  rules: Sequence[str],
  level: str,
  aggregate: str,
) -> dict[str, dict]:
  """Returns what validation chooses, level → of medjax.evaluation.frozen.freeze; as for `assess`.

  Of images, of the level that is tested, and of every other level that validation tells.

  Raises:
    InputError: with exclusive classes, probabilities that do not sum to 1 or a truth of more or less
      than one class.
  """
  if head != 'sigmoid':
    classes.check(validation, 'validation')
  return {
    each: frozen.freeze(
      levels.to_level(validation, each, aggregate, head),
      head=head,
      calibration=calibration,
      rules=rules,
    )
    for each in dict.fromkeys(('image', level, *_told(validation, aggregate, head)))
  }


def _told(predictions: Predictions, aggregate: str, head: str) -> list[str]:
  """Returns the levels at which predictions can be told, the image's first."""
  if head == 'softmax' and aggregate != 'mean':
    return ['image']  # The maxima of exclusive classes do not sum to 1.
  return list(dict.fromkeys(('image', *levels.available(predictions))))


def mean_areas(predictions: Predictions, *, replicates: int, seed: int) -> dict[str, Any]:
  """Returns {'units', 'patients', 'labels', 'auroc', 'auprc'}: two figures, means over labels.

  The labels are those with both classes.
  """
  names = list(predictions.labels)
  thresholds = np.zeros((len(names), 0))
  prepared = resampled.prepare(np.asarray(predictions.patients), *predictions[3:6], thresholds)
  both = [
    index
    for index in range(len(names))
    if 0
    < predictions.truth[predictions.known[:, index], index].sum()
    < predictions.known[:, index].sum()
  ]

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    areas = intervals.in_threads(
      lambda index: metrics.areas(prepared.labels[index].ranking, weights), both
    )
    auroc, auprc = np.mean(areas, axis=0)
    return {'auroc': auroc, 'auprc': auprc}

  found: dict[str, Any] = {
    'units': len(predictions.images),
    'patients': prepared.patients,
    'labels': [names[index] for index in both],
  }
  if not both:
    nothing = intervals.figure(np.nan, np.zeros(0), 'no label has both classes', summary.LEVEL)
    return found | {'auroc': nothing, 'auprc': nothing}
  drawn = intervals.replicate(
    compute, prepared.patients, prepared.images, replicates=replicates, seed=seed
  )
  reason = '' if drawn else 'fewer than two patients' * (prepared.patients < 2)
  values = compute(np.ones((1, prepared.patients)))
  return found | {
    name: intervals.figure(
      float(values[name][0]), drawn.get(name, np.zeros(0)), reason, summary.LEVEL
    )
    for name in ('auroc', 'auprc')
  }
