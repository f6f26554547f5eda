"""The external page's sections on what recalibration and another prevalence would change."""

from medjax.evaluation import wording
from medjax.evaluation.external import recalibrated
from medjax.evaluation.external.result import (
  ExternalLabel,
  ExternalResult,
  Recalibrated,
  Recalibration,
)
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import Counts
from medjax.report.figures import difference_words, figure_words
from medjax.report.markup import Markup, section, small, table, tag
from medjax.report.sections.cohorts import CALIBRATION, RATES

_WAYS = {
  recalibrated.AS_FROZEN: 'As frozen',
  recalibrated.IN_THE_LARGE: 'In the large: intercept alone',
  recalibrated.LOGISTIC: 'Logistic: intercept and slope',
}


def recalibration(result: ExternalResult) -> Markup:
  """Returns the section on what recalibration would give, a table for each label."""
  unit = result.external.unit
  parts = []
  for label, part in result.labels.items():
    moved = part.recalibration
    parts.append(
      tag(
        'div',
        tag('h3', label),
        tag('p', _halves(moved, unit), class_='quiet'),
        table(
          ('Probabilities', *(name for name, _ in CALIBRATION.values())),
          [_calibration_row(way) for way in moved.ways],
          'cards wide',
        ),
        _points(moved),
      )
    )
  confidence = f'{result.external.confidence:.0%}'
  return section(
    'Recalibration: what it would mend',
    tag(
      'p',
      'Nothing above was fitted to the external set. Here half of its patients, drawn at random, '
      'say how the log odds should be moved (recalibration in the large) and stretched (logistic '
      'recalibration), and the other half, who had no part in it, are tested as frozen and after '
      f'either. In brackets the {confidence} interval over the patients of the half that is '
      'tested; it does not hold how far another half would have moved the probabilities. '
      'Recalibration keeps the order of patients, so the AUROC stays.',
      ' Each class is moved by itself, against all others, so that probabilities no longer sum to '
      '1; the decision between them is as it was.'
      if result.contrast.classes
      else None,
      class_='quiet lead',
    ),
    parts,
  )


def _halves(moved: Recalibration, unit: str) -> str:
  first, second = moved.estimated_on, moved.tested_on
  sizes = [
    f'{wording.count(half.patients, "patient")} ({half.positives:,} positive of '
    f'{wording.count(half.images, unit)})'
    for half in (first, second)
  ]
  return (
    f'Estimated on {sizes[0]}: intercept {_said(moved.intercept, 2)} log odds with a slope of 1, '
    f'slope {_said(moved.slope, 2)}. Tested on {sizes[1]}: AUROC {_said(moved.auroc, 3)} before '
    'and after.'
  )


def _said(figure: Figure, digits: int) -> str:
  if figure.value is None:
    return f'none ({figure.reason})'
  if figure.interval is None:
    return f'{wording.number(figure.value, digits)} (no interval: {figure.reason})'
  return wording.plain(figure, digits)


def _calibration_row(way: Recalibrated) -> list[object]:
  line = None
  if way.reason:
    line = small(f'not estimated: {way.reason}')
  elif way.intercept is not None and way.how != recalibrated.AS_FROZEN:
    slope = '' if way.slope == 1 else f'{wording.number(way.slope, 2)} · '
    line = small(f'logit p′ = {wording.number(way.intercept, 2)} + {slope}logit p')
  cells = [figure_words(getattr(way, name), digits) for name, (_, digits) in CALIBRATION.items()]
  return [[_WAYS[way.how], line], *cells]


def _points(moved: Recalibration) -> Markup | None:
  """Returns the table of decisions, the ways of one rule one after another."""
  decided = [(way, point) for way in moved.ways for point in way.operating_points]
  rules = list(dict.fromkeys(point.rule for _, point in decided))
  rows = []
  for way, point in sorted(decided, key=lambda pair: rules.index(pair[1].rule)):
    anew = 'threshold chosen anew' if point.chosen_anew else 'threshold as frozen'
    name = [wording.capital(wording.rule(point.rule)), small(f'{_WAYS[way.how]}; {anew}')]
    cells = [figure_words(getattr(point, rate), 2) for rate in RATES]
    rows.append([name, wording.threshold(point.threshold), *cells])
  if not rows:
    return None
  return tag(
    'details',
    tag('summary', 'Decisions by recalibrated probabilities'),
    table(('Operating point', 'Threshold', *RATES.values()), rows, 'cards wide'),
    open='' if len(rows) <= 6 else None,
  )


