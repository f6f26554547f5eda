"""Progress to the terminal, or as plain lines to a log."""

import concurrent.futures
import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar('Item')
Made = TypeVar('Made')
_THREADS, _TOGETHER = 8, 1000
_SIZE = {'ncols': 80, 'nrows': 20}  # characters and lines, where nobody says how many there are
_TICK = 1.0  # seconds between two looks at a clock
_SILENT, _LONGEST = 4.0, 60.0  # seconds that nothing is said for, at first and at most


def say(text: str = '') -> None:
  """Prints a line for the person at the terminal, or in the log."""
  # While another thread imports it, it is there without its bars.
  if bars := getattr(sys.modules.get('tqdm'), 'tqdm', None):
    bars.write(text)  # above the bars that there are
  else:
    print(text)
  sys.stdout.flush()
  _said[0] = time.monotonic()


_said = [0.0]  # when a line was last said, or a bar last moved
_waits: list[object] = []  # Of those inside each other the innermost speaks.
_quiet = [False]


def leave_to_others() -> None:
  """Has this process not say that it is at work: of several the first does."""
  _quiet[0] = True


@contextlib.contextmanager
def waiting(what: str, is_last_resort: bool = False) -> Iterator[None]:
  """Says what is being done where nothing else is said for 4 seconds: on a terminal by a clock that
  runs until it is done, in a log by a line then, and whenever that has doubled, up to a minute.

  Args:
    what: for the person who waits, such as 'compiling the training step'; of something elsewhere
      that is waited for, who it is and what to check.
    is_last_resort: whether it is for what nobody has thought to name; see `leave_to_others`.
  """
  done, wait = threading.Event(), object()
  if not _waits:  # Else the silence has begun before.
    _said[0] = time.monotonic()

  def watch() -> None:
    start, pause = time.monotonic(), _SILENT
    left = max(_SILENT - (start - _said[0]), _SILENT / 8)
    clock: Any = None
    while not done.wait(left):
      now = time.monotonic()
      is_own = bool(_waits) and _waits[-1] is wait and not (is_last_resort and _quiet[0])
      # A line or a bar has been seen meanwhile.
      left = pause - (now - _said[0])
      if clock is not None and (left > pause - _TICK or not is_own):
        clock = clock.close()
      if sys.stderr.isatty():
        if clock is None and is_own and left <= 0:
          clock = _clock_bar(what, now - start)
        if clock is not None:
          clock.refresh()
        left = _TICK if clock is not None else max(left, _TICK)
      elif left <= 0:
        if is_own:
          say(f'{_clock(now - start)}  {what}')
        pause = left = min(max(pause, now - start), _LONGEST)
    if clock is not None:
      clock.close()

  watcher = threading.Thread(target=watch, daemon=True)
  _waits.append(wait)
  watcher.start()
  try:
    yield
  finally:
    _waits.remove(wait)
    done.set()
    watcher.join()


def _clock_bar(what: str, waited: float) -> Any:
  """Returns a line at the foot of the terminal that says how long something has been waited for."""
  import tqdm

  escaped = what.replace('{', '{{').replace('}', '}}')
  size: dict[str, Any] = {'dynamic_ncols': True} if _knows_its_size() else _SIZE
  clock = tqdm.tqdm(bar_format=f'{{elapsed}}  {escaped}', leave=False, **size)
  clock.start_t -= waited
  return clock


class Progress:
  """A bar with rate and time left on a terminal or in a notebook; in a log, plain lines: twenty a
  run, and where these are far apart one after 4 seconds, and whenever that has doubled, up to a
  minute.

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
    self._line, self._pause = time.monotonic(), _SILENT
    self._bar = None
    if (sys.stderr.isatty() or 'ipykernel' in sys.modules) and not quiet:
      import tqdm

      # A terminal that does not say how large it is, as in a container, would have no bar.
      size = {'dynamic_ncols': True} if _knows_its_size() else _SIZE
      self._bar = tqdm.tqdm(initial=start, total=total, unit=what, **size)

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
      _said[0] = now
    elif not self._quiet and done > self._start and self._is_due(done, now):
      # Pauses come again, so they count here.
      left = f'  {_clock((self._total - done) * elapsed / units)} left' if units else ''
      say(f'{self._what} {done:,}/{self._total:,}  {note}{left}')
      self._line = now

  def _is_due(self, done: int, now: float) -> bool:
    if done % self._every == 0 or done == self._total:
      return True
    if now - self._line < self._pause:
      return False
    self._pause = min(2 * self._pause, _LONGEST)
    return True

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


def _knows_its_size() -> bool:
  try:
    return os.get_terminal_size(sys.stderr.fileno()).columns > 0
  except (OSError, ValueError):  # A notebook.
    return True


def counted(parts: Iterable[Item], bar: Progress) -> Iterator[Item]:
  """Yields the parts, and moves a bar by one whenever the next is asked for."""
  for done, part in enumerate(parts, start=1):
    yield part
    bar.update(done)


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
