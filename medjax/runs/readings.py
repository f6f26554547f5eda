"""How often the test set of a run was read, and under which settings: evaluation/readings.json.

A finished run may be trained further, or its test set read under other settings. Whoever does so
may have seen its figures, and what is chosen after that fits the test set. So every reading is
recorded, before it is made, and the result says how many there were. The last reading repeated as
it was (a run killed while it was tested, or a result deleted) is the same one: nothing was chosen.
Checkpoints that are trained after a reading carry it, so that a file taken away is missed. Where
the whole folder of results was taken away, what else a test leaves shows that there was one.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from medjax import config as configs
from medjax.config import Config
from medjax.runs import integrity
from medjax.runs.layout import Layout
from medjax.runtime import files

# {'best_step': int or None, 'config': its config, as a dict}. Of one by medjax.evaluate also
# 'again': the settings that it was given, in words. Of one whose record was taken away, 'lost':
# True; there may have been more.
Reading = dict[str, Any]


def read(layout: Layout) -> list[Reading]:
  """Returns the readings so far, in order; those of a run that recorded none show in its files.

  Raises:
    InputError: the file is not what a run wrote.
  """
  readings: list[Reading] = []
  carried = integrity.carried(layout).get('readings', [])
  if layout.readings.is_file():
    readings = files.read_json(layout.readings)['readings']
  elif layout.is_finished():  # By a medjax that did not record them.
    readings = [_of_files(layout)]
  elif layout.has_traces_of_a_test():
    *others, last = carried or [_of_files(layout)]
    readings = [*others, {**last, 'lost': True}]
  return max(readings, carried, key=len)


def _of_files(layout: Layout) -> Reading:
  step = files.read_json(layout.frozen).get('step') if layout.frozen.is_file() else None
  return {'best_step': step, 'config': files.read_json(layout.config)}


def keep(layout: Layout) -> None:
  """Records the readings that the files of a run show, before something in them is changed."""
  if before := read(layout):
    write(layout, before)


def make(config: Config, best_step: int | None, again: Sequence[str] = ()) -> Reading:
  """Returns a reading; `again` are the settings that medjax.evaluate was given."""
  reading = {'best_step': best_step, 'config': configs.to_dict(config)}
  return {**reading, 'again': list(again)} if again else reading


def before(layout: Layout, reading: Reading) -> list[Reading]:
  """Returns the readings before this one, which may be the last one repeated."""
  readings = read(layout)
  return readings[:-1] if readings and _same(readings[-1], reading) else readings


def add(layout: Layout, reading: Reading) -> list[Reading]:
  """Records the reading that is about to be made; returns those before it, cut off ones too."""
  earlier = before(layout, reading)
  killed = [one for one in cut_off(layout) if not _same(one, reading)]
  earlier += [one for one in killed if one not in earlier]
  write(layout, [*earlier, reading])
  return earlier


def write(layout: Layout, readings: list[Reading]) -> None:
  """Writes readings.json."""
  layout.evaluation.mkdir(exist_ok=True)
  files.write_whole(layout.readings, json.dumps({'readings': readings}, indent=2) + '\n')


def put_aside(layout: Layout) -> int:
  """Keeps the result of the last reading, and what it was made of, beside that of the next.

  Returns its number.

  Whoever checks it finds every file that the result vouches for: those that the next reading
  replaces under evaluation/test.N/, the others where they were. Killed anywhere in here, the same
  call goes on.
  """
  keep(layout)
  number = len(read(layout))
  replaced = integrity.at_end(layout).keys() - integrity.at_start(layout).keys()
  page = [layout.report, *layout.beside_report.glob('*')]
  for name in (*replaced, *(path.relative_to(layout.workdir).as_posix() for path in page)):
    path, kept = layout.workdir / name, layout.earlier_files(number) / name
    if path.is_file():
      kept.parent.mkdir(parents=True, exist_ok=True)
      kept.unlink(missing_ok=True)
      try:
        os.link(path, kept)  # A file of a run is replaced whole, never written into.
      except OSError:  # Not on every file system.
        shutil.copyfile(path, kept)
  layout.result.rename(layout.earlier_result(number))
  return number


def bring_back(layout: Layout, number: int) -> None:
  """Undoes `put_aside`, where the next reading has failed."""
  folder = layout.earlier_files(number)
  for path in sorted(folder.rglob('*')):
    if path.is_file():
      restored = layout.workdir / path.relative_to(folder)
      restored.parent.mkdir(parents=True, exist_ok=True)
      path.replace(restored)
  layout.earlier_result(number).replace(layout.result)
  shutil.rmtree(folder)


def bring_back_cut_off(layout: Layout) -> None:
  """Undoes `put_aside` where a process was killed before the next reading had its result.

  What was recorded since are readings whose figures may have been seen; see `cut_off`. Of a run
  that was put aside to train further nothing is brought back: its config is another one. For who
  holds the lock of the run.
  """
  if layout.is_finished() or not layout.is_run():
    return
  known = read(layout)
  for number in range(len(known), 0, -1):
    if layout.earlier_result(number).is_file():
      if not changes(known[number - 1], files.read_json(layout.config)):
        kept = cut_off(layout)
        kept += [one for one in known[number:] if one not in kept]
        if kept:
          files.write_whole(layout.cut_off_readings, json.dumps({'readings': kept}))
        bring_back(layout, number)
      return


def cut_off(layout: Layout) -> list[Reading]:
  """Returns the readings that were cut off and that no reading after them has recorded yet."""
  if not layout.cut_off_readings.is_file():
    return []
  return list(files.read_json(layout.cut_off_readings)['readings'])


def forget_cut_off(layout: Layout) -> None:
  """Removes the file of readings that were cut off, for who has a result that counts them."""
  layout.cut_off_readings.unlink(missing_ok=True)


def _same(one: Reading, other: Reading) -> bool:
  return (
    not one.get('lost')
    and one['best_step'] == other['best_step']
    and one.get('again') == other.get('again')
    and not changes(one, other['config'])
  )


def changes(reading: Reading, now: Mapping[str, Any]) -> list[str]:
  """Returns a line for each setting in which a config is not that of an earlier reading."""
  return integrity.changes(configs.with_defaults(reading['config']), now)


def times(earlier: list[Reading]) -> str:
  """Returns how often a test set was read, in words."""
  counted = 'once' if len(earlier) == 1 else f'{len(earlier)} times'
  return f'at least {counted}' if any(map(_is_lost, earlier)) else counted


def _is_lost(reading: Reading) -> bool:
  return bool(reading.get('lost'))


_SAID = 'The test set was read '


def in_words(earlier: list[Reading], now: Reading) -> list[str]:
  """Returns what earlier readings of the test set mean for this one, as sentences."""
  if not earlier:
    return []
  sentences, shown = [], True
  for number, reading in enumerate(earlier, start=1):
    changed = changes(reading, now['config'])
    shown = shown and all(map(integrity.chooses_nothing, changed))
    ours, theirs = now.get('again', []), reading.get('again', [])
    changed += [f'with {setting}' for setting in theirs if setting not in ours]
    changed += [f'without {setting}' for setting in ours if setting not in theirs]
    sentences.append(
      f'({number}) after {reading["config"]["steps"]:,} steps'
      + (f', with other settings ({"; ".join(changed)})' if changed else ', with these settings')
    )
  flatters = (
    'If its figures were looked at before this was decided, those here flatter; patients who '
    'were never tested would tell.'
  )
  if any(map(_is_lost, earlier)):
    meaning = f'The record of its readings was taken away, so there may have been more. {flatters}'
  elif shown:
    meaning = 'What differs only says what is shown, so the figures mean what they did.'
  else:
    meaning = flatters
  return [f'{_SAID}{times(earlier)} before: {"; ".join(sentences)}. {meaning}']


def without_words(sentences: Sequence[str]) -> list[str]:
  """Returns sentences without those of `in_words`."""
  return [sentence for sentence in sentences if not sentence.startswith(_SAID)]
