"""Two runs on the same test images: by how much their AUROCs differ, and whether that is chance.

Both runs read the same patients, so what makes one test set harder than another falls out of the
difference: every replicate of the bootstrap draws the same patients for both, and DeLong's and
Obuchowski's covariance pairs them by image. Whether one run is worse by no more than a margin is
answered by where the interval of the difference ends, not by a p value (Piaggio et al., JAMA
308:2594, 2012: CONSORT for non-inferiority trials).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from medjax.errors import InputError
from medjax.evaluation import (
  classes,
  curve_points,
  notes,
  paired_draws,
  paired_rates,
  pairing,
  wording,
)
from medjax.evaluation.contrasts import (
  Compared,
  Comparison,
  LabelContrast,
  MeanContrast,
  PairedTest,
  TestSize,
  verdict,
)
from medjax.evaluation.counts import of_several_patients
from medjax.evaluation.label_result import RocCurve
from medjax.evaluation.paired_draws import FIGURES
from medjax.evaluation.paired_rates import Rates, Thresholds
from medjax.evaluation.predictions import Predictions, names_patients
from medjax.evaluation.statistics import delong, intervals, metrics, multiplicity


def compare(
  one: Predictions,
  other: Predictions,
  *,
  margin: float,
  between: tuple[str, str] = ('the first run', 'the second run'),
  unit: str = 'image',
  replicates: int = 2000,
  seed: int = 0,
  confidence: float = 0.95,
  head: str = 'sigmoid',
  thresholds: tuple[Thresholds, Thresholds] | None = None,
) -> Comparison:
  """Compares two runs on the same test images, the first less the second.

  Args:
    one: predictions of the run that is asked about.
    other: of the run it is compared with: the same images, patients, labels and truth, in any
      order.
    margin: of non-inferiority, in AUROC, in [0, 1); chosen before the figures are seen.
    between: names of the two.
    unit: what the predictions call images.
    replicates: of the bootstrap over patients; 0 for none, and then no verdict on the margin.
    seed: of the bootstrap, not negative; the same seed gives the same figures.
    confidence: how often the intervals cover; a difference is called one at p < 1 - confidence.
    head: of both networks; of exclusive classes the decision between them is compared.
    thresholds: label → threshold of each run's probabilities, by which it decides; None where they
      are not known of both.

  Raises:
    InputError: images, labels, patients or truth that are not the same, named; a margin, confidence
      or number of replicates that cannot be.
  """
  _check_settings(margin, replicates, confidence)
  other = pairing.aligned(one, other)
  unique, patient = np.unique(np.asarray(one.patients), return_inverse=True)
  parts = [_contributions(one, other, index, patient) for index in range(len(one.labels))]
  resampled = paired_draws.bootstrap(one, other, patient, replicates, seed)
  labels = {
    label: _decisive(
      _label(one, other, index, parts[index], resampled, confidence),
      _rates(one, other, index, head, thresholds, confidence),
      _curves(one, other, index),
    )
    for index, label in enumerate(one.labels)
  }
  p = np.array(
    [math.nan if contrast.delong.p is None else contrast.delong.p for contrast in labels.values()]
  )
  adjusted = zip(multiplicity.holm(p), multiplicity.benjamini_hochberg(p))
  for (label, contrast), (p_holm, p_benjamini_hochberg) in zip(list(labels.items()), adjusted):
    labels[label] = _judged(
      dataclasses.replace(
        contrast,
        p_holm=_or_none(p_holm),
        p_benjamini_hochberg=_or_none(p_benjamini_hochberg),
      ),
      _or_none(p_holm),
      margin,
      confidence,
    )
  mean = _mean(labels, parts, resampled, one, patient, confidence)
  return Comparison(
    between=between,
    unit=unit,
    confidence=confidence,
    margin=margin,
    replicates=replicates,
    seed=seed,
    method='bootstrap over patients, the same for both runs; AUROC: DeLong by patient',
    test=TestSize(images=len(one.images), patients=len(unique)),
    mean=_judged(mean, mean.delong.p, margin, confidence),
    labels=labels,
    notes=tuple(_notes(labels, len(unique), one, other)),
    decided=_decided(head, thresholds),
  )


def _decided(head: str, thresholds: tuple[Thresholds, Thresholds] | None) -> str:
  if head != 'sigmoid':
    return classes.DECISION[head]
  return paired_rates.OWN_THRESHOLDS if thresholds else ''


def _decisive(
  contrast: LabelContrast, rates: Rates, roc: tuple[RocCurve, RocCurve] | None
) -> LabelContrast:
  return dataclasses.replace(
    contrast, sensitivity=rates.sensitivity, specificity=rates.specificity, roc=roc
  )


def _rates(
  one: Predictions,
  other: Predictions,
  index: int,
  head: str,
  thresholds: tuple[Thresholds, Thresholds] | None,
  confidence: float,
) -> Rates:
  if head == 'sigmoid' and thresholds is None:
    return Rates(None, None)
  first, second = thresholds or ({}, {})
  called = (
    paired_rates.decided(one, first, head, index),
    paired_rates.decided(other, second, head, index),
  )
  return paired_rates.of_label(one, index, called, confidence)


def _curves(one: Predictions, other: Predictions, index: int) -> tuple[RocCurve, RocCurve] | None:
  first, second = (curve_points.of_label(run, None, index).roc for run in (one, other))
  return None if first is None or second is None else (first, second)


def _label(
  one: Predictions,
  other: Predictions,
  index: int,
  part: delong.Contributions,
  resampled: Mapping[str, np.ndarray],
  confidence: float,
) -> LabelContrast:
  """Returns one label's comparison, without adjusted p values and verdict."""
  known = one.known[:, index]
  truth = one.truth[known, index]
  precisions = [
    float(metrics.average_precision(run.ranks[known, index], truth)) for run in (one, other)
  ]
  positive_patients, negative_patients, patients = (int(n) for n in part.patients)
  compared = _figures(
    {'auroc': part.aurocs.tolist(), 'auprc': precisions},
    {name: values[:, index] for name, values in resampled.items()},
    delong.paired_test(
      part.aurocs, delong.covariance(part), float(delong.freedom(delong.difference(part))[0])
    ),
    [part],
    clustered=patients < int(known.sum()),
    reason=delong.no_variance(part, truth),
    confidence=confidence,
  )
  return LabelContrast(
    **compared,
    images=int(known.sum()),
    patients=patients,
    positives=int((truth == 1).sum()),
    negatives=int((truth == 0).sum()),
    positive_patients=positive_patients,
    negative_patients=negative_patients,
  )


