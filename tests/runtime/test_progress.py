"""The rate that a bar shows, and what is said while nothing else is."""

import sys
import time
import types

import pytest

from medjax.runtime import progress


@pytest.fixture
def clock(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


def test_validations_and_saves_count_in_the_time_left_but_not_in_the_rate(clock, capsys):
  bar = progress.Progress('step', 0, 20, images=8)
  bar.update(1)  # The first step compiles; the clock starts at its end.
  for step in range(2, 11):
    clock[0] += 1
    bar.update(step)
  with bar.paused():
    clock[0] += 90
  clock[0] += 1
  bar.update(11)
  last = capsys.readouterr().out.splitlines()[-1]
  # 10 steps of 8 images in 10 s; in 100 s with the validation, so 9 steps take 90 s more.
  assert last.split() == ['step', '11/20', '8', 'images/s', '0:01:30', 'left']


def test_a_pause_before_the_first_step_is_not_counted(clock, capsys):
  bar = progress.Progress('step', 0, 4)
  with bar.paused():
    clock[0] += 50
  bar.update(1)
  clock[0] += 2
  bar.update(2)
  assert '0 images/s' in capsys.readouterr().out.splitlines()[-1]  # half an image each second


def test_a_long_wait_says_what_it_is_for_and_a_short_one_nothing(monkeypatch, capsys):
  monkeypatch.setattr(progress, '_SILENT', 0.05)
  with progress.waiting('compiling'):
    pass
  assert capsys.readouterr().out == ''
  with progress.waiting('validating'), progress.waiting('compiling'):
    time.sleep(0.5)
  lines = capsys.readouterr().out.splitlines()
  # Of two inside each other the inner one, each time after twice as long.
  assert 2 <= len(lines) <= 5 and set(lines) == {'0:00:01  compiling'}


def test_a_wait_that_fails_is_over(monkeypatch, capsys):
  monkeypatch.setattr(progress, '_SILENT', 0.05)
  with pytest.raises(ValueError), progress.waiting('failing'):
    raise ValueError
  time.sleep(0.2)
  assert capsys.readouterr().out == ''


def test_a_log_of_a_long_work_is_never_silent_for_long(clock, capsys):
  bar = progress.Progress('step', 0, 100_000)
  said = []
  for step in range(1, 1001):
    clock[0] += 1
    bar.update(step)
    said += [clock[0]] * len(capsys.readouterr().out.splitlines())
  gaps = [later - earlier for earlier, later in zip([100.0, *said], [*said, clock[0]])]
  assert gaps[:5] == [4, 8, 16, 32, 60] and max(gaps) == 60


def test_who_sees_a_line_or_a_bar_move_is_told_nothing_more(monkeypatch, capsys):
  monkeypatch.setattr(progress, '_SILENT', 0.3)
  with progress.waiting('working'):
    for _ in range(12):
      time.sleep(0.05)
      progress.say('a line')
  assert set(capsys.readouterr().out.splitlines()) == {'a line'}
  with progress.waiting('working'):
    time.sleep(0.5)
  assert capsys.readouterr().out == '0:00:01  working\n'


def test_what_only_guards_leaves_it_to_the_first_of_several_processes(monkeypatch, capsys):
  monkeypatch.setattr(progress, '_SILENT', 0.05)
  monkeypatch.setattr(progress, '_quiet', [False])
  progress.leave_to_others()
  with progress.waiting('x is at work', is_last_resort=True):
    time.sleep(0.2)
    assert capsys.readouterr().out == ''
    with progress.waiting('waiting for the first'):
      time.sleep(0.2)
  assert 'waiting for the first' in capsys.readouterr().out


def test_what_is_said_while_another_thread_imports_the_bars_is_printed(monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'tqdm', types.ModuleType('tqdm'))
  progress.say('compiling')
  assert capsys.readouterr().out == 'compiling\n'
