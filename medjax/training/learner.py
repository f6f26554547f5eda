"""The pure functions that a config stands for: its network, how it starts, steps and predicts."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from flax import traverse_util

from medjax.augment import policies
from medjax.config import Config
from medjax.data import targets
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError, one_line
from medjax.models import building, heads
from medjax.models.normalisation import Normalisation
from medjax.models.pretrained import loading
from medjax.models.pretrained.fit import Fitted
from medjax.models.pretrained.weights import Weights
from medjax.runtime import garbage, import_by_name
from medjax.training import fine_tuning, optimizers, steps


@dataclasses.dataclass(frozen=True)
class Learner:
  """A network and how it is trained.

  Attributes:
    config: of the run.
    image_format: of the images it takes.
    normalisation: of their channels.
    network: as config.model names it.
    augment: as config.augment names it.
    shapes: of its variables, {'params', 'batch_stats'}.
    stage_of: top-level name of the parameters → stage; empty where stages do not differ.
  """

  config: Config
  image_format: ImageFormat
  normalisation: Normalisation
  network: nn.Module
  augment: Callable[[jax.Array, jax.Array], jax.Array]
  shapes: dict[str, Any]
  stage_of: dict[str, int]
  _init: Callable[[Any], dict[str, Any]]
  _traced: dict[tuple[Callable, int], Callable] = dataclasses.field(
    default_factory=dict, init=False, repr=False, compare=False
  )

  def frozen(self, steps_done: int) -> int:
    """Returns how many stages do not train in the step after so many."""
    return fine_tuning.frozen(self.config.model, self.stage_of, steps_done)

  def parameters(self) -> int:
    """Returns how many parameters the network has."""
    return sum(leaf.size for leaf in jax.tree.leaves(self.shapes['params']))

  def init_state(self, filled: dict[str, Any], seed: jax.Array | None = None) -> steps.TrainState:
    """Returns the state before the first step: `filled` variables as they are, random ones else.

    `seed`, u32[], is the config's; given to a jitted call it is no part of the compiled program.
    """
    variables = self._init(np.uint32(self.config.seed) if seed is None else seed)
    leaves = traverse_util.flatten_dict(variables, keep_empty_nodes=True)
    variables = traverse_util.unflatten_dict({**leaves, **traverse_util.flatten_dict(filled)})
    return steps.init_state(
      variables,
      self._optimizer(),
      self._trained(self.frozen(0)),
      average=self.config.optimizer.ema > 0,
    )

  def state_after(self, steps_done: int) -> steps.TrainState:
    """Returns the shapes of the state after so many steps; computes nothing."""
    state = jax.eval_shape(self.init_state, {})
    frozen = self.frozen(max(steps_done - 1, 0))
    return jax.eval_shape(functools.partial(self.unfreeze, frozen=frozen), state)

  def unfreeze(self, state: steps.TrainState, frozen: int) -> steps.TrainState:
    """Returns the state in which only so many stages do not train."""
    return steps.unfreeze(state, self._optimizer(), self._trained(frozen))

  def train_step(self, loss: Callable, frozen: int) -> Callable:
    """Returns (state, batch) → (state, metrics); `seed=` takes the place of the config's.

    Asked for again it is the same function, so that what has been traced is not traced again.
    """
    known = (loss, frozen)
    if known not in self._traced:
      # Inlined into the program that calls it, of which nothing shows that it was a call.
      self._traced[known] = jax.jit(self._train_step(loss, frozen), inline=True)
    return self._traced[known]

  def _train_step(self, loss: Callable, frozen: int) -> Callable:
    network = self.network
    if frozen and hasattr(network, 'frozen_stages'):
      network = network.clone(frozen_stages=frozen)
    if self.config.model.remat:
      network = network.clone(remat=True)
    return functools.partial(
      steps.train_step,
      model=network,
      loss=loss,
      optimizer=self._optimizer(),
      prepare=functools.partial(
        steps.augmented, augment=self.augment, normalise=self.normalisation
      ),
      trained=self._trained(frozen),
      seed=self.config.seed,
      accumulate=self.config.optimizer.accumulate,
      ema=self.config.optimizer.ema,
    )

  def eval_step(
    self,
    variables: Any,
    images: jax.Array,
    augment: Callable[[jax.Array], jax.Array] | None = None,
  ) -> jax.Array:
    """uint8[B, H, W, C] → log-odds f32[B, L]; `augment` as in `steps.eval_step`."""
    return steps.eval_step(
      variables,
      images,
      model=self.network,
      normalise=self.normalisation,
      log_odds=functools.partial(heads.log_odds, self.config.model.head),
      augment=augment,
    )

  def fit(self, weights: Weights) -> Fitted:
    """Fits pretrained weights to the network; its head stays new."""
    return loading.fit_network(
      weights,
      self.shapes,
      self.network,
      self.config.model.name,
      self.config.model.settings,
    )

  def _optimizer(self) -> optax.GradientTransformation:
    return optimizers.optimizer(self.config.optimizer, self.config.steps, self.stage_of)

  def _trained(self, frozen: int) -> Callable[[Any], dict[str, Any]]:
    return functools.partial(fine_tuning.trained, stages=self.stage_of, frozen=frozen)


@garbage.uncollected()
def build(config: Config, image_format: ImageFormat, normalisation: Normalisation) -> Learner:
  """Returns what the config's names stand for.

  Raises:
    InputError: a network, policy, optimizer or schedule that does not exist or cannot be built, or
      a network that does not name its stages where the config treats them differently.
  """
  network = building.build(
    config.model.name,
    targets.outputs(config.model.head, len(config.data.labels)),
    config.model.settings,
    config.precision,
  )
  if config.model.remat and not hasattr(network, 'remat'):
    raise InputError(
      f'config.model.remat=True: {config.model.name} has no attribute `remat` by which it would '
      'compute activations again; raise config.optimizer.accumulate instead, which saves memory too'
    )
  policy = import_by_name.find(config.augment, import_by_name.public(policies), 'config.augment')
  # Never compiled: so that it is traced once.
  init = jax.jit(
    functools.partial(building.init_variables, network, image_format.shape), inline=True
  )
  try:
    shapes = jax.eval_shape(init, jax.ShapeDtypeStruct((), np.uint32))
  except Exception as error:  # Whatever anybody's network may raise.
    raise InputError(f"config.model.name='{config.model.name}': {one_line(error)}") from error
  stage_of: dict[str, int] = {}
  if fine_tuning.are_used(config.model, config.optimizer):
    stage_of = fine_tuning.stages_of(shapes['params'])
    _check_finetuning(config, network, stage_of, bool(shapes['batch_stats']))
  optimizers.optimizer(config.optimizer, config.steps, stage_of)  # Now, not after reading the data.
  return Learner(config, image_format, normalisation, network, policy, shapes, stage_of, init)


def _check_finetuning(
  config: Config, network: nn.Module, stage_of: dict[str, int], has_statistics: bool
) -> None:
  if config.model.finetune != 'head':
    return
  if has_statistics and not hasattr(network, 'frozen_stages'):
    raise InputError(
      f"config.model.finetune='head': {config.model.name} keeps running statistics and has no "
      'attribute '
      '`frozen_stages` that would keep them as they are; medjax/models/__init__.py says what to add'
    )
  if len(config.model.unfreeze_at) > stage_of['head']:
    raise InputError(
      f'config.model.unfreeze_at={config.model.unfreeze_at}: {config.model.name} has only '
      f'{stage_of["head"]} stages to unfreeze'
    )