def _check_settings(margin: float, replicates: int, confidence: float) -> None:
  if not 0 <= margin < 1:
    raise InputError(
      f'the margin is {margin}; give a difference in AUROC from 0 to 1, such as 0.02'
    )
  if not 0 < confidence < 1:
    raise InputError(f'the confidence is {confidence}; give a share between 0 and 1, such as 0.95')
  if replicates < 0:
    raise InputError(f'{replicates} replicates; give 0 for no bootstrap, or some 2000')


def _contributions(
  one: Predictions, other: Predictions, label: int, patient: np.ndarray
) -> delong.Contributions:
  known = one.known[:, label]
  scores = np.stack([run.ranks[known, label] for run in (one, other)])
  patients = int(patient.max(initial=-1)) + 1
  return delong.contributions(scores, one.truth[known, label], patient[known], patients)


def _figures(
  values: Mapping[str, Sequence[float]],
  resampled: Mapping[str, np.ndarray],
  test: delong.PairedTest,
  parts: Sequence[delong.Contributions],
  *,
  clustered: bool,
  reason: str,
  confidence: float,
) -> dict[str, Any]:
  """Returns the figures of a `Contrast` by name.

  Args:
    values: name -> the first's and the second's figure, NaN where there is none.
    resampled: name -> f64[R, 2], both runs' in every replicate.
    test: of the difference in AUROC.
    parts: of the labels that enter it.
    clustered: whether a patient has several images.
    reason: why there can be no intervals, '' if there can.
  """
  bounds = delong.difference_interval(test, confidence)
  compared: dict[str, Any] = {
    name: Compared(
      one=intervals.figure(first, resampled[name][:, 0], reason, confidence),
      other=intervals.figure(second, resampled[name][:, 1], reason, confidence),
      difference=intervals.figure(
        first - second, resampled[name][:, 0] - resampled[name][:, 1], reason, confidence
      ),
    )
    for name, (first, second) in values.items()
  }
  if parts:
    one, other = (
      delong.with_interval(figure, parts, confidence, model)
      for model, figure in enumerate((compared['auroc'].one, compared['auroc'].other))
    )
    difference = compared['auroc'].difference
    if difference.interval:
      difference = dataclasses.replace(difference, interval=bounds or difference.interval)
    compared['auroc'] = Compared(one=one, other=other, difference=difference)
  compared['delong'] = PairedTest(
    interval=bounds,
    standard_error=_or_none(test.standard_error),
    z=_or_none(test.z),
    p=_or_none(test.p),
    clustered=clustered,
    reason='' if bounds else reason or 'the difference is the same for every patient',
  )
  return compared


