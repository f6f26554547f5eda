"""A search from start to end: trials by validation alone, then one test, of the winner."""

import contextlib
import dataclasses
import functools
import gc
import hashlib
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any

import filelock

from medjax import config as configs
from medjax.config import Config
from medjax.errors import InputError, count
from medjax.evaluation import results_file, search_result, wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.search_result import COMPLETE, FAILED, PRUNED, SearchResult, SearchTrial
from medjax.experiment import decoded_images, memory, run
from medjax.experiment.tuning import request, trial_log
from medjax.experiment.tuning.request import ELSEWHERE, Asked
from medjax.experiment.tuning.space import Search
from medjax.experiment.tuning.trial_log import Pruned, Taken, TrialLog
from medjax.final_test import generated
from medjax.report import beside, search_page
from medjax.runs import checkpoints, finished, readings, selection, workdir
from medjax.runs.layout import Layout
from medjax.runtime import files, progress, remote

RESULT, PAGE, BEST = 'tune.json', 'index.html', 'best'
PREPARED = 'prepared'
_BEST_LOCK, _PARTIAL = f'.{BEST}.lock', f'.{BEST}.partial'
# Settings, or groups of them, that say which pixels a network is given.
_OF_PIXELS = ('data.image_size', 'data.fit', 'data.intensity', 'model.')
_FAILURES = 3  # at the beginning, after which the others would fail too
_UNPRUNED = 0.25  # of the steps: what learns slowly may still be the best in the end
_PAUSE = 2.0  # seconds between two looks at what other processes do


class _Halted(InputError):
  """The search cannot go on, whatever the trial."""


def search_settings(
  config: Config, search: Search, folder: pathlib.Path, trials: int | None = None
) -> SearchResult:
  """Trains trials, compares them on validation, and tests the best one.

  Started again in the same folder it goes on where it stopped; started twice at once, both share
  the trials, and one of them tests.

  Args:
    config: a checked config.
    search: what proposes settings.
    folder: for everything that the search leaves: trials/0000/ and so on, best/, tune.json,
      index.html and trials.log.
    trials: how many; None takes what was asked for before, or the search's own number.

  Raises:
    InputError: a search that names no field or one that is not searched; a folder with another
      search; the first three trials, or all, fail.
    SystemExit: 143 after SIGTERM and 130 after Ctrl-C, with everything saved.
  """
  space, proposed = trial_log.drawn(search.propose)
  if not space:
    raise InputError(
      f'{search.where}: search(trial) draws nothing, so all trials would be the same; draw values '
      'by trial.suggest_float, suggest_int or suggest_categorical, such as trial.suggest_float('
      "'learning_rate', 1e-5, 1e-3, log=True)"
    )
  if not proposed:
    raise InputError(f'{search.where}: search(trial) prunes whatever it draws; widen the space')
  workdir.check_one(config)
  search.check(config, proposed)  # Before anything is trained.
  if trials is not None and trials < 1:
    raise InputError(f'--trials={trials}: must be 1 or more')
  at_work = _AtWork(config, search, folder.absolute(), space, request.digest(space, proposed))
  named = {name for values in proposed for name in values}
  at_work.begin(trials)
  result = None
  while result is None:
    at_work.try_all(_decoded_once(config, named))
    result = at_work.test_best()
  return result


def _decoded_once(config: Config, named: set[str]) -> bool:
  """Whether all trials are given the same pixels, so that they may be decoded for all of them."""
  return decoded_images.is_asked(config) and not any(name.startswith(_OF_PIXELS) for name in named)


