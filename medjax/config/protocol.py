"""How a test set is read: the settings of one evaluation, from a config, from flags or from
Python.
"""

import dataclasses
import numbers
from collections.abc import Mapping, Sequence

from medjax.config import vocabulary
from medjax.errors import InputError, check_option


@dataclasses.dataclass(frozen=True)
class Protocol:
  """The settings of one evaluation.

  Attributes:
    head: 'sigmoid' where each label is a question of its own, 'softmax' for exclusive classes,
      'ordinal' for grades in rising order.
    level: what is tested: 'image', 'study', 'patient' or 'slide'.
    aggregate: how images become one of it: 'max', 'mean' or 'top:0.05'.
    calibration: fitted on validation: 'none', 'temperature', 'platt' or 'isotonic'.
    operating_points: rules by which thresholds are chosen; the first makes the decisions.
    prevalence: label → a prevalence in (0, 1) for which PPV and NPV are reported too.
    subgroups: columns by whose values the figures are reported; those absent are ignored.
    replicates: of the bootstrap over patients; 0 for no intervals.
    seed: of the bootstrap, not negative.
    scores: 'probabilities' in [0, 1], or 'ranks': numbers of any scale, higher meaning more likely
      positive. They have curves and thresholds, but no calibration and no figures of it.
  """

  head: str = 'sigmoid'
  level: str = 'image'
  aggregate: str = 'max'
  calibration: str = 'none'
  operating_points: tuple[str, ...] = ('youden',)
  prevalence: Mapping[str, float] = dataclasses.field(default_factory=dict)
  subgroups: tuple[str, ...] = ()
  replicates: int = 2000
  seed: int = 0
  scores: str = 'probabilities'


FIELDS = tuple(field.name for field in dataclasses.fields(Protocol))
# What a door calls the fields: in a config file, on the command line.
IN_CONFIG = {name: f'config.evaluation.{name}' for name in FIELDS} | {
  'head': 'config.model.head',
  'replicates': 'config.replicates',
  'seed': 'config.seed',
}
AS_FLAGS = {name: f'--{name}' for name in FIELDS}


def check(
  protocol: Protocol,
  labels: Sequence[str] | None = None,
  names: Mapping[str, str] | None = None,
) -> None:
  """Raises InputError, naming field and value, for settings that no evaluation could use.

  Args:
    protocol: what is checked.
    labels: those of the predictions; None where they are not known yet.
    names: field → what the caller calls it, such as `IN_CONFIG`; by default as in `Protocol`.
  """
  called = {name: name for name in FIELDS} | dict(names or {})
  check_option(called['head'], protocol.head, vocabulary.HEADS)
  check_option(called['calibration'], protocol.calibration, vocabulary.CALIBRATIONS)
  check_option(called['scores'], protocol.scores, vocabulary.SCORES)
  for name, allowed in (('head', 'sigmoid'), ('calibration', 'none')):
    value = getattr(protocol, name)
    if protocol.scores == 'ranks' and value != allowed:
      raise InputError(
        f"{called['scores']}=ranks: {called[name]}='{value}' needs probabilities; give "
        f"{called[name]}='{allowed}', or leave it out"
      )
  vocabulary.check_rules(protocol.operating_points, called['operating_points'])
  if not isinstance(protocol.prevalence, Mapping):
    raise InputError(
      f"{called['prevalence']}={protocol.prevalence!r}: give shares by label, {{'Edema': 0.02}}"
    )
  for label, share in protocol.prevalence.items():
    if labels is not None:
      check_option(f'a label of {called["prevalence"]}', label, labels)
    if not (isinstance(share, float) and 0 < share < 1):
      raise InputError(
        f"{called['prevalence']}['{label}']={share!r}: must be a share in (0, 1), such as 0.02"
      )
  check_option(called['level'], protocol.level, vocabulary.LEVELS)
  vocabulary.parse_aggregate(protocol.aggregate, called['aggregate'])
  if protocol.level != 'image':
    vocabulary.check_aggregate_of_head(protocol.aggregate, protocol.head, called['aggregate'])
  for name in ('replicates', 'seed'):
    value = getattr(protocol, name)
    if not isinstance(value, numbers.Integral) or value < 0:
      raise InputError(f'{called[name]}={value!r}: must be a whole number, 0 or more')
