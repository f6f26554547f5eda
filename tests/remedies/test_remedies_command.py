"""The command: the quick plan from end to end, and what theory guarantees of it."""

import json

import pytest


def test_bad_input_is_one_line(command, tmp_path):
  assert 'error: --output is missing' in command('remedies').stderr
  said = command('remedies', f'--output={tmp_path}', '--only=overlaps').stderr
  assert "error: --only is 'overlaps'" in said and 'Traceback' not in said


@pytest.mark.slow
def test_the_quick_plan_shows_what_theory_guarantees(command, tmp_path):
  command('remedies', f'--output={tmp_path}', '--quick', check=True)
  result = json.loads((tmp_path / 'remedies.json').read_text('utf-8'))
  assert list(result['problems']) == [
    'imbalance', 'tasks', 'few_labels', 'overlap', 'set_sampling', 'ground_truth', 'one_number',
  ]  # fmt: skip

  def difference(problem, experiment, condition, measure):
    effects = result['problems'][problem]['experiments'][experiment]['effects']
    (effect,) = [
      effect
      for effect in effects
      if (effect['condition'], effect['measure']) == (condition, measure)
    ]
    return effect['difference']['value']

  assert difference('overlap', 'flattery', 'split by patient', 'flattery') < 0
  assert difference('overlap', 'flattery', 'split by patient', 'tested') < 0
  floor = 'floor of positives'
  assert difference('set_sampling', 'floor', floor, 'none') < 0
  assert difference('set_sampling', 'floor', floor, 'width') < 0
  restated = "restated at the clinic's prevalence"
  assert difference('set_sampling', 'predictive_value', restated, 'error') < 0
  for condition in ('majority of five', 'definitive test'):
    assert difference('ground_truth', 'labels', condition, 'labels') < 0
  assert difference('one_number', 'figure', 'interval by patient', 'wrong') < 0
  assert difference('one_number', 'interval', 'interval by patient', 'excess') < 0
  assert difference('one_number', 'interval', 'interval by patient', 'width') > 0
  assert difference('one_number', 'threshold', 'frozen on validation', 'optimism') < 0
  assert difference('one_number', 'equal', 'paired interval without 0', 'called') < 0
  page = (tmp_path / 'remedies.html').read_text('utf-8')
  assert page.count('<h2') == 7
  assert 'src="http' not in page and 'href="http' not in page  # It fetches nothing.
