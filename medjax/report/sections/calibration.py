"""The report's section on calibration: may a probability be taken at its word?"""

from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.report.markup import Markup, section, small, table, tag
from medjax.report.sections.labels import figure_words

METHODS = {
  'platt': 'Platt scaling',
  'temperature': 'temperature scaling',
  'isotonic': 'isotonic regression',
}
_FIGURES = (
  ('brier', 'Brier score', 3),
  ('ece', 'Calibration error (ECE)', 3),
  ('calibration_slope', 'Slope', 2),
  ('calibration_intercept', 'Intercept', 2),
)


def calibration(summary: Mapping, method: str = '') -> Markup:
  """Returns the section with every label's calibration figures, before and after.

  Args:
    summary: what `medjax.evaluation.summary.evaluate` returns.
    method: of the calibration, as config.evaluation.calibration names it; '' where not recorded.
  """
  labels = summary['labels']
  fitted = any(of['uncalibrated'] for of in labels.values())
  rows = []
  for label, of in labels.items():
    before = (of['uncalibrated'] or {}).get('test')
    cells = [
      [*figure_words(of['test'][name], digits), _before(before, name, digits)]
      for name, _, digits in _FIGURES
    ]
    rows.append([label, *cells])
  mean = summary['mean']
  if len(mean['labels']) > 1:
    rows.append(
      [
        f'Mean of {len(mean["labels"])}',
        *(figure_words(mean[name], digits) for name, _, digits in _FIGURES),
      ]
    )
  how = METHODS.get(method, 'calibration')
  if fitted:
    one, several = wording.things(summary)
    each = f'for each {one}' if summary['classes'] is None else f'for all {several} together'
    said = f'By {how}, fitted {each} on validation and then frozen. Small: before it. '
  else:
    said = 'The probabilities are as the model gave them: nothing was fitted. '
  one = wording.capital(wording.things(summary)[0])
  return section(
    'Calibration: is what is called 20% there in 20%?',
    table((one, *(name for _, name, _ in _FIGURES)), rows, 'cards wide'),
    tag(
      'p',
      said,
      'Brier score and calibration error: the lower the better, 0 at best; a rare label has a low '
      'Brier score whatever the model says. Slope: 1 is right, below 1 the probabilities are too '
      'extreme, above 1 too timid. Intercept: 0 is right, below 0 they are too high, above 0 too '
      f'low. In brackets the {summary["level"]:.0%} interval; that of the calibration error is bias-corrected '
      '(BCa), because every replicate adds noise that counts as error. A test set enriched with positives is '
      'not the clinic: there the same probabilities come out too high.',
      class_='quiet',
    ),
  )


def _before(before: Mapping | None, name: str, digits: int) -> Markup | None:
  value = before and before.get(name)
  return None if value is None else small(f'before {wording.number(value, digits)}')
