"""Test time: probabilities averaged over augmented passes, over checkpoints and over runs.

Averaged are probabilities, not logits. The mean of probabilities is the probability of the mixture: its
log loss and its Brier score are never above the mean of those averaged (both are convex, Jensen), one
network that is all too sure cannot overrule the others, and those of exclusive classes go on summing
to 1 under every head. Every run weighs alike, and within a run every checkpoint and every pass.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medjax.config import Config, Evaluation
from medjax.data.split import split_files
from medjax.errors import InputError
from medjax.runs import checkpoints, finished
from medjax.runtime import files
from medjax.training.learner import Learner

SINGLE = 'single model'


class Run(NamedTuple):
  """A run as it predicts.

  Attributes:
    learner: that its config stands for.
    variables: {'params', 'batch_stats'} of its K checkpoints, the best first, stacked: [K, …].
    steps: of these checkpoints.
  """

  learner: Learner
  variables: dict[str, Any]
  steps: tuple[int, ...]


def averages(evaluation: Evaluation) -> bool:
  """Whether more than one checkpoint's view of the images as they are is asked for."""
  return bool(evaluation.test_augment or evaluation.checkpoints > 1 or evaluation.members)


def in_words(config: Config, count: int) -> str:
  """Returns what is averaged, for a person; `count` is how many checkpoints there are to average."""
  evaluation = config.evaluation
  if not averages(evaluation):
    return 'the best checkpoint, each image as it is'
  times, members = evaluation.test_augment, len(evaluation.members)
  return 'mean probability of ' + ', '.join(
    (
      f'the {count} best checkpoints' if count > 1 else 'the best checkpoint',
      f'each image as it is and {times} time{"s" * (times > 1)} under {config.augment!r}'
      if times
      else 'each image as it is',
      *([f'and {members} further run{"s" * (members > 1)}'] if members else []),
    )
  )


