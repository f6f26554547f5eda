"""The step of a run that unfreezes its stages one after another (config.model.unfreeze_at)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding

from medjax.training.learner import Learner
from medjax.training.steps import TrainState


class UnfreezingStep:
  """(state, batch, steps done) → (state, metrics); unfreezes a stage first where one is due.

  Args:
    learner: of the run.
    loss: of the run.
    replicated: how the state is placed.
    step: how many steps are done when the loop begins.
  """

  def __init__(self, learner: Learner, loss: Callable, replicated: NamedSharding, step: int):
    self._learner, self._loss, self._replicated = learner, loss, replicated
    self._use(learner.frozen(max(step - 1, 0)))

  def __call__(self, state: TrainState, batch: Any, step: int) -> tuple[TrainState, dict[str, Any]]:
    frozen = self._learner.frozen(step)
    if frozen < self._frozen:
      self._use(frozen)
      state = self._unfreeze(state)
    return self._step(state, batch)

  def _use(self, frozen: int) -> None:
    learner, self._frozen = self._learner, frozen
    jit = functools.partial(jax.jit, out_shardings=self._replicated, donate_argnums=0)
    self._step = jit(learner.train_step(self._loss, frozen))
    self._unfreeze = jit(lambda state: learner.unfreeze(state, frozen))
