"""How a run begins: the study and the network, checked before anything is written or trained."""

import functools
import pathlib
from typing import Any, NamedTuple

import pandas as pd

from medjax.augment import label_check
from medjax.config import Config
from medjax.data.leakage import seen_before
from medjax.errors import InputError
from medjax.experiment import decoded_images, parts_fit, prepare
from medjax.final_test import notes
from medjax.runs import finished, model_file, seen_by_run, weights_of_run, workdir
from medjax.runs.layout import Layout
from medjax.runs.model_file import Provenance
from medjax.runs.workdir import Draft
from medjax.runtime import devices, progress
from medjax.training import learner, objective, preprocessing
from medjax.training.learner import Learner
from medjax.training.objective import Objective
from medjax.training.preprocessing import Normalisation


class Beginning(NamedTuple):
  """The network of a run before its first step, or its first step after a restart.

  Attributes:
    drafted: the study; None on all processes but the first.
    learner: the network.
    filled: variables that pretrained weights fill.
    started: what model.json says.
    seen: whom the pretrained weights have seen and who has tested them, None for nobody known.
  """

  drafted: Draft | None
  learner: Learner
  filled: dict[str, Any]
  started: Provenance
  seen: pd.DataFrame | None


def begin(config: Config, layout: Layout) -> Beginning:
  """Reads the source and builds the network; says what is wrong with either as early as it can."""
  draft = functools.partial(_drafted, config, layout)
  # A run that has trained keeps what its weights brought; the weights are not needed again.
  started = model_file.read(layout) if layout.saved_steps() else None
  if started or not config.model.pretrained:
    if started:
      resolved = started.image_format, Normalisation(started.mean, started.std)
    else:
      resolved = preprocessing.resolve(config, None)
    built = learner.build(config, *resolved)
    started = started or model_file.describe(built, None, None)
    return Beginning(draft(), built, {}, started, None)
  drafted = draft()  # Before anything is fetched.
  weights = weights_of_run.find(config.model.pretrained)
  built = learner.build(config, *preprocessing.resolve(config, weights))
  fitted = built.fit(weights)
  seen = None
  if weights.run:
    of_run = Layout(weights.run)
    seen = pd.concat([seen_by_run.seen_by(of_run), seen_by_run.tested_by(of_run)])
  started = model_file.describe(built, weights, fitted)
  return Beginning(drafted, built, fitted.variables, started, seen)


def _drafted(config: Config, layout: Layout) -> Draft | None:
  with progress.waiting(f'reading the table of images and their labels in {config.data.root}'):
    return devices.first_does(functools.partial(workdir.draft, config, layout))


def fill(
  config: Config,
  layout: Layout,
  beginning: Beginning,
  decoded: pathlib.Path | None,
  keeps_images: bool,
) -> Objective | None:
  """Checks and fills a new work directory; returns None where one holds all of it already."""
  drafted, seen = beginning.drafted, beginning.seen
  assert drafted is not None  # This is the first process.
  texts = {
    layout.model.name: model_file.to_json(beginning.started),
    layout.pretrained_on.name: None if seen is None else seen.to_csv(index=False),
  }
  data, image_format = drafted.study, beginning.learner.image_format

  def keep_images() -> None:
    images, train = data.table['image'].tolist(), len(data.rows('train'))
    if keeps_images and decoded is None:
      decoded_images.keep(config, layout, images, train, image_format)

  if drafted.is_kept and (layout.saved_steps() or workdir.holds(layout, texts)):
    workdir.check_set_aside(config, layout)
    if layout.saved_steps() and not layout.is_finished() and not layout.decoded.is_dir():
      keep_images()  # A run that goes on on another machine left them on the first.
    return None
  training = objective.make(config, data)
  with progress.waiting('trying whether network, loss and augmentation fit together'):
    parts_fit.check(config, beginning.learner, training.loss)
  if not config.force_augment:
    label_check.check_policy(
      beginning.learner.augment, config.augment, config.data.modality, config.data.channels
    )
  if seen is not None:
    seen_before.check_unseen(data.table, data.split, config.data.root, seen)
  finished.open_members(config, layout.workdir, data.proof['split_sha256'])
  looked = None
  if not drafted.is_kept or seen is not None:
    keep_images()
    reading = prepare.reading(config, decoded or layout.decoded)
    looked = workdir.look_at_images(reading, data, image_format)
    broken = looked.broken
  else:  # What a look has shown is there, of this very config and split.
    workdir.check_set_aside(config, layout)
    broken = workdir.read_broken(layout)
  if seen is not None and looked is not None:
    seen_before.check_new_images(looked.images, seen)
  if len(broken):
    # The weights of the loss are of the images that are left.
    try:
      training = objective.make(config, data, set(broken['image']))
    except InputError as error:
      raise InputError(f'{error}; the first is {broken["reason"].iloc[0]}') from None
  for note in notes.notes_on_pictures(config, beginning.learner):
    progress.say(f'note      {note}')
  if looked is None:
    workdir.write_texts(layout, texts)
  else:
    workdir.prove_apart(config, data, looked)
    workdir.write(config, layout, drafted, looked, texts)
  return training
