"""Ways to leak what is tested into what is trained, chosen or told, and what is said of them."""

import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import edits
import planted_people
import planted_settings

NOT_TRAINED = 'is not the config that trained'
NO_PROOF = 'split.json: not the file that'
NO_CONFIG = 'config.json: not the file that'
NO_MODEL = 'model.json: not the file that'


class Attack(NamedTuple):
  """Attributes:
  kind: of the attack, for the count.
  name: what was done.
  says: a part of what must be said of it.
  plant: does it in an empty folder and goes on as a user would; returns notes, or raises.
  is_slow: whether a network is built for it.
  """

  kind: str
  name: str
  says: str
  plant: Callable[[pathlib.Path], str]
  is_slow: bool = False


def everything(run: pathlib.Path, root: pathlib.Path) -> list[Attack]:
  """Returns all attacks on a finished run and its study."""
  return [
    *_edited(run),
    *_weights(run),
    *planted_settings.attacks(Attack, run, root),
    *planted_people.attacks(Attack, run, root),
  ]


def _open(workdir: pathlib.Path) -> str:
  from medjax.runs import finished

  opened = finished.open_run(workdir)
  return ' '.join([*opened.result.study_notes, *opened.result.notes])


def _of_test(row: dict) -> bool:
  return row['split'] == 'test'


def _other_probability(text: str) -> str:
  return repr(1 - float(text))


def _both_split_files(workdir: pathlib.Path, change: Callable[[str], str]) -> None:
  edits.text(workdir / 'split.csv', change)
  digest = hashlib.sha256((workdir / 'split.csv').read_bytes()).hexdigest()
  edits.document(workdir / 'split.json', edits.put('split_sha256', to=digest))


