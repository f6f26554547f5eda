"""The report for trackers shows and names no patient."""

import csv
import dataclasses
import html
import json
import shutil

import pandas as pd

from medjax.data import table as study_table
from medjax.data.split import characteristics
from medjax.final_test import report_files, shared_report
from medjax.inference import model_card
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
  words = ('2 images differ: delete them.', '3 of the 9 patients, have names of others.',
           '4 patients are there twice.')  # fmt: skip
  result = dataclasses.replace(run.result, study_notes=notes)
  page, named = shared_report.page(run.layout, result)
  text = html.unescape(page)
  assert named == '' and image not in text and patient not in text
  assert all(sentence in text for sentence in words)


def test_notes_of_the_split_lose_theirs_in_the_page_and_in_the_model_card(finished, tmp_path):
  run = open_run(shutil.copytree(finished[0], tmp_path / 'run'))
  proof = json.loads(run.layout.split_proof.read_text())
  table = pd.DataFrame({'patient': ['P7', 'P7', 'q'], 'sex': ['F', 'M', 'F']})
  joined = table.assign(patient_as_written=['P-07', 'P7', 'q'])
  proof['notes'] = [
    *characteristics.note_on_sexes(table), *study_table.note_on_identifiers(joined)
  ]  # fmt: skip
  run.layout.split_proof.write_text(json.dumps(proof))
  for text in (shared_report.page(run.layout, run.result)[0], model_card.render(run, run.result)):
    text = html.unescape(text)
    assert '1 patient with images of both sexes. Either two people' in text
    assert (
      "1 patient written in several ways, was each taken for one (data.ids='normalise')" in text
    )
    assert 'P7' not in text and 'P-07' not in text


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
