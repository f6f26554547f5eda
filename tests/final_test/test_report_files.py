"""What the report of a run reads back from its work directory."""

import json
import shutil

import pytest
from parsed_page import Page

from medjax.data.images import decoding
from medjax.data.phantom import folder
from medjax.errors import InputError
from medjax.final_test import report_files
from medjax.runs import finished as finished_runs
from medjax.runs.layout import Layout


@pytest.mark.parametrize('content', ['null', '3', '[1]', '{"kind": 1}', '[{"kind": 1}]', '[', ''])
def test_pictures_that_no_run_wrote_are_one_line(tmp_path, content):
  layout = Layout(tmp_path)
  layout.examples.parent.mkdir()
  layout.examples.write_text(content)
  with pytest.raises(InputError) as error:
    report_files.read_examples(layout)
  message = str(error.value)
  assert message.startswith(f'{layout.examples}: not the pictures') and '\n' not in message


def test_images_set_aside_are_counted_by_split_and_reason(tmp_path):
  images = [tmp_path / f'{number}.png' for number in range(4)]
  images[0].write_bytes(b'')
  images[1].write_bytes(b'')
  images[2].write_text('no picture')
  broken = decoding.find_broken(list(map(str, images)), 8)  # the last is not there
  rows = [f'{images[at].name},{"train" if at else "test"},"{why}"' for at, why in broken.items()]
  layout = Layout(tmp_path)
  assert report_files.images_set_aside(layout) == {}
  layout.set_aside.write_text('\n'.join(['image,split,reason', *rows]))
  told = report_files.images_set_aside(layout)
  assert sum(told['train'].values()) == 3 and sum(told['test'].values()) == 1
  (empty,) = told['test']
  assert told['train'][empty] == 1 and told['train']['no such image file'] == 1
  assert not any('png' in why for reasons in told.values() for why in reasons)


def test_a_run_s_report_says_who_was_tested_and_who_was_left_out(finished, tmp_path):
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  result = finished_runs.open_run(layout.workdir).result
  proof = json.loads(layout.split_proof.read_text())['splits']
  reason = 'is cut off'
  layout.set_aside.write_text(f'image,split,reason\na.jpg,test,data/a.jpg: {reason}\n')
  report_files.write(layout, result)
  page = Page(layout.report.read_text())
  first, text = page.text().partition('medjax evaluation report')[0], page.text()
  assert folder.WARNING in first
  flow = text[text.index('From the files to the test set') : text.index('Who they are')]
  assert 'In the source120 images' in flow and f'Set aside1 image: 1 {reason}' in flow
  table = text[text.index('Who they are') :]
  for name in ('train', 'validation', 'test'):
    part = proof[name]
    assert f'{part["images"]:,} images of {part["patients"]:,} patient' in flow
    age, women = part['characteristics']['age'], part['characteristics']['counts']['sex']
    assert f'{age["mean"]:.1f} ± {age["sd"]:.1f}' in table
    assert f'{women["values"]["F"]} of {women["known"]}' in table
