"""Weights & Biases: offline, in the work directory's wandb/, unless WANDB_MODE says otherwise."""

import os
from collections.abc import Mapping, Sequence

from medjax.experiment.tracking.contract import TrackedFile, TrackedRun

_KEPT = 'wandb_run.txt'  # in the work directory: the run's id, for when it goes on


class WandbTracker:
  """Keeps settings, metrics, the report and what was frozen, in the project 'medjax'.

  WANDB_PROJECT names another. `wandb sync` of the folder sends what was kept offline.
  """

  def start(self, run: TrackedRun) -> None:
    """Makes the run, or goes on with it."""
    os.environ.setdefault('WANDB_ERROR_REPORTING', 'false')
    import wandb

    kept = run.workdir / _KEPT
    number = kept.read_text('utf-8').strip() if run.step and kept.is_file() else None
    # Neither the program, nor its repository, nor who runs it where.
    settings = wandb.Settings(
      console='off',
      disable_code=True,
      disable_git=True,
      host='',
      save_code=False,
      silent=True,
      x_disable_machine_info=True,
      x_disable_meta=True,
      x_disable_stats=True,
    )
    self._wandb = wandb
    self._run = wandb.init(
      project=os.environ.get('WANDB_PROJECT', 'medjax'),
      name=run.workdir.name,
      id=number,
      resume='allow',
      dir=str(run.workdir),
      config=dict(run.settings),
      mode=None if 'WANDB_MODE' in os.environ else 'offline',
      settings=settings,
    )
    kept.write_text(f'{self._run.id}\n', 'utf-8')
    self._run.define_metric('*', step_metric='step')

  def metrics(self, step: int, values: Mapping[str, float]) -> None:
    """Adds a point to each."""
    self._run.log({**values, 'step': step})

  def files(self, step: int, files: Sequence[TrackedFile]) -> None:
    """Keeps those that show no patient."""
    shared = [file for file in files if not file.shows_patients]
    kept = self._wandb.Artifact(f'run-{self._run.id}', type='run')
    for file in shared:
      kept.add_file(str(file.path))
      if file.path.suffix == '.html':
        page = self._wandb.Html(file.path.read_text('utf-8'), inject=False)
        self._run.log({'report': page, 'step': step})
    if shared:
      self._run.log_artifact(kept)

  def end(self, status: str) -> None:
    """Says how the run has ended."""
    self._run.finish(exit_code=int(status == 'failed'))
