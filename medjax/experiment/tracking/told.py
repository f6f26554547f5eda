"""What trackers are told of a run's start and of its test; no patient is named or shown in it."""

from medjax import __version__
from medjax import config as configs
from medjax.config import Config
from medjax.evaluation import results_file
from medjax.evaluation.figure import Figure
from medjax.evaluation.result import Result
from medjax.experiment.tracking.contract import TrackedFile, TrackedRun
from medjax.experiment.tracking.trackers import Trackers
from medjax.final_test import shared_report
from medjax.report.sections.split import flat
from medjax.runs.layout import Layout
from medjax.runtime import files, progress


def of_start(trackers: Trackers, layout: Layout, config: Config, step: int) -> None:
  """Tells of the settings and, of a run that begins, shows the augmented images."""
  settings = dict(flat(configs.to_dict(config)))
  proof = files.read_json(layout.split_proof)
  settings |= {'medjax': __version__, 'split_sha256': str(proof.get('split_sha256', ''))}
  trackers.start(TrackedRun(layout.workdir, settings, step))
  if not step:
    trackers.files(0, [TrackedFile(layout.augmented, shows_patients=True)])


def of_test(trackers: Trackers, layout: Layout, config: Config) -> None:
  """Tells of the figures of the test, and hands over the report and what validation has frozen."""
  if not config.tracking:
    return
  result = results_file.load(layout.result, Result, 'start the run again')
  trackers.metrics(config.steps, 'test', _figures(result))
  if set(config.tracking) == {'tensorboard'}:  # It shows no pages.
    return
  page, named = shared_report.page(layout, result)
  shared = [TrackedFile(layout.frozen)]
  if named:
    progress.say(f"warning: trackers are not given the report, which names '{named}'")
  else:
    layout.shared_report.parent.mkdir(exist_ok=True)
    files.write_whole(layout.shared_report, page)
    shared.append(TrackedFile(layout.shared_report))
  trackers.files(config.steps, shared)


def _figures(result: Result) -> dict[str, object]:
  """Returns name → number, or label → number; an interval as two further ones."""
  figures: dict[str, object] = {}
  for name in ('auroc', 'auprc', 'brier'):
    figures |= _with_interval(f'{name}_mean', getattr(result.mean, name))
    for label, of_label in result.labels.items():
      figures |= _with_interval(f'{name}/{label}', getattr(of_label, name))
  return figures


def _with_interval(name: str, figure: Figure | None) -> dict[str, object]:
  if figure is None or figure.value is None:
    return {}
  low, high = figure.interval or (None, None)
  return {name: figure.value, f'{name}_low': low, f'{name}_high': high}
