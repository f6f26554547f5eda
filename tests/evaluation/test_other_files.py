"""Files of other programs: columns by other names, scores of any scale, one file a reader."""

import json

import numpy as np
import pandas as pd
import prediction_files
import pytest
from sklearn import metrics as sklearn_metrics

import medjax
from medjax.config.protocol import Protocol
from medjax.data.reference import reader_table
from medjax.errors import InputError
from medjax.evaluation import assessment, joining

COLUMNS = {'image': 'Study', 'patient': 'PatientID', 'prob_X': 'score', 'true_X': 'label'}


@pytest.fixture
def write(tmp_path):
  def written(name, text):
    (tmp_path / name).write_text(text)
    return tmp_path / name

  return written


def test_columns_by_other_names(write):
  predicted = write('p.csv', 'Study,score\nb,0.75\na,0.25\n')
  truth = write('t.csv', 'PatientID,Study,label,sex\n7,a,0,F\n8,b,1,M\n')
  joined = joining.read(predicted, truth, columns=COLUMNS)
  assert (joined.images, joined.patients, joined.labels) == (['b', 'a'], ['8', '7'], ['X'])
  np.testing.assert_array_equal(joined.probabilities, [[0.75], [0.25]])
  np.testing.assert_array_equal(joined.truth, [[1], [0]])
  assert joined.about.to_dict('list') == {'sex': ['M', 'F']}
  ours = write('o.csv', 'image,patient,prob_X,true_X\na,7,0.5,0\nb,8,0.25,1\n')
  assert joining.read(ours, None, columns=COLUMNS).patients == ['7', '8']
  # One name may say something else in each of the files, and a column may serve two names.
  same = {'prob_X': 'X', 'true_X': 'X', 'patient': 'image'}
  predicted, truth = (
    write('p.csv', 'image,X\na,0.5\nb,0.25\n'),
    write('t.csv', 'image,X\na,1\nb,0\n'),
  )
  joined = joining.read(predicted, truth, columns=same)
  assert joined.probabilities.tolist() == [[0.5], [0.25]] and joined.truth.tolist() == [[1], [0]]
  assert joined.patients == ['a', 'b'] and joined.stated


@pytest.mark.parametrize(
  ('predicted', 'columns', 'words'),
  [
    ('Study,prob_X,true_X\na,1,1\n', {'image': 'Studies'}, ["'Studies'", "mean 'Study'", 'p.csv']),
    ('image,prob_X,true_X\na,1,1\n', {'patient': 'Person'}, ['--columns', "'Person'", 'p.csv']),
    ('image,Study,prob_X,true_X\na,b,1,1\n', {'image': 'Study'}, ["'image'", "'Study'", 'one of']),
    ('image,X\na,1\n', {'prob_X': 'X', 'true_X': 'X'}, ["'X'", 'both prob_X and true_X']),
  ],
)
def test_columns_that_are_not_there_or_twice(write, predicted, columns, words):
  with pytest.raises(InputError) as error:
    joining.read(write('p.csv', predicted), None, columns=columns)
  assert all(word in str(error.value) for word in words) and '\n' not in str(error.value)


def test_scores_of_another_scale_are_ranks(write):
  text = 'image,patient,prob_X,true_X\na,1,-3.5,0\nb,2,12.25,1\n'
  with pytest.raises(InputError, match=r"row 2.*'-3.5' is no probability.*--scores=ranks"):
    joining.read(write('p.csv', text), None)
  joined = joining.read(write('p.csv', text), None, scores='ranks')
  assert joined.probabilities.tolist() == [[-3.5], [12.25]]
  for bad in ('inf', 'nan', 'high', ''):
    with pytest.raises(InputError, match=r"row 2, column 'prob_X': .* is no number"):
      joining.read(write('p.csv', text.replace('-3.5', bad)), None, scores='ranks')


