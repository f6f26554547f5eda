"""Progress to the terminal, or as plain lines to a log."""

import concurrent.futures
import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar('Item')
Made = TypeVar('Made')
_THREADS, _TOGETHER = 8, 1000
_SILENT, _LONGEST = 4.0, 60.0  # seconds that nothing is said for, at first and at most


def say(text: str = '') -> None:
  """Prints a line for the person at the terminal, or in the log."""
  if tqdm := sys.modules.get('tqdm'):
    tqdm.tqdm.write(text)  # above the bars that there are
  else:
    print(text)
  sys.stdout.flush()


_waits: list[object] = []  # Of those inside each other the innermost speaks.


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
  """Says what is being done where it takes long: after 4 seconds, and whenever that has doubled.

  Args:
    what: for the person who waits, such as 'compiling the training step'; of something elsewhere
      that is waited for, who it is and what to check.
  """
  done, wait = threading.Event(), object()

  def watch() -> None:
    start, pause = time.monotonic(), _SILENT
    while not done.wait(pause):
      waited = time.monotonic() - start
      if _waits and _waits[-1] is wait:
        say(f'{_clock(waited)}  {what}')
      pause = min(waited, _LONGEST)

  watcher = threading.Thread(target=watch, daemon=True)
  _waits.append(wait)
  watcher.start()
  try:
    yield
  finally:
    _waits.remove(wait)
    done.set()
    watcher.join()


class Progress:
  """A bar with rate and time left on a terminal or in a notebook; in a log, a plain line twenty
  times a run.

  Args:
    what: the unit of `total`, such as 'step'.
    start: where a resumed run begins.
    total: where it ends.
    images: images per unit, for the rate; 0 shows none.
    quiet: says nothing; for all processes but the first.
  """

  def __init__(self, what: str, start: int, total: int, images: int = 1, quiet: bool = False):
    self._what, self._start, self._total, self._images = what, start, total, images
    self._quiet, self._began, self._first, self._paused = quiet, 0.0, 0, 0.0
    self._every = max(1, total // 20)
    self._bar = None
    if (sys.stderr.isatty() or 'ipykernel' in sys.modules) and not quiet:
      import tqdm

      self._bar = tqdm.tqdm(initial=start, total=total, unit=what, dynamic_ncols=True)

  def update(self, done: int, note: str = '') -> None:
    """Shows that `done` of the total are done."""
    now = time.monotonic()
    if not self._began:  # The clock starts here: what came before was compiling.
      self._began, self._first = now, done
    elapsed, units = now - self._began, done - self._first
    if units and self._images:
      rate = units * self._images / max(elapsed - self._paused, 1e-9)
      note = f'{note}  {rate:,.0f} images/s'.strip()
    if self._bar is not None:
      self._bar.set_postfix_str(note, refresh=False)
      self._bar.update(done - self._bar.n)
    elif (
      not self._quiet and (done % self._every == 0 or done == self._total) and done > self._start
    ):
      # Pauses come again, so they count here.
      left = f'  {_clock((self._total - done) * elapsed / units)} left' if units else ''
      say(f'{self._what} {done:,}/{self._total:,}  {note}{left}')

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """What is done inside does not count in the rate of images, only in the time left."""
    start = time.monotonic()
    try:
      yield
    finally:
      if self._began:
        self._paused += time.monotonic() - start

  def close(self) -> None:
    """Leaves the terminal to what comes next."""
    if self._bar is not None:
      self._bar.close()


def in_threads(what: str, function: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
  """Returns `function` of every item, computed by several threads under a bar; `what` is its
  unit.
  """
  made: list[Made] = []
  bar = Progress(what, 0, len(items))
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool, contextlib.closing(bar):
    # A part at a time: an error or Ctrl-C ends with the part.
    for first in range(0, len(items), _TOGETHER):
      made += pool.map(function, items[first : first + _TOGETHER])
      bar.update(len(made))
  return made


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(math.ceil(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{seconds:02}'
