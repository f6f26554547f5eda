"""`python -m medjax.evaluate`, as a user runs it: on files of any program, and on finished runs."""

import json
import shutil

import prediction_files
import pytest


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('files')
  table = prediction_files.write(folder)['t']
  # Other images of the test patients.
  table = table.rename(columns={label: f'true_{label}' for label in prediction_files.LABELS})
  table.assign(image='new' + table['image']).to_csv(folder / 'same_patients.csv', index=False)
  return folder


def test_predictions_of_another_program(command, files, tmp_path):
  said = command(
    'evaluate',
    f'--predictions={files}/t.csv',
    f'--truth={files}/t_truth.csv',
    f'--validation={files}/v.csv',
    f'--validation_truth={files}/v_truth.csv',
    f'--readers={files}/readers.csv',
    '--operating_points=youden,sensitivity=0.9',
    '--prevalence=Mass=0.01',
    '--subgroups=sex',
    '--replicates=100',
    '--seed=3',
    f'--output={tmp_path}/out',
    check=True,
  ).stdout
  result = json.loads((tmp_path / 'out/evaluation.json').read_text())
  assert f'test mean AUROC {result["mean"]["auroc"]["value"]:.4f}' in said
  assert (result['replicates'], result['seed']) == (100, 3)
  points = result['labels']['Mass']['operating_points']
  assert [point['rule'] for point in points] == ['youden', 'sensitivity=0.9']
  assert points[0]['at_prevalence']['prevalence'] == 0.01
  assert list(result['subgroups']) == ['sex']
  assert result['readers']['readers'] == ['ann', 'bo', 'cy']
  assert f'note: Whom the model of {files}/t.csv was trained on is not recorded' in said
  assert f'report: {tmp_path}/out/index.html' in said
  assert (tmp_path / 'out/index.html').is_file() and (tmp_path / 'out/frozen.json').is_file()
  page = (tmp_path / 'out/index.html').read_text()
  assert 'Who they are' in page and 'Female' in page and 'Age: not recorded.' in page


def test_results_lie_beside_the_predictions_unless_told_otherwise(command, files):
  command(
    'evaluate', f'--predictions={files}/t.csv', f'--truth={files}/t_truth.csv', '--replicates=20',
    '--operating_points=threshold=0.5', '--level=patient', '--labels=Mass', check=True,
  )  # fmt: skip
  result = json.loads((files / 't_evaluation/evaluation.json').read_text())
  assert result['unit'] == 'patient' and list(result['labels']) == ['Mass']
  assert result['labels']['Mass']['operating_points'][0]['threshold'] == 0.5


def test_against_other_predictions(command, files, tmp_path):
  said = command(
    'evaluate', f'--predictions={files}/t.csv', f'--truth={files}/t_truth.csv', '--margin=0.1',
    f'--against={files}/worse.csv', '--replicates=200', f'--output={tmp_path}/out', check=True,
  ).stdout  # fmt: skip
  compared = json.loads((tmp_path / 'out/against_worse.json').read_text())
  assert (compared['margin'], compared['replicates']) == (0.1, 200)
  first, verdict, *notes, report = said.splitlines()
  assert first.startswith('Mean AUROC of 2 labels:') and f'{files}/t.csv is better' in verdict
  assert len(notes) == 2 and all(': Whom the model of ' in line for line in notes)
  assert report == f'report: {tmp_path}/out/against_worse.html'


def test_a_finished_run_again_keeps_what_is_frozen(command, finished, tmp_path):
  workdir = shutil.copytree(finished[0], tmp_path / 'run')  # Other tests share the run.
  before = (workdir / 'evaluation/test.json').read_bytes()
  frozen = (workdir / 'frozen.json').read_bytes()
  command('evaluate', f'--workdir={workdir}', check=True)
  assert (workdir / 'evaluation/test.json').read_bytes() == before
  assert (workdir / 'frozen.json').read_bytes() == frozen
  command('evaluate', f'--workdir={workdir}', f'--against={workdir}', '--replicates=50', check=True)
  compared = json.loads((workdir / f'evaluation/against_{workdir.name}.json').read_text())
  assert compared['mean']['auroc']['difference']['value'] == 0


@pytest.mark.parametrize(
  'arguments, words',
  [
    ([], ['--workdir', '--predictions']),
    (['--workdir=runs', '--predictions=p.csv'], ['either']),
    (['--workdir={f}/run'], ['not the work directory of a run']),
    (['--workdir={f}', '--against={f}', '--readers=r.csv'], ['--readers', '--against']),
    (['--workdir={f}', '--margin=0.1'], ['--margin', '--against']),
    (['--workdir={f}', '--head=softmax'], ['--head', 'a run has chosen it already']),
    (['--predictions={f}/t.csv', '--margin=2'], ['--margin=2', '[0, 1)']),
    (['--predictions={f}/t.csv', '--seed=-1'], ['--seed=-1']),
    (['--predictions={f}/t.csv', '--level=lung'], ['--level', "'lung'"]),
    (['--predictions={f}/t.csv', '--prevalence=Mass'], ['--prevalence=Mass', 'a share in (0, 1)']),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--subgroups=sexes'],
     ['--subgroups=sexes', "'sex'"]),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--level=slide'],
     ["--level='slide': there is no column 'slide'", "or set --level='image'"]),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--calibration=platt'],
     ['--calibration=platt', '--validation']),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--validation={f}/same_patients.csv'],
     ['--validation: 90 of its patients are test patients too, such as', "'t-0'"]),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--prevalence=Mas=0.1'],
     ['--prevalence', "'Mass'"]),
  ],
)  # fmt: skip
def test_bad_input_is_one_line(command, files, tmp_path, arguments, words):
  (files / 'run').mkdir(exist_ok=True)
  if arguments and 'predictions' in arguments[0]:
    arguments = [*arguments, '--output={o}']
  given = [argument.format(f=files, o=tmp_path / 'out') for argument in arguments]
  ended = command('evaluate', *given)
  assert ended.returncode == 1
  (line,) = ended.stderr.strip().splitlines()
  for word in words:
    assert word in line, line
