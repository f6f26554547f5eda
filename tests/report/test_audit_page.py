"""The audit's page, where what it shows cannot be drawn."""

import pandas as pd

from medjax.data.leakage.findings import CopyPair
from medjax.report import audit_files, audit_page


def test_a_picture_that_cannot_be_drawn_is_left_out_of_the_page():
  images = pd.DataFrame({'path': ['nowhere.png'], 'intensity': ['file']})
  assert audit_files._pictures(images, [0]) == {}
  pair = CopyPair(
    rows=(0, 1),
    images=('a', 'b'),
    kind='near',
    correlation=0.98,
    sides=('', ''),
    patients=('1', '2'),
    sets=('s', 's'),
    conflicts={},
    crossing=False,
  )
  drawn = str(audit_page._pair(pair, {1: 'data:image/png;base64,x'}, False))
  assert drawn.count('could not be drawn') == 1 and drawn.count('<img') == 1
