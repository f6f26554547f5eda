"""Two runs on the same test images: by how much their AUROCs differ, and whether that is chance.

Both runs read the same patients, so what makes one test set harder than another falls out of the
difference: every replicate of the bootstrap draws the same patients for both, and DeLong's and
Obuchowski's covariance pairs them by image. Whether one run is worse by no more than a margin is
answered by where the interval of the difference ends, not by a p value (Piaggio et al., JAMA 308:2594,
2012: CONSORT for non-inferiority trials).
"""

from collections.abc import Iterable, Sequence

import numpy as np

from medjax.errors import InputError, nearest
from medjax.evaluation import notes, wording
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import delong, intervals, metrics, multiplicity

FIGURES = ('auroc', 'auprc')
ADJUSTED = {'p_holm': multiplicity.holm, 'p_benjamini_hochberg': multiplicity.benjamini_hochberg}
SUPERIOR, NON_INFERIOR, UNDECIDED = 'superior', 'non-inferior', 'undecided'
WORSE, WORSE_WITHIN, NOT_COMPARED = 'worse', 'worse within the margin', 'not compared'

_NAMED = 3  # images that a message names


def compare(
  one: Predictions,
  other: Predictions,
  *,
  margin: float,
  replicates: int = 2000,
  seed: int = 0,
  level: float = 0.95,
) -> dict:
  """Compares two runs on the same test images, the first less the second.

  Args:
    one: predictions of the run that is asked about.
    other: of the run it is compared with: the same images, patients, labels and truth, in any order.
    margin: of non-inferiority, in AUROC, in [0, 1); chosen before the figures are seen.
    replicates: of the bootstrap over patients; 0 for none, and then no verdict on the margin.
    seed: of the bootstrap, not negative; the same seed gives the same dictionary.
    level: how often the intervals cover; a difference is called one at p < 1 - level.

  Returns:
    A dictionary that JSON can hold: None, never NaN, where a figure does not exist.

      'level', 'margin', 'replicates', 'seed', 'method': how the intervals were made, in words.
      'test': {'images', 'patients'}.
      'mean': a comparison of the means over the labels with both classes, and 'labels': their names.
      'labels': {label: a comparison, and 'images', 'patients', 'positives', 'negatives',
        'positive_patients', 'negative_patients'}, counted where the truth is known.
      'notes': sentences on what weakens the figures.

    A comparison is
      'auroc', 'auprc': {'one': number, 'other': number, 'difference': figure}, a figure of
        medjax.evaluation.statistics.intervals: {'value', 'interval': [low, high] or None, 'bca': None,
        'valid_replicates', 'reason'}, the percentile interval of the paired bootstrap, or why there is
        none;
      'delong': {'interval', 'standard_error', 'z', 'p', 'clustered', 'reason'}, of the difference in
        AUROC, two-sided; clustered where a patient has several images;
      'p_holm', 'p_benjamini_hochberg': p adjusted for all labels that have one; not with the mean,
        which is one question;
      'non_inferior': whether the lower end of the interval of the difference in AUROC is above
        -margin, so at level 0.95 a one-sided test at 0.025;
      'different': whether that interval leaves out 0 and p (of labels: p_holm) is below 1 - level;
      'verdict': a word for both: SUPERIOR, NON_INFERIOR, WORSE_WITHIN, WORSE, UNDECIDED, or
        NOT_COMPARED where there is no interval or no p.

  Raises:
    InputError: images, labels, patients or truth that are not the same, named; a margin, level or
      number of replicates that cannot be.
  """
  _check_settings(margin, replicates, level)
  other = _joined(one, other)
  unique, patient = np.unique(np.asarray(one.patients), return_inverse=True)
  parts = [_contributions(one, other, index, patient) for index in range(len(one.labels))]
  drawn = _bootstrap(one, other, patient, replicates, seed)

  labels, tests = {}, []
  for index, label in enumerate(one.labels):
    known = one.known[:, index]
    truth = one.truth[known, index]
    reason = delong.no_variance(parts[index], truth)
    test = delong.paired_test(parts[index].aurocs, delong.covariance(parts[index]))
    values = {
      'auroc': parts[index].aurocs,
      'auprc': [
        metrics.average_precision(of.probabilities[known, index], truth) for of in (one, other)
      ],
    }
    positive_patients, negative_patients, patients = (int(n) for n in parts[index].patients)
    clustered = patients < int(known.sum())
    tests.append(test)
    labels[label] = {
      'images': int(known.sum()),
      'patients': patients,
      'positives': int((truth == 1).sum()),
      'negatives': int((truth == 0).sum()),
      'positive_patients': positive_patients,
      'negative_patients': negative_patients,
      **_comparison(
        values, {n: d[:, index] for n, d in drawn.items()}, test, clustered, reason, level
      ),
    }
  p = np.array([test.p for test in tests])
  for name, adjust in ADJUSTED.items():
    for of, adjusted in zip(labels.values(), adjust(p)):
      of[name] = _or_none(adjusted)
  for of in labels.values():
    of |= _verdict(of['auroc']['difference'], of['p_holm'], margin, level)
  mean = _mean(labels, parts, drawn, one, patient, level)
  result = {
    'level': level,
    'margin': margin,
    'replicates': replicates,
    'seed': seed,
    'method': 'percentile bootstrap over patients, the same for both runs',
    'test': {'images': len(one.images), 'patients': len(unique)},
    'mean': mean | _verdict(mean['auroc']['difference'], mean['delong']['p'], margin, level),
    'labels': labels,
  }
  return result | {'notes': _notes(result, one, other)}


