"""What the report of a run reads back from its work directory."""

import pytest

from medjax.data.images import decoding
from medjax.errors import InputError
from medjax.final_test import report_files
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
