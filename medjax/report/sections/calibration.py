"""The report's section on calibration: may a probability be taken at its word?"""

from medjax.evaluation import wording
from medjax.evaluation.label_result import CalibrationValues
from medjax.evaluation.result import Result
from medjax.report.figures import figure_words
from medjax.report.markup import Markup, section, small, table, tag

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


def calibration(result: Result, method: str = '') -> Markup:
  """Returns the section with every label's calibration figures, before and after.

  Args:
    result: of the test.
    method: of the calibration, as config.evaluation.calibration names it; '' where not recorded.
  """
  labels = result.labels
  fitted = any(label_result.uncalibrated for label_result in labels.values())
  rows = []
  for label, label_result in labels.items():
    before = None if label_result.uncalibrated is None else label_result.uncalibrated.test
    cells = [
      [*figure_words(getattr(label_result, name), digits), _before(before, name, digits)]
      for name, _, digits in _FIGURES
    ]
    rows.append([label, *cells])
  mean = result.mean
  if len(mean.labels) > 1:
    rows.append(
      [
        f'Mean of {len(mean.labels)}',
        *(figure_words(getattr(mean, name), digits) for name, _, digits in _FIGURES),
      ]
    )
  how = METHODS.get(method, 'calibration')
  if fitted:
    one, several = wording.things(result)
    for_whom = f'for each {one}' if result.classes is None else f'for all {several} together'
    said = f'By {how}, fitted {for_whom} on validation and then frozen. Small: before it. '
  else:
    said = 'The probabilities are as the model gave them: nothing was fitted. '
  one = wording.capital(wording.things(result)[0])
  return section(
    'Calibration: is what is called 20% there in 20%?',
    table((one, *(name for _, name, _ in _FIGURES)), rows, 'cards wide'),
    tag(
      'p',
      said,
      'Brier score and calibration error: the lower the better, 0 at best; a rare label has a low '
      'Brier score whatever the model says. Slope: 1 is right, below 1 the probabilities are too '
      'extreme, above 1 too timid. Intercept: 0 is right, below 0 they are too high, above 0 too '
      f'low. In brackets the {result.confidence:.0%} interval; that of the calibration error is '
      'bias-corrected (BCa), because every replicate adds noise that counts as error. Where a '
      'floor enriched the split, all of this is of its source, to which each patient is weighted '
      'back. A clinic of another prevalence needs other probabilities.',
      class_='quiet',
    ),
  )


def _before(before: CalibrationValues | None, name: str, digits: int) -> Markup | None:
  value = getattr(before, name, None)
  return None if value is None else small(f'before {wording.number(value, digits)}')