def _edited(run: pathlib.Path) -> Iterator[Attack]:
  """A finished run whose files were edited, taken away or exchanged."""
  split = {
    'a test patient trains': edits.cell('split', 'train', _of_test),
    'a training patient is tested': edits.cell(
      'split', 'test', lambda row: row['split'] == 'train'
    ),
    'validation is tested too': edits.each(
      'split', lambda part: 'test' if part == 'validation' else part
    ),
    'who was tested is unused': edits.each(
      'split', lambda part: 'unused' if part == 'test' else part
    ),
    'a row is missing': lambda rows: rows[1:],
    'a row is doubled': lambda rows: [rows[0], *rows],
    'a patient is renamed': edits.cell('patient', 'patient99999', _of_test),
    'a patient is spelled otherwise': edits.cell('patient', str.upper, _of_test),
    'an image is renamed': edits.cell('image', 'train/other.jpg', _of_test),
    'rows are in another order': lambda rows: rows[::-1],
  }
  says = 'not the file that split.json vouches for'
  for name, change in split.items():
    yield _edit(run, 'edits of split.csv', name, says, 'split.csv', change)
  proof = {
    'its hash': (edits.put('split_sha256', to='0' * 64), says),
    'its overlap': (edits.put('patient_overlap', to={}), NO_PROOF),
    'its prevalence': (
      edits.put('splits', 'test', 'labels', to={}),
      NO_PROOF,
    ),
    'its notes': (edits.put('notes', to=['Nothing weakens it.']), NO_PROOF),
    "its table's hash": (edits.put('table_sha256', to='0' * 64), NO_PROOF),
    'its seed': (edits.put('seed', to=17), NO_PROOF),
    'what it has not checked': (edits.put('not_checked', to=[]), NO_PROOF),
    'its duplicates': (edits.put('duplicates', to={}), NO_PROOF),
  }
  for name, (change, words) in proof.items():
    yield _edit(run, 'edits of split.json', name, words, 'split.json', change)
  for name, change in (
    ('test patients train', lambda text: text.replace(',test\n', ',train\n')),
    ('training patients are tested', lambda text: text.replace(',train\n', ',test\n')),
    ('validation and test exchanged', _exchanged),
  ):
    yield Attack(
      'splits with a proof of their own', name, 'not that of the split that trained',
      _then_open(run, lambda workdir, change=change: _both_split_files(workdir, change)),
    )  # fmt: skip
  point = ('levels', 'image', 'operating_points')
  frozen = {
    'a threshold raised': edits.put(*point, to=lambda points: _thresholds(points, 0.9)),
    'a threshold lowered': edits.put(*point, to=lambda points: _thresholds(points, 0.01)),
    'the calibration': edits.put('levels', 'image', 'calibration', 'labels', to={}),
    'its step': edits.put('step', to=3),
    "its split's hash": edits.put('split_sha256', to='0' * 64),
    "its weights' hash": edits.put('weights_sha256', to='0' * 64),
    'how the step was chosen': edits.put('chosen_by', to=None),
    'its rules': edits.put(*point, to=lambda points: _ruled(points)),
  }
  says = 'frozen.json: not the file that'
  for name, change in frozen.items():
    yield _edit(run, 'edits of frozen.json', name, says, 'frozen.json', change)
  label = 'Edema'
  cells = {
    'a probability': edits.cell(f'prob_{label}', _other_probability),
    'probabilities before calibration': edits.each(f'raw_{label}', _other_probability),
    'log-odds': edits.each(f'logit_{label}', lambda text: repr(-float(text))),
    'a truth': edits.cell(f'true_{label}', lambda text: '0' if text == '1' else '1'),
    'a truth made unknown': edits.cell(f'true_{label}', ''),
    'a decision': edits.cell(f'decision_{label}', lambda text: '0' if text == '1' else '1'),
    'a patient renamed': edits.cell('patient', 'patient99999'),
    'patients joined': edits.each('patient', lambda name: 'one'),
    'the hardest image left out': lambda rows: rows[1:],
    'an image added': lambda rows: [*rows, {**rows[0], 'image': 'easy.jpg'}],
    'a site of one group': edits.each('sex', lambda text: 'M'),
  }
  for part in ('test', 'validation'):
    file = f'predictions/{part}.csv'
    says = f'{file}: not the file that'
    for name, change in cells.items():
      yield _edit(run, f'edits of the predictions of {part}', name, says, file, change)
  config = {
    'its seed': (edits.put('seed', to=7), NOT_TRAINED),
    'its split': (edits.put('split', 'seed', to=7), NOT_TRAINED),
    'its augmentation': (edits.put('augment', to='none'), NOT_TRAINED),
    'its labels': (
      edits.put('data', 'labels', to=lambda names: names[::-1]),
      NOT_TRAINED,
    ),
    'its policy for blanks': (
      edits.put('data', 'blank', to='ignore'),
      NOT_TRAINED,
    ),
    'its steps': (edits.put('steps', to=600), NO_CONFIG),
    'its calibration': (
      edits.put('evaluation', 'calibration', to='none'),
      NO_CONFIG,
    ),
    'its rules': (
      edits.put('evaluation', 'operating_points', to=['threshold=0.5']),
      NO_CONFIG,
    ),
    'its aggregate': (
      edits.put('evaluation', 'aggregate', to='mean'),
      NO_CONFIG,
    ),
    'its replicates': (edits.put('replicates', to=9), NO_CONFIG),
    'its level': (edits.put('evaluation', 'level', to='patient'), NOT_TRAINED),
  }
  for name, (change, words) in config.items():
    yield _edit(run, 'edits of config.json', name, words, 'config.json', change)
  others: dict[str, tuple[str, Callable, str]] = {
    'whom the weights saw is unsaid': (
      'model.json', edits.put('pretrained', to={'from': 'timm/x'}), NO_MODEL),
    'the normalisation': (
      'model.json', edits.put('preprocessing', 'mean', to=[0.4]), NO_MODEL),
    'a hash of an image': (
      'images.csv', edits.cell('sha256', '0' * 64), 'images.csv: not the file that'),
    'images without a hash': ('images.csv', lambda rows: rows[1:], 'images.csv: not the file that'),
    'an image set aside': (
      'set_aside.csv', lambda rows: [{'image': 'hard.jpg', 'split': 'test', 'reason': 'x'}],
      'set_aside.csv: not the file that'),
    'the readings of the test set': (
      'evaluation/readings.json', edits.put('readings', to=[]), 'readings.json: not the file that'),
    'an AUROC of the result': (
      'evaluation/test.json', edits.put('mean', 'auroc', 'value', to=0.99), 'was edited'),
    'an interval of the result': (
      'evaluation/test.json', edits.put('mean', 'auroc', 'interval', to=[0.9, 1]), 'was edited'),
    'the notes of the result': (
      'evaluation/test.json', edits.put('study_notes', to=[]), 'was edited'),
    'the patients of the result': (
      'evaluation/test.json', edits.put('test', 'patients', to=9_000), 'was edited'),
    'what the result vouches for': (
      'evaluation/test.json', edits.put('files', to={}), 'does not hold the SHA-256'),
  }  # fmt: skip
  for name, (file, change, words) in others.items():
    yield _edit(run, 'edits of other files', name, words, file, change)
  yield Attack(
    'edits of other files', 'the first screen of the report', 'index.html: not the file that',
    _then_open(run, lambda workdir: edits.text(
      workdir / 'report/index.html', lambda text: re.sub(r'0\.\d{3}', '0.990', text)
    )),
  )  # fmt: skip
  for file, words in (
    ('split.csv', 'no such file'), ('split.json', 'no such file'), ('frozen.json', 'no such file'),
    ('predictions/test.csv', 'no such file'), ('predictions/validation.csv', 'no such file'),
    ('images.csv', 'no such file'), ('model.json', 'no such file'),
    ('evaluation/readings.json', 'no such file'),
  ):  # fmt: skip
    yield Attack(
      'files taken away', file, words,
      _then_open(run, lambda workdir, file=file: (workdir / file).unlink()),
    )  # fmt: skip
  yield Attack(
    'files exchanged', 'the predictions of test by those of validation', 'test.csv: not the file',
    _then_open(run, lambda workdir: shutil.copy(
      workdir / 'predictions/validation.csv', workdir / 'predictions/test.csv'
    )),
  )  # fmt: skip


