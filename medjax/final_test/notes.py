"""What weakens a study beyond its figures, in plain sentences."""

from collections.abc import Sequence, Set

from medjax.data.study import Study
from medjax.runs import model_file, seen_by_run
from medjax.runs.layout import Layout
from medjax.runs.model_file import Provenance


def notes(data: Study, broken: Set[str], parts: Sequence[str]) -> list[str]:
  """Returns what weakens the study because of its data; `parts` are splits."""
  sentences = list(data.proof['notes'])
  for part in parts:
    for kind in ('positives', 'negatives'):
      labels = data.proof[f'labels_without_{kind}'].get(part)
      if labels:
        sentences.append(f'No {kind} in {part}: {", ".join(labels)}.')
  if broken:
    sentences.append(
      f'{len(broken):,} images could not be read and were set aside (set_aside.csv).'
    )
  return sentences


def notes_on_weights(layout: Layout, data: Study, started: Provenance) -> list[str]:
  """Returns what weakens the study because of the weights that it started from."""
  met_again = seen_by_run.note_on_weights(data.table, data.split, layout)
  return [note for note in (model_file.note(started), met_again) if note]
