"""Ways to leak by people and images: who trained is tested under another name, file or set."""

import csv
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image


def attacks(attack: Callable, run: pathlib.Path, root: pathlib.Path) -> Iterator:
  """Yields the attacks of this kind; `attack` makes one."""
  yield from _spelled(attack)
  yield from _splits(attack)
  yield from _predicted(attack, run, root)
  yield from _pretrained(attack, run, root)
  yield from _external(attack, run, root)
  yield from _foreign(attack)


def _study(folder: pathlib.Path, rows: list[tuple], **settings: Any):
  """Returns the config of a table of (image, patient, Mass, site); the images are made."""
  from medjax import config as configs

  random = np.random.default_rng(0)
  for image in {row[0] for row in rows}:
    pixels = random.integers(0, 255, (16, 16)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / image)
  with open(folder / 'labels.csv', 'w', newline='') as file:
    csv.writer(file).writerows([('image', 'patient', 'Mass', 'site'), *rows])
  split = settings.pop('split', configs.Split(0.3, 0.3))
  data = configs.Data(
    'csv', str(folder), ('Mass',), 16,
    settings={'table_file': 'labels.csv', **settings.pop('source', {})}, **settings,
  )  # fmt: skip
  return configs.Config(data=data, model=configs.Model('resnet_tiny'), split=split)


def _rows(patients: int = 60) -> list[tuple]:
  return [
    (f'{n}_{k}.png', f'P{n:03}', n % 2, 'AB'[n % 3 == 0]) for n in range(patients) for k in range(2)
  ]


def _make(config) -> str:
  """Draws the split as every command does; returns its notes."""
  from medjax.data import study

  made, _ = study.make(config)
  return ' '.join([*made.proof['notes'], *study.findings(config, made)])


def _spelled(attack: Callable) -> Iterator:
  def act(names: tuple[str, str], **settings: Any) -> Callable[[pathlib.Path], str]:
    def plant(folder: pathlib.Path) -> str:
      rows = _rows()
      rows[0], rows[1] = (('0_0.png', names[0], 0, 'A'), ('0_1.png', names[1], 1, 'A'))
      return _make(_study(folder, rows, **settings))

    return plant

  alike = 'look like one'
  for names, says in (
    (('0071', '71'), alike), (('X71', 'x71'), alike), (('71', '71.0'), alike),
    (('X 71', 'X-71'), alike), (('X71', 'X\u200b71'), alike), (('71', '７１'), alike),
    (('é71', 'e\u030171'), alike), (('71', '="0071"'), alike), (('1,071', '1071'), alike),
    (("'71'", '71'), alike), (('1.23E+11', '1.23E+11'), 'a spreadsheet has shortened'),
    (('unknown', 'unknown'), 'names nobody'), (('', ''), 'empty'), (('N/A', '?'), 'names nobody'),
    (('#REF!', 'anonymous'), 'names nobody'),
  ):  # fmt: skip
    yield attack('patients spelled otherwise', repr(names), says, act(names))
  yield attack(
    'patients spelled otherwise', 'and taken for one', 'taken for one',
    act(('0071', '71'), ids='normalise'),
  )  # fmt: skip


def _splits(attack: Callable) -> Iterator:
  from medjax import config as configs

  official = configs.Split('official', 'official', file='split.csv')

  def given(lines: list[tuple], **changed: Any) -> Callable[[pathlib.Path], str]:
    def plant(folder: pathlib.Path) -> str:
      with open(folder / 'split.csv', 'w', newline='') as file:
        csv.writer(file).writerows(lines)
      return _make(_study(folder, _rows(), split=official, **changed))

    return plant

  parts = ('train', 'train', 'validation', 'test')
  by_image = [('image', 'split')] + [
    (image, parts[int(patient[1:]) % 4]) for image, patient, *_ in _rows()
  ]
  crossing = [*by_image[:1], (by_image[1][0], 'test'), *by_image[2:]]
  by_patient = [('patient', 'split')] + [(f'P{n:03}', parts[n % 4]) for n in range(60)]
  for name, lines, says in (
    ('a patient on two sides, by image', crossing, 'P000'),
    ('a patient on two sides, by patient', [*by_patient, ('P000', 'test')], 'on two sides'),
    ('an image twice', [*by_image, by_image[1]], 'is listed twice'),
    ('patients of other names', [('patient', 'split'), ('Q1', 'test')], 'none of its patients'),
    ('half of the patients', by_patient[:31], 'so on no side'),
  ):
    yield attack('given splits', name, says, given(lines))

  def table(change: Callable[[list[tuple]], list[tuple]], **settings: Any):
    return lambda folder: _make(_study(folder, change(_rows()), **settings))

  yield attack(
    'given splits', 'an image on two rows', 'is listed twice',
    table(lambda rows: [*rows, (rows[0][0], 'P999', 1, 'A')]),
  )  # fmt: skip
  yield attack(
    'given splits', 'an image on two rows under two paths', 'is listed twice',
    table(lambda rows: [*rows, (f'./{rows[0][0]}', 'P999', 1, 'A')]),
  )  # fmt: skip
  yield attack(
    'given splits', 'every image a patient of its own', 'counts as a patient of its own',
    table(lambda rows: rows, source={'grouped_by': 'image'}),
  )  # fmt: skip
  yield attack(
    'what gives the label away', 'the site', 'site',
    table(lambda rows: [(i, p, m, 'AB'[m]) for i, p, m, _ in rows]),
  )  # fmt: skip

  def copied(save: Callable[[pathlib.Path, pathlib.Path], Any]) -> Callable[[pathlib.Path], str]:
    def plant(folder: pathlib.Path) -> str:
      from medjax.data import study
      from medjax.data.images.preprocessing import ImageFormat
      from medjax.runs import workdir

      with open(folder / 'split.csv', 'w', newline='') as file:
        csv.writer(file).writerows(by_patient)
      config = _study(folder, _rows(), split=official)
      save(folder / '0_0.png', folder / '3_0.png')  # P000 trains, P003 is tested.
      made, _ = study.make(config)
      image_format = ImageFormat(16, 1)
      workdir.prove_apart(config, made, workdir.look_at_images(config, made, image_format))
      return ' '.join(made.proof['notes'])

    return plant

  yield attack(
    'copies under other names', 'a training image is a test image', 'byte for byte train images',
    copied(shutil.copyfile),
  )  # fmt: skip


