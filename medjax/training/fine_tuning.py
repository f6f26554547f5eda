"""Where a parameter stands in its network, which is what fine-tuning goes by.

The names of a network's top-level modules say it: 'stem…' is stage 0, 'stage1…', 'stage2…' follow,
and 'head' comes last. Unfreezing stage by stage and rates by depth are those of Howard and Ruder
2018, arXiv 1801.06146.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from medjax.config import Model, Optimizer
from medjax.errors import InputError

_NAME = re.compile(r'stem(_.*)?|stage(?P<number>\d+)(_.*)?')


def stages_of(names: Iterable[str]) -> dict[str, int]:
  """Returns the stage of each top-level name of a network's parameters.

  Raises:
    InputError: a name that does not say its stage, or no head.
  """
  names = sorted(names)
  stages = {name: _stage(name) for name in names if name != 'head'}
  unclear = [name for name, stage in stages.items() if stage is None]
  if unclear or 'head' not in names:
    what = (
      f'not {", ".join(unclear)}' if unclear else f'and one is head, not only {", ".join(names)}'
    )
    raise InputError(
      'fine-tuning by stage needs a network whose top-level modules are named stem…, stage1…, '
      f'stage2…, head, {what}'
    )
  numbers = {name: stage for name, stage in stages.items() if stage is not None}
  return numbers | {'head': 1 + max(numbers.values(), default=-1)}


def _stage(name: str) -> int | None:
  match = _NAME.fullmatch(name)
  return int(match['number'] or 0) if match else None


def are_used(model: Model, optimizer: Optimizer) -> bool:
  """Whether any setting treats one stage otherwise than another."""
  return model.finetune == 'head' or optimizer.head_learning_rate > 0 or optimizer.layer_decay < 1


def frozen(model: Model, stages: Mapping[str, int], steps_done: int) -> int:
  """Returns how many stages, from the stem on, do not train in the step after so many."""
  if model.finetune != 'head':
    return 0
  unfrozen = sum(step <= steps_done for step in model.unfreeze_at)
  return max(stages['head'] - unfrozen, 0)


def in_words(model: Model) -> str:
  """Returns what trains."""
  if model.finetune == 'all':
    return 'all layers'
  at = ', '.join(f'{step:,}' for step in model.unfreeze_at)
  return 'the head alone' + (f', one more stage from steps {at} on' if at else '')


def trained(tree: Mapping[str, Any], stages: Mapping[str, int], frozen: int) -> dict[str, Any]:
  """Returns the part of params or batch_stats that trains: whole top-level modules."""
  return {name: module for name, module in tree.items() if not frozen or stages[name] >= frozen}


def rates(stages: Mapping[str, int], layer_decay: float, head_factor: float) -> dict[str, float]:
  """Returns what the learning rate is multiplied by, for each top-level name.

  `layer_decay` to the power of the distance from the head (Clark et al. 2020, arXiv 2003.10555),
  and `head_factor` for the head.
  """
  factors = {name: layer_decay ** (stages['head'] - stage) for name, stage in stages.items()}
  return factors | {'head': head_factor}
