"""The report for eyes outside: without pictures of patients and without their names."""

import html
import re
from collections.abc import Iterable

import pandas as pd

from medjax.evaluation.result import Result
from medjax.final_test import report_files
from medjax.report import weaknesses
from medjax.runs.layout import Layout

_FEWEST = 5  # letters or digits of a name that is told from a word or a number


def page(layout: Layout, result: Result) -> tuple[str, str]:
  """Returns the page, and '' or a patient or image that it names all the same.

  Names of fewer than five letters or digits, which numbers resemble, are not looked for.

  Args:
    layout: of the run's work directory.
    result: of its test.
  """
  text = report_files.page(layout, result, pictures=(), in_words=weaknesses.without_example)
  table = pd.read_csv(layout.split, usecols=['image', 'patient'], dtype=str, keep_default_na=False)
  return text, next(iter(_named(text, {*table['image'], *table['patient']})), '')


def _named(text: str, names: Iterable[str]) -> list[str]:
  words = set(re.findall(r'[^\s<>"\'()=,;]+', html.unescape(text)))
  words |= {word.rstrip('.:') for word in words}
  return sorted(name for name in names if len(name) >= _FEWEST and name in words)
