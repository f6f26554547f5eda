"""The trials of a search in one file, trials.log, that several processes share: Optuna's journal.

Trial n is drawn by (seed, n, the trials that have ended before), never by what its process drew
before, so that a search that is killed and started again ends as one that was not. A trial whose
process is gone is taken up again, under its number and with what was drawn for it.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import filelock

from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.search_result import FAILED, PRUNED, Parameter, SearchTrial

try:
  import optuna
  from optuna.storages.journal import JournalFileBackend, JournalStorage
except ImportError:
  raise InputError("hyper-parameters are searched by Optuna: pip install 'medjax[tune]'") from None

LOG, TRIALS = 'trials.log', 'trials'
_STUDY, _TRIAL = 'medjax', 'trial'
_RUNNING = (optuna.trial.TrialState.RUNNING,)
_STATES = {PRUNED: optuna.trial.TrialState.PRUNED, FAILED: optuna.trial.TrialState.FAIL}
_DRAWS = 20  # of a look at what a search proposes


class Pruned(Exception):
  """A trial lags behind the others and ends early, or is pruned by search(trial) itself."""


class _Sampler(optuna.samplers.BaseSampler):
  """The tree-structured Parzen estimator (Bergstra et al. 2011), anew for every draw."""

  def __init__(self, seed: int):
    self._seed = seed

  def _estimator(self, trial: Any, parameter: str = '') -> optuna.samplers.TPESampler:
    digest = hashlib.blake2b(f'{self._seed} {trial.number} {parameter}'.encode(), digest_size=4)
    seed = int.from_bytes(digest.digest(), 'big')
    # With several processes at work, what the others try is taken to be no good: it is left alone.
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)

  def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
    return self._estimator(trial).infer_relative_search_space(study, trial)

  def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
    return self._estimator(trial).sample_relative(study, trial, search_space)

  def sample_independent(
    self, study: Any, trial: Any, param_name: str, param_distribution: Any
  ) -> Any:
    estimator = self._estimator(trial, param_name)
    return estimator.sample_independent(study, trial, param_name, param_distribution)


class _JournalLock:
  """A lock of the journal that ends with its process; Optuna's own outlives one that is killed."""

  def __init__(self, path: pathlib.Path):
    self._lock = filelock.FileLock(path)

  def acquire(self) -> bool:
    self._lock.acquire()
    return True

  def release(self) -> None:
    self._lock.release()


@dataclasses.dataclass
class Taken:
  """A trial that this process is at work on, as long as it holds its lock.

  Attributes:
    trial: Optuna's.
    study: Optuna's.
    lock: says that its process lives.
    settings: field of the config → value; none where `search(trial)` has raised.
    validations: step → mean AUROC, those told so far.
    error: why there are no settings: an InputError, or Pruned after Optuna's TrialPruned.
  """

  trial: optuna.trial.Trial
  study: optuna.Study
  lock: filelock.BaseFileLock
  settings: dict[str, Any]
  validations: dict[int, float]
  error: Exception | None = None

  @property
  def number(self) -> int:
    """From 0."""
    return self.trial.number

  def tell(self, step: int, auroc_mean: float, is_last: bool) -> None:
    """Records a validation; one that was told before, or is the last one, is not judged.

    Raises:
      Pruned: the trial lags behind the others.
    """
    if step not in self.validations:
      self.trial.report(auroc_mean, step)
      self.validations[step] = auroc_mean
    if step == max(self.validations) and not is_last and self.trial.should_prune():
      raise Pruned

  def end(self, trial: SearchTrial) -> None:
    """Records how it has ended."""
    self.trial.set_user_attr(_TRIAL, results_file.to_plain(trial))
    if trial.state in _STATES:
      self.study.tell(self.trial, state=_STATES[trial.state])
    else:
      self.study.tell(self.trial, trial.auroc.value)


