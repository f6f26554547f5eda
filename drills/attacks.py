"""Files, names and configs of somebody who means harm: each is refused in one line, or does none.

Bombs and lying headers, containers that lead elsewhere, code in files that are no code, and names
that are orders to a page, a terminal, a spreadsheet or a reader's eye.
"""

import contextlib
import csv
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys

import bombs
import common
import numpy as np
import text_garbage
import watched_child

# Names that a label, a file, a patient or a site may have, and that do something where they are not
# escaped. No file can hold a slash or a zero byte.
HARMLESS_WHERE_ESCAPED = (
  '<script>alert(1)<!script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '<svg onload=alert(1)>',
  '&lt;b&gt; &#60;i&#62;',
  '[click](javascript:alert(1))',
  '{{7*7}} ${7*7} %s %n',
  '$(touch x) `touch x` ; rm x',
  'a|b||c',
  'a,b;c"d',
  '__proto__',
  'DROP TABLE x; --',
  '肺炎 بيت ß',
)
REFUSED_AS_LABELS = (
  '=1+1', '@SUM(A1)', "+cmd|' !C calc'!A0", "-2+3+cmd|' !C calc'!A0", '\t=1+1', '\r=1+1', 'a\nb',
  'a\r\nb', 'a\x1b[31mb', 'a\x1b]0;x\x07', 'a\u202egnp.exe', '\u2066a\u2069', 'a\u2028b',
  'x' * 4096, ' ', 'a\x00b', '\u200fa',
)  # fmt: skip
STEERING = ('file\x1b[31m', 'file\u202egnp', 'file\nline', 'x' * 200)
_ACTIVE = {'script', 'iframe', 'object', 'embed', 'link', 'base', 'form'}
_ADDRESSES = ('href', 'xlink:href', 'src', 'action', 'formaction', 'srcset', 'poster')
_LEADING = ('javascript:', 'vbscript:', 'http', '//', 'data:text')


class _Elements(html.parser.HTMLParser):
  """Collects what a page would run or fetch."""

  def __init__(self):
    super().__init__()
    self.active: list[str] = []

  def handle_starttag(self, tag, attributes):
    for name, value in attributes:
      address = re.sub(r'[\s\x00-\x20]', '', value or '').lower()
      leads = name in _ADDRESSES and address.startswith(_LEADING)
      if name.startswith('on') or leads or (tag == 'img' and name == 'src' and not (
        address.startswith('data:image/')
      )):  # fmt: skip
        self.active.append(f'<{tag} {name}={value!r:.60}>')
    if tag in _ACTIVE:
      self.active.append(f'<{tag}>')


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Runs the drill."""
  shutil.rmtree(folder / 'work', ignore_errors=True)
  work = folder / 'work'
  work.mkdir(parents=True)
  lost: list[str] = []
  made, trace = bombs.bombs(work), work / 'code_ran'
  made += bombs.pickles(work, trace)
  wrong = watched_child.go_through(
    lambda number: _opened(made[number]), len(made), prepare=text_garbage.quiet
  )
  lost += [f'{made[number].name}: {words}' for number, words in wrong]
  if trace.exists():
    lost.append('pickles: code ran')
  tried = len(made)
  for check in (_labels_refused, _configs, _outside):
    count, words = check(work)
    tried, lost = tried + count, lost + words
  count, words = _names_in_a_run(work, folder)
  tried, lost = tried + count, lost + words
  audit = _audit()
  return common.Figures(tried, tuple(lost), f'{len(made)} files that harm, {count} looks at '
                        f'what names do in a run; dependencies: {audit}')  # fmt: skip


def _opened(bomb: bombs.Bomb) -> str:
  from medjax.errors import InputError

  try:
    read = bomb.read(bomb.path)
  except InputError as error:
    told = str(error)
    return 'it tells what another file holds' if 'CANARY' in told else ''
  except Exception as error:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
  harmless = bomb.name in ('picture: png_text.png', 'picture: png_profile.png')
  return '' if harmless else f'it was read: {read!r:.60}'


def _labels_refused(work: pathlib.Path) -> tuple[int, list[str]]:
  from medjax import config as configs
  from medjax.errors import InputError

  def make(label: str) -> None:
    data = configs.Data('csv', '/data', (label, 'Edema'), 32)
    configs.from_dict(
      configs.to_dict(configs.Config(data=data, model=configs.Model('resnet_tiny')))
    )

  lost = []
  for label in REFUSED_AS_LABELS:
    try:
      make(label)
      lost.append(f'the label {label[:30]!r} was taken')
    except InputError as error:
      if not str(error).isprintable() or len(str(error)) > 500:
        lost.append(f'the label {label[:30]!r}: {str(error)[:200]!r}')
  for label in HARMLESS_WHERE_ESCAPED:
    make(label)
  return len(REFUSED_AS_LABELS) + len(HARMLESS_WHERE_ESCAPED), lost


def _configs(work: pathlib.Path) -> tuple[int, list[str]]:
  """A config is code, which is said where one is loaded; a run's config.json is none."""
  from medjax import config as configs
  from medjax.config import loading

  lost = []
  said = (common.PROJECT / 'docs/config.md').read_text().lower()
  if 'is code' not in said or 'code, which' not in (loading.load.__doc__ or ''):
    lost.append('nowhere is it said that a config is code')
  trace = work / 'config_ran'
  values = json.loads(text_garbage.seeds.config())
  for name in ('augment', 'precision'):
    values[name] = f'__import__("os").mkdir({str(trace)!r})'
  (work / 'stranger').mkdir()
  (work / 'stranger/config.json').write_text(json.dumps(values))
  with contextlib.suppress(ValueError):
    text_garbage.config(work / 'stranger/config.json')
  made = configs.Config(
    data=configs.Data('csv', '/data', ('Mass',), 32), model=configs.Model('resnet_tiny')
  )
  with contextlib.suppress(ValueError):
    configs.fields.override(made, 'data.settings.x', f'__import__("os").mkdir({str(trace)!r})')
  if trace.exists():
    lost.append('text of a config or of a command line ran')
  return 3, lost


