"""`python -m medjax.evaluate`, as a user runs it: on files of any program, and on finished runs."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from medjax.evaluation import operating_points


def made(folder, name, patients, seed, better=1.0):
  """Writes NAME.csv of probabilities and NAME_truth.csv; returns both as one table."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), 2)
  ill = np.repeat(rng.random((patients, 2)) < (0.4, 0.2), 2, axis=0)
  noise = rng.normal(size=ill.shape)
  table = pd.DataFrame({'image': [f'{name}{i}.png' for i in range(len(patient))]})
  for column, label in enumerate(('Mass', 'Edema')):
    score = better * 1.5 * ill[:, column] - 1 + noise[:, column]
    table[f'prob_{label}'] = np.round(1 / (1 + np.exp(-score)), 3)
  truth = table[['image']].assign(
    Edema=ill[:, 1].astype(int),
    Mass=ill[:, 0].astype(int),
    patient=[f'{name}-{each}' for each in patient],
    sex=np.where(patient % 2, 'F', 'M'),
  )
  table.to_csv(folder / f'{name}.csv', index=False)
  truth.sample(frac=1, random_state=0).to_csv(folder / f'{name}_truth.csv', index=False)
  return table.merge(truth, on='image')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('files')
  tables = {name: made(folder, name, 90, seed) for seed, name in enumerate(('t', 'v'))}
  rng = np.random.default_rng(2)
  rows = [
    f'{image},{reader},{mass if rng.random() < 0.85 else 1 - mass}'
    for image, mass in zip(tables['t']['image'], tables['t']['Mass'])
    for reader in ('ann', 'bo', 'cy')
  ]
  (folder / 'readers.csv').write_text('\n'.join(['image,reader,Mass', *rows]))
  worse = tables['t'][['image', 'prob_Mass', 'prob_Edema']].copy()
  for label in ('Mass', 'Edema'):
    worse[f'prob_{label}'] = rng.permutation(worse[f'prob_{label}'])
  worse.to_csv(folder / 'worse.csv', index=False)
  return folder, tables


def test_predictions_of_another_program(command, files, tmp_path):
  folder, tables = files
  said = command(
    'evaluate',
    f'--predictions={folder}/t.csv',
    f'--truth={folder}/t_truth.csv',
    f'--validation={folder}/v.csv',
    f'--validation_truth={folder}/v_truth.csv',
    f'--readers={folder}/readers.csv',
    '--operating_points=youden,sensitivity=0.9',
    '--prevalence=Mass=0.01',
    '--subgroups=sex',
    '--replicates=100',
    f'--output={tmp_path}/out',
    check=True,
  ).stdout
  result = json.loads((tmp_path / 'out/evaluation.json').read_text())
  test, validation = tables['t'], tables['v']
  mean = []
  for label in ('Mass', 'Edema'):
    of = result['labels'][label]
    mean.append(metrics.roc_auc_score(test[label], test[f'prob_{label}']))
    assert of['auroc']['value'] == pytest.approx(mean[-1], abs=1e-9)
    threshold = operating_points.choose(
      'youden', validation[f'prob_{label}'].to_numpy(), validation[label].to_numpy()
    )
    point = of['operating_points'][0]
    assert point['threshold'] == threshold
    called = test[f'prob_{label}'] >= threshold
    assert point['ppv']['value'] == pytest.approx(metrics.precision_score(test[label], called))
  assert f'test mean AUROC {np.mean(mean):.4f}' in said
  assert result['test'] == {'images': 180, 'patients': 90}
  assert {group['value'] for group in result['subgroups']['sex']} == {'F', 'M'}
  assert result['readers']['readers'] == ['ann', 'bo', 'cy']
  assert result['labels']['Mass']['operating_points'][0]['at_prevalence']['prevalence'] == 0.01
  page = (tmp_path / 'out/index.html').read_text()
  unknown = f'Whom the model of {folder}/t.csv was trained on is not recorded'
  assert unknown in said and unknown in page
  assert 'Readers beside the model' in page and 'http:' not in page and 'https:' not in page


def test_without_validation_only_fixed_thresholds(command, files):
  folder, _ = files
  command(
    'evaluate', f'--predictions={folder}/t.csv', f'--truth={folder}/t_truth.csv', '--replicates=20',
    '--operating_points=youden,threshold=0.5', check=True,
  )  # fmt: skip
  points = json.loads((folder / 't_evaluation/evaluation.json').read_text())['labels']['Mass'][
    'operating_points'
  ]
  assert points[0]['threshold'] is None and 'no validation' in points[0]['reason']
  assert points[1]['threshold'] == 0.5 and points[1]['sensitivity']['interval']
  assert not (folder / 't_evaluation/frozen.json').exists()
  page = (folder / 't_evaluation/index.html').read_text()
  assert 'whether anybody had seen the test set by then is not recorded' in page


