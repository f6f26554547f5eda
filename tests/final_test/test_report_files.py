"""What the report of a run reads back from its work directory."""

import pytest

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