def prevalence(result: ExternalResult) -> Markup:
  """Returns the section on how common each finding is, and on PPV and NPV under that."""
  unit = result.external.unit
  shift = [_shift_row(label, part, unit, result) for label, part in result.labels.items()]
  values = _values(result)
  return section(
    'Prevalence, and PPV and NPV under it',
    table(
      (
        'Label',
        'External, labelled',
        'Own test, labelled',
        'Difference',
        'External, by the scores',
      ),
      shift,
      'cards',
    ),
    tag(
      'p',
      'By the scores: the prevalence that makes the external scores most likely if the finding '
      'looks the same in both and is only more or less common (Saerens, Latinne & Decaestecker '
      '2002), without any label, from probabilities that are calibrated to the prevalence named '
      'there. Where it is far from the labelled one, more than the prevalence has changed: other '
      f'patients, other pictures, or another way to label. Shares are of {wording.plural(unit)} '
      'whose truth is known.',
      class_='quiet',
    ),
    values,
  )


def _shift_row(label: str, part: ExternalLabel, unit: str, result: ExternalResult) -> list[object]:
  shift, contrast = part.prevalence, result.contrast.labels[label]
  start = shift.calibrated_to
  return [
    label,
    [*figure_words(shift.labelled.one, 3), _of(contrast.one.positives, contrast.one.images, unit)],
    [
      *figure_words(shift.labelled.other, 3),
      _of(contrast.other.positives, contrast.other.images, unit),
    ],
    difference_words(shift.labelled.difference),
    [
      *figure_words(shift.estimated, 3),
      _of(None, contrast.one.images, unit),
      None if start is None else small(f'calibrated to {wording.percent(start)}'),
    ],
  ]


def _of(positives: int | None, total: int, unit: str) -> Markup:
  if positives is None:
    return small(f'of {wording.count(total, unit)}')
  return small(f'{positives:,} of {wording.count(total, unit)}')


def _values(result: ExternalResult) -> list[Markup]:
  parts, unit = [], result.external.unit
  for name, title in (('ppv', 'PPV'), ('npv', 'NPV')):
    rows = []
    for label, part in result.labels.items():
      contrast = result.contrast.labels[label]
      observed = {point.rule: point for point in contrast.operating_points}
      for values in part.prevalence.predictive_values:
        point = observed[values.rule]
        own, external = getattr(point, name).other, getattr(point, name).one
        rows.append(
          [
            [
              label,
              small(
                f'{wording.rule(values.rule)}, threshold {wording.threshold(values.threshold)}'
              ),
            ],
            [
              *figure_words(own, 2),
              _at(part.prevalence.labelled.other),
              _of_counts(contrast.other, unit),
            ],
            [
              *figure_words(getattr(values, f'{name}_carried'), 2),
              _at(part.prevalence.labelled.one),
            ],
            [
              *figure_words(getattr(values, f'{name}_estimated'), 2),
              _at(part.prevalence.estimated),
            ],
            [
              *figure_words(external, 2),
              _at(part.prevalence.labelled.one),
              _of_counts(contrast.one, unit),
            ],
          ]
        )
    if rows:
      header = (
        'Label',
        'Own test',
        'Expected, labelled prevalence',
        'Expected, prevalence by the scores',
        'External, as it was',
      )
      parts += [tag('h3', title), table(header, rows, 'cards')]
  if parts:
    parts.append(
      tag(
        'p',
        'Expected: by Bayes’ theorem, from sensitivity and specificity of the own test at the '
        'external prevalence; the interval holds the uncertainty of all three. What is left '
        'between that and the external figure is not of the prevalence.',
        class_='quiet',
      )
    )
  return parts


def _at(prevalence: Figure) -> Markup | None:
  if prevalence.value is None or prevalence.interval is None:
    return None
  return small(f'at a prevalence of {wording.percent(prevalence.value)}')


def _of_counts(counts: Counts, unit: str) -> Markup:
  return small(f'{counts.positives:,} of {wording.count(counts.images, unit)}')