def test_a_rounding_of_float32_outside_of_0_and_1_is_their_value(write):
  text = 'image,prob_X,true_X\na,1.0000001,1\nb,-1.2e-07,0\n'
  assert joining.read(write('p.csv', text), None).probabilities.tolist() == [[1], [0]]
  over = np.float32([1.0000001, 0.5, 0.25, -1e-8])
  result = medjax.assess([1, 0, 1, 0], over, operating_points=('threshold=0.5',), replicates=0)
  assert result.labels['label'].brier.value == (0.25 + 0.5625) / 4
  with pytest.raises(InputError, match=r"1\.00001 is|1.00001' is no probability"):
    joining.read(write('p.csv', text.replace('1.0000001', '1.00001')), None)


@pytest.mark.parametrize('level', ['image', 'patient'])
def test_ranks_have_curves_and_thresholds_and_nothing_of_probabilities(level):
  rng = np.random.default_rng(0)
  truth = rng.integers(0, 2, (2, 160))
  scores = 40 * (truth + rng.normal(0, 1, truth.shape)) - 100
  patients = np.array([f'{part}{row // 2}' for part in 'tv' for row in range(160)]).reshape(2, 160)
  about = pd.DataFrame({'sex': np.where(np.arange(160) % 4 < 2, 'F', 'M')})
  given = dict(
    patients=patients[0], validation=(truth[1], scores[1], patients[1]), about=about, level=level,
    subgroups=['sex'], replicates=50, operating_points=('youden', 'sensitivity=0.9'),
  )  # fmt: skip
  with pytest.raises(InputError, match="scores='ranks'"):
    medjax.assess(truth[0], scores[0], **given)
  with pytest.raises(InputError, match=r"scores=ranks: calibration='platt' needs probabilities"):
    medjax.assess(truth[0], scores[0], scores='ranks', calibration='platt', **given)
  result = medjax.assess(truth[0], scores[0], scores='ranks', **given)
  (of_label,) = result.labels.values()
  frame = pd.DataFrame({'patient': patients[0], 'truth': truth[0], 'score': scores[0]})
  tested = frame if level == 'image' else frame.groupby('patient').max()
  auroc = sklearn_metrics.roc_auc_score(tested['truth'], tested['score'])
  assert of_label.auroc.value == pytest.approx(auroc, abs=1e-12) and of_label.auroc.interval
  assert of_label.auprc.value == pytest.approx(
    sklearn_metrics.average_precision_score(tested['truth'], tested['score']), abs=1e-12
  )
  point = of_label.decision
  assert (
    point.threshold < 0
    and point.confusion.true_positives
    == ((tested['score'] >= point.threshold) & (tested['truth'] == 1)).sum()
  )
  for part in (result.mean, of_label):
    for name in ('brier', 'ece', 'calibration_slope', 'calibration_intercept'):
      assert getattr(part, name).value is getattr(part, name).interval is None
      assert getattr(part, name).reason == 'scores are ranks, not probabilities'
  assert of_label.reliability is None and of_label.validation.brier is None
  assert result.subgroups['sex'][0].labels['label'].brier.value is None
  assert any(note.startswith('Scores are ranks') for note in result.notes)
  # Whatever keeps the order gives the same figures.
  moved = medjax.assess(
    truth[0], np.exp(scores[0] / 100), scores='ranks',
    **given | {'validation': (truth[1], np.exp(scores[1] / 100), patients[1])},
  )  # fmt: skip
  assert moved.mean.auroc == result.mean.auroc
  assert moved.labels['label'].decision.confusion == point.confusion


def test_a_column_of_patients_that_equals_the_images_is_a_statement(write):
  rows = [f'i{row},i{row},{row % 7 / 7:.3f},{row % 2}' for row in range(60)]
  text = '\n'.join(['image,patient,prob_X,true_X', *rows])
  bare = '\n'.join(line.split(',', 2)[0] + ',' + line.split(',', 2)[2] for line in text.split('\n'))
  for content, said, unsaid in (
    (text, "Every image in test is of another patient, by its column 'patient'.", 'No patient id'),
    (bare, 'No patient identifiers in test', 'Every image'),
  ):
    test = joining.read(write('p.csv', content), None)
    for level in ('image', 'patient'):
      protocol = Protocol(operating_points=('threshold=0.5',), replicates=0, level=level)
      notes = assessment.assess(None, test, protocol).result.notes
      assert sum(said in note for note in notes) == 1
      assert not any(unsaid in note for note in notes)


