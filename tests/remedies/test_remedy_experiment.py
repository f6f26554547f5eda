"""Repetitions are measured once and kept; what is damaged or of another plan is not taken."""

import dataclasses

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.remedies import experiment, films, ground_truth, population, run
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem

PLAN = Plan({'low': 1, 'high': 2}, repetitions=2, sizes={'patients': 10})


@pytest.fixture
def calls():
  return []


@pytest.fixture
def problem(calls):
  def measure(repetition):
    calls.append((repetition.level, repetition.seed))
    if len(calls) == 3:
      raise KeyboardInterrupt
    (repetition.folder / 'large').write_text('x')
    value = float(repetition.level + repetition.seed)
    return {'without': {'m': value}, 'with': {'m': value + 0.1}}

  measures = (Measure('m', 'AUROC', 'higher'),)
  one = Experiment('e', 'E', 'level', ('without', 'with'), measures, measure, PLAN, PLAN)
  return Problem('p', 'P', 'It goes wrong.', 'A remedy.', 'Limits.', 'config', ('A book',), (one,))


def test_what_was_stopped_goes_on_and_measures_nothing_twice(problem, calls, tmp_path):
  with pytest.raises(KeyboardInterrupt):
    run.run(tmp_path, [problem], False, [problem])
  assert len(calls) == 3
  result = run.run(tmp_path, [problem], False, [problem])
  assert len(calls) == 5 and set(calls) == {(1, 0), (2, 0), (1, 1), (2, 1)}
  shown = result.problems['p'].experiments['e']
  assert (shown.measured, shown.planned) == (4, 4)
  assert [cell.mean.value for cell in shown.cells] == pytest.approx([1.5, 1.6, 2.5, 2.6])
  assert run.run(tmp_path, [problem], False, [problem]) == result and len(calls) == 5
  assert not list(tmp_path.rglob('large'))
  page = (tmp_path / run.PAGE).read_text('utf-8')
  assert 'It goes wrong.' in page and 'Not all is measured yet' not in page


def test_other_sizes_are_measured_anew_and_a_damaged_file_is_named(problem, calls, tmp_path):
  calls += [(0, 0)] * 3
  run.run(tmp_path, [problem], False, [problem])
  (one,) = problem.experiments
  plan = dataclasses.replace(PLAN, sizes={'patients': 11})
  other = dataclasses.replace(problem, experiments=(dataclasses.replace(one, full=plan),))
  assert len(experiment.missing(tmp_path, other, False)) == 4
  assert not experiment.missing(tmp_path, problem, False)
  file = next((tmp_path / 'measured').rglob('*.json'))
  file.write_text(file.read_text('utf-8')[:-30])
  with pytest.raises(InputError, match=r'\.json: damaged; delete it'):
    run.write(tmp_path, False, [problem])


def test_films_are_of_the_prevalence_asked_for_and_of_the_same_anatomy(tmp_path):
  table = films.draw(tmp_path / 'a', patients=40, films=2, seed=3, prevalence={'Edema': 0.25})
  assert table.groupby('patient')['Edema'].first().sum() == 10 and table['patient'].nunique() == 40
  assert not table['Pneumonia'].any()
  assert (table.groupby('patient')['Edema'].nunique() == 1).all()
  again = films.draw(tmp_path / 'b', patients=40, films=2, seed=3, prevalence={'Edema': 0.25})
  assert again.equals(table)
  one, other = ((tmp_path / folder / table['image'][0]).read_bytes() for folder in 'ab')
  assert one == other


def test_readers_err_as_often_as_they_are_said_to():
  rng = np.random.default_rng(0)
  truth = (rng.random(20_000) < 0.3).astype(int)
  table = films.pd.DataFrame({'image': np.arange(20_000).astype(str), 'Edema': truth})
  readers = ground_truth.Readers([0.9, 0.7], [0.95, 0.8])
  said = ground_truth.readings(table, readers, rng)
  for number, sensitivity, specificity in ((1, 0.9, 0.95), (2, 0.7, 0.8)):
    own = said[said['reader'] == f'reader {number}']['Edema'].to_numpy()
    assert own[truth == 1].mean() == pytest.approx(sensitivity, abs=0.02)
    assert 1 - own[truth == 0].mean() == pytest.approx(specificity, abs=0.02)

  def both_wrong(together):
    said = ground_truth.readings(table, ground_truth.Readers([0.7] * 2, [0.8] * 2, together), rng)
    wrong = said['Edema'].to_numpy().reshape(2, -1) != truth
    return wrong.all(axis=0).mean()

  assert both_wrong(0.0) == pytest.approx(0.3 * 0.09 + 0.7 * 0.04, abs=0.01)
  assert both_wrong(0.8) > 3 * both_wrong(0.0)


def test_coverage_is_the_share_of_intervals_that_hold_the_truth():
  rng = np.random.default_rng(0)
  means = rng.normal(0, 1, 20_000)
  shown = population.coverage([(mean - 1.645, mean + 1.645) for mean in means], 0.0)
  assert shown['excess'] == pytest.approx(0.05, abs=0.01)  # 90 % intervals: a tenth misses
  assert shown['width'] == pytest.approx(3.29)
  assert population.coverage([None], 0.0) == {'excess': None, 'width': None}