def _predicted(attack: Callable, run: pathlib.Path, root: pathlib.Path) -> Iterator:
  """New images that trained."""

  def act(make: Callable[[pathlib.Path, pathlib.Path], Any]) -> Callable[[pathlib.Path], str]:
    def plant(folder: pathlib.Path) -> str:
      from medjax.data.images import lists
      from medjax.inference import new_images
      from medjax.runs import finished

      trained = root / _first(run, 'train')
      given = make(trained, folder)
      images = lists.of_csv(given, None) if given.suffix == '.csv' else lists.of_paths([given])
      new_images._check_unseen(finished.open_run(run), images, False)
      return ''

    return plant

  def link(file: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    os.symlink(file, folder / 'new.jpg')
    return folder / 'new.jpg'

  def copy(file: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copyfile(file, folder / 'new.jpg'))

  def saved(file: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    path = folder / file.relative_to(root)
    path.parent.mkdir(parents=True)
    Image.open(file).save(path, quality=97)
    return path

  def patient(spelled: str) -> Callable[[pathlib.Path, pathlib.Path], pathlib.Path]:
    def listed(file: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
      Image.new('L', (32, 32), 9).save(folder / 'new.png')
      name = spelled.format(_patient(run, 'train'))
      with open(folder / 'list.csv', 'w', newline='') as lines:
        csv.writer(lines).writerows([('image', 'patient'), ('new.png', name)])
      return folder / 'list.csv'

    return listed

  says = 'trained'
  for name, make in (
    ('the file', lambda file, folder: file), ('a link to it', link), ('a copy of it', copy),
    ('it saved anew', saved), ('another image of the patient', patient('{}')),
    ('another image of the patient in capitals', lambda file, folder: patient(
      _patient(run, 'train').upper())(file, folder)),
    ('another image of the patient with spaces', patient('  {} ')),
  ):  # fmt: skip
    yield attack('training images predicted as new', name, says, act(make))


def _first(run: pathlib.Path, part: str) -> str:
  return _split_rows(run, part)[0]['image']


def _patient(run: pathlib.Path, part: str) -> str:
  return _split_rows(run, part)[0]['patient']


def _split_rows(run: pathlib.Path, part: str) -> list[dict]:
  with open(run / 'split.csv', newline='') as file:
    return [row for row in csv.DictReader(file) if row['split'] == part]


def _pretrained(attack: Callable, run: pathlib.Path, root: pathlib.Path) -> Iterator:
  """Weights of a run whose training patients are tested now."""

  def act(change: Callable[[Any], Any], digests: bool = False) -> Callable[[pathlib.Path], str]:
    def plant(folder: pathlib.Path) -> str:
      import pandas as pd

      from medjax.data.images import content
      from medjax.data.leakage import seen_before
      from medjax.runs import seen_by_run
      from medjax.runs.layout import Layout

      seen = seen_by_run.seen_by(Layout(run))
      rows = [row for row in _split_rows(run, 'train')]
      table = pd.DataFrame(rows, dtype=object)
      split = np.full(len(table), 'test', object)
      table, there = change(table), str(root)
      if digests:
        there = str(folder)
        new = [folder / f'{n}.jpg' for n in range(len(table))]
        for image, path in zip(table['image'], new):
          shutil.copyfile(root / image, path)
        table = table.assign(
          image=[p.name for p in new], patient=[f'Q{n}' for n in range(len(new))]
        )
        looked = table.assign(split='test', sha256=[content.digest(str(p)) for p in new])
        seen_before.check_new_images(looked, seen)
      seen_before.check_unseen(table, split, there, seen)
      return ''

    return plant

  says = 'trained or chose these weights'
  for name, change in (
    ('tested', lambda table: table),
    ('tested in capitals', lambda table: table.assign(patient=table['patient'].str.upper())),
    ('tested by another image', lambda table: table.assign(image='other/' + table['image'])),
    ('tested with other separators', lambda table: table.assign(
      patient=table['patient'].str.replace('patient', 'patient-'))),
  ):  # fmt: skip
    yield attack('patients who trained the weights', name, says, act(change))
  yield attack(
    'patients who trained the weights', 'all renamed, in another folder', 'byte for byte images',
    act(lambda table: table, digests=True),
  )  # fmt: skip


def _external(attack: Callable, run: pathlib.Path, root: pathlib.Path) -> Iterator:
  """The own set, as if it were another hospital's."""

  def act(write: Callable[[pathlib.Path, list[dict]], None], part: str) -> Callable:
    def plant(folder: pathlib.Path) -> str:
      from medjax.inference import external_set
      from medjax.runs import finished

      opened = finished.open_run(run)
      rows = _split_rows(run, part)
      write(folder, rows)
      lines = [
        (f'{n}.png', f'Q{n:03}', n % 2, 'A') for n in range(len(rows))
      ]  # fmt: skip
      config = _study_of_files(folder, lines, opened.config.data.labels[0])
      other = external_set.read(opened, config, (), 'all')
      external_set.check_apart(opened, other, str(folder), pixels=True, allowed=False)
      return ''

    return plant

  def bytes_of(folder: pathlib.Path, rows: list[dict]) -> None:
    for number, row in enumerate(rows):
      shutil.copyfile(root / row['image'], folder / f'{number}.png')

  def saved(folder: pathlib.Path, rows: list[dict]) -> None:
    for number, row in enumerate(rows):
      Image.open(root / row['image']).save(folder / f'{number}.png')

  for name, write in (('copied under other names', bytes_of), ('saved anew as PNG', saved)):
    for part in ('train', 'validation'):
      yield attack(
        'an external set that is the own one', f'images of {part} {name}', 'trained',
        act(write, part), True,
      )  # fmt: skip


def _study_of_files(folder: pathlib.Path, rows: list[tuple], label: str):
  from medjax import config as configs

  with open(folder / 'labels.csv', 'w', newline='') as file:
    csv.writer(file).writerows([('image', 'patient', label, 'site'), *rows])
  data = configs.Data(
    'csv', str(folder), (label,), 32, settings={'table_file': 'labels.csv'}, blank='zeros'
  )
  return configs.Config(data=data, model=configs.Model('resnet_tiny'))


def _foreign(attack: Callable) -> Iterator:
  """Predictions of another program, tested on those by whom its thresholds were chosen."""

  def act(change: Callable[[list[dict], list[dict]], Any], **settings: Any) -> Callable:
    def plant(folder: pathlib.Path) -> str:
      from medjax.config.protocol import Protocol
      from medjax.final_test import again

      random = np.random.default_rng(0)
      files = {}
      for part, start in (('validation', 0), ('test', 100)):
        files[part] = [
          {'image': f'{start + n}.png', 'patient': f'P{start + n // 2:03}',
           'prob_Mass': f'{random.random():.4f}', 'true_Mass': str(n % 2)} for n in range(60)
        ]  # fmt: skip
      change(files['validation'], files['test'])
      for part, rows in files.items():
        with open(folder / f'{part}.csv', 'w', newline='') as file:
          writer = csv.DictWriter(file, list(rows[0]))
          writer.writeheader()
          writer.writerows(rows)
      sources = again.PredictionFiles(folder / 'test.csv', validation=folder / 'validation.csv')
      protocol = dataclasses.replace(Protocol(), replicates=20, **settings)
      again.evaluate_files(sources, protocol, folder / 'out')
      return (folder / 'out/index.html').read_text()

    return plant

  def of_validation(column: str) -> Callable:
    return lambda validation, test: test[0].update({column: validation[0][column]})

  for name, change, says in (
    ('a patient of validation is tested', of_validation('patient'), 'are test patients too'),
    ('an image of validation is tested', of_validation('image'), 'are test images too'),
    ('spelled otherwise', lambda validation, test: test[0].update(patient='p000'),
     'look like one'),
    ('validation is the test', lambda validation, test: validation.__setitem__(
      slice(None), test), 'are test'),
    ('a probability above 1', lambda validation, test: test[0].update(prob_Mass='1.7'), 'row 2'),
    ('a truth of 2', lambda validation, test: test[0].update(true_Mass='2'), 'row 2'),
    ('an image counted twice', lambda validation, test: test[1].update(image=test[0]['image']),
     'an image counts once'),
    ('a patient of two spellings', lambda validation, test: test[0].update(patient='p0101'),
     'look like one'),
  ):  # fmt: skip
    yield attack('predictions of others', name, says, act(change))
