"""The same work directory with other settings or other data."""

import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import common
import edits


def attacks(attack: Callable, run: pathlib.Path, root: pathlib.Path) -> Iterator:
  """The same work directory with other settings or other data."""

  def config(folder: pathlib.Path, *overrides: str):
    from medjax import config as configs

    tiny = [name.removeprefix('--config.') for name in common.TINY]
    data = f'data.root={root}'
    return configs.load('configs/phantom.py', [*tiny, data, *overrides])

  def goes_on(*overrides: str) -> Callable[[pathlib.Path], str]:
    def act(folder: pathlib.Path) -> str:
      from medjax.runs import workdir
      from medjax.runs.layout import Layout

      layout = Layout(edits.copied(run, folder))
      asked = config(folder, *overrides)
      workdir.check(asked, layout)
      workdir.draft(asked, layout)
      return ''

    return act

  settings = (
    'seed=1', 'split.seed=1', 'split.test=0.3', 'split.validation=0.3', 'steps=5', 'batch_size=4',
    'augment=none', 'precision=bfloat16', 'loss.name=focal', 'optimizer.learning_rate=0.1',
    'optimizer.name=sgd', 'model.settings.width=8', 'data.image_size=64', 'data.blank=ignore',
    'data.uncertain=ones', 'data.labels=Edema', 'data.labels=Edema,Pneumonia,Lung Lesion',
    'data.intensity=stretch', 'data.ids=normalise', 'evaluation.level=patient',
    'evaluation.checkpoints=3', 'sampling.name=balanced', 'sampling.label=Edema',
    'evaluate_every=2', 'data.settings.seed=3',
  )  # fmt: skip
  for setting in settings:
    yield attack(
      'other settings in the same folder', setting, 'holds a run with another config',
      goes_on(setting),
    )  # fmt: skip

  def other_data(change: Callable[[pathlib.Path], Any]) -> Callable[[pathlib.Path], str]:
    def act(folder: pathlib.Path) -> str:
      copied = shutil.copytree(root, folder / 'data')
      change(copied)
      return goes_on(f'data.root={copied}')(folder)

    return act

  def patient_renamed(copied: pathlib.Path) -> None:
    (copied / 'train/patient00002').rename(copied / 'train/patient00999')
    edits.text(copied / 'train.csv', lambda text: text.replace('patient00002', 'patient00999'))

  def row(change: Callable[[list[dict]], Any]) -> Callable[[pathlib.Path], None]:
    return lambda copied: edits.rows(copied / 'train.csv', change)

  for name, change, says in (
    ('a label turned', row(edits.cell('Edema', '1.0', lambda r: r['Edema'] == '0.0')),
     'the table is not'),
    ('a label made uncertain', row(edits.cell('Edema', '-1.0', lambda r: r['Edema'] == '1.0')),
     'the table is not'),
    ('a patient renamed', patient_renamed, 'not in'),
    ('an image left out', row(lambda rows: rows[1:]), 'are not in the table'),
  ):  # fmt: skip
    yield attack('other data in the same folder', name, says, other_data(change))
