"""The file metrics.jsonl: a row for each step that is logged and for each validation."""

import json
from typing import Any

from medjax.runs.layout import Layout


def read(layout: Layout) -> list[dict[str, Any]]:
  """Returns the rows, none where there is no file; a last line cut off by a kill is left out."""
  path = layout.metrics
  rows = []
  for line in path.read_text().splitlines() if path.is_file() else ():
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError:
      break
  return rows
