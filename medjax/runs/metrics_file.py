"""The file metrics.jsonl: a row for each step that is logged and for each validation."""

from typing import Any

from medjax.runs.layout import Layout
from medjax.runtime import files


def read(layout: Layout) -> list[dict[str, Any]]:
  """Returns the rows, none where there is no file; a last line cut off by a kill is left out."""
  path = layout.metrics
  rows = []
  for line in path.read_text().splitlines() if path.is_file() else ():
    try:
      rows.append(files.parsed(line))
    except ValueError:
      break
  return rows
