"""Each drill says what is lost: commands that lose something are put in the place of ours."""

import collections
import pathlib
import random
import subprocess
import sys

import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / 'drills'))

import attacks
import common
import ends
import garbage
import honesty
import kills
import long
import networks
import planted
import privacy
import starved
import watched

from medjax.errors import InputError

# Writes out.json in two halves, as no command of ours does, with what is asked for between.
HALVES = """
import pathlib, sys, time
out = pathlib.Path(sys.argv[1])
is_first = not (out / 'begun').exists()
(out / 'begun').touch()
with open(out / 'out.json', 'w') as file:
  file.write('{"begun":')
  file.flush()
  {between}
  file.write(' 1}')
"""
# Ends otherwise where it was begun before, and leaves a process and shared memory behind.
FORGETFUL = """
import pathlib, subprocess, sys, time
out = pathlib.Path(sys.argv[1])
is_first = not (out / 'begun').exists()
(out / 'begun').touch()
if is_first:
  subprocess.Popen(['sleep', '60'])
  time.sleep(60)
(out / 'out.json').write_text('2')
"""


def python(script):
  """folder to write → command line of a script that is given it."""

  def line(out):
    out.mkdir(parents=True, exist_ok=True)
    return [sys.executable, '-c', script, str(out)]

  return line


def life(line, out, tmp_path):
  scene = kills.Scene('planted', line, 1)
  chance = random.Random(0)
  chance.uniform = lambda low, high: high
  return kills._life(scene, tmp_path, out, chance, 1, 1, collections.Counter())


def test_kills_see_half_files_other_bits_and_processes_left_behind(tmp_path, monkeypatch):
  monkeypatch.setattr(watched, 'PATIENCE', 0.2)
  whole, out = tmp_path / 'whole', tmp_path / 'out'
  whole.mkdir()
  (whole / 'out.json').write_text('1')
  line = python(HALVES.replace('{between}', 'time.sleep(60 * is_first)'))
  done, lost, _ = life(line, out, tmp_path)
  assert done == 1 and any('half written: out.json' in what for what in lost)

  done, lost, _ = life(python(FORGETFUL), tmp_path / 'other', tmp_path)
  assert done == 1 and any('left behind: process' in what for what in lost)
  assert ends.differences(whole, tmp_path / 'other') == [
    'in the end there is begun too', 'other bits: out.json',
  ]  # fmt: skip


def test_a_starved_command_that_ends_in_a_traceback_or_loses_what_it_had_is_seen(tmp_path):
  drill = common.Tally(tmp_path)
  line = python(HALVES.replace('{between}', ''))
  starved._limited(drill, 'few open files', starved.Command('halves', line), 'exec "$@"')
  assert not drill.lost
  line = python(HALVES.replace('{between}', '1 / 0'))
  (tmp_path / 'fails_whole').mkdir()
  starved._limited(drill, 'few open files', starved.Command('fails', line), 'exec "$@"')
  assert any('ZeroDivisionError' in what for what in drill.lost)
  assert any('does not go on' in what for what in drill.lost)


# Says nothing of a file for which it has too little.
SWALLOWING = """
import pathlib, resource, sys
if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64:
  (pathlib.Path(sys.argv[1]) / 'out.json').write_text('1')
"""


def test_success_that_is_said_of_half_the_work_is_seen(tmp_path):
  drill = common.Tally(tmp_path)
  command = starved.Command('swallows', python(SWALLOWING))
  starved._limited(drill, 'few open files', command, 'ulimit -n 64\nexec "$@"')
  (lost,) = drill.lost
  assert 'success is said: in the end it lacks out.json' in lost


def test_a_command_that_does_not_end_is_lost_and_ends(tmp_path):
  done = common.call([sys.executable, '-c', 'import time; time.sleep(60)'], tmp_path, timeout=0.5)
  assert 'no end after 0.5 s' in common.told_in_one_line(done)


def test_weights_that_are_taken_without_their_hash_are_seen(tmp_path, monkeypatch):
  trusting = (
    'import hashlib, os, sys, urllib.request\n'
    'url = f"{os.environ[\'HF_ENDPOINT\']}/{sys.argv[1]}/resolve/main/model.safetensors"\n'
    'print(hashlib.sha256(urllib.request.urlopen(url).read()).hexdigest())\n'
  )
  monkeypatch.setattr(networks, '_FETCH', trusting)
  tally = common.Tally(tmp_path)
  networks._hubs(tally, quick=True)
  assert any('other weights of the same size: it did not fail' in what for what in tally.lost)


