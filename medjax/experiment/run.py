"""One run from start to end: the order of things."""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from medjax.config import Config
from medjax.data import pipeline, study
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.evaluation.predictions import Predictions
from medjax.experiment import decoded_images, log, loop, placed_images, preview, start
from medjax.experiment.start import Beginning
from medjax.experiment.tracking import told, trackers
from medjax.experiment.tracking.trackers import Trackers
from medjax.experiment.training_calls import TrainingCalls
from medjax.final_test import evaluate_once
from medjax.runs import (
  averaging,
  checkpoints,
  finished,
  integrity,
  predict,
  readings,
  selection,
  workdir,
)
from medjax.runs.checkpoints import Checkpoints
from medjax.runs.layout import Layout
from medjax.runs.predict import Predicted
from medjax.runs.trained_network import TrainedNetwork, stacked
from medjax.runtime import devices, progress, uncompiled
from medjax.training import objective
from medjax.training.objective import Objective
from medjax.training.steps import TrainState


class Job(NamedTuple):
  """A run at work in its folder: what its training and its test need.

  Attributes:
    config: of the run.
    layout: of its work directory.
    beginning: the network as it starts.
    data: the study.
    broken: images set aside.
    training: what training minimises, and the rows of each split.
    members: networks that the run's predictions are averaged with.
    predict_rows: (variables, rows int[N] of the study) → f32[N, L].
    mesh: the data mesh.
  """

  config: Config
  layout: Layout
  beginning: Beginning
  data: Study
  broken: set[str]
  training: Objective
  members: Sequence[TrainedNetwork]
  predict_rows: Callable[[Any, np.ndarray], np.ndarray]
  mesh: Mesh


def run(config: Config, folder: pathlib.Path, decoded: pathlib.Path | None = None) -> None:
  """Trains, picks the best checkpoint on validation, tests it once and writes the report.

  Started again in the same work directory it goes on where it stopped.

  Args:
    config: a checked config.
    folder: the work directory.
    decoded: a folder of the study's images, decoded for several runs; see medjax.data.prepared.

  Raises:
    InputError: anything about the config, the data or the work directory that needs the user.
    SystemExit: 143 after SIGTERM and 130 after Ctrl-C, with everything saved.
  """
  layout = Layout(folder.absolute())
  with _at_work(config, layout, decoded) as job:
    if job is not None:
      with trackers.opened(config) as tracked:
        _test(job, *_train(job, loop.unwatched, tracked))
        devices.first_does(functools.partial(told.of_test, tracked, layout, config))
    # Also of a run that was killed when all but this was done.
    devices.first_does(functools.partial(decoded_images.remove, layout))


def train_only(
  config: Config,
  folder: pathlib.Path,
  watch: loop.Watch,
  *,
  is_known: bool = False,
  decoded: pathlib.Path | None = None,
) -> Predictions:
  """Trains and picks the best checkpoint as `run` does, and reads nothing of the test set.

  `run` with the same config and work directory goes on with the test.

  Args:
    config: a checked config.
    folder: the work directory, where nothing has been tested.
    watch: see medjax.experiment.loop.Watch.
    is_known: whether a run so much alike was begun before that what it is need not be said again.
    decoded: as of `run`.

  Returns:
    Predictions of the validation split by the best checkpoint; of `evaluation.members` nothing.

  Raises:
    InputError: as `run`, or the folder's test set has been read.
    SystemExit: as `run`.
  """
  layout = Layout(folder.absolute())
  if layout.has_traces_of_a_test():
    raise InputError(f'{layout.workdir}: its test set has been read; take another work directory')
  with _at_work(config, layout, decoded, is_known=is_known, keeps_images=False) as job:
    assert job is not None  # It would be finished.
    with trackers.opened(config) as tracked:
      network, _ = _train(job, watch, tracked)
    rows = job.training.rows['validation']
    variables = jax.device_put(network.best, devices.replicated(job.mesh))
    with _told('predicting the validation set'):
      log_odds = job.predict_rows(variables, rows)
    return _validation(config, job.data, rows, log_odds)


@contextlib.contextmanager
def _at_work(
  config: Config,
  layout: Layout,
  decoded: pathlib.Path | None,
  *,
  is_known: bool = False,
  keeps_images: bool = True,
) -> Iterator[Job | None]:
  """Begins a run, or goes on with one, and holds its folder; yields None where all is done."""
  devices.check_batch_size(config.batch_size, config.optimizer.accumulate)
  trackers.check(config)
  workdir.check(config, layout)
  beginning = start.begin(config, layout)
  fill = functools.partial(start.fill, config, layout, beginning, decoded, keeps_images)
  training = devices.first_does(fill)
  data, broken = workdir.read(config, layout, beginning.drafted)
  with workdir.locked(layout):
    # All look before the first one changes anything.
    is_done = devices.all_agree(workdir.is_done(config, layout))
    is_reopened = devices.all_agree(layout.is_finished()) and not is_done
    if is_reopened:
      devices.first_does(functools.partial(workdir.reopen, config, layout))
    if is_done:
      if devices.is_first():
        progress.say(f'this run is complete: {layout.report}')
      yield None
      return
    data = decoded_images.with_decoded(
      config, decoded or layout.decoded, data, beginning.learner.image_format
    )
    training = training or objective.make(config, data, broken)
    if devices.is_first() and not is_known:
      lines = log.opening_lines(config, layout, beginning.started, data, broken)
      progress.say('\n'.join(lines))
    mesh = devices.data_mesh()
    # Now, not after the training: can they be read?
    split_sha256 = data.proof['split_sha256']
    opened = finished.open_members(config, layout.workdir, split_sha256)
    members = [member.network for member in opened]
    devices.first_does(functools.partial(workdir.keep_going_on, config, layout))
    built = beginning.learner
    predict_rows = predict.predictor(config, data, built.image_format, built.eval_step, mesh)
    yield Job(config, layout, beginning, data, broken, training, members, predict_rows, mesh)


