"""Cells of a study table that a spreadsheet would compute; they go into CSV files as they are."""

from collections.abc import Sequence

import pandas as pd

from medjax.config import names as naming
from medjax.data import identifiers
from medjax.errors import InputError

_ABOUT = 'about '  # as medjax.data.table has it


def check(table: pd.DataFrame, named: Sequence[str], place: identifiers.Place) -> None:
  """Checks the text of a study table.

  Args:
    table: of text and numbers.
    named: further columns of names, besides `image` and `patient`, none of which is a formula; in
      other columns a sign before a word does no harm.
    place: of the rows.

  Raises:
    InputError: a cell, or the name of a column for subgroups, that a spreadsheet would compute.
  """
  for column, values in table.items():
    naming.check_name(str(column).removeprefix(_ABOUT), 'column', 'config.data.settings.about')
    if column in ('image', 'patient', *named):
      naming.check_cells(values.tolist(), column, place)
    elif not pd.api.types.is_numeric_dtype(values):
      _check_words(values, place)


def _check_words(values: pd.Series, place: identifiers.Place) -> None:
  texts = (value for value in values.unique() if isinstance(value, str))
  harmful = next(filter(naming.is_harmful_formula, texts), None)
  if harmful is not None:
    row = int((values == harmful).to_numpy().argmax())
    raise InputError(
      f"{place(row)}, column '{values.name}': {harmful[:80]!a} begins like a formula, which a "
      'spreadsheet that opens a table of the results would compute; write it otherwise'
    )
