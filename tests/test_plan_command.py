"""medjax.plan from the command line and from Python, with and without a run as the pilot."""

import json

import pytest

import medjax

ASKED = ('--auroc=0.85', '--prevalence=0.05', '--half_width=0.025')


def test_a_size_is_printed_written_and_the_same_from_python(command, tmp_path):
  path = tmp_path / 'plans' / 'plan.json'
  printed = command('plan', *ASKED, f'--output={path}', check=True).stdout
  plan = medjax.test_set_size(auroc=0.85, prevalence=0.05, half_width=0.025)
  assert f'{plan.patients:,}' in printed.splitlines()[1] and str(path) in printed.splitlines()[-1]
  content = json.loads(path.read_text())
  assert content['patients'] == plan.patients and content['question']['auroc'] == 0.85
  assert plan.answers[0].reach <= 0.025


def test_a_mistake_is_one_line(command):
  failed = command('plan', '--auroc=0.85', '--prevalence=0', '--half_width=0.1')
  assert failed.returncode == 1 and failed.stdout == ''
  assert failed.stderr == (
    'error: --prevalence=0.0: must be between 0 and 1, such as 0.05: both classes must occur\n'
  )
  with pytest.raises(medjax.InputError) as error:
    medjax.test_set_size(auroc=0.85, prevalence=0, half_width=0.1)
  assert str(error.value).startswith('prevalence=0: must be')
  with pytest.raises(medjax.InputError, match="did you mean 'prevalence'"):
    medjax.test_set_size(prevalance=0.1)
  with pytest.raises(medjax.InputError, match=r'label=Edema: is of a run; add workdir='):
    medjax.test_set_size(prevalence=0.1, label='Edema')


def test_a_run_is_the_pilot_of_the_next_test(command, finished):
  workdir, said = finished
  assert 'what this test set can show, were the AUROC 0.8' in said  # before it is trained
  printed = command(
    'plan', f'--workdir={workdir}', '--label=Edema', '--half_width=0.03', check=True
  ).stdout
  plan = medjax.test_set_size(workdir, label='Edema', half_width=0.03)
  result = medjax.open_run(workdir).result.labels['Edema']
  assert plan.pilot.auroc == pytest.approx(result.auroc.value)
  assert plan.question.prevalence == pytest.approx(result.prevalence)
  assert plan.pilot.positive_patients == result.positive_patients
  assert f'{plan.patients:,}' in printed
  with pytest.raises(medjax.InputError, match=r'label is missing; .* has .*Edema'):
    medjax.test_set_size(workdir, half_width=0.03)
  paired = medjax.test_set_size(workdir, against=workdir, label='Edema', margin=0.05)
  assert paired.pilot.correlation == pytest.approx(0.999)


def test_a_split_says_what_its_test_set_can_show(command, tmp_path, phantom_root):
  printed = command(
    'split', '--config=configs/phantom.py', f'--config.data.root={phantom_root}',
    '--config.data.settings.images=120', '--config.data.settings.image_size=32',
    '--config.split.test_floor={}', f'--output={tmp_path}', check=True,
  ).stdout  # fmt: skip
  assert 'what this test set can show, were the AUROC 0.8' in printed
  assert printed.count(' ± 0.') + printed.count('nothing: it needs') == len(
    json.loads((tmp_path / 'split.json').read_text())['splits']['test']['labels']
  )
