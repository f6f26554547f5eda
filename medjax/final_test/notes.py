"""What weakens a study beyond its figures, in plain sentences."""

from collections.abc import Mapping, Sequence, Set

import numpy as np

from medjax.config import Config
from medjax.data import study, table
from medjax.data.images import boxes, content
from medjax.data.study import Study
from medjax.errors import InputError, count
from medjax.evaluation import results_file, wording
from medjax.evaluation.search_result import SearchResult, value_in_words
from medjax.final_test import saliency
from medjax.runs import integrity, model_file, readings, seen_by_run
from medjax.runs.layout import Layout
from medjax.runs.model_file import Provenance
from medjax.runs.readings import Reading
from medjax.runtime import progress, remote_path
from medjax.training.learner import Learner


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


def notes_on_weights(config: Config, layout: Layout, data: Study, started: Provenance) -> list[str]:
  """Returns what weakens the study because of the weights that it started from."""
  met_again = seen_by_run.note_on_weights(data.table, data.split, layout)
  sentences = [note for note in (model_file.note(started), met_again) if note]
  tested, patients = seen_by_run.tested_before(data.table, data.split, config.data.root, layout)
  if tested and started.pretrained:
    sentences.append(
      f'{tested:,} of the {count(patients, "test patient")} had been tested before with the '
      f'weights that this run started from ({started.pretrained["from"]}): if these were chosen '
      'for what that test said, the figures flatter; patients who were never tested would tell.'
    )
  return sentences


def notes_on_members(config: Config) -> list[str]:
  """Returns what weakens the study because other runs are averaged with its own.

  They are finished and have the same split, see medjax.runs.finished.open_members.
  """
  members = config.evaluation.members
  if not members:
    return []
  which = 'run that is' if len(members) == 1 else 'runs that are'
  return [
    f'The {which} averaged with this one ({", ".join(members)}) had been tested on the same '
    'patients before: if chosen for what that test said, the figures flatter; patients who were '
    'never tested would tell.'
  ]


def notes_on_pictures(config: Config, learner: Learner) -> list[str]:
  """Returns what the report will have to do without, as far as it can be told before training."""
  sentences = []
  if config.evaluation.saliency.startswith('grad_cam'):
    try:
      saliency.check_feature_map(learner)
    except InputError as error:
      sentences.append(f'No heat maps: {error}.')
  try:
    if path := boxes.find(remote_path.path(config.data.root)):
      boxes.read(path)
  except InputError as error:
    sentences.append(f'The boxes beside the data will be ignored: {error}.')
  return sentences


def search_of(layout: Layout) -> SearchResult | None:
  """Returns the search that chose the settings of a run, None where there was none.

  Raises:
    InputError: the file is of another version of medjax, or damaged.
  """
  if not layout.search.is_file():
    return None
  return results_file.load(layout.search, SearchResult, 'take the folder as its search left it')


def facts_on_search(search: SearchResult | None) -> dict[str, str]:
  """Returns by what the settings of a run were chosen, name → words; nothing without a search."""
  winner = search.winner() if search else None
  if search is None or winner is None:
    return {}
  return {
    'settings chosen by': f'validation, as trial {winner.number} of {search.counts()}',
    'settings chosen': '; '.join(
      f'{name} {value_in_words(value)}' for name, value in winner.settings.items()
    ),
    'chosen from': '; '.join(f'{name} {kind.in_words()}' for name, kind in search.space.items()),
    'validation of the winner': wording.plain(winner.auroc, 3),
  }


def notes_on_readings(layout: Layout, before: list[Reading], reading: Reading) -> list[str]:
  """Returns how often the test set was read before, and whether the run was trained in parts."""
  sentences = readings.in_words(before, reading)
  steps = reading['config']['steps']
  trained = integrity.schedules(layout, steps)
  if len(trained) > 1:
    parts = ', then '.join(
      f'from step {part["from"]:,} on under a schedule of {part["steps"]:,} steps'
      for part in trained
    )
    sentences.append(
      f'Trained in parts, {parts}: the learning rate rose again in between, so this is not what '
      f'{steps:,} steps in one would have given.'
    )
  return sentences


def notes_on_settings(config: Config, layout: Layout) -> list[str]:
  """Returns which choices on how the test set is read were made after the training."""
  changed = integrity.chosen_after_training(config, layout)
  if not changed:
    return []
  return [
    f'Set after the training: {"; ".join(changed)}. If the predictions of the test set had been '
    'looked at by then, the figures flatter.'
  ]


_CONSEQUENCE = {
  'train': 'what is there now may have trained, and whether it is tested too is not known',
  'validation': 'the thresholds are of what is there now',
  'test': 'the figures are of what is there now',
}


def notes_on_changed_images(
  config: Config, layout: Layout, data: Study, rows: Mapping[str, np.ndarray]
) -> list[str]:
  """Compares images with what they were when the run started.

  Args:
    config: of the run.
    layout: of its work directory.
    data: the study.
    rows: side of the split → the positions of its images.
  """
  if not layout.images.is_file():  # Started by an earlier medjax.
    return ['What the images held when the run started is not recorded; they may have changed.']
  recorded = table.read_csv(layout.images, ['image', 'sha256']).set_index('image')['sha256']
  sentences = []
  for part, positions in rows.items():
    images = data.table['image'].iloc[positions]
    digests = progress.in_threads('image compared', content.digest, study.paths(config, images))
    changed = images[recorded.reindex(images).to_numpy() != np.array(digests, object)]
    if len(changed):
      sentences.append(
        f'{len(changed):,} of the {count(len(images), f"{part} image")} are not the files that '
        f"they were when the run started, such as '{changed.iloc[0]}': {_CONSEQUENCE[part]}."
      )
  return sentences
