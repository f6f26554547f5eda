"""The report for trackers shows and names no patient."""

import csv
import dataclasses
import html
import shutil

from medjax.final_test import report_files, shared_report
from medjax.runs.finished import open_run


def test_it_is_the_report_without_patients(finished):
  run = open_run(finished[0])
  page, named = shared_report.page(run.layout, run.result)
  own = run.layout.report.read_text('utf-8')
  rows = list(csv.DictReader(run.layout.split.open()))
  names = {row[column] for row in rows for column in ('image', 'patient')}
  assert any(name in own for name in names) and 'data:image/' in own  # Its examples.
  assert named == '' and not any(name in page for name in names) and 'data:image/' not in page
  for note in run.result.notes:
    assert html.escape(note, quote=True) in page or note in html.unescape(page)


def test_notes_lose_their_examples(finished):
  run = open_run(finished[0])
  rows = list(csv.DictReader(run.layout.split.open()))
  image, patient = rows[0]['image'], rows[0]['patient']
  notes = (
    f"2 images differ, such as '{image}': delete them.",
    f'3 of the 9 patients, such as {patient}, have names of others.',
    f'4 patients are there twice, such as patient {patient}.',
  )
  result = dataclasses.replace(run.result, study_notes=notes)
  page, named = shared_report.page(run.layout, result)
  text = html.unescape(page)
  assert named == '' and image not in text and patient not in text
  for words in ('2 images differ: delete them.', '3 of the 9 patients, have names of others.',
                '4 patients are there twice.'):  # fmt: skip
    assert words in text


def test_a_name_that_is_left_is_found(finished):
  run = open_run(finished[0])
  patient = next(csv.DictReader(run.layout.split.open()))['patient']
  result = dataclasses.replace(run.result, study_notes=(f'See {patient}.',))
  assert shared_report.page(run.layout, result)[1] == patient


def test_the_report_itself_stays_as_it_was(finished, tmp_path):
  shutil.copytree(finished[0], tmp_path / 'run')
  run = open_run(tmp_path / 'run')
  before = run.layout.report.read_bytes()
  report_files.write(run.layout, run.result)
  assert run.layout.report.read_bytes() == before