def test_against_other_predictions(command, files, tmp_path):
  folder, _ = files
  command(
    'evaluate', f'--predictions={folder}/t.csv', f'--truth={folder}/t_truth.csv',
    f'--against={folder}/worse.csv', '--replicates=200', f'--output={tmp_path}/out', check=True,
  )  # fmt: skip
  compared = json.loads((tmp_path / 'out/against_worse.json').read_text())
  difference = compared['mean']['auroc']['difference']
  assert difference['value'] > 0.2 and difference['interval'][0] > 0
  page = (tmp_path / 'out/against_worse.html').read_text()
  assert f'Whom the model of {folder}/t.csv was' in page and '/worse.csv was trained on is' in page
  # Other predictions whose file has the same name are not written over it, nor is a file of others.
  (tmp_path / 'worse.csv').write_bytes((folder / 't.csv').read_bytes())
  for broken, against in ((None, tmp_path), ('{}', folder)):
    if broken:
      (tmp_path / 'out/against_worse.json').write_text(broken)
    before = (tmp_path / 'out/against_worse.json').read_bytes()
    refused = command(
      'evaluate', f'--predictions={folder}/t.csv', f'--truth={folder}/t_truth.csv',
      f'--against={against}/worse.csv', '--replicates=200', f'--output={tmp_path}/out',
    )  # fmt: skip
    assert refused.returncode and 'holds another comparison than of' in refused.stderr
    assert 'Traceback' not in refused.stderr
    assert (tmp_path / 'out/against_worse.json').read_bytes() == before


def test_a_finished_run_again_keeps_what_is_frozen(command, finished, files, tmp_path):
  workdir, _ = finished
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
    (['--workdir={f}'], ['not a finished run']),
    (['--workdir={f}', '--against={f}', '--readers=r.csv'], ['--readers', '--against']),
    (['--workdir={f}', '--margin=0.1'], ['--margin', '--against']),
    (['--workdir={f}/old'], ['test.json: not the figures', 'delete it']),
    (['--predictions={f}/t.csv', '--truth={f}/v_truth.csv'], ['180 of 180 images', 'v_truth', 'v']),
    (['--predictions={f}/t.csv', '--truth={f}/none.csv'], ['none.csv', 'no such file']),
    (['--predictions={f}/one.csv'], ['no label has both positives and negatives', 'X']),
    (['--predictions={f}/patient.csv'], ['all images are of one patient']),
    (['--predictions={f}/outside.csv'], ['row 3', 'prob_X', '1.5']),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--subgroups=sexes'], ['sexes', "'sex'"]),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--calibration=platt'], ['--validation']),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--prevalence=Mas=0.1'], ["'Mass'"]),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--operating_points=yuden'], ["'youden'"]),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--readers={f}/other.csv'],
     ['readers', 'v0.png']),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--validation={f}/t.csv',
      '--validation_truth={f}/t_truth.csv'], ['test images too']),
    (['--predictions={f}/t.csv', '--truth={f}/t_truth.csv', '--against={f}/v.csv'], ['v.csv', 'images']),
  ],
)  # fmt: skip
def test_bad_input_is_one_line(command, files, tmp_path, arguments, words):
  folder, _ = files
  (folder / 'old/evaluation').mkdir(parents=True, exist_ok=True)
  (folder / 'old/evaluation/test.json').write_text('{"mean": {}}')
  (folder / 'one.csv').write_text('image,patient,prob_X,true_X\na,1,0.5,1\nb,2,0.25,1\n')
  (folder / 'patient.csv').write_text('image,patient,prob_X,true_X\na,1,0.5,1\nb,1,0.25,0\n')
  (folder / 'outside.csv').write_text('image,patient,prob_X,true_X\na,1,0.5,1\nb,2,1.5,0\n')
  (folder / 'other.csv').write_text('image,reader,Mass\nv0.png,ann,1\nv1.png,ann,0\n')
  if arguments and 'predictions' in arguments[0]:
    arguments = [*arguments, '--output={o}']
  given = [each.format(f=folder, o=tmp_path / 'out') for each in arguments]
  ended = command('evaluate', *given)
  assert ended.returncode == 1
  (line,) = ended.stderr.strip().splitlines()
  for word in words:
    assert word in line, line