class _AtWork:
  """One process of a search."""

  def __init__(
    self,
    config: Config,
    search: Search,
    folder: pathlib.Path,
    space: dict[str, Any],
    proposals_sha256: str,
  ):
    self._config, self._search, self._folder, self._space = config, search, folder, space
    self._proposals_sha256 = proposals_sha256
    self._has_tried = False
    if Layout(folder).is_run():
      raise InputError(f'--workdir={folder}: holds a run, not a search; take another folder')
    try:
      pruner, warmup = search.pruner and search.pruner(), int(config.steps * _UNPRUNED)
      self._log = TrialLog(folder, config.seed, pruner, warmup_steps=warmup)
    except OSError as error:
      raise InputError(f'--workdir={folder}: cannot be made ({error.strerror})') from None

  def begin(self, trials: int | None) -> None:
    """Records what is asked for, or compares it with what was."""
    path = self._folder / request.ASKED
    with self._alone():
      before = request.load(self._folder) if path.is_file() else None
      wanted = trials or (before.trials if before else self._search.trials)
      if before:
        request.check_same(before, self._config, self._search, self._proposals_sha256, self._folder)
        self._check_number(wanted)
      config = configs.to_dict(self._config)
      asked = Asked(config, self._search.text, wanted, self._proposals_sha256)
      results_file.save(path, asked)
    words = '; '.join(f'{name} {kind.in_words()}' for name, kind in self._space.items())
    progress.say(f'search    {count(wanted, "trial")} of {words}')
    ended = self._log.ended()
    if ended:
      progress.say(f'          {count(len(ended), "trial")} ended before')

  def _check_number(self, wanted: int) -> None:
    begun = self._log.begun()
    if wanted < begun:
      raise InputError(
        f'--trials={wanted}: {count(begun, "trial")} have begun in {self._folder}; give '
        f'--trials={begun} or more'
      )
    if wanted != begun and (self._folder / BEST).is_dir():
      self._drop_untested(begun, wanted)

  def _drop_untested(self, begun: int, wanted: int) -> None:
    """Drops the copy of a winner before its test; refuses more trials once that has begun."""
    best, partial = self._folder / BEST, self._folder / _PARTIAL
    try:
      # Whoever holds the lock may be about to read the test set.
      with filelock.FileLock(self._folder / _BEST_LOCK).acquire(blocking=False):
        if not readings.read(Layout(best)):
          shutil.rmtree(partial, ignore_errors=True)
          best.rename(partial)
          shutil.rmtree(partial)
          return
    except filelock.Timeout:
      pass
    raise InputError(
      f'--trials={wanted}: the test of the best of {count(begun, "trial")} has begun, and more '
      f'would be chosen knowing it. {ELSEWHERE}'
    )

  def try_all(self, decoded_once: bool) -> None:
    """Tries settings until all trials that are asked for have ended, those of others too.

    Args:
      decoded_once: whether the images are decoded first, for all trials.
    """
    self._check_failures()
    decoded = None
    while taken := self._next():
      try:
        if decoded_once and decoded is None:
          decoded = self._folder / PREPARED
          decoded_images.keep_for_several(self._config, decoded, 'trial')
        self._try(taken, decoded)
      finally:
        taken.lock.release()
      # What a training has put on a device may hang in a cycle, and the next one asks what is free.
      gc.collect()
      with self._alone():
        self._write(self.result())
      self._check_failures()

  def _next(self) -> Taken | None:
    """Takes a trial; waits where other processes are at work on the last ones."""
    with contextlib.ExitStack() as stack:
      is_waiting = False
      while True:
        with self._alone():
          taken = self._log.take(self._asked().trials, self._search.propose)
          if taken or not self._log.running():
            return taken
        if not is_waiting:
          stack.enter_context(progress.waiting('waiting for the trials of other processes'))
        is_waiting = True
        time.sleep(_PAUSE)

  def _try(self, taken: Taken, decoded: pathlib.Path | None) -> None:
    """Trains a trial, as far as it is worth it."""
    named = taken.settings or taken.trial.params
    drawn = wording.some([f'{name}={value}' for name, value in named.items()], None)
    progress.say(f'trial {taken.number}   {drawn}')
    layout = Layout(self._log.folder(taken.number))
    state, figure, reason = FAILED, Figure(None, reason='the trial failed'), ''
    try:
      if taken.error:
        raise taken.error
      config = self._search.applied(self._config, taken.settings)
      with memory.errors_in_words(config):
        self._begin_like_the_first(config, layout)
        watch = functools.partial(self._watch, taken, layout, config.steps)
        validation = run.train_only(
          config, layout.workdir, watch, is_known=self._has_tried, decoded=decoded
        )
    except Pruned as pruned:
      state, figure, reason = PRUNED, Figure(None, reason='the trial ended early'), str(pruned)
    except _Halted:
      raise
    except InputError as error:
      reason = str(error)
    else:
      state, figure = COMPLETE, selection.figure(validation, config.protocol)
      choice = selection.chosen_by(validation, config.protocol)
      self._share({'chosen_by': selection.in_words(choice, config.data.labels)})
    best = checkpoints.best_validation(
      [{'step': step, 'auroc_mean': auroc} for step, auroc in sorted(taken.validations.items())]
    )
    if best and state != FAILED:
      figure = dataclasses.replace(figure, value=best['auroc_mean'])
    trial = SearchTrial(
      number=taken.number,
      state=state,
      parameters=dict(taken.trial.params),
      settings=taken.settings,
      auroc=figure,
      step=best['step'] if best else None,
      steps=max(taken.validations, default=0),
      reason=reason,
    )
    taken.end(trial)
    self._has_tried = self._has_tried or state != FAILED
    progress.say(f'trial {taken.number}   {search_result.in_words(trial)}')

  def _begin_like_the_first(self, config: Config, layout: Layout) -> None:
    """Gives a new trial the split of an earlier one, so that no image is looked at again."""
    first = next((t for t in self._log.ended() if t.state != FAILED), None)
    if first is None or layout.is_run():
      return
    other = Layout(self._log.folder(first.number))
    if not other.is_run():
      return
    before, now = (configs.to_dict(c)['data'] for c in (finished.read_config(other), config))
    # It trains alone by the policy; the others say which images can be read.
    if all(before[name] == now[name] for name in before if name != 'uncertain'):
      workdir.begin_like(config, layout, other)

  def _watch(
    self, taken: Taken, layout: Layout, steps: int, step: int, auroc_mean: float | None
  ) -> None:
    """Tells a validation to the others, and ends a trial that lags behind them."""
    if auroc_mean is None:
      raise _Halted(
        'no label has both classes on validation, so there is nothing to compare trials by; take '
        'more validation patients (config.split.validation)'
      )
    if not taken.validations:
      self._check_split(layout)
    taken.tell(step, auroc_mean, is_last=step == steps)

  def _check_split(self, layout: Layout) -> None:
    """Records the split of the first trial; stops where another one is not on the same images."""
    images = '\n'.join(sorted(workdir.read_set_aside(layout)))
    ours = {
      'split_sha256': str(files.read_json(layout.split_proof).get('split_sha256')),
      'set_aside': hashlib.sha256(images.encode()).hexdigest(),
    }
    shared = self._share(ours)
    for name, what in (('split_sha256', 'split'), ('set_aside', 'images set aside')):
      if shared[name] != ours[name]:
        raise _Halted(
          f'{layout.workdir}: its {what} (SHA-256 {ours[name][:12]}) are not those of the trials '
          f'before ({shared[name][:12]}), so the table or the images have changed since, and '
          f'validations cannot be compared; restore them. {ELSEWHERE}'
        )

  def _share(self, values: dict[str, str]) -> dict[str, str]:
    """Records what the first trial found, where none has; returns what is shared."""
    with self._alone():
      shared = dict(self._log.shared())
      self._log.share({name: value for name, value in values.items() if name not in shared})
      return values | shared

  def _check_failures(self) -> None:
    """Stops where the first trials have all failed, or all have."""
    ended = self._log.ended()
    if len(ended) < min(_FAILURES, self._asked().trials):
      return
    if all(trial.state == FAILED for trial in ended):
      raise InputError(
        f'the first {count(len(ended), "trial")} failed; the last: {ended[-1].reason}. Mend what '
        'it says, and take another --workdir'
      )

  def _asked(self) -> Asked:
    return request.load(self._folder)

  def result(self) -> SearchResult:
    """Returns the trials so far."""
    shared, trials = self._log.shared(), self._log.ended()
    result = SearchResult(
      asked=self._asked().trials,
      seed=self._config.seed,
      space=self._space,
      chosen_by=shared.get('chosen_by', ''),
      split_sha256=shared.get('split_sha256', ''),
      trials=trials,
      best=search_result.winner_of(trials),
    )
    notes = list(search_result.notes_on_choice(result))
    tested = [t.number for t in trials if Layout(self._log.folder(t.number)).has_traces_of_a_test()]
    if tested:
      notes.insert(
        0,
        f'The test set was read by trial {", ".join(map(str, tested))} before the winner was '
        'chosen: if its figures were looked at, those of the test flatter.',
      )
    return dataclasses.replace(result, notes=tuple(notes))

  def _write(self, result: SearchResult) -> None:
    results_file.save(self._folder / RESULT, result)
    page = search_page.render(
      result,
      title=f'{self._config.model.name} on {remote.name(self._config.data.root)}',
      warning=generated.of_run(self._config),
      best=f'{BEST}/report/index.html' if result.test else '',
    )
    files.write_whole(self._folder / PAGE, page)
    beside.write(self._folder / PAGE, page, {'trials.csv': result.to_frame().to_csv()})

  def test_best(self) -> SearchResult | None:
    """Tests the winner, once, whichever process comes first; None where trials are to end first."""
    layout = Layout(self._folder / BEST)
    with _held(self._folder / _BEST_LOCK, 'another process tests the winner'):
      with self._alone():
        result = self.result()
        # Another process may have asked for more since the last one ended. Once there is a copy of
        # the winner, none can.
        if len(result.trials) < result.asked and not layout.is_run():
          return None
        winner = result.winner()
        if winner is None:
          raise InputError(
            f'no trial of {count(len(result.trials), "trial")} is complete, so none can be tested'
          )
        if not layout.is_run():
          self._copy(winner.number, layout, result)
      progress.say(f'winner    trial {winner.number}, {search_result.in_words(winner)}')
      config = self._search.applied(self._config, winner.settings)
      with memory.errors_in_words(config):
        run.run(config, layout.workdir)
      test = finished.open_run(layout.workdir).result.mean.auroc
      with self._alone():
        result = dataclasses.replace(result, test=test)
        self._write(result)
    progress.say(f'search: {self._folder / PAGE}')
    return result

  def _copy(self, number: int, layout: Layout, result: SearchResult) -> None:
    """Copies the trial's folder, whole or not at all, with what says how it was chosen."""
    partial = self._folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(self._log.folder(number), partial, ignore=shutil.ignore_patterns('.lock'))
    results_file.save(Layout(partial).search, result)
    partial.rename(layout.workdir)

  def _alone(self) -> contextlib.AbstractContextManager[None]:
    return _held(self._folder / '.lock', 'another process looks at the trials')


@contextlib.contextmanager
def _held(path: pathlib.Path, waiting: str) -> Iterator[None]:
  """Holds a lock, and waits for it; it ends with its process."""
  lock = filelock.FileLock(path)
  with progress.waiting(waiting):
    lock.acquire()
  try:
    yield
  finally:
    lock.release()
