"""How often the test set of a run was read, and under which settings: evaluation/readings.json.

A finished run may be trained further, or its test set read under other settings. Whoever does so
may have seen its figures, and what is chosen after that fits the test set. So every reading is
recorded, before it is made, and the result says how many there were. The last reading repeated as
it was (a run killed while it was tested, or a result deleted) is the same one: nothing was chosen.
Checkpoints that are trained after a reading carry it, so that a file taken away is missed.
"""

import json
from collections.abc import Mapping
from typing import Any

from medjax import config as configs
from medjax.config import Config
from medjax.runs import integrity
from medjax.runs.layout import Layout
from medjax.runtime import files

Reading = dict[str, Any]  # {'best_step': int or None, 'config': its config, as a dict}


def read(layout: Layout) -> list[Reading]:
  """Returns the readings so far, in order; those of a run that recorded none show in its files.

  Raises:
    InputError: the file is not what a run wrote.
  """
  readings = []
  if layout.readings.is_file():
    readings = files.read_json(layout.readings)['readings']
  elif layout.is_finished():  # By a medjax that did not record them.
    step = files.read_json(layout.frozen).get('step') if layout.frozen.is_file() else None
    readings = [{'best_step': step, 'config': files.read_json(layout.config)}]
  carried = integrity.carried(layout).get('readings', [])
  return max(readings, carried, key=len)


def add(layout: Layout, config: Config, best_step: int | None) -> list[Reading]:
  """Records the reading that is about to be made; returns those before it."""
  before = read(layout)
  reading = {'best_step': best_step, 'config': configs.to_dict(config)}
  if before and _same(before[-1], reading):
    before = before[:-1]
  write(layout, [*before, reading])
  return before


def write(layout: Layout, readings: list[Reading]) -> None:
  """Writes readings.json."""
  layout.evaluation.mkdir(exist_ok=True)
  files.write_whole(layout.readings, json.dumps({'readings': readings}, indent=2) + '\n')


def _same(one: Reading, other: Reading) -> bool:
  return one['best_step'] == other['best_step'] and not changes(one, other['config'])


def changes(reading: Reading, now: Mapping[str, Any]) -> list[str]:
  """Returns a line for each setting in which a config is not that of an earlier reading."""
  return integrity.changes(configs.with_defaults(reading['config']), now)


def in_words(before: list[Reading], config: Config) -> list[str]:
  """Returns what earlier readings of the test set mean for the one that follows, as sentences."""
  if not before:
    return []
  now, sentences, shown = configs.to_dict(config), [], True
  for number, reading in enumerate(before, start=1):
    changed = changes(reading, now)
    shown = shown and all(map(integrity.chooses_nothing, changed))
    sentences.append(
      f'({number}) after {reading["config"]["steps"]:,} steps'
      + (f', with other settings ({"; ".join(changed)})' if changed else ', with these settings')
    )
  times = 'once' if len(before) == 1 else f'{len(before)} times'
  meaning = (
    'What differs only says what is shown, so the figures mean what they did.'
    if shown
    else 'If its figures were looked at before this was decided, those here flatter; patients who '
    'were never tested would tell.'
  )
  return [f'The test set was read {times} before: {"; ".join(sentences)}. {meaning}']
