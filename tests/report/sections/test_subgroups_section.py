"""The section of subgroups: every value, well-formed, with a reason where a figure lacks."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import synthetic_summary
from drawn_subgroups import LABELS, THRESHOLDS, by_value, drawn

from medjax.evaluation import subgroups
from medjax.report.sections.subgroups import section


def result_of(by_column, unit='image'):
  whole = synthetic_summary.evaluated(['Edema'], unit=unit)
  return dataclasses.replace(whole, subgroups=by_column)


def test_the_section_shows_every_value_and_says_why_a_figure_lacks():
  test = drawn()
  about = test.about.assign(sex=np.where(np.arange(400) < 5, 'X & Y', test.about['sex']))
  by_column, _ = subgroups.summarise(
    test._replace(about=about), THRESHOLDS, ['sex', 'view'], replicates=30
  )
  page = section(result_of(by_column))
  root = ElementTree.fromstring(page)  # whatever is not escaped would not be well-formed
  tables = list(root.iter('table'))
  assert len(tables) == 2 * (1 + len(LABELS))
  rows = [[''.join(cell.itertext()) for cell in row] for row in tables[0].iter('tr')]
  assert rows[0] == ['Value', 'Patients', 'Prevalence', 'Mean AUROC', 'Gap']
  assert [row[0] for row in rows[1:]] == ['M', 'F', 'X & Y']
  assert rows[1][-1] == 'reference' and 'not recorded' in ''.join(root.itertext())
  group = by_value(by_column, 'sex')['F']
  mean, gap = group.mean_auroc, group.mean_gap
  assert f'{mean.value:.3f} ({mean.interval[0]:.3f}–{mean.interval[1]:.3f})' in rows[2][3]
  assert rows[2][-1].startswith(f'{gap.value:+.3f}'.replace('-', '−'))
  assert 'too few positives' in page and 'Mass &lt; 3 cm' in page and 'Of ' in page
  assert 'several, or not recorded' in section(result_of(by_column, unit='study'))


def test_the_section_of_one_label_has_no_means():
  test = drawn(labels=['Mass'])
  by_column, said = subgroups.summarise(test, {'Mass': 0.5}, ['sex'], replicates=0)
  page = section(result_of(by_column))
  assert 'Mean AUROC' not in page and 'AUROC' in page and not said
  assert section(result_of({})) is None
