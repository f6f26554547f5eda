"""`SearchResult`: the trials of a search of hyper-parameters, and which of them was tested.

docs/results.md lists every field; medjax.evaluation.results_file writes and reads it as JSON.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from medjax.errors import count
from medjax.evaluation import wording
from medjax.evaluation.figure import Figure

SCHEMA = 1  # raised by whoever renames, adds or removes a field
COMPLETE, PRUNED, FAILED = 'complete', 'pruned', 'failed'
_EDGE = 0.05  # of a range: a winner so near to its end may have a better neighbour outside


@dataclasses.dataclass(frozen=True)
class Parameter:
  """What a search draws a value from.

  Attributes:
    kind: 'float', 'int' or 'categorical'.
    low: least value; None of a categorical one.
    high: greatest value, likewise.
    log: whether it is drawn on a logarithmic scale.
    step: between values; None where there is none.
    choices: of a categorical one.
  """

  kind: str
  low: float | None = None
  high: float | None = None
  log: bool = False
  step: float | None = None
  choices: tuple[Any, ...] = ()

  def in_words(self) -> str:
    """Returns '1e-05 to 0.001, logarithmic' or 'one of none, chest'."""
    if self.low is None:
      return f'one of {", ".join(map(str, self.choices))}'
    step = f', in steps of {self.step:g}' if self.step is not None else ''
    return f'{self.low:g} to {self.high:g}{step}{", logarithmic" if self.log else ""}'

  def is_at_an_end(self, value: Any) -> bool:
    """Whether a value lies in the outer 5 % of the range, on its scale."""
    if self.low is None or self.high is None or self.low == self.high:
      return False
    low, high, place = (math.log(x) if self.log else x for x in (self.low, self.high, value))
    return not _EDGE <= (place - low) / (high - low) <= 1 - _EDGE


@dataclasses.dataclass(frozen=True)
class SearchTrial:
  """One trial: a training that validation alone has judged.

  Attributes:
    number: from 0, the name of its folder.
    state: 'complete'; 'pruned', ended early because it lagged behind others, or by search(trial)
      before it began; or 'failed'.
    parameters: name → value, as the search drew them.
    settings: field of the config → value, as the search set them.
    auroc: mean AUROC of the best validation, by the labels that choose a checkpoint, with its
      interval by patient; of a pruned trial without, of a failed one without a value, as of one
      that search(trial) pruned.
    step: of that validation; None where there was none.
    steps: to the last validation.
    reason: why it failed, or was pruned by search(trial), in one line; '' otherwise.
  """

  number: int
  state: str
  parameters: dict[str, Any]
  settings: dict[str, Any]
  auroc: Figure
  step: int | None
  steps: int
  reason: str = ''


@dataclasses.dataclass(frozen=True)
class SearchResult:
  """The trials of a search, and what the test of the winner says.

  Attributes:
    asked: trials that were asked for.
    seed: of the search, config.seed.
    space: parameter → what it was drawn from.
    chosen_by: what validation compares, in words.
    split_sha256: of the split that all trials share; '' before the first has one.
    trials: those that have ended, by number.
    best: number of the winner, the first of equals; None where no trial is complete.
    test: mean AUROC of the winner on the test set; None before it is tested.
    notes: what weakens the choice, in sentences.
    schema: number of this schema.
  """

  asked: int
  seed: int
  space: dict[str, Parameter]
  chosen_by: str
  split_sha256: str
  trials: tuple[SearchTrial, ...]
  best: int | None
  test: Figure | None = None
  notes: tuple[str, ...] = ()
  schema: int = SCHEMA

  def winner(self) -> SearchTrial | None:
    """The winner's trial."""
    return next((trial for trial in self.trials if trial.number == self.best), None)

  def counts(self) -> str:
    """Returns '20 trials (6 pruned, 1 failed)'."""
    numbers = {state: sum(trial.state == state for trial in self.trials) for state in _ENDED_EARLY}
    early = ', '.join(f'{number} {state}' for state, number in numbers.items())
    return f'{count(len(self.trials), "trial")} ({early})'

  def to_frame(self) -> pd.DataFrame:
    """Returns a row per trial: its state, figure and interval, steps, and a column a parameter."""
    rows = [
      {
        'state': trial.state,
        'auroc': trial.auroc.value,
        'auroc_low': trial.auroc.interval[0] if trial.auroc.interval else None,
        'auroc_high': trial.auroc.interval[1] if trial.auroc.interval else None,
        'step': trial.step,
        'steps': trial.steps,
        **trial.parameters,
        'reason': trial.reason,
      }
      for trial in self.trials
    ]
    return pd.DataFrame(rows, index=pd.Index([trial.number for trial in self.trials], name='trial'))


_ENDED_EARLY = (PRUNED, FAILED)


def winner_of(trials: Sequence[SearchTrial]) -> int | None:
  """Returns the number of the complete trial with the highest figure, the first of equals."""
  complete = [trial for trial in trials if trial.state == COMPLETE]
  if not complete:
    return None
  return max(complete, key=lambda trial: (trial.auroc.value, -trial.number)).number


def value_in_words(value: Any) -> str:
  """Returns a value that was drawn, with three digits where it is no whole number."""
  return f'{value:.3g}' if isinstance(value, float) else str(value)


def in_words(trial: SearchTrial) -> str:
  """Returns how a trial has ended, in one line."""
  if trial.state == FAILED:
    return f'failed: {trial.reason}'
  if trial.auroc.value is None:
    return f'{trial.state} {trial.reason}'
  figure = f'validation mean AUROC {wording.plain(trial.auroc, 4)} at step {trial.step:,}'
  if trial.state == PRUNED:
    return f'pruned at step {trial.steps:,}, behind the others: {figure}'
  return figure


def notes_on_choice(result: SearchResult) -> tuple[str, ...]:
  """Returns what weakens the choice of the winner, in sentences."""
  winner = result.winner()
  if winner is None:
    return ()
  sentences = [
    f'The settings were chosen by validation among {result.counts()}: the winner’s '
    f'validation figure, {wording.plain(winner.auroc, 3)}, is the highest of all and optimistic by '
    'selection' + (', which its interval does not know.' if winner.auroc.interval else '.')
  ]
  others = [
    trial.auroc.value
    for trial in result.trials
    if trial.state == COMPLETE and trial.number != winner.number
  ]
  if winner.auroc.interval and others:
    near = sum(value is not None and value >= winner.auroc.interval[0] for value in others)
    if near:
      sentences.append(
        f'Of the {count(len(others), "other complete trial")}, {near} lie within the winner’s '
        'interval: validation hardly tells their settings apart.'
      )
  ends = [
    f'{name} {value_in_words(winner.parameters[name])} ({result.space[name].in_words()})'
    for name in result.space
    if name in winner.parameters and result.space[name].is_at_an_end(winner.parameters[name])
  ]
  if ends:
    sentences.append(
      f'The winner lies at an end of the search space: {"; ".join(ends)}. A wider one may hold '
      'better settings.'
    )
  return tuple(sentences)
