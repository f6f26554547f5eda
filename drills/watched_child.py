"""A child process that goes through numbered tries, watched: no hang, no end, no gigabytes."""

import multiprocessing
import time
from collections.abc import Callable, Iterator

import psutil

_SPAN = 0.1  # seconds between looks


def go_through(
  attempt: Callable[[int], str],
  count: int,
  *,
  prepare: Callable[[], None] = lambda: None,
  seconds: float = 10,
  most_bytes: int = 2 * 10**9,
) -> Iterator[tuple[int, str]]:
  """Yields (number, what is wrong) of each try that did not end as it must, in a child process.

  Args:
    attempt: makes the try of a number and returns '' or what is wrong.
    count: of tries, from 0.
    prepare: called once in each child, before its tries.
    seconds: that a try may take.
    most_bytes: by which the memory of the child may grow over what it is after `prepare`.
  """
  context = multiprocessing.get_context('fork')
  at = context.Value('q', -1, lock=False)  # The number that is tried; -1 before the first.
  since = context.Value('d', 0.0, lock=False)
  base = context.Value('q', 0, lock=False)
  start = 0
  while start < count:
    receiver, sender = context.Pipe(duplex=False)

    def child(start: int = start, sender=sender) -> None:
      prepare()
      base.value = psutil.Process().memory_info().rss
      for number in range(start, count):
        since.value, at.value = time.monotonic(), number
        try:
          wrong = attempt(number)
        except BaseException as error:  # What the drill itself does is no try.
          wrong = f'the drill: {type(error).__name__}: {error}'
        if wrong:
          sender.send((number, wrong))
      sender.close()

    at.value = -1
    process = context.Process(target=child)
    process.start()
    sender.close()
    end = ''
    while True:
      try:
        if receiver.poll(_SPAN):
          yield receiver.recv()
          continue
      except EOFError:
        break
      end = _grown_or_hung(process, at.value, since.value, base.value, seconds, most_bytes)
      if end:
        process.kill()
        break
    process.join()
    if not end and process.exitcode:
      end = f'the process ended with status {process.exitcode}'
    if not end:
      return
    yield max(at.value, start), end
    start = max(at.value, start) + 1


def _grown_or_hung(process, number, since, base, seconds, most_bytes) -> str:
  if number < 0:
    return ''
  if time.monotonic() - since > seconds:
    return f'no end after {seconds:g} s'
  try:
    grown = psutil.Process(process.pid).memory_info().rss - base
  except psutil.NoSuchProcess:
    return ''
  return f'{grown / 1e9:.1f} GB of memory' if grown > most_bytes else ''