def stacked(variables: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Returns variables of the same shapes as one tree of arrays [K, …]."""
  stack = np.stack if isinstance(jax.tree.leaves(variables)[0], np.ndarray) else jnp.stack
  return jax.tree.map(lambda *leaves: stack(leaves), *variables)


def step(learner: Learner) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
  """Returns (variables [K, …], images uint8[B, H, W, C]) → probabilities f32[B, K, P, L], to be jitted.

  Pass 0 shows the image as it is, each of the config.evaluation.test_augment others under the policy of
  config.augment. What is random about a pass hangs on the config's seed, the pass and the image's own
  pixels alone: an image is predicted alike in whatever batch, order and run of the program.
  """
  config = learner.config

  def of_pass(variables, images, number):
    def augmented(pixels):
      key = jax.random.fold_in(jax.random.key(config.seed), number)
      return jax.lax.cond(
        number == 0,
        lambda pixels: pixels,
        lambda pixels: _each_by_itself(learner.augment, key, images, pixels),
        pixels,
      )

    return learner.eval_step(
      variables, images, augmented if config.evaluation.test_augment else None
    )

  def of_checkpoint(variables, images):
    passes = jnp.arange(1 + config.evaluation.test_augment)
    return jax.lax.map(lambda number: of_pass(variables, images, number), passes)

  def of_all(variables, images):
    # One after another, so that neither memory nor what must be compiled grows with them.
    every = jax.lax.map(lambda each: of_checkpoint(each, images), variables)  # [K, P, B, L]
    return every.transpose(2, 0, 1, 3)

  return of_all


def _each_by_itself(
  policy: Callable, key: jax.Array, images: jax.Array, pixels: jax.Array
) -> jax.Array:
  """The policy with a key for every image that its uint8 pixels make, f32[B, H, W, C]."""
  values = images.reshape(len(images), -1).astype(jnp.uint32)
  # Whole numbers: no device rounds them otherwise. Which two images share a sum does not matter.
  weights = 2 * jnp.arange(values.shape[1], dtype=jnp.uint32) + 1
  digests = jnp.sum(values * weights, axis=1, dtype=jnp.uint32)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, digests)
  return jax.vmap(lambda key, image: policy(key, image[None])[0])(keys, pixels)


def mean(of_runs: Sequence[np.ndarray]) -> np.ndarray:
  """Returns what is reported, f32[N, L], of the probabilities f32[N, K, P, L] of each run."""
  return _mean([_mean_of_passes(each) for each in of_runs])


def beside(config: Config, of_runs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
  """Returns name → f32[N, L], what stands beside the mean: the single model, and each step alone.

  Args:
    config: of the run.
    of_runs: f32[N, K, P, L] of this run, then of its members.
  """
  own, evaluation = of_runs[0], config.evaluation
  alone = {}
  if evaluation.test_augment:
    alone['test-time augmentation alone'] = _mean_of_passes(own[:, :1])
  if evaluation.checkpoints > 1:
    alone['several checkpoints alone'] = _mean_of_passes(own[:, :, :1])
  if evaluation.members:
    alone['several runs alone'] = _mean([each[:, 0, 0] for each in of_runs])
  # What is the only one is the mean itself.
  return {SINGLE: own[:, 0, 0], **(alone if len(alone) > 1 else {})}


def _mean_of_passes(probabilities: np.ndarray) -> np.ndarray:
  return probabilities.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)


def _mean(probabilities: Sequence[np.ndarray]) -> np.ndarray:
  return np.mean(probabilities, axis=0, dtype=np.float64).astype(np.float32)


def open_run(workdir: pathlib.Path) -> Run:
  """Opens a run without its members, with as many of its best checkpoints as its config averages.

  Raises:
    InputError: as `trained.open_run`.
  """
  run = finished.open_run(workdir)
  count = run.config.evaluation.checkpoints
  if count == 1:
    return Run(run.learner, stacked([run.variables]), (run.step,))
  best = checkpoints.several_best_variables(workdir, count)
  return Run(run.learner, stacked([each for each, _ in best]), tuple(step for _, step in best))


def open_members(config: Config, workdir: pathlib.Path, split_sha256: str) -> list[Run]:
  """Opens the runs of config.evaluation.members, after `check_members`."""
  check_members(config, workdir, split_sha256)
  return [open_run(pathlib.Path(member)) for member in config.evaluation.members]


def check_members(config: Config, workdir: pathlib.Path, split_sha256: str) -> None:
  """Raises InputError unless every member is a finished run of the same labels, head and split.

  The same split means that nobody whom the member was trained on is tested here. Image size, network
  and preprocessing may differ. Computes nothing.

  Args:
    config: of this run.
    workdir: of this run.
    split_sha256: of its split.csv.
  """
  for member in map(pathlib.Path, config.evaluation.members):
    where = f"config.evaluation.members: '{member}'"
    if member.resolve() == workdir.resolve():
      raise InputError(f'{where} is this run itself, which is averaged anyway')
    if not (member / 'config.json').is_file():
      raise InputError(
        f'{where} is not the work directory of a run, seen from {pathlib.Path.cwd()}'
      )
    if not (member / 'evaluation' / 'test.json').is_file():
      raise InputError(f'{where} is a run that is not finished; let it end first')
    theirs = finished.read_config(member)
    for what, ours, other in (
      ('labels', list(config.data.labels), list(theirs.data.labels)),
      ('a head', config.model.head, theirs.model.head),
    ):
      if ours != other:
        raise InputError(
          f'{where} has {what} {other}, not {ours}; their probabilities have no mean'
        )
    if theirs.evaluation.members:
      raise InputError(f'{where} averages further runs itself; name those runs here instead')
    proof = files.read_json(member / split_files.PROOF_NAME)
    if proof.get('split_sha256') != split_sha256:
      raise InputError(
        f'{where} has another split (SHA-256 {str(proof.get("split_sha256"))[:12]}, here '
        f'{split_sha256[:12]}), so it may have been trained on patients who are tested here; train it with '
        'the same data and config.split'
      )