def _outside(work: pathlib.Path) -> tuple[int, list[str]]:
  """Names that lead out of a folder write nothing there."""
  from medjax.data.images.lists import Item
  from medjax.inference import heat_files
  from medjax.runtime import files

  lost, folder = [], work / 'maps'
  names = ('../../out.png', '/etc/out.png', 'a/../../out.png', '..', './../out', 'a/./b.png')
  for name in names:
    for label in ('Mass', '../../Mass', '/Mass'):
      if name == '..':
        continue
      path = heat_files.path(folder, Item(name, name, ''), label)
      if not path.resolve().is_relative_to(folder.resolve()):
        lost.append(f'a heat map of {name!r} and {label!r} would be {path}')
  for name in names:
    if pathlib.PurePath(files.short_name(name)).name != files.short_name(name):
      lost.append(f'a short name of {name!r} leads elsewhere')
  return 4 * len(names), lost


def _study(root: pathlib.Path) -> list[str]:
  """Writes a study whose files, patients and sites have names that harm; returns its labels."""
  from PIL import Image

  random = np.random.default_rng(0)
  labels = [name for name in HARMLESS_WHERE_ESCAPED if ',' not in name][:6]
  names = [*HARMLESS_WHERE_ESCAPED, *STEERING]
  root.mkdir()
  with open(root / 'labels.csv', 'w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow(['image', 'patient', 'site', *labels])
    for number in range(120):
      name = names[number % len(names)]
      image = f'{name} {number}.png'
      truth = random.integers(0, 2, len(labels))
      pixels = random.integers(0, 100, (32, 32)) + 100 * truth[0]
      Image.fromarray(pixels.astype(np.uint8)).save(root / image)
      writer.writerow([image, f'{name} {number // 2}', names[number % 3], *truth])
  return labels


def _names_in_a_run(work: pathlib.Path, folder: pathlib.Path) -> tuple[int, list[str]]:
  """Trains on that study and looks at all that it leaves and says."""
  root, run = work / 'study', work / 'run'
  labels = _study(root)
  config = work / 'stranger.py'
  config.write_text(
    'from medjax.config import *\n'
    "def get_config(arg=''):\n"
    f'  return Config(Data("csv", {str(root)!r}, {tuple(labels)!r}, 32,\n'
    '    settings={"table_file": "labels.csv"}), Model("resnet_tiny", {"width": 4}),\n'
    '    Split(0.3, 0.3), batch_size=8, steps=4, evaluate_every=2, replicates=20,\n'
    '    evaluation=Evaluation(subgroups=("site",)))\n'
  )
  done = common.call(common.command('main', f'--config={config}', f'--workdir={run}'), folder)
  if done.returncode:
    return 1, [f'no run on a study of such names: {done.stderr[-300:]!r}']
  images = common.call(
    common.command('predict', f'--workdir={run}', f'--images={root}', f'--output={work}/new.csv',
                   '--allow_training_images'),
    folder,
  )  # fmt: skip
  exported = common.call(common.command('export', f'--workdir={run}'), folder)
  lost = []
  for name, out in (('main', done), ('predict', images), ('export', exported)):
    if out.returncode:
      lost.append(f'{name} ended with {out.returncode}: {out.stderr[-200:]!r}')
    text = out.stdout + out.stderr
    if re.search('[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200e\u200f]', text):
      lost.append(f'{name} said what steers a terminal')
  looks, words = _left(run, work)
  return 3 + looks, lost + words


def _left(run: pathlib.Path, work: pathlib.Path) -> tuple[int, list[str]]:
  lost, looks = [], 0
  for path in sorted([*run.rglob('*'), work / 'new.csv']):
    if not path.is_file() or 'checkpoints' in path.parts:
      continue
    looks += 1
    where = path.relative_to(work)
    if path.suffix in ('.html', '.svg', '.md'):
      text = path.read_text()
      if re.search('[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]', text):
        lost.append(f'{where}: holds what steers or turns text')
      if path.suffix == '.md':
        if re.search(r'(?<!\\)<(script|img|svg)|(?<!\\)\]\(javascript', text):
          lost.append(f'{where}: holds live HTML or a link')
      else:
        page = _Elements()
        page.feed(text)
        lost += [f'{where}: {element}' for element in page.active[:3]]
    elif path.suffix == '.csv':
      lost += [f'{where}: {words}' for words in _cells(path)]
    elif path.suffix == '.json':
      json.loads(path.read_text())
  return looks, lost


def _cells(path: pathlib.Path) -> list[str]:
  from medjax.config import names

  with open(path, newline='', encoding='utf-8') as file:
    cells = {cell for row in csv.reader(file) for cell in row}
  return [f'a cell that a spreadsheet computes: {cell!r:.60}' for cell in cells
          if names.is_formula(cell)][:3]  # fmt: skip


def _audit() -> str:
  """Returns what pip-audit says of the packages that are installed, or why it says nothing."""
  try:
    done = subprocess.run(
      [sys.executable, '-m', 'pip_audit', '--progress-spinner', 'off', '--format', 'json'],
      capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    found = json.loads(done.stdout)['dependencies']
  except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
    return 'not audited here, for pip-audit is not installed'
  known = [package for package in found if 'skip_reason' not in package]
  if not known:
    return 'not audited here, for pip-audit reaches no data base'
  return f'{sum(bool(p["vulns"]) for p in known)} of {len(known)} packages with known faults'
