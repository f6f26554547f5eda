"""Ctrl-C ends a command wherever it falls.

Python raises KeyboardInterrupt in whatever code runs at that moment. Where that is a finaliser or a
callback of the garbage collector, the exception is printed and dropped, and in the midst of a
compilation another exception takes its place.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_AGAIN = 0.1  # seconds, until the code that dropped it has been left


def _press() -> None:
  if os.name == 'nt':  # os.kill ends a process there.
    _thread.interrupt_main()
  else:
    os.kill(os.getpid(), signal.SIGINT)


def notice() -> Callable[[], bool]:
  """Returns whether Ctrl-C has been pressed; from now on one that is dropped is raised anew.

  Nothing changes where Ctrl-C is ignored, as under nohup, or where another handler is in place.
  """
  pressed: list[int] = []
  before = sys.unraisablehook

  def interrupt(number: int, frame: FrameType | None) -> None:
    pressed.append(number)
    signal.default_int_handler(number, frame)

  def raise_anew(dropped: Any) -> None:
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
      before(dropped)
      return
    timer = threading.Timer(_AGAIN, _press)
    timer.daemon = True
    timer.start()

  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = raise_anew
  return lambda: bool(pressed)
