"""The learning-rate schedule and the optax transformation that a config asks for.

Either may be anybody's, named by import path. An optimizer is called with `learning_rate`, step →
rate, and config.optimizer.settings, as optax's own are (optax:lion); where it has a parameter
`weight_decay` it is given that of the config, if there is one, and where it has `mask`, what decays
(kernels alone). It returns an optax.GradientTransformation whose updates are added to the
parameters. A schedule is called with those of `learning_rate` (the peak), `warmup_steps` and
`steps` that it has parameters for and config.optimizer.schedule_settings; it returns step → rate,
which is traced by jax.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from medjax.config import Optimizer
from medjax.errors import InputError, one_line
from medjax.runtime import import_by_name
from medjax.training import fine_tuning

_NOT_DECAYED = ('pos_embed', 'cls_token')


def cosine(learning_rate: float, warmup_steps: int, steps: int) -> optax.Schedule:
  """Linear warm-up to the peak, then a cosine to 0 at `steps` (SGDR, arXiv 1608.03983).

  The first step has a rate, which is one of `warmup_steps` + 1 equal rises.
  """
  return optax.warmup_cosine_decay_schedule(
    init_value=learning_rate / (warmup_steps + 1),
    peak_value=learning_rate,
    warmup_steps=warmup_steps,
    decay_steps=steps,
  )


def schedule(settings: Optimizer, steps: int) -> optax.Schedule:
  """Returns step → rate, of so many steps.

  Raises:
    InputError: there is no such schedule, or one of anybody's that cannot be made.
  """
  what = 'config.optimizer.schedule'
  function = import_by_name.find(settings.schedule, {'cosine': cosine}, what)
  settings = settings.filled()
  offered = {
    'learning_rate': settings.learning_rate,
    'warmup_steps': settings.warmup_steps,
    'steps': steps,
  }
  import_by_name.check_settings(function, settings.schedule_settings, f'{what}_settings', ())
  given = {name: value for name, value in offered.items() if import_by_name.takes(function, name)}
  arguments = {**given, **settings.schedule_settings}
  return _called(function, arguments, f"{what}='{settings.schedule}'")


def _called(function: Callable, arguments: Mapping[str, Any], what: str) -> Any:
  try:
    return function(**arguments)
  except Exception as error:  # Whatever anybody's function may raise.
    raise InputError(f'{what}: {one_line(error)}') from error


def decayed(params: Any) -> Any:
  """True for the leaves that weight decay belongs to: kernels, not biases, normalisation or
  tokens.
  """
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf.ndim > 1 and not str(path[-1].key).endswith(_NOT_DECAYED), params
  )


def optimizer(
  settings: Optimizer, steps: int, stage_of: Mapping[str, int] | None = None
) -> optax.GradientTransformation:
  """Returns clipping by global norm, then the optimizer under its schedule.

  Args:
    settings: of the config.
    steps: of the whole run.
    stage_of: top-level name of the parameters → stage, where stages differ; parameters of
      other names are refused then. A stage that joins later starts with moments of its own, of
      adamw and sgd.

  Raises:
    InputError: an optimizer or schedule that does not exist or cannot be made.
  """
  settings = settings.filled()
  rate = schedule(settings, steps)
  clip = optax.clip_by_global_norm(settings.clip_norm) if settings.clip_norm else optax.identity()
  decay = optax.add_decayed_weights(settings.weight_decay or 0.0, mask=decayed)
  last = [optax.scale_by_learning_rate(rate)]
  if settings.name == 'sgd':
    momentum = optax.trace(settings.momentum)
    chain = [clip, decay, _apart(momentum) if stage_of else momentum]
  elif settings.name == 'adamw':
    adam = optax.scale_by_adam()
    chain = [clip, _apart(adam) if stage_of else adam, decay]
  else:
    chain, last = [clip, _of_anybody(settings, rate)], []
  if stage_of:
    peak = settings.learning_rate or 1.0
    head = (settings.head_learning_rate or peak) / peak
    factors = fine_tuning.rates(stage_of, settings.layer_decay, head)
    chain.append(_scale(factors))
  return optax.chain(*chain, *last)


def _of_anybody(settings: Optimizer, rate: optax.Schedule) -> optax.GradientTransformation:
  what = 'config.optimizer'
  function = import_by_name.find(settings.name, {}, f'{what}.name')
  import_by_name.check_settings(function, settings.settings, f'{what}.settings', ('learning_rate',))
  arguments: dict[str, Any] = {'learning_rate': rate}
  if import_by_name.takes(function, 'mask'):
    arguments['mask'] = decayed
  if settings.weight_decay is not None:
    if not import_by_name.takes(function, 'weight_decay'):
      raise InputError(
        f'{what}.weight_decay={settings.weight_decay}: {settings.name} takes none; leave it out'
      )
    arguments['weight_decay'] = settings.weight_decay
  named = f"{what}.name='{settings.name}'"
  made = _called(function, {**arguments, **settings.settings}, named)
  if not (hasattr(made, 'init') and hasattr(made, 'update')):
    raise InputError(
      f'{named}: returned {type(made).__name__}, not an optax.GradientTransformation'
    )
  return made


def _apart(inner: optax.GradientTransformation) -> optax.GradientTransformation:
  """Returns `inner` with a state of its own for each top-level name.

  Adam corrects its moments by the number of steps they have seen, which is less for a stage that
  was unfrozen later.
  """

  def init(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner.init(params[name]) for name in params}

  def update(
    updates: Mapping[str, Any], state: Mapping[str, Any], params: Any
  ) -> tuple[dict, dict]:
    new_updates, new_state = {}, {}
    for name in updates:
      new_updates[name], new_state[name] = inner.update(updates[name], state[name], params[name])
    return new_updates, new_state

  return optax.GradientTransformation(init, update)


def _scale(factors: Mapping[str, float]) -> optax.GradientTransformation:
  """Scales by top-level name; a head has its own factor wherever it stands, such as an auxiliary
  one.
  """

  def scale(path: tuple, leaf: jax.Array) -> jax.Array:
    names = [key.key for key in path]
    return leaf * jnp.float32(factors['head' if 'head' in names else names[0]])

  return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(scale, updates))


def carry_over(old: Any, new: Any) -> Any:
  """Returns the optimizer state `new` with every leaf that `old` has at the same place."""
  known = dict(jax.tree_util.tree_leaves_with_path(old))
  return jax.tree_util.tree_map_with_path(lambda path, leaf: known.get(path, leaf), new)