def test_one_file_a_reader(write):
  text = ''.join(f'i{row},{row % 2},{row % 3 % 2}\n' for row in range(9))
  ann = write('ann.csv', f'image,X,Y\n{text}')
  bo = write('bo.csv', 'image,X\ni1,1\ni0,\n')
  both = write('both.csv', 'image,reader,X\ni0,cy,1\ni0,di,0\n')
  readings = reader_table.read_files([ann, bo, both])
  assert readings['reader'].unique().tolist() == ['ann', 'bo', 'cy', 'di']
  assert readings.query("reader == 'bo'")['X'].tolist()[0] == 1
  assert readings.query("reader == 'bo'")[['Y']].isna().all(axis=None)
  assert reader_table.labels_of(readings) == ['X', 'Y']
  pd.testing.assert_frame_equal(reader_table.read_files([both]), reader_table.read(both))
  for name, content, words in (
    ('Ann.csv', 'image,X\ni0,1\n', "reader 'Ann' is in .*ann.csv too"),
    ('x.csv', 'image,reader,X\ni0,di,1\n', "reader 'di' is in .*both.csv too"),
    ('x.csv', 'image,patient,X\ni0,1,1\n', r"x\.csv: of it and .*ann\.csv one has a column 'pat"),
    ('x.csv', 'image,X\ni0,2\n', r"x\.csv: row 2, column 'X': unknown code '2'"),
  ):
    with pytest.raises(InputError, match=words):
      reader_table.read_files([ann, both, write(name, content)])
  with pytest.raises(InputError, match="no column 'reader'"):
    reader_table.read_files([ann])


@pytest.mark.slow
def test_the_command_takes_such_files(command, tmp_path):
  tables = prediction_files.write(tmp_path)
  for name, table in tables.items():
    odds = np.log(
      table['prob_Mass'].clip(0.001, 0.999) / (1 - table['prob_Mass'].clip(0.001, 0.999))
    )
    table.assign(Film=table['image'], finding=table['Mass'], odds=odds)[
      ['Film', 'odds', 'finding', 'patient']
    ].to_csv(tmp_path / f'other_{name}.csv', index=False)
  reads = pd.read_csv(tmp_path / 'readers.csv')
  for reader, part in reads.groupby('reader'):
    part.drop(columns='reader').to_csv(tmp_path / f'{reader}.csv', index=False)
  columns = "{'image': 'Film', 'prob_Mass': 'odds', 'true_Mass': 'finding'}"
  shared = (f'--predictions={tmp_path}/other_t.csv', f'--columns={columns}', '--scores=ranks')
  said = command(
    'evaluate', *shared, f'--validation={tmp_path}/other_v.csv', '--replicates=20',
    f'--readers={tmp_path}/ann.csv,{tmp_path}/bo.csv,{tmp_path}/cy.csv', f'--output={tmp_path}/o',
    check=True,
  ).stdout  # fmt: skip
  result = json.loads((tmp_path / 'o/evaluation.json').read_text())
  table = tables['t']
  auroc = sklearn_metrics.roc_auc_score(table['Mass'], table['prob_Mass'].clip(0.001, 0.999))
  assert f'test mean AUROC {auroc:.4f}' in said and 'note: Scores are ranks' in said
  assert result['readers']['readers'] == ['ann', 'bo', 'cy']
  page = (tmp_path / 'o/index.html').read_text()
  assert 'Calibration' not in page and 'Brier' not in page.replace('no Brier score', '')
  said = command(
    'evaluate', *shared, f'--against={tmp_path}/other_t.csv', f'--output={tmp_path}/o',
    '--replicates=0', check=True,
  ).stdout  # fmt: skip
  assert 'difference 0.000' in said
  for columns, word in (('Film', 'give names here'), ("{'image': 3}", 'give names here')):
    ended = command('evaluate', shared[0], f'--columns={columns}')
    assert ended.returncode == 1 and word in ended.stderr and ended.stderr.count('\n') == 1
