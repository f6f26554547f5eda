"""Generated pictures are called that on the first line of whatever is said of them."""

import json
import pathlib
import shutil

import pytest

from medjax.config.protocol import Protocol
from medjax.data.phantom import folder
from medjax.final_test import again, compare, generated
from medjax.inference import model_card
from medjax.runs import finished as runs
from medjax.runs.layout import Layout


def first_line(page):
  """Returns what stands above the heading of a page."""
  return page.read_text().partition('<body>')[2].partition('<h1>')[0]


def test_every_page_of_a_run_says_it_first(finished, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(finished[0], workdir)
  shutil.copytree(workdir, tmp_path / 'other')
  assert folder.WARNING in first_line(Layout(workdir).report)
  assert folder.WARNING in first_line(compare.compare_run(workdir, tmp_path / 'other').page)
  csv = workdir / 'predictions' / 'test.csv'
  evaluated = again.evaluate_files(again.PredictionFiles(csv), Protocol(), tmp_path / 'out')
  assert folder.WARNING in first_line(evaluated.page)
  run = runs.open_run(workdir)
  assert folder.WARNING in model_card.render(run, run.result).splitlines()[0]


def test_real_pictures_are_not_called_that(tmp_path):
  lonely = tmp_path / 'predictions.csv'
  assert generated.of_predictions(lonely) == ''
  assert folder.warning_of('csv', tmp_path, {}) == ''


@pytest.mark.parametrize(
  ('source', 'settings'),
  [
    ('phantom_skin', {}),
    ('csv', {}),  # The folder says so.
    ('several', {'sets': {'a': {'source': 'csv'}, 'b': {'source': 'phantom', 'root': 'x'}}}),
    ('several', {'sets': {'a': {'source': 'csv', 'root': 'inside'}}}),
  ],
)
def test_phantoms_are_known_by_source_and_by_folder(tmp_path, source, settings):
  for place in (tmp_path, tmp_path / 'inside'):
    pathlib.Path(place).mkdir(exist_ok=True)
  marked = tmp_path / 'inside' if source == 'several' else tmp_path
  (marked / 'phantom.json').write_text(json.dumps({'seed': 0}))
  assert folder.warning_of(source, tmp_path, settings) == folder.WARNING
