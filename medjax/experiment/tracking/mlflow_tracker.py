"""MLflow: a server by MLFLOW_TRACKING_URI, else a file beside the work directory."""

import contextlib
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medjax.experiment.tracking.contract import TrackedFile, TrackedRun

_KEPT = 'mlflow_run.txt'  # in the work directory: where the run is, for when it goes on
_AT_ONCE = 100  # settings in one request
_LONGEST = 500  # characters of a setting
_STATUSES = {'finished': 'FINISHED', 'stopped': 'KILLED', 'failed': 'FAILED'}
# Nothing is told to MLflow's makers, and a server that does not answer is not waited for for long.
_QUIETLY = {
  'MLFLOW_DISABLE_TELEMETRY': 'true',
  'MLFLOW_HTTP_REQUEST_MAX_RETRIES': '2',
  'MLFLOW_HTTP_REQUEST_TIMEOUT': '10',
}


class MlflowTracker:
  """Keeps settings, metrics, the report and what was frozen, in the experiment 'medjax'.

  MLFLOW_EXPERIMENT_NAME names another. A run that goes on is the same run there.
  """

  def start(self, run: TrackedRun) -> None:
    """Makes the run, or opens it again."""
    for name, value in _QUIETLY.items():
      os.environ.setdefault(name, value)
    from mlflow.entities import Param
    from mlflow.tracking import MlflowClient

    folder = run.workdir.parent
    address = os.environ.get('MLFLOW_TRACKING_URI') or f'sqlite:///{folder / "mlflow.db"}'
    with _without_log():
      self._client = MlflowClient(address)
      kept = run.workdir / _KEPT
      before = kept.read_text('utf-8').strip() if run.step and kept.is_file() else ''
      place, _, number = before.rpartition(' ')
      if place == address:
        self._client.update_run(number, status='RUNNING')
        self._run = number
        return
      experiment = self._experiment(folder, is_local='MLFLOW_TRACKING_URI' not in os.environ)
      self._run = self._client.create_run(experiment, run_name=run.workdir.name).info.run_id
      kept.write_text(f'{address} {self._run}\n', 'utf-8')
      settings = [Param(name, value[:_LONGEST]) for name, value in run.settings.items() if value]
      for first in range(0, len(settings), _AT_ONCE):
        self._client.log_batch(self._run, params=settings[first : first + _AT_ONCE])

  def metrics(self, step: int, values: Mapping[str, float]) -> None:
    """Adds a point to each."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    points = [Metric(_name(name), value, now, step) for name, value in values.items()]
    self._client.log_batch(self._run, metrics=points)

  def files(self, step: int, files: Sequence[TrackedFile]) -> None:
    """Keeps those that show no patient."""
    del step
    for file in files:
      if not file.shows_patients:
        self._client.log_artifact(self._run, str(file.path))

  def end(self, status: str) -> None:
    """Says how the run has ended."""
    self._client.set_terminated(self._run, _STATUSES[status])

  def _experiment(self, folder: pathlib.Path, is_local: bool) -> str:
    name = os.environ.get('MLFLOW_EXPERIMENT_NAME', 'medjax')
    place = (folder / 'mlflow_files').absolute().as_uri() if is_local else None
    experiment = self._client.get_experiment_by_name(name)
    if experiment is None:
      try:
        return self._client.create_experiment(name, artifact_location=place)
      except Exception:  # Another run has made it meanwhile, or the next line says what is wrong.
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
          raise
    return experiment.experiment_id


def _name(metric: str) -> str:
  """Returns the name with what MLflow allows in one."""
  return re.sub(r'[^\w\-. /:]', '_', metric)


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
  """Keeps the log of how MLflow makes the tables of a new file to itself."""
  import logging

  loggers: list[Any] = [logging.getLogger(name) for name in ('alembic', 'mlflow')]
  levels = [logger.level for logger in loggers]
  for logger in loggers:
    logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    for logger, level in zip(loggers, levels):
      logger.setLevel(level)