def _check_settings(margin: float, replicates: int, level: float) -> None:
  if not 0 <= margin < 1:
    raise InputError(
      f'the margin is {margin}; give a difference in AUROC from 0 to 1, such as 0.02'
    )
  if not 0 < level < 1:
    raise InputError(f'the level is {level}; give a share between 0 and 1, such as 0.95')
  if replicates < 0:
    raise InputError(f'{replicates} replicates; give 0 for no bootstrap, or some 2000')


def _joined(one: Predictions, other: Predictions) -> Predictions:
  """Returns the other run's predictions with images and labels in the order of the one's.

  Raises:
    InputError: what is not the same in both.
  """
  runs = (('first', one, other), ('second', other, one))
  for name, here, there in runs:
    for label in here.labels:
      if label not in there.labels:
        raise InputError(
          f"label '{label}' is only in the {name} run's predictions"
          f'{nearest(label, there.labels)} Compare runs with the same labels'
        )
  for name, here, there in runs:
    known = set(there.images)
    alone = [image for image in here.images if image not in known]
    if alone:
      raise InputError(
        f"{wording.count(len(alone), 'image')} only in the {name} run's predictions: "
        f'{_few(alone)}; compare runs on the same test images'
      )
  row = {image: index for index, image in enumerate(other.images)}
  rows = np.array([row[image] for image in one.images], int)
  columns = [list(other.labels).index(label) for label in one.labels]
  cells = np.ix_(rows, columns)
  joined = other._replace(
    images=list(one.images),
    patients=[other.patients[index] for index in rows],
    labels=list(one.labels),
    probabilities=np.asarray(other.probabilities)[cells],
    truth=np.asarray(other.truth)[cells],
    known=np.asarray(other.known, bool)[cells],
    about=None if other.about is None else other.about.iloc[rows],
  )
  for image, mine, theirs in zip(one.images, one.patients, joined.patients):
    if mine != theirs:
      raise InputError(
        f"image '{image}' is of patient '{mine}' in the first run's predictions and of '{theirs}' in "
        "the second's; take the patients of both from one table"
      )
  differs = (one.known != joined.known) | (one.known & (one.truth != joined.truth))
  if differs.any():
    image, label = (int(index) for index in np.argwhere(differs)[0])
    first, second = (
      f'{of.truth[image, label]:g}' if of.known[image, label] else 'not known'
      for of in (one, joined)
    )
    more = int(differs.sum()) - 1
    raise InputError(
      f"image '{one.images[image]}', label '{one.labels[label]}': the truth is {first} in the first "
      f"run's predictions and {second} in the second's{f', and so {more:,} more' if more else ''}; "
      'compare runs against one reference standard'
    )
  return joined


def _few(names: Sequence[str]) -> str:
  return ', '.join(names[:_NAMED]) + (', …' if len(names) > _NAMED else '')


def _contributions(
  one: Predictions, other: Predictions, label: int, patient: np.ndarray
) -> delong.Contributions:
  known = one.known[:, label]
  scores = np.stack([of.probabilities[known, label] for of in (one, other)])
  patients = int(patient.max(initial=-1)) + 1
  return delong.contributions(scores, one.truth[known, label], patient[known], patients)


def _bootstrap(
  one: Predictions, other: Predictions, patient: np.ndarray, replicates: int, seed: int
) -> dict[str, np.ndarray]:
  """Returns the first's figures less the second's, f64[replicates, L] each, NaN where none exist."""
  labels = range(len(one.labels))
  pairs = [
    [_ranking(of, label, patient) for of in (one, other)] if one.known[:, label].any() else []
    for label in labels
  ]
  patients = int(patient.max(initial=-1)) + 1
  drawn = intervals.replicate(
    lambda counts: _differences(intervals.in_threads(lambda pair: _less(pair, counts), pairs)),
    patients,
    max(1, len(patient)),
    replicates=replicates,
    seed=seed,
  )
  return {name: drawn.get(name, np.empty((0, len(labels)))) for name in FIGURES}


def _ranking(of: Predictions, label: int, patient: np.ndarray) -> metrics.Ranking:
  """Ranks one label's images so that their weights are read straight from those of the patients."""
  known = of.known[:, label]
  ranking = metrics.rank(of.probabilities[known, label], of.truth[known, label])
  return ranking._replace(order=patient[known][ranking.order])


def _less(pair: Sequence[metrics.Ranking], counts: np.ndarray) -> np.ndarray:
  """Returns f64[2, R]: AUROC and AUPRC of the first ranking less those of the second."""
  if not pair:
    return np.full((len(FIGURES), len(counts)), np.nan)
  first, second = (np.stack(metrics.areas(ranking, counts)) for ranking in pair)
  return first - second


