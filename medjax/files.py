"""Writing files so that nobody ever finds half of one."""

import os
import pathlib


def write_whole(path: pathlib.Path, text: str) -> None:
  """Writes the file whole or not at all; a reader sees the old content or the new."""
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  temporary.write_text(text, encoding='utf-8')
  os.replace(temporary, path)