def _test(job: Job, network: TrainedNetwork, best_step: int | None) -> None:
  """Reads the test set and reports; what is chosen for it is chosen on validation."""
  rows = {part: job.training.rows[part] for part in ('validation', 'test')}
  with _told('predicting the validation and the test set'):
    predicted = _predict(job, network, rows)
  devices.first_does(
    functools.partial(
      evaluate_once.test_and_report,
      job.config,
      job.layout,
      job.data,
      job.broken,
      rows,
      predicted,
      network=network,
      best_step=best_step,
      started=job.beginning.started,
    )
  )


def _train(job: Job, watch: loop.Watch, tracked: Trackers) -> tuple[TrainedNetwork, int | None]:
  """Trains; returns the network with its best checkpoints, and the step of the best validation.

  That step is None if no validation had a mean AUROC to choose by; then the last state is taken.
  """
  config, data, training, mesh = job.config, job.data, job.training, job.mesh
  built, count = job.beginning.learner, config.evaluation.checkpoints
  rows = training.rows['validation']
  nothing_said = np.zeros((len(rows), len(config.data.labels)))
  choice = selection.chosen_by(_validation(config, data, rows, nothing_said), config.protocol)
  if devices.is_first():
    progress.say(f'best      by {selection.in_words(choice, config.data.labels)}')
  records = study.records(config, built.image_format, data, training.rows['train'])
  is_placed = placed_images.is_chosen(config, records, mesh)
  batches = functools.partial(
    pipeline.placed_batches
    if is_placed
    else functools.partial(pipeline.train_batches, workers=config.data.workers),
    records,
    training.stream.batch,
    batch_size=config.batch_size,
    stop=config.steps,
    share=pipeline.Share(jax.process_index(), jax.process_count()),
  )

  def validate(state: TrainState) -> dict[str, Any]:
    with _told('validating; the first time this compiles, too'):
      log_odds = job.predict_rows(state.variables, rows)
    predicted = _validation(config, data, rows, log_odds)
    loss = objective.loss_of(config, training.loss, log_odds, data.values[rows], data.mask[rows])
    return {'loss': loss, **selection.validation_metrics(predicted, config.protocol, choice)}

  with checkpoints.open_checkpoints(job.layout, count) as saved:
    with _told('making the first parameters, or reading the checkpoint'):
      first = _first_state(job.beginning, saved, mesh)
    if not first.step and devices.is_first():
      preview.save(config, built, data, training.rows['train'], job.layout.augmented)
    told.of_start(tracked, job.layout, config, first.step)
    images = None
    if is_placed and first.step < config.steps:
      if devices.is_first():
        progress.say(f'images    {placed_images.in_words(records, mesh)} (config.data.placement)')
      images = placed_images.place(records, mesh, config.data.workers)
    state, history = loop.train(
      config,
      job.layout,
      first,
      calls=TrainingCalls(built, training.loss, mesh, first.step, images),
      batches=batches,
      validate=validate,
      watch=watch,
      saved=saved,
      carried={
        'split_sha256': data.proof['split_sha256'],
        'files': integrity.at_start(job.layout),
        'readings': readings.read(job.layout),
        'schedules': integrity.schedules(job.layout, config.steps),
      },
      trackers=tracked,
    )
    best = checkpoints.best_validations(history, count)
    steps = [entry['step'] for entry in best] or [int(state.step)]
    variables = [state.variables]
    if steps != [int(state.step)]:
      variables = [saved.restore(step, built, mesh)[0].variables for step in steps]
  if count > len(steps) and devices.is_first():
    progress.say(f'of the {count} best checkpoints to average there are {len(steps)}')
  network = TrainedNetwork(built, stacked(jax.device_get(variables)), tuple(steps))
  return network, best[0]['step'] if best else None


def _told(what: str) -> contextlib.AbstractContextManager[None]:
  return progress.waiting(what) if devices.is_first() else contextlib.nullcontext()


def _validation(config: Config, data: Study, rows: np.ndarray, log_odds: np.ndarray) -> Predictions:
  return evaluate_once.predictions_of(config, data, rows, log_odds, 'validation')


def _first_state(beginning: Beginning, saved: Checkpoints, mesh: Mesh) -> loop.Start:
  """Returns the state before the first step, or that of the latest checkpoint."""
  built, step = beginning.learner, saved.latest_step()
  if not step:
    seed = np.uint32(built.config.seed)
    first = uncompiled.evaluate(built.init_state, beginning.filled, seed)
    state = devices.put_replicated(first, mesh)
    return loop.Start(state, steps_per_call=built.config.steps_per_call)
  state, carried = saved.restore(step, built, mesh)
  if devices.is_first():
    progress.say(f'going on from the checkpoint of step {step:,}')
  per_call = built.config.steps_per_call or carried.get('steps_per_call', 1)  # Earlier ones: 1.
  return loop.Start(state, step, carried['history'], carried['unwritten_losses'], per_call)


def _predict(job: Job, network: TrainedNetwork, rows: dict[str, np.ndarray]) -> Predicted:
  """Predicts rows by split, by the best checkpoint or by what the config averages."""
  if averaging.averages(job.config.evaluation):
    return predict.averaged(job.config, job.data, [network, *job.members], rows, job.mesh)
  variables = jax.device_put(network.best, devices.replicated(job.mesh))
  return Predicted(
    {part: job.predict_rows(variables, positions) for part, positions in rows.items()}
  )
