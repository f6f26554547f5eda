"""Words that settings are written in, shared by the config and by the rooms that act on them."""

import math
from collections.abc import Sequence
from fractions import Fraction

from medjax.errors import InputError, check_option, nearest

FITS = ('pad', 'crop', 'stretch')
INTENSITIES = ('file', 'stretch')
MODALITIES = ('chest', 'retina', 'skin', 'histopathology')
HEADS = ('sigmoid', 'softmax', 'ordinal')
LEVELS = ('image', 'study', 'patient', 'slide')
CALIBRATIONS = ('none', 'temperature', 'platt', 'isotonic')
SCORES = ('probabilities', 'ranks')
AGGREGATES = ('max', 'mean', 'top')
TRACKERS = ('tensorboard', 'mlflow', 'wandb')
SALIENCIES = ('grad_cam', 'grad_cam_plus_plus', 'integrated_gradients')
# What columns of a run's own are called in a file of predictions; the first ones by label.
OF_PREDICTIONS = ('prob_', 'true_', 'decision_', 'raw_', 'logit_')
OWN_COLUMNS = ('decision', 'source_weight')
RULES = ('youden', 'sensitivity', 'specificity', 'cost', 'threshold')
RULE_EXAMPLES = ('youden', 'sensitivity=0.9', 'specificity=0.9', 'cost=5', 'threshold=0.5')

_RULE_SETTING = 'operating_points'
_RANGES = {
  'sensitivity': (lambda value: 0 < value <= 1, 'a share in (0, 1]'),
  'specificity': (lambda value: 0 < value <= 1, 'a share in (0, 1]'),
  'cost': (lambda value: 0 < value < math.inf, 'how many false alarms a missed positive outweighs'),
  'threshold': (lambda value: 0 <= value <= 1, 'a probability in [0, 1]'),
}


def parse_rule(rule: str, setting: str = _RULE_SETTING) -> tuple[str, Fraction | None]:
  """Returns the name and the value of 'youden', 'sensitivity=0.9' and their like.

  Raises:
    InputError: naming `setting`, the rule and the nearest valid one.
  """
  name, equals, text = (part.strip() for part in rule.partition('='))
  if name not in RULES:
    valued = [option for option in RULES if option != 'youden']
    spellings = ['youden', *(f'{option}={text}' for option in valued)] if equals else RULE_EXAMPLES
    raise InputError(
      f"{setting}: no rule '{rule}'; rules: {', '.join(RULE_EXAMPLES)}{nearest(rule, spellings)}"
    )
  if name == 'youden':
    if equals:
      raise InputError(f"{setting}: '{rule}': Youden's rule takes no value; did you mean 'youden'?")
    return name, None
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  is_inside, allowed = _RANGES[name]
  if not is_inside(value):
    example = next(example for example in RULE_EXAMPLES if example.startswith(name))
    if name in ('sensitivity', 'specificity') and 1 < value <= 100:
      example = f'{name}={value / 100:g}'
    raise InputError(f"{setting}: '{rule}': the value is {allowed}; did you mean '{example}'?")
  # The decimal as it was typed, not the binary number next to it: 0.9 is then 9 of 10.
  return name, Fraction(str(value))


def check_rules(rules: Sequence[str], setting: str = _RULE_SETTING) -> None:
  """Raises InputError for an unknown rule, for one given twice, and where there is none at all."""
  if not rules:
    raise InputError(f"{setting} is empty; name at least one rule, such as 'youden'")
  seen: dict[tuple[str, Fraction | None], str] = {}
  for rule in rules:
    parsed = parse_rule(rule, setting)
    if parsed in seen:
      raise InputError(f"{setting}: '{rule}' and '{seen[parsed]}' are the same rule; give it once")
    seen[parsed] = rule


def parse_aggregate(text: str, setting: str = 'aggregate') -> tuple[str, float]:
  """Returns the name and the share of 'max', 'mean' or 'top:0.05'; the share of the others is 1.

  Raises:
    InputError: no such name, or no share in (0, 1], naming `setting`.
  """
  name, colon, share = str(text).partition(':')
  check_option(setting, name, AGGREGATES)
  if name != 'top':
    if colon:
      raise InputError(f"{setting}={text}: only 'top' takes a share")
    return name, 1.0
  try:
    value = float(share)
  except ValueError:
    value = math.nan
  if not 0 < value <= 1:
    raise InputError(f"{setting}={text}: give a share in (0, 1], such as 'top:0.05'")
  return name, value


def check_aggregate_of_head(text: str, head: str, setting: str = 'aggregate') -> None:
  """Raises InputError where a method does not keep probabilities of exclusive classes summing to
  1.
  """
  if head == 'softmax' and text != 'mean':
    raise InputError(
      f"{setting}='{text}': of exclusive classes (head 'softmax') only the mean of several images "
      f"sums to 1; set {setting}='mean'"
    )


def check_intensity(intensity: str, setting: str) -> None:
  """Raises InputError, naming `setting`, for anything but 'file', 'stretch' and 'low..high'."""
  if intensity not in INTENSITIES and intensity_limits(intensity) is None:
    raise InputError(
      f"{setting} is '{intensity}'; allowed: 'file', 'stretch', or values low..high with "
      "low < high, such as '0..4095'"
    )


def intensity_limits(intensity: str) -> tuple[float, float] | None:
  """Returns the (low, high) of 'low..high'; None where the text is no such range."""
  try:
    low, high = map(float, intensity.split('..'))
  except ValueError:
    return None
  return (low, high) if low < high and math.isfinite(high - low) else None
