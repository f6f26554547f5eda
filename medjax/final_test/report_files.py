"""A run's report, made of what its work directory holds, so that it can be made again."""

import dataclasses
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

from medjax import __version__
from medjax.evaluation import wording
from medjax.report import run_page
from medjax.report.markup import Markup
from medjax.report.sections import localisation, readers, subgroups
from medjax.runs import metrics_file
from medjax.runs.layout import Layout
from medjax.runtime import files


def write(layout: Layout, result: Mapping[str, Any]) -> None:
  """Writes report/index.html and then evaluation/test.json, whose presence says that a run is complete.

  Args:
    layout: holds config.json, split.json, metrics.jsonl and, where there are any, the examples.
    result: an assessment's summary, with 'facts' for the report's first screen, 'study_notes', and
      'readers' and 'localisation', None where there are none.
  """
  config = files.read_json(layout.config)
  page = run_page.render(
    title=f'{config["model"]["name"]} on {pathlib.Path(config["data"]["root"]).resolve().name}',
    summary=result,
    history=metrics_file.read(layout),
    split_proof=files.read_json(layout.split_proof),
    config=config,
    facts={**result['facts'], 'notes': result['study_notes'], 'versions': versions()},
    sections=sections(result),
    pictures=json.loads(layout.examples.read_text()) if layout.examples.is_file() else (),
  )
  for path, content in (
    (layout.report, page),
    (layout.result, json.dumps(result, indent=2, default=dataclasses.asdict) + '\n'),
  ):
    path.parent.mkdir(exist_ok=True)
    files.write_whole(path, content)


def sections(result: Mapping[str, Any]) -> list[tuple[str, Markup]]:
  """Returns the report's optional sections, by name."""
  found = [('Subgroups', subgroups.section(result) if result['subgroups'] else None)]
  for name, section in (('Readers', readers), ('Localisation', localisation)):
    of = result.get(name.lower())
    found.append((name, section.section(of, result) if of else None))
  return [(name, section) for name, section in found if section is not None]


def versions() -> dict[str, str]:
  """Returns the versions of what computes: ours, Python's and the libraries'."""
  packages = ('jax', 'flax', 'optax', 'grain', 'orbax-checkpoint', 'numpy')
  ours = {'medjax': __version__, 'python': platform.python_version()}
  return ours | {package: importlib.metadata.version(package) for package in packages}


def answer(result: Mapping[str, Any]) -> str:
  """Returns the result in one line."""
  auroc = result['mean']['auroc']
  if auroc['value'] is None:
    return 'test: no label has both classes, so there is no AUROC'
  interval = 'no interval: ' + auroc['reason']
  if auroc['interval']:
    interval = '95 % interval {:.4f} to {:.4f}'.format(*auroc['interval'])
  words = f'test mean AUROC {auroc["value"]:.4f} ({interval})'
  for name in ('balanced_accuracy', 'quadratic_kappa'):
    figure = (result['classes'] or {}).get(name)
    if figure and figure['value'] is not None:
      words += f', {wording.CLASS_FIGURES[name]} {wording.plain(figure, 4)}'
  return words
