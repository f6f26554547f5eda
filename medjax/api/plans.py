"""How large a test set must be, from Python."""

import dataclasses
import os
from typing import Any

from medjax.api import words
from medjax.errors import check_option
from medjax.evaluation import test_size
from medjax.evaluation.test_size import Plan
from medjax.evaluation.test_size_question import Question
from medjax.runs import pilot_of_run


def test_set_size(
  workdir: str | os.PathLike | None = None,
  against: str | os.PathLike | None = None,
  label: str | None = None,
  **question: Any,
) -> Plan:
  """Returns how many patients a test needs, or what a test of so many can show.

  As `python -m medjax.plan` does.

  Args:
    workdir: of a finished run, a pilot: it says how alike images of a patient are, and what else
      the question leaves open.
    against: of another run on the same split, for the correlation of two AUROCs.
    label: of the pilot.
    **question: fields of medjax.evaluation.test_size_question.Question, such as auroc=0.85,
      prevalence=0.05 and half_width=0.025, or patients=500 in place of the last.

  Raises:
    InputError: nothing is asked, questions that contradict each other, a number out of range, or a
      run that cannot be read.
  """
  names = [field.name for field in dataclasses.fields(Question)]
  for name in question:
    check_option('the argument', name, names)
  with words.renamed({'--': ''}):
    pilot = pilot_of_run.of_flags(workdir, against, label)
    return test_size.answer(Question(**question), pilot)


test_set_size.__test__ = False  # type: ignore[attr-defined]  # It is no test, whatever pytest thinks.