def _mean(
  labels: Mapping[str, LabelContrast],
  parts: Sequence[delong.Contributions],
  resampled: Mapping[str, np.ndarray],
  one: Predictions,
  patient: np.ndarray,
  confidence: float,
) -> MeanContrast:
  """Compares the means over the labels with both classes, chosen as those of `result.Mean`."""
  contrasts = list(labels.values())
  both = [index for index, contrast in enumerate(contrasts) if contrast.auroc.one.value is not None]
  columns = [index for index in both if of_several_patients(contrasts[index])] or both
  entered = tuple(list(labels)[index] for index in columns)
  clustered = any(contrast.delong.clustered for contrast in contrasts)
  if not entered:
    nothing = [math.nan, math.nan]
    compared = _figures(
      dict.fromkeys(FIGURES, nothing),
      {name: values[:, 0] for name, values in resampled.items()},
      delong.PairedTest(math.nan, math.nan, math.nan, math.nan),
      [],
      clustered=clustered,
      reason='no label has both classes',
      confidence=confidence,
    )
    return MeanContrast(labels=entered, **compared)
  pairs = {
    'auroc': [contrasts[index].auroc for index in columns],
    'auprc': [contrasts[index].auprc for index in columns],
  }
  values = {
    name: np.array([(pair.one.value, pair.other.value) for pair in by_label], np.float64).mean(
      axis=0
    )
    for name, by_label in pairs.items()
  }
  parts = [parts[index] for index in columns]
  covariance = delong.mean_covariance(parts)[1]
  freedom = delong.mean_freedom([delong.difference(part) for part in parts])[0]
  reasons = (
    f'{label}: {contrasts[index].delong.reason}'
    for label, index, part in zip(entered, columns, parts)
    if (part.patients < 2).any()
  )
  compared = _figures(
    {name: means.tolist() for name, means in values.items()},
    # A replicate counts only if every label has its figure: else each would average other labels.
    {name: differences[:, columns].mean(axis=1) for name, differences in resampled.items()},
    delong.paired_test(values['auroc'], covariance, float(freedom)),
    parts,
    clustered=clustered,
    reason=next(reasons, ''),
    confidence=confidence,
  )
  return MeanContrast(labels=entered, **compared)


Judged = TypeVar('Judged', LabelContrast, MeanContrast)


def _judged(contrast: Judged, p: float | None, margin: float, confidence: float) -> Judged:
  """Returns the contrast with its verdict."""
  judgement = verdict(contrast.auroc.difference.interval, p, margin, confidence)
  return dataclasses.replace(
    contrast, non_inferior=judgement[0], different=judgement[1], verdict=judgement[2]
  )


def _notes(
  labels: Mapping[str, LabelContrast], patients: int, one: Predictions, other: Predictions
) -> list[str]:
  """Returns sentences on what weakens the comparison, the gravest first."""
  sentences = []
  if one.stated and not names_patients(one):
    sentences.append(
      "Every image is of another patient, by the column 'patient'. If some patients have several "
      'images after all, intervals are too narrow and p values too small.'
    )
  elif not names_patients(one):
    sentences.append(
      'No patient identifiers: every image counts as its own patient. If some patients have '
      'several images, intervals are too narrow and p values too small.'
    )
  counts = {
    'positive': {label: (row.positives, row.positive_patients) for label, row in labels.items()},
    'negative': {label: (row.negatives, row.negative_patients) for label, row in labels.items()},
  }
  for kind, by_label in counts.items():
    names = [label for label, (images, _) in by_label.items() if not images]
    if names:
      sentences.append(f'No {kind}s on test, so nothing to compare: {", ".join(names)}.')
  if patients < notes.FEW_PATIENTS:
    sentences.append(
      f'Only {wording.count(patients, "test patient")}: intervals from so few tend to be too '
      'narrow.'
    )
  for kind, by_label in counts.items():
    names = [f'{label} {n}' for label, (_, n) in by_label.items() if 0 < n < notes.FEW_OF_A_CLASS]
    if names:
      sentences.append(
        f'Fewer than {notes.FEW_OF_A_CLASS} {kind} patients, so one more or less moves the '
        f'difference visibly: {", ".join(names)}.'
      )
  if np.array_equal(one.probabilities, other.probabilities):
    sentences.append(
      'Both runs give every image the same probabilities: is one a copy of the other?'
    )
  return sentences


def _or_none(value: float) -> float | None:
  return None if np.isnan(value) else float(value)
