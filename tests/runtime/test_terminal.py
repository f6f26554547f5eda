"""What a person at a terminal sees, and what stands in a log, of commands that take a while."""

import contextlib
import os
import re
import subprocess
import sys

import drawn_slides
import pytest
from conftest import PROJECT

pty = pytest.importorskip('pty')
# '33%|███▎   | 50/150 [00:02<00:04, 25.0image/s': how far, how long still, how fast.
BAR = re.compile(r'\d+%\|[^|\r]*\| +(\d+)/(\d+) \[\d\d:\d\d<(\d\d:\d\d|\?), +([\d.?]+)')


def at_a_terminal(command):
  """Runs a command at a terminal; returns its exit status and what is seen."""
  mine, theirs = pty.openpty()
  environment = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'COLUMNS': '100'}
  process = subprocess.Popen(
    command, cwd=PROJECT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
  )
  os.close(theirs)
  seen = b''
  with contextlib.suppress(OSError):  # Linux' way to say that nobody writes any more.
    while part := os.read(mine, 2**16):
      seen += part
  os.close(mine)
  return process.wait(), seen.decode().replace('\r\n', '\n')


def in_a_log(command):
  """Runs a command whose output is no terminal; returns as `at_a_terminal` does."""
  done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
  return done.returncode, done.stdout + done.stderr


def script(body):
  lines = ['import time', 'from medjax.runtime import command_line, progress', 'def main():', *body]
  return [sys.executable, '-c', '\n'.join([*lines, 'command_line.run(main)'])]


def test_a_bar_has_rate_and_time_left():
  body = [
    "  bar = progress.Progress('image', 0, 30)",
    '  for done in range(1, 31):',
    '    time.sleep(0.03)',
    '    bar.update(done)',
    '  bar.close()',
    "  progress.say('done')",
  ]
  status, seen = at_a_terminal(script(body))
  bars = BAR.findall(seen)
  assert status == 0 and len(bars) > 3 and bars[-1][:2] == ('30', '30')
  assert any(left not in ('?', '00:00') or rate != '?' for _, _, left, rate in bars)
  assert 'images/s' in seen and seen.rstrip().endswith('done')
  _, said = in_a_log(script(body))
  *lines, last = said.splitlines()
  assert last == 'done' and 15 <= len(lines) <= 30
  assert re.fullmatch(r'image 30/30  [\d,]+ images/s  0:00:00 left', lines[-1])


def test_no_command_is_silent_whatever_it_does():
  command = script(['  time.sleep(1.5)'])
  faster = 'progress._SILENT, progress._TICK = 0.2, 0.1\ndef main'
  command[-1] = command[-1].replace('def main', faster)
  status, said = in_a_log(command)
  assert status == 0
  # After 0.2, 0.4 and 0.8 seconds.
  lines = said.splitlines()
  assert 2 <= len(lines) <= 3
  assert all(re.fullmatch(r'0:00:0\d  the command is at work', line) for line in lines)
  # A clock that runs, and is gone in the end.
  status, seen = at_a_terminal(command)
  assert status == 0 and seen.count('\r00:00  the command is at work') >= 2
  assert '\r00:01  the command is at work' in seen
  assert seen.rstrip('\n').split('\r')[-1].strip() == ''


def test_a_bar_that_moves_takes_the_place_of_the_clock():
  body = [
    "  bar = progress.Progress('image', 0, 30)",
    '  time.sleep(0.6)',
    '  for done in range(1, 31):',
    '    time.sleep(0.05)',
    '    bar.update(done)',
    '  bar.close()',
  ]
  command = script(body)
  faster = 'progress._SILENT, progress._TICK = 0.2, 0.1\ndef main'
  command[-1] = command[-1].replace('def main', faster)
  status, seen = at_a_terminal(command)
  assert status == 0 and seen.count('the command is at work') >= 2
  assert BAR.findall(seen)[-1][:2] == ('30', '30')
  assert 'at work' not in seen[seen.rindex('/30 [') - 200 :]


def test_cutting_slides_shows_a_bar(tmp_path):
  pytest.importorskip('openslide')
  for seed in range(3):
    drawn_slides.node(tmp_path / 'slides', f'n{seed}', seed, False)
  command = [
    sys.executable, '-m', 'medjax.slides', f'--slides={tmp_path / "slides"}', '--workers=1',
    f'--output={tmp_path / "cut"}', '--mpp=0.5', '--patch_size=32', '--centre=12',
  ]  # fmt: skip
  status, seen = at_a_terminal(command)
  assert status == 0, seen
  assert [done for done, *_ in BAR.findall(seen)][-1] == '3' and 'n2: ' in seen


@pytest.mark.slow
def test_decoding_images_shows_a_bar(phantom_root, tmp_path):
  command = [
    sys.executable, '-m', 'medjax.prepare', '--config=phantom', f'--output={tmp_path / "p"}',
    f'--config.data.root={phantom_root}', '--config.data.settings.images=120',
    '--config.data.settings.image_size=32',
  ]  # fmt: skip
  status, seen = at_a_terminal(command)
  assert status == 0, seen
  assert BAR.findall(seen)[-1][:2] == ('120', '120') and 'prepared: 120 images' in seen