def samples(**grown):
  flat = {'memory': 10**9, 'files': 20, 'threads': 30, 'disk': 10**6}
  return [
    long.Sample(number, **{name: flat[name] + grown.get(name, 0) * number for name in flat})
    for number in range(30)
  ]


@pytest.mark.parametrize('name', ['memory', 'files', 'threads', 'disk'])
def test_what_grows_is_lost(name):
  assert long._judged('work', samples(), [])[1] == []
  grown = {'memory': 10**7, 'disk': 10**6}.get(name, 2)
  assert f'{name} grew' in long._judged('work', samples(**{name: grown}), [])[1][0]


def test_a_reader_that_raises_or_reads_something_else_is_lost(tmp_path):
  def tried(read):
    reader = garbage.Reader({'a.txt': b'abc' * 20}, read, 1)
    return garbage.attempt('planted', reader, 0, tmp_path)

  def raises(error):
    def read(path):
      raise error

    return read

  assert tried(lambda path: '') == tried(raises(InputError('a.txt: damaged'))) == ''
  assert tried(lambda path: 'another row') == 'a.txt: another row'
  assert 'KeyError' in tried(raises(KeyError('x')))
  with pytest.raises(RuntimeError, match='as it was made: another row'):
    garbage._read_unchanged(garbage.Reader({'a.txt': b''}, lambda path: 'another row', 1), tmp_path)


def test_names_that_run_steer_or_compute_are_found_in_what_is_left(tmp_path):
  run = tmp_path / 'run'
  run.mkdir()
  (tmp_path / 'new.csv').write_text('image,note\na.png,fine\n')
  (run / 'good.html').write_text('<p>&lt;script&gt; <img src="data:image/png;base64,x"></p>')
  assert attacks._left(run, tmp_path)[1] == []
  (run / 'page.html').write_text('<p onclick="x()"><script>1</script>')
  (run / 'turned.svg').write_text('<text>a\u202eb</text>')
  (run / 'card.md').write_text('[click](javascript:alert(1))')
  (run / 'table.csv').write_text("image,site\na.png,=cmd|' !C'!A0\n")
  lost = ' '.join(attacks._left(run, tmp_path)[1])
  for name in ('page.html', 'turned.svg', 'card.md', 'table.csv'):
    assert f'run/{name}' in lost


def test_a_bomb_that_is_read_or_a_traceback_is_lost(tmp_path):
  def opened(read):
    return attacks._opened(attacks.bombs.Bomb('planted', tmp_path, read))

  def raises(error):
    def read(path):
      raise error

    return read

  assert opened(raises(InputError('too large'))) == ''
  assert 'it was read' in opened(lambda path: 1)
  assert 'MemoryError' in opened(raises(MemoryError()))
  assert 'another file holds' in opened(raises(InputError('root: CANARY')))


def test_pictures_of_patients_where_none_were_asked_for_are_found(tmp_path):
  for name in ('run/report/index.html', 'run/split.csv', 'export/model.txt'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b'data:image/png;base64,')
  assert len(privacy._pictures(tmp_path)) == 2


def test_a_leak_that_goes_unsaid_is_lost(tmp_path, monkeypatch):
  def attack(name, plant):
    return planted.Attack('planted', name, 'is tested too', plant)

  def refused(folder):
    raise InputError('a patient is tested too')

  def traceback(folder):
    raise KeyError('a patient is tested too')

  ways = [
    attack('unsaid', lambda folder: ''),
    attack('said', lambda folder: 'who trained is tested too'),
    attack('refused', refused),
    attack('a traceback', traceback),
  ]
  monkeypatch.setattr(common, 'finished_run', lambda folder: folder)
  monkeypatch.setattr(common, 'phantom', lambda folder: folder)
  monkeypatch.setattr(planted, 'everything', lambda run, root: ways)
  figures = honesty.main(True, pathlib.Path(tmp_path))
  assert figures.tried == 4
  assert [what.partition(':')[0] for what in figures.lost] == ['unsaid', 'a traceback']


@pytest.mark.parametrize(
  ('status', 'errors', 'wrong'),
  [
    (1, 'error: the disk is full\n', ''),
    (0, '', 'it did not fail'),
    (1, 'error: a\nerror: b\n', '2 lines'),
    (1, 'Traceback (most recent call last):\nKeyError\n', 'a traceback'),
    (-9, '', 'it ended with status -9'),
  ],
)
def test_one_line_is_told_from_more_and_from_a_traceback(status, errors, wrong):
  told = common.told_in_one_line(subprocess.CompletedProcess([], status, '', errors))
  assert told.startswith(wrong) and bool(told) == bool(wrong)
