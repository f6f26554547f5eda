"""A run's report, made of what its work directory holds, so that it can be made again."""

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Callable, Sequence

import pandas as pd

from medjax import __version__
from medjax import config as configs
from medjax.errors import InputError
from medjax.evaluation import results_file, wording
from medjax.evaluation.result import Result
from medjax.evaluation.surest import Example
from medjax.final_test import generated
from medjax.report import beside, run_page
from medjax.report.markup import Markup
from medjax.report.sections import localisation, readers, subgroups
from medjax.runs import integrity, metrics_file, readings
from medjax.runs.layout import Layout
from medjax.runtime import files, remote


def write(layout: Layout, result: Result) -> Result:
  """Writes report/index.html, then evaluation/test.json, which marks a run as complete.

  Where there is such a result already, it is written before the page: whoever is stopped between
  them leaves a run without a page, which may be evaluated again.

  Returns the result as it was written, which vouches for both.

  Args:
    layout: holds config.json, split.json, metrics.jsonl and, where there are any, the examples.
    result: of the test.
  """
  text = page(layout, result, read_examples(layout))
  for path in (layout.report, layout.result):
    path.parent.mkdir(exist_ok=True)
  is_again = layout.result.is_file()
  if is_again:  # A page may be missing, but not be another than the result vouches for.
    layout.report.unlink(missing_ok=True)
  else:
    files.write_whole(layout.report, text)
  proof = files.read_json(layout.split_proof)
  people = {name: part.get('characteristics', {}) for name, part in proof.get('splits', {}).items()}
  tables = {**beside.of_result(result), **beside.of_people(proof, people)}
  beside.write(layout.report, text, tables)
  result = integrity.vouched(layout, result, text)
  results_file.save(layout.result, result)
  readings.forget_cut_off(layout)
  if is_again:
    files.write_whole(layout.report, text)
  return result


def page(
  layout: Layout,
  result: Result,
  pictures: Sequence[Example],
  in_words: Callable[[str], str] = str,
) -> str:
  """Returns the report as the text of one HTML file.

  Args:
    layout: as of `write`.
    result: of the test.
    pictures: images of the test to show.
    in_words: what becomes of each note.
  """
  settings = files.read_json(layout.config)
  config = configs.from_dict(settings)
  result = dataclasses.replace(result, notes=tuple(map(in_words, result.notes)))
  proof = files.read_json(layout.split_proof)
  proof['notes'] = list(map(in_words, proof.get('notes', ())))
  return run_page.render(
    title=f'{config.model.name} on {remote.name(config.data.root)}',
    result=result,
    history=metrics_file.read(layout),
    split_proof=proof,
    config=settings,
    facts={
      **result.facts,
      'warning': generated.of_run(config),
      'notes': tuple(map(in_words, result.study_notes)),
      'versions': versions(),
    },
    sections=sections(result),
    pictures=pictures,
    set_aside=images_set_aside(layout),
  )


def images_set_aside(layout: Layout) -> dict[str, dict[str, int]]:
  """Returns split → why images could not be read → how many, the most frequent reason first."""
  if not layout.set_aside.is_file():
    return {}
  table = pd.read_csv(layout.set_aside, dtype=str, keep_default_na=False)
  # A reason names the file, which tells it from all others.
  why = [
    reason.rpartition(f'{image}: ')[2] for image, reason in zip(table['image'], table['reason'])
  ]
  counts = table.assign(why=why).groupby(['split', 'why']).size().sort_values(ascending=False)
  reasons: dict[str, dict[str, int]] = {}
  for (split, reason), number in counts.items():
    reasons.setdefault(str(split), {})[str(reason)] = int(number)
  return reasons


def write_examples(layout: Layout, examples: Sequence[Example]) -> None:
  """Writes evaluation/examples.json, the pictures of the report."""
  layout.examples.parent.mkdir(exist_ok=True)
  content = [results_file.to_plain(example) for example in examples]
  files.write_whole(layout.examples, json.dumps(content) + '\n')


def read_examples(layout: Layout) -> list[Example]:
  """Returns what `write_examples` wrote; none where there are none."""
  if not layout.examples.is_file():
    return []
  try:
    content = files.parsed(layout.examples.read_text())
    return [results_file.from_plain(item, Example) for item in content]
  except (TypeError, ValueError) as error:
    raise InputError(
      f'{layout.examples}: not the pictures that a run wrote ({error}); delete it, and the report '
      'is made without them'
    ) from None


def sections(result: Result) -> list[tuple[str, Markup]]:
  """Returns the report's optional sections, by name."""
  parts = [
    ('Subgroups', subgroups.section(result)),
    ('Readers', readers.section(result.readers, result) if result.readers else None),
    (
      'Localisation',
      localisation.section(result.localisation, result) if result.localisation else None,
    ),
  ]
  return [(name, section) for name, section in parts if section is not None]


def versions() -> dict[str, str]:
  """Returns the versions of what computes: ours, Python's and the libraries'."""
  packages = ('jax', 'flax', 'optax', 'grain', 'orbax-checkpoint', 'numpy')
  ours = {'medjax': __version__, 'python': platform.python_version()}
  return ours | {package: importlib.metadata.version(package) for package in packages}


def answer(result: Result) -> str:
  """Returns the result in one line."""
  auroc = result.mean.auroc
  if auroc.value is None:
    return 'test: no label has both classes, so there is no AUROC'
  interval = f'no interval: {auroc.reason}'
  if auroc.interval:
    low, high = auroc.interval
    interval = f'95 % interval {wording.number(low, 4)} to {wording.number(high, 4)}'
  words = f'test mean AUROC {wording.number(auroc.value, 4)} ({interval})'
  for name, figure_name, figure in wording.class_figures(result.classes):
    if name in ('balanced_accuracy', 'quadratic_kappa') and figure.value is not None:
      words += f', {figure_name} {wording.plain(figure, 4)}'
  return words
