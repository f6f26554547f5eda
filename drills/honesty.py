"""Ways to make a test look better than it is, planted one by one: none of them goes unsaid.

Each is refused in one line, or said in the notes that the first screen and the report begin with.
The table of them is in planted.py.
"""

import pathlib
import shutil
from collections import Counter

import common
import planted

_TRACEBACK = 'a traceback, '


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Runs the drill."""
  run = common.finished_run(folder)
  root = common.phantom(folder)
  work = folder / 'work'
  shutil.rmtree(work, ignore_errors=True)
  work.mkdir(parents=True)
  known = planted.everything(run, root)
  lost, kinds = [], Counter()
  # A network is built for some, which takes a second each.
  asked = [attack for attack in known if not (quick and attack.is_slow)]
  for number, attack in enumerate(asked):
    said = _said(attack, work / f'{number:03}')
    if attack.says not in said or said.startswith(_TRACEBACK):
      lost.append(f'{attack.name}: expected {attack.says!r}, and it was {said[:200]!r}')
    kinds[attack.kind] += 1
  counted = ', '.join(f'{count} {kind}' for kind, count in kinds.items())
  return common.Figures(
    len(asked), tuple(lost), f'{len(asked)} ways to leak, each refused or said: {counted}'
  )


def _said(attack: planted.Attack, folder: pathlib.Path) -> str:
  from medjax.errors import InputError

  folder.mkdir()
  try:
    said = attack.plant(folder)
  except InputError as error:
    return str(error)
  except Exception as error:
    return f'{_TRACEBACK}{type(error).__name__}: {error}'
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  return said