class TrialLog:
  """The trials of one search.

  Args:
    folder: of the search; trials.log is there.
    seed: of the search.
    pruner: Optuna's, which ends trials early; None for the median of the trials at the same step.
    warmup_steps: before which that ends none.
  """

  def __init__(self, folder: pathlib.Path, seed: int, pruner: Any = None, *, warmup_steps: int = 0):
    self._folder, self._path, self._sampler = folder, folder / LOG, _Sampler(seed)
    self._pruner = pruner or optuna.pruners.MedianPruner(n_warmup_steps=warmup_steps)
    (folder / TRIALS).mkdir(parents=True, exist_ok=True)

  def folder(self, number: int) -> pathlib.Path:
    """The work directory of a trial."""
    return self._folder / TRIALS / f'{number:04}'

  def take(self, wanted: int, propose: Callable[[Any], dict[str, Any]]) -> Taken | None:
    """Takes up a trial that nobody is at work on, or begins one where there are fewer than wanted.

    For a caller that keeps other processes out. None where there is nothing to take.
    """
    with _quiet():
      study = self._study()
      trials = study.get_trials(deepcopy=False)
      for known in trials:
        lock = self._owner(known.number)
        if known.state in _RUNNING and _is_free(lock):
          trial = optuna.trial.Trial(study, known._trial_id)  # What `ask` does for a new one.
          settings, error = _proposed(propose, trial)
          return Taken(trial, study, lock, settings, dict(known.intermediate_values), error)
      if len(trials) >= wanted:
        return None
      trial = study.ask()
      lock = self._owner(trial.number)
      lock.acquire()
      settings, error = _proposed(propose, trial)
      return Taken(trial, study, lock, settings, {}, error)

  def ended(self) -> tuple[SearchTrial, ...]:
    """Returns the trials that have ended, by number."""
    with _quiet():
      trials = self._study().get_trials(deepcopy=False)
    return tuple(
      results_file.from_plain(trial.user_attrs[_TRIAL], SearchTrial)
      for trial in trials
      if trial.state.is_finished()
    )

  def begun(self) -> int:
    """Returns how many trials have begun."""
    with _quiet():
      return len(self._study().get_trials(deepcopy=False))

  def running(self) -> list[int]:
    """Returns the numbers of the trials that have not ended."""
    with _quiet():
      return [trial.number for trial in self._study().get_trials(deepcopy=False, states=_RUNNING)]

  def shared(self) -> Mapping[str, str]:
    """Returns what all trials share."""
    with _quiet():
      return dict(self._study().user_attrs)

  def share(self, values: Mapping[str, str]) -> None:
    """Records what all trials share."""
    with _quiet():
      study = self._study()
      for name, value in values.items():
        study.set_user_attr(name, value)

  def _owner(self, number: int) -> filelock.BaseFileLock:
    return filelock.FileLock(self._folder / TRIALS / f'.{number:04}.lock')

  def _study(self) -> optuna.Study:
    lock = _JournalLock(self._folder / f'.{LOG}.lock')
    lock.acquire()
    try:
      _mend(self._path)
    finally:
      lock.release()
    backend = JournalFileBackend(str(self._path), lock_obj=lock)  # type: ignore[arg-type]
    given: dict[str, Any] = {
      'storage': JournalStorage(backend),
      'sampler': self._sampler,
      'pruner': self._pruner,
      'study_name': _STUDY,
    }
    try:
      return optuna.load_study(**given)
    except KeyError:  # There is none yet.
      return optuna.create_study(**given, direction='maximize', load_if_exists=True)


def drawn(
  propose: Callable[[Any], dict[str, Any]],
) -> tuple[dict[str, Parameter], list[dict[str, Any]]]:
  """Draws at random, as trials of no search: returns the space, and field → value of each draw.

  The same every time. Draws that search(trial) prunes set nothing.

  Raises:
    InputError: search(trial) fails for one of them.
  """
  with _quiet():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space: dict[str, Parameter] = {}
    proposed = []
    for _ in range(_DRAWS):
      trial = study.ask()
      settings, error = _proposed(propose, trial)
      if isinstance(error, InputError):
        raise error
      if error is None:
        proposed.append(settings)
      space |= {name: _parameter(kind) for name, kind in trial.distributions.items()}
  return space, proposed


def _proposed(
  propose: Callable[[Any], dict[str, Any]], trial: optuna.trial.Trial
) -> tuple[dict[str, Any], Exception | None]:
  """Returns what is proposed for a trial, or why nothing is: the trial has begun, and must end."""
  try:
    return propose(trial), None
  except InputError as error:
    pruned = error.__cause__
    if not isinstance(pruned, optuna.TrialPruned):
      return {}, error
    words = ' '.join(str(pruned).split())
    return {}, Pruned(f'by search(trial){": " if words else ""}{words}')


def _parameter(distribution: Any) -> Parameter:
  if isinstance(distribution, optuna.distributions.CategoricalDistribution):
    return Parameter('categorical', choices=tuple(distribution.choices))
  is_int = isinstance(distribution, optuna.distributions.IntDistribution)
  step = distribution.step
  return Parameter(
    'int' if is_int else 'float',
    float(distribution.low),
    float(distribution.high),
    distribution.log,
    None if step is None or (is_int and step == 1) else float(step),
  )


def _is_free(lock: filelock.BaseFileLock) -> bool:
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    return False
  return True


def _mend(path: pathlib.Path) -> None:
  """Drops a last line that was cut off, as by a full disk; Optuna would write on in it."""
  content = path.read_bytes() if path.is_file() else b''
  if content and not content.endswith(b'\n'):
    with path.open('r+b') as file:
      file.truncate(content.rfind(b'\n') + 1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """What Optuna says of its own accord is not for whoever reads our log."""
  before = optuna.logging.get_verbosity()
  optuna.logging.set_verbosity(optuna.logging.ERROR)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
      yield
  finally:
    optuna.logging.set_verbosity(before)