def _edit(
  run: pathlib.Path, kind: str, name: str, says: str, file: str, change: Callable
) -> Attack:
  edit = edits.document if file.endswith('.json') else edits.rows
  return Attack(
    kind, name, says, _then_open(run, lambda workdir: edit(workdir / file, change))
  )  # fmt: skip


def _then_open(
  run: pathlib.Path, plant: Callable[[pathlib.Path], Any]
) -> Callable[[pathlib.Path], str]:
  def act(folder: pathlib.Path) -> str:
    workdir = edits.copied(run, folder)
    plant(workdir)
    return _open(workdir)

  return act


def _exchanged(text: str) -> str:
  return (
    text.replace(',test\n', ',x\n')
    .replace(',validation\n', ',test\n')
    .replace(',x\n', ',validation\n')
  )


def _thresholds(points: dict, value: float) -> dict:
  return {
    label: [{**point, 'threshold': value, 'reason': ''} for point in of_label]
    for label, of_label in points.items()
  }


def _ruled(points: dict) -> dict:
  return {
    label: [{**point, 'rule': f'threshold=0.{number + 1}'} for number, point in enumerate(of_label)]
    for label, of_label in points.items()
  }


def _weights(run: pathlib.Path) -> Iterator[Attack]:
  """Checkpoints of others."""

  def carried(**values: Any) -> Callable[[pathlib.Path], None]:
    def plant(workdir: pathlib.Path) -> None:
      for path in workdir.glob('checkpoints/*/_CHECKPOINT_METADATA'):
        edits.document(path, lambda content: content['custom_metadata'].update(values))

    return plant

  def renamed(workdir: pathlib.Path) -> None:
    (latest,) = workdir.glob('checkpoints/6')
    latest.rename(latest.with_name('5'))

  def silent(workdir: pathlib.Path) -> None:
    for path in workdir.glob('checkpoints/*/_CHECKPOINT_METADATA'):
      path.write_text('{}')

  config = json.loads((run / 'config.json').read_text())
  network = {**config['model'], 'name': 'resnet18'}
  for name, plant, says in (
    ('of another split', carried(split_sha256='0' * 64), 'is not that of the split that trained'),
    ('of another seed', carried(config=config | {'seed': 5}), NOT_TRAINED),
    ('of another network', carried(config=config | {'model': network}),
     NOT_TRAINED),
    ('that vouch for other files', carried(files={'split.json': '0' * 64}), 'split.json: not the'),
    ('of another step', renamed, 'is the checkpoint of step'),
    ('that say nothing', silent, 'does not say which split and config trained it'),
    ('of nothing', lambda workdir: shutil.rmtree(workdir / 'checkpoints/6/state'), ''),
  ):  # fmt: skip
    if name == 'of nothing':
      yield Attack('checkpoints of others', name, 'cannot be read', _then_network(run, plant), True)
    else:
      yield Attack('checkpoints of others', name, says, _then_open(run, plant))
  yield Attack(
    'checkpoints of others', 'other arrays under the same name', 'its weights are not those that',
    _then_network(run, _other_arrays), True,
  )  # fmt: skip


def _then_network(
  run: pathlib.Path, plant: Callable[[pathlib.Path], Any]
) -> Callable[[pathlib.Path], str]:
  def act(folder: pathlib.Path) -> str:
    from medjax.runs import finished

    workdir = edits.copied(run, folder)
    plant(workdir)
    steps = finished.open_run(workdir).network.steps
    return f'opened, of steps {steps}'

  return act


def _other_arrays(workdir: pathlib.Path) -> None:
  """Saves arrays of other values in place of those of the best checkpoint."""
  import jax
  import numpy as np
  from orbax.checkpoint import v1 as ocp

  (latest,) = workdir.glob('checkpoints/6')
  said = (latest / '_CHECKPOINT_METADATA').read_bytes()
  here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  target = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
    ocp.checkpointables_metadata(latest.absolute()).metadata['state'],
  )
  state = ocp.load_checkpointables(latest.absolute(), {'state': target})['state']
  changed = jax.tree.map(
    lambda leaf: leaf + 1 if np.issubdtype(leaf.dtype, np.floating) else leaf, state
  )
  shutil.rmtree(latest)
  ocp.save_checkpointables(latest.absolute(), {'state': changed})
  (latest / '_CHECKPOINT_METADATA').write_bytes(said)
