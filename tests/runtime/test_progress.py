"""The rate that a bar shows."""

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
