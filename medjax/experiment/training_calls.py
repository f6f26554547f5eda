"""Training steps as calls of compiled programs: one step in a call, or several of them."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from medjax.config import Config
from medjax.experiment import placed_images
from medjax.runtime import devices
from medjax.training.learner import Learner
from medjax.training.steps import TrainState

MOST_STEPS = 32
# A call of so many floating-point operations keeps an accelerator busy for some 10 ms, ten times as
# long as it takes to start one.
ENOUGH = 1e12


def together(config: Config, step: int, steps_per_call: int) -> int:
  """Returns how many steps the next call does after `step` of them: `steps_per_call`, or one.

  No call reaches beyond a step at which the run validates, saves, unfreezes or ends. A run stops
  between calls alone, so that the same steps share a call however often it was stopped.
  """
  after = step + steps_per_call
  ends = [config.steps, *config.model.unfreeze_at]
  ends += [
    (step // every + 1) * every for every in (config.evaluate_every, config.save_every) if every
  ]
  return 1 if any(step < end < after for end in ends) else steps_per_call


class TrainingCalls:
  """(state, batches, steps done) → (state, metrics f32[K]), the K batches' steps in one call.

  It unfreezes a stage first where one is due (config.model.unfreeze_at). The state is donated.

  Args:
    learner: of the run.
    loss: of the run.
    mesh: the data mesh.
    step: how many steps are done when the loop begins.
    images: all training images on the devices, which batches then name by 'row'; None where batches
      bring their own.
  """

  def __init__(
    self,
    learner: Learner,
    loss: Callable,
    mesh: Mesh,
    step: int,
    images: jax.Array | None = None,
  ):
    self._learner, self._loss, self._mesh, self._images = learner, loss, mesh, images
    # An argument, so that runs of other seeds find their programs compiled.
    self._seed = np.uint32(learner.config.seed)
    self._use(learner.frozen(max(step - 1, 0)))

  def __call__(
    self, state: TrainState, batches: Sequence[Mapping[str, np.ndarray]], step: int
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    frozen = self._learner.frozen(step)
    if frozen < self._frozen:
      self._use(frozen)
      state = self._unfreeze(state)
    if len(batches) == 1:
      batch = devices.put_batch(batches[0], self._mesh)
      return self._one(state, self._seed, self._images, batch)
    placed = devices.put_batches(batches, self._mesh)
    return self._several(state, self._seed, self._images, placed)

  def steps_per_call(
    self, config: Config, state: TrainState, batch: Mapping[str, np.ndarray]
  ) -> int:
    """Returns how many steps a call should do, where config.steps_per_call leaves it open.

    One that divides the distance between all steps at which calls have to end.
    """
    # On a CPU what stands in a loop loses XLA's threads and its fast convolutions.
    if jax.default_backend() == 'cpu':
      return 1
    placed = devices.put_batch(batch, self._mesh)
    cost = self._one.lower(state, self._seed, self._images, placed).cost_analysis() or {}
    operations = max(cost.get('flops', 0.0), 1.0)
    most = int(np.clip(np.ceil(ENOUGH / operations), 1, MOST_STEPS))
    between = math.gcd(config.evaluate_every, config.save_every, *config.model.unfreeze_at)
    return next(count for count in range(most, 0, -1) if between % count == 0)

  def _use(self, frozen: int) -> None:
    learner, self._frozen = self._learner, frozen
    step = learner.train_step(self._loss, frozen)

    def one(state: TrainState, seed: Any, images: Any, batch: dict[str, jax.Array]) -> Any:
      if images is not None:
        batch = dict(batch)
        batch['image'] = placed_images.pick(images, batch.pop('row'), self._mesh)
      return step(state, batch, seed=seed)

    def several(state: TrainState, seed: Any, images: Any, batches: dict[str, jax.Array]) -> Any:
      return jax.lax.scan(lambda state, batch: one(state, seed, images, batch), state, batches)

    replicated = devices.replicated(self._mesh)
    jit = functools.partial(
      jax.jit,
      out_shardings=replicated,
      donate_argnums=0,
      compiler_options=devices.compiler_options(learner.config.deterministic),
    )
    self._one, self._several = jit(one), jit(several)
    self._unfreeze = jit(lambda state: learner.unfreeze(state, frozen))
