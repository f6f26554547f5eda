"""What a study of DICOM files gives away: of the people in them nothing, in whatever is left.

Every field that can hold text has a canary, private groups too, and a corner of each picture a
name burned in. Then all commands run, some of them into an error, and all that they leave and say
is searched as bytes, also in what is packed.
"""

import base64
import csv
import hashlib
import hmac
import importlib.util
import io
import pathlib
import re
import shutil

import common
import found_bytes
import numpy as np
from PIL import Image, ImageDraw

MARK, BORN, UID = 'ZQXJVK', '19370419', '1.2.826.0.773625194403'


def _forms(word: str) -> list[bytes]:
  """Returns a word as it is, in lower case, as hexadecimal digits, and within base64."""
  text = word.encode()
  coded = [base64.b64encode(b'x' * offset + text + b'x' * 3) for offset in range(3)]
  # The first and last digits of base64 are of the neighbours, too.
  inner = [code[(8 * offset + 5) // 6 :][: (8 * len(text) - 6) // 6] for offset, code in
           enumerate(coded)]  # fmt: skip
  return [text, text.lower(), text.hex().encode(), *inner]


_WANTED = re.compile(
  b'|'.join([*map(re.escape, _forms(MARK)), rb'(?<!\d)1937-?04-?19(?!\d)', UID[10:].encode()])
)
# What may show pictures of patients, because it is asked for: docs/data.md.
_PICTURES = ('report/index.html', 'evaluation/examples.json', 'augmented.png', 'report/index_files')
_SIDE = 48


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Runs the drill."""
  work = folder / 'work'
  shutil.rmtree(work, ignore_errors=True)
  root, count = work / 'films', 48 if quick else 300
  fields = _films(root, count)
  (work / 'key').write_bytes(bytes(range(32)))
  (work / 'other_key').write_bytes(bytes(range(1, 33)))
  config = work / 'study.py'
  config.write_text(_config(root, work / 'key', quick))
  left = work / 'left'
  left.mkdir()
  said, lost = _commands(left, config, root, work, quick)
  searched, size = 0, 0
  for path in [*found_bytes.files(left)]:
    data = path.read_bytes()
    searched, size = searched + 1, size + len(data)
    where = str(path.relative_to(left))
    for text, kind in ((data, 'holds'), (where.encode(), 'is named after')):
      if there := found_bytes.find(text, _WANTED):
        lost.append(f'{where} {kind} {there}')
  for name, text in said.items():
    if there := found_bytes.find(text.encode(), _WANTED):
      lost.append(f'{name} says {there}')
  lost += _pseudonyms(left, root) + _exports(left) + _pictures(left)
  packed = 'zip, gzip, zlib, base64, PNG' + (' and zstd' if found_bytes.has_zstd() else '')
  without = '' if found_bytes.has_zstd() else '; not looked into here: zstd, for want of pyarrow'
  line = (
    f'{count} DICOM files with {fields} canaries each, {len(said)} commands; {searched:,} files of '
    f'{size / 1e6:.0f} MB searched, and what is packed in them ({packed}){without}'
  )
  return common.Figures(count * fields, tuple(lost), line)


def _canary(vr: str, number: int) -> object:
  digits = f'{number:06}'
  return {
    'DA': BORN, 'TM': '111111', 'DT': BORN, 'UI': f'{UID}.{number}', 'PN': f'{MARK}{digits}^Jane',
    'AE': f'{MARK}{digits}', 'SH': f'{MARK}{digits}', 'CS': f'{MARK}{digits}',
    'UR': f'http://{MARK}{digits}.example',
  }.get(vr, f'{MARK}{digits} of Elm Street')  # fmt: skip


def _films(root: pathlib.Path, count: int) -> int:
  """Writes the films and their labels; returns how many canaries each has."""
  import pydicom
  import seeds
  from pydicom import datadict, uid
  from pydicom.dataset import Dataset

  pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
  texts = {'AE', 'CS', 'DA', 'DT', 'LO', 'LT', 'PN', 'SH', 'ST', 'TM', 'UC', 'UI', 'UR', 'UT'}
  kept = {
    'SpecificCharacterSet', 'SOPClassUID', 'PhotometricInterpretation', 'VOILUTFunction',
    'PresentationLUTShape', 'PixelPresentation', 'PatientAge', 'PatientSex',
  }  # fmt: skip
  names = [
    (entry[4], entry[0])
    for tag, entry in sorted(datadict.DicomDictionary.items())
    if entry[0] in texts and entry[1] == '1' and entry[4] and not entry[3]
    and 0x0008 <= tag >> 16 <= 0x0040 and entry[4] not in kept
  ]  # fmt: skip
  random, rows = np.random.default_rng(0), []
  for number in range(count):
    has_mass = number % 3 == 0
    pixels = random.normal(90, 20, (_SIDE, _SIDE))
    pixels[10:20, 20:30] += 80 * has_mass
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    ImageDraw.Draw(picture).text((1, _SIDE - 11), f'{MARK}{number}', fill=255)
    data = pydicom.dcmread(
      io.BytesIO(seeds.dicom(np.asarray(picture), uid.ExplicitVRLittleEndian)), force=True
    )
    for keyword, vr in names:
      setattr(data, keyword, _canary(vr, number))
    data.PatientID = f'{MARK}{number // 2:06}'
    data.PatientSex = 'FM'[number % 2]  # So that a note gives an example of a patient.
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    block = data.private_block(0x0011, f'{MARK} private', create=True)
    block.add_new(1, 'LO', _canary('LO', number))
    block.add_new(2, 'UN', f'{MARK}{number}'.encode())
    item = Dataset()
    item.PatientName, item.CodeMeaning = _canary('PN', number), _canary('LO', number)
    data.OtherPatientIDsSequence = [item]
    path = root / f'{number // 20:02}' / f'IM{number:04}.dcm'
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    rows.append((f'{number // 20:02}/IM{number:04}.dcm', int(has_mass), _canary('PN', number)))
  damaged = root / '00/IM0001.dcm'
  damaged.write_bytes(damaged.read_bytes()[:-500])
  with open(root / 'labels.csv', 'w', newline='') as file:
    csv.writer(file).writerows([('image', 'Mass', 'name'), *rows])
  return len(names) + 6


def _config(root: pathlib.Path, key: pathlib.Path, quick: bool) -> str:
  trackers = ['tensorboard']
  if not quick:
    trackers += [name for name in ('mlflow', 'wandb') if importlib.util.find_spec(name)]
  return (
    'from medjax.config import *\n'
    "def get_config(arg=''):\n"
    f'  return Config(Data("dicom", {str(root)!r}, ("Mass",), 32, broken="set_aside",\n'
    f'    settings={{"pseudonym_key": {str(key)!r}}}), Model("resnet_tiny", {{"width": 4}}),\n'
    '    Split(0.3, 0.3), batch_size=8, steps=4, evaluate_every=2, replicates=20,\n'
    f'    tracking={tuple(trackers)!r})\n'
  )


def _commands(
  left: pathlib.Path, config: pathlib.Path, root: pathlib.Path, work: pathlib.Path, quick: bool
) -> tuple[dict[str, str], list[str]]:
  """Runs the commands; returns what each said, and those that ended otherwise than they should."""
  run, given = left / 'run', f'--config={config}'
  lines = {
    'split': (0, ['split', given, f'--output={left}/split']),
    'split under another key': (
      0,
      ['split', given, f'--output={left}/other',
       f'--config.data.settings.pseudonym_key={work}/other_key'],
    ),
    'main': (0, ['main', given, f'--workdir={run}']),
    'export': (0, ['export', f'--workdir={run}', f'--output={left}/export']),
    'no such label': (1, ['main', given, f'--workdir={left}/no', '--config.data.labels=name']),
  }  # fmt: skip
  if not quick:
    lines |= {
      'a damaged file that stops': (1, ['main', given, f'--workdir={left}/none',
                                        '--config.data.broken=stop']),
      'main again': (0, ['main', given, f'--workdir={run}']),
      'audit': (0, ['audit', given, f'--output={left}/audit']),
      'preview': (0, ['preview', given, f'--output={left}/preview.png']),
      'prepare': (0, ['prepare', given, f'--output={left}/prepared']),
      'predict': (0, ['predict', f'--workdir={run}', f'--images={root}', f'--output={left}/p.csv',
                      f'--heat_maps={left}/maps', '--allow_training_images']),
      'evaluate': (0, ['evaluate', f'--workdir={run}', '--seed=3']),
      'onnx': (0, ['export', f'--workdir={run}', '--format=onnx', f'--output={left}/onnx']),
      'patients as they are': (1, ['split', given, '--config.data.settings.pseudonym_key=/none',
                                   f'--output={left}/none']),
    }  # fmt: skip
  said, lost = {}, []
  variables = {'XDG_CACHE_HOME': str(left / 'cache'), 'TMPDIR': str(left / 'tmp'),
               'WANDB_MODE': 'offline', 'HOME': str(left / 'home')}  # fmt: skip
  for folder in ('tmp', 'home', 'cache'):
    (left / folder).mkdir()
  for name, (status, words) in lines.items():
    done = common.call(common.command(*words), work, **variables)
    said[name] = done.stdout + done.stderr
    if done.returncode != status or 'Traceback' in said[name]:
      lost.append(f'{name} ended with {done.returncode}: {done.stderr[-200:]!r}')
  return said, lost


def _patients(path: pathlib.Path) -> list[str]:
  with open(path, newline='') as file:
    return [row['patient'] for row in csv.DictReader(file)]


def _pseudonyms(left: pathlib.Path, root: pathlib.Path) -> list[str]:
  """The same under the same key, others under another, and computed by who has the key."""
  lost = []
  one, again, other = (_patients(left / name / 'split.csv') for name in ('split', 'run', 'other'))
  if one != again:
    lost.append('pseudonyms are not the same in two commands under one key')
  shared = set(one) & set(other)
  if any('IM0001' not in name for name in shared):  # A damaged file stands for itself.
    lost.append(f'{len(shared)} pseudonyms are the same under two keys')
  ids = {f'{MARK}{number:06}' for number in range(len(one))}
  made = {hmac.new(bytes(range(32)), i.encode(), hashlib.sha256).hexdigest()[:16] for i in ids}
  if any(name not in made and 'IM0001' not in name for name in one):
    lost.append('a pseudonym is not the HMAC-SHA-256 of an id under the key')
  return lost


def _exports(left: pathlib.Path) -> list[str]:
  """An exported model names no patient, no image and shows none."""
  names = {*_patients(left / 'run/split.csv')} - {''}
  wanted = re.compile(b'|'.join([*(re.escape(name.encode()) for name in names), rb'IM\d{4}']))
  lost = []
  for folder in ('export', 'onnx'):
    for path in found_bytes.files(left / folder):
      if there := found_bytes.find(path.read_bytes(), wanted):
        lost.append(f'{folder}/{path.name} holds {there}')
  return lost


def _pictures(left: pathlib.Path) -> list[str]:
  """Pictures of patients are where they are asked for, and nowhere else."""
  lost = []
  for path in [*found_bytes.files(left / 'run'), *found_bytes.files(left / 'export')]:
    where = str(path.relative_to(left / 'run') if 'run' in path.parts else path)
    data = path.read_bytes()
    shows = b'\x89PNG\r\n' in data or b'\xff\xd8\xff\xe0' in data or b'data:image' in data
    where = re.sub(r'^evaluation/test\.\d+/', '', where)  # An earlier reading's own page.
    if shows and not where.startswith((*_PICTURES, 'tensorboard/')):
      lost.append(f'{where} shows pictures')
  return lost