def _differences(of_labels: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
  return dict(zip(FIGURES, np.stack(list(of_labels), axis=-1)))


def _comparison(
  values: dict[str, Sequence[float]],
  drawn: dict[str, np.ndarray],
  test: delong.PairedTest,
  clustered: bool,
  reason: str,
  level: float,
) -> dict:
  """Returns the figures of a comparison, without adjusted p values and verdict.

  Args:
    values: name -> the first's and the second's figure, NaN where there is none.
    drawn: name -> f64[R], the differences in every replicate.
    test: of the difference in AUROC.
    clustered: whether a patient has several images.
    reason: why there can be no intervals, '' if there can.
  """
  bounds = delong.difference_interval(test, level)
  compared = {
    name: {
      'one': _or_none(first),
      'other': _or_none(second),
      'difference': intervals.figure(first - second, drawn[name], reason, level),
    }
    for name, (first, second) in values.items()
  }
  return compared | {
    'delong': {
      'interval': None if bounds is None else list(bounds),
      'standard_error': _or_none(test.standard_error),
      'z': _or_none(test.z),
      'p': _or_none(test.p),
      'clustered': clustered,
      'reason': '' if bounds else reason or 'the difference is the same for every patient',
    }
  }


def _mean(
  labels: dict,
  parts: Sequence[delong.Contributions],
  drawn: dict[str, np.ndarray],
  one: Predictions,
  patient: np.ndarray,
  level: float,
) -> dict:
  """Compares the means over the labels with both classes, in each replicate too."""
  columns = [i for i, of in enumerate(labels.values()) if of['auroc']['one'] is not None]
  entered = [list(labels)[index] for index in columns]
  values, means = {}, {}
  for name in FIGURES:
    figures = [[labels[label][name][run] for run in ('one', 'other')] for label in entered]
    values[name] = np.mean(figures, axis=0) if entered else [np.nan, np.nan]
    # A replicate counts only if every label has its figure: else each would average other labels.
    means[name] = drawn[name][:, columns].mean(axis=1) if entered else drawn[name][:, 0]
  test = delong.PairedTest(np.nan, np.nan, np.nan, np.nan)
  reason = '' if entered else 'no label has both classes'
  if entered:
    known = patient[np.asarray(one.known)[:, columns].any(axis=1)]
    covariance = delong.mean_covariance([parts[i] for i in columns], len(np.unique(known)))[1]
    test = delong.paired_test(values['auroc'], covariance)
    reasons = (
      (labels[label]['delong']['reason'], label)
      for label, index in zip(entered, columns)
      if (parts[index].patients < 2).any()
    )
    reason = next((f'{label}: {why}' for why, label in reasons), '')
  clustered = any(of['delong']['clustered'] for of in labels.values())
  return {'labels': entered, **_comparison(values, means, test, clustered, reason, level)}


def _verdict(difference: dict, p: float | None, margin: float, level: float) -> dict:
  """Returns 'non_inferior', 'different' and the word for both, see `compare`."""
  if difference['interval'] is None or p is None:
    return {'non_inferior': None, 'different': None, 'verdict': NOT_COMPARED}
  low, high = difference['interval']
  non_inferior, different = low > -margin, p < 1 - level and not low <= 0 <= high
  if different and low > 0:
    word = SUPERIOR
  elif different:
    word = WORSE_WITHIN if non_inferior else WORSE
  else:
    word = NON_INFERIOR if non_inferior else UNDECIDED
  return {'non_inferior': non_inferior, 'different': different, 'verdict': word}


def _notes(result: dict, one: Predictions, other: Predictions) -> list[str]:
  """Returns sentences on what weakens the comparison, the gravest first."""
  labels, found = result['labels'], []
  if list(one.images) == list(one.patients):
    found.append(
      'No patient identifiers: every image counts as its own patient. If some patients have several '
      'images, intervals are too narrow and p values too small.'
    )
  for kind in ('positives', 'negatives'):
    names = [label for label, of in labels.items() if not of[kind]]
    if names:
      found.append(f'No {kind} on test, so nothing to compare: {", ".join(names)}.')
  if result['test']['patients'] < notes.FEW_PATIENTS:
    found.append(
      f'Only {wording.count(result["test"]["patients"], "test patient")}: intervals from so few tend '
      'to be too narrow.'
    )
  for kind in ('positive', 'negative'):
    names = [
      f'{label} {of[f"{kind}_patients"]}'
      for label, of in labels.items()
      if 0 < of[f'{kind}_patients'] < notes.FEW_OF_A_CLASS
    ]
    if names:
      found.append(
        f'Fewer than {notes.FEW_OF_A_CLASS} {kind} patients, so one more or less moves the difference '
        f'visibly: {", ".join(names)}.'
      )
  if np.array_equal(one.probabilities, other.probabilities):
    found.append('Both runs give every image the same probabilities: is one a copy of the other?')
  return found


def _or_none(value: float) -> float | None:
  return None if np.isnan(value) else float(value)
