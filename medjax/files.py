"""Writing files so that nobody ever finds half of one."""

import os
import pathlib


def write_whole(path: pathlib.Path, content: str | bytes) -> None:
  """Writes the file whole or not at all; a reader sees the old content or the new. Text is UTF-8."""
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  temporary.write_bytes(content.encode() if isinstance(content, str) else content)
  os.replace(temporary, path)
