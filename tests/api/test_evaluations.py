"""Arrays are evaluated, and runs compared, as the command evaluates files and runs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import vouched_runs
from sklearn.metrics import average_precision_score, roc_auc_score

import medjax
from medjax.data.phantom import folder

LABELS = ['Edema', 'Mass']


def drawn(images=300, first_patient=0, seed=0):
  """Truth with unknown values, probabilities, and patients of several images."""
  rng = np.random.default_rng(seed)
  truth = (rng.random((images, 2)) < 0.3).astype(float)
  probabilities = 1 / (1 + np.exp(1 - 2 * truth + rng.normal(0, 1.5, truth.shape)))
  truth[rng.random(truth.shape) < 0.1] = np.nan
  return truth, probabilities, rng.integers(0, images // 3, images) + first_patient


TRUTH, PROBABILITIES, PATIENTS = drawn()
VALIDATION = drawn(200, first_patient=1_000, seed=1)


def test_figures_are_those_of_scikit_learn():
  result = medjax.assess(TRUTH, PROBABILITIES, PATIENTS, labels=LABELS, replicates=0)
  for index, label in enumerate(LABELS):
    known = ~np.isnan(TRUTH[:, index])
    arguments = TRUTH[known, index], PROBABILITIES[known, index]
    figures = result.labels[label]
    assert figures.auroc.value == pytest.approx(roc_auc_score(*arguments), abs=1e-12)
    assert figures.auprc.value == pytest.approx(average_precision_score(*arguments), abs=1e-12)
    assert figures.images == known.sum()
  assert result.test.patients == len(set(PATIENTS))
  assert repr(result).startswith('<test mean AUROC 0.')


def test_tables_are_joined_by_name_and_rows_by_index():
  truth = pd.DataFrame(TRUTH, columns=LABELS, index=[f'{row}.png' for row in range(300)])
  probabilities = pd.DataFrame(PROBABILITIES, columns=LABELS, index=truth.index)
  shuffled = probabilities[LABELS[::-1]].sample(frac=1, random_state=0)
  by_name = medjax.assess(truth.astype('Int8'), shuffled, PATIENTS, replicates=50)
  by_place = medjax.assess(TRUTH, PROBABILITIES, PATIENTS, labels=LABELS, replicates=50)
  for label in LABELS:
    assert by_name.labels[label] == by_place.labels[label]


def test_one_label_may_be_a_plain_list():
  known = ~np.isnan(TRUTH[:, 0])
  result = medjax.assess(
    list(TRUTH[known, 0]), pd.Series(PROBABILITIES[known, 0], name='Edema'), replicates=20
  )
  assert list(result.labels) == ['Edema'] and result.mean.auroc.interval is not None
  assert any('No patients were given' in note for note in result.study_notes)


def test_it_is_what_the_command_says_of_the_same_files(command, tmp_path):
  for name, (truth, probabilities, patients) in {
    'test': (TRUTH, PROBABILITIES, PATIENTS),
    'validation': VALIDATION,
  }.items():
    frame = pd.DataFrame({'image': [f'{name}{row}.png' for row in range(len(truth))]})
    frame['patient'] = patients
    for index, label in enumerate(LABELS):
      frame[f'prob_{label}'] = probabilities[:, index]
      frame[f'true_{label}'] = pd.Series(truth[:, index]).astype('Int8')
    frame.to_csv(tmp_path / f'{name}.csv', index=False)
  settings = {'calibration': 'platt', 'replicates': 60, 'seed': 3}
  command(
    'evaluate', f'--predictions={tmp_path / "test.csv"}', f'--output={tmp_path / "out"}',
    f'--validation={tmp_path / "validation.csv"}', '--operating_points=youden,sensitivity=0.9',
    *(f'--{name}={value}' for name, value in settings.items()), check=True,
  )  # fmt: skip
  saved = json.loads((tmp_path / 'out/evaluation.json').read_text())
  result = medjax.assess(
    TRUTH,
    PROBABILITIES,
    PATIENTS,
    labels=LABELS,
    validation=VALIDATION,
    operating_points=('youden', 'sensitivity=0.9'),
    **settings,
  )
  for label in LABELS:
    of_command = saved['labels'][label]
    assert result.labels[label].auroc.value == pytest.approx(of_command['auroc']['value'], abs=1e-6)
    assert result.labels[label].auroc.interval == pytest.approx(
      of_command['auroc']['interval'], abs=1e-6
    )
    for ours, point in zip(result.labels[label].operating_points, of_command['operating_points']):
      assert ours.threshold == pytest.approx(point['threshold'], abs=1e-5)
      assert ours.sensitivity.value == pytest.approx(point['sensitivity']['value'])
  page = result.report(tmp_path / 'pages/assessed.html')
  text = page.read_text('utf-8')
  assert 'Edema' in text and 'platt' in text.lower()
  assert page._repr_html_().startswith('<iframe')


def test_subgroups_and_levels_come_from_about():
  about = pd.DataFrame({'sex': np.where(PATIENTS % 2, 'F', 'M'), 'study': PATIENTS // 2})
  arguments = {'labels': LABELS, 'about': about, 'replicates': 0}
  result = medjax.assess(TRUTH, PROBABILITIES, PATIENTS, subgroups='sex', **arguments)
  assert {group.value for group in result.subgroups['sex']} == {'F', 'M'}
  result = medjax.assess(TRUTH, PROBABILITIES, PATIENTS, level='patient', **arguments)
  assert result.test.images == len(set(PATIENTS))


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'probabilities': PROBABILITIES[:9]}, 'truth has shape (300, 2), probabilities (9, 2)'),
    ({'probabilities': PROBABILITIES * 2}, "row 0, label 'Mass': 1.80111; allowed: numbers"),
    ({'truth': TRUTH * 2}, 'allowed: 1, 0, NaN'),
    ({'truth': [['yes', 'no']] * 300}, 'truth: must be numbers'),
    ({'patients': PATIENTS[:5]}, 'patients: 5 rows for 300 images'),
    ({'patients': np.zeros(300)}, 'patients: all images are of one patient'),
    ({'labels': ['Edema']}, 'labels: 1 given for 2 columns'),
    ({'labels': ['Edema', 'Edema']}, 'names a label twice'),
    ({'truth': np.zeros((300, 2))}, 'no label has both positives and negatives'),
    ({'calibration': 'plat'}, "did you mean 'platt'"),
    ({'calibration': 'platt'}, 'is fitted on validation, which is missing'),
    ({'replicate': 3}, "did you mean 'replicates'"),
    ({'operating_points': 'sensitivity=2'}, 'operating_points'),
    ({'subgroups': 'sex'}, 'subgroups=sex: the predictions and the truth have no such column'),
    ({'validation': 3}, 'validation: give (truth, probabilities)'),
    ({'validation': drawn(200, seed=1)}, 'of its patients are test patients too'),
    ({'validation': (TRUTH[:, :1], PROBABILITIES[:, :1])}, 'validation: labels: 2 given for 1'),
    ({'validation': (TRUTH, PROBABILITIES)}, 'its truth and probabilities are those of the test'),
    ({'validation': (*VALIDATION[:2], PATIENTS[:200] * 1.0)}, 'are test patients too, such as'),
    ({'validation': (*VALIDATION[:2], [f' {p}' for p in PATIENTS[:200]])}, 'are test patients too'),
    ({'validation': (*VALIDATION[:2], [f'{p}.0' for p in PATIENTS[:200]])}, 'look like one'),
    ({'patients': 3}, 'patients: int given'),
    ({'patients': pd.DataFrame(PATIENTS)}, 'patients: DataFrame given'),
    ({'patients': [' ', *PATIENTS[1:]]}, 'patients: row 0: the patient is empty'),
    ({'patients': [pd.NaT, *PATIENTS[1:]]}, 'patients: row 0: the patient is empty'),
    ({'about': 3}, 'about: int given'),
    ({'truth': {'Edema': TRUTH[:, 0], 'Mass': TRUTH[:, 1]}}, 'truth: dict given'),
    ({'truth': pd.DataFrame(TRUTH, columns=LABELS[::-1])}, 'its columns are Mass, Edema'),
    ({'truth': pd.DataFrame(TRUTH, columns=['Mass', 'Mass'])}, 'a column is there twice'),
    ({'truth': np.zeros((300, 0))}, 'truth: is empty'),
    ({'labels': 3}, 'labels: 3; give a list of names'),
    ({'replicates': 1.5}, 'replicates=1.5: must be a whole number'),
    ({'seed': None}, 'seed=None: must be a whole number'),
    ({'operating_points': 0.5}, 'operating_points=0.5: give a list of text'),
    ({'prevalence': [0.1]}, 'prevalence=[0.1]: give shares by label'),
    ({'level': 'study'}, "level='study': there is no column 'study'"),
  ],
)
def test_a_mistake_is_one_line(settings, words):
  arguments = {
    'truth': TRUTH, 'probabilities': PROBABILITIES, 'patients': PATIENTS, 'labels': LABELS,
  }  # fmt: skip
  with pytest.raises(medjax.InputError) as error:
    medjax.assess(**{**arguments, **settings})
  message = str(error.value)
  assert words in message and not any(sign in message for sign in ('\n', '--', 'config.'))


def test_patients_and_about_are_joined_by_index_too():
  truth = pd.DataFrame(TRUTH, columns=LABELS, index=[f'{row}.png' for row in range(300)])
  probabilities = pd.DataFrame(PROBABILITIES, columns=LABELS, index=truth.index)
  about = pd.DataFrame({'patient': PATIENTS, 'sex': np.where(PATIENTS % 2, 'F', 'M')}, truth.index)
  other = about.sample(frac=1, random_state=0)
  settings = {'subgroups': 'sex', 'level': 'patient', 'replicates': 0}
  result, shuffled = (
    medjax.assess(truth, probabilities, table['patient'], about=table[['sex']], **settings)
    for table in (about, other)
  )
  assert result.labels == shuffled.labels and result.subgroups == shuffled.subgroups
  for arguments, words in (
    ({'patients': about['patient'].reset_index(drop=True)}, 'patients: its index is not that of'),
    ({'about': about.reset_index(drop=True)}, 'about: its index is not that of'),
  ):
    with pytest.raises(medjax.InputError, match=words):
      medjax.assess(truth, probabilities, **arguments)


def test_who_is_not_told_apart_from_the_test_patients_is_noted():
  arguments = {'labels': LABELS, 'replicates': 0}
  for patients, validation, is_noted in (
    (PATIENTS, VALIDATION, False), (PATIENTS, VALIDATION[:2], True), (None, VALIDATION, True),
  ):  # fmt: skip
    result = medjax.assess(TRUTH, PROBABILITIES, patients, validation=validation, **arguments)
    noted = [note for note in result.study_notes if 'were chosen on test patients' in note]
    assert bool(noted) == is_noted


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
  result = medjax.assess(TRUTH, PROBABILITIES, PATIENTS, labels=LABELS, replicates=0)
  (tmp_path / 'file').touch()
  for path, words in (
    (tmp_path, 'is a folder'), (tmp_path / 'file/page.html', 'File exists'), (None, 'give a path'),
  ):  # fmt: skip
    with pytest.raises(medjax.InputError, match=words):
      result.report(path)


def test_images_on_both_sides_are_refused():
  truth = pd.DataFrame(TRUTH, columns=LABELS, index=[f'{row}.png' for row in range(300)])
  probabilities = pd.DataFrame(PROBABILITIES, columns=LABELS, index=truth.index)
  with pytest.raises(medjax.InputError, match='200 of its images are test images too'):
    medjax.assess(truth, probabilities, validation=(truth[:200], probabilities[:200]))


def test_tables_with_other_columns_or_rows_are_refused():
  truth = pd.DataFrame(TRUTH, columns=LABELS)
  probabilities = pd.DataFrame(PROBABILITIES, columns=['Edema', 'Mas'])
  with pytest.raises(medjax.InputError, match="truth has no column 'Mas'; did you mean 'Mass'"):
    medjax.assess(truth, probabilities)
  with pytest.raises(medjax.InputError, match='have not the same index'):
    medjax.assess(truth, pd.DataFrame(PROBABILITIES, columns=LABELS).iloc[1:])


@pytest.mark.slow
def test_a_run_is_compared_with_itself_and_with_one_that_has_seen_the_test(
  finished, tmp_path, command
):
  run = medjax.open_run(finished[0])
  copy = tmp_path / 'copy'
  shutil.copytree(finished[0], copy)
  compared = medjax.compare(run, copy, replicates=100)
  assert compared.mean.auroc.difference.value == 0 and compared.warning == folder.WARNING
  assert str(finished[0]) in str(compared)
  # The same numbers as the command's.
  command(
    'evaluate', f'--workdir={copy}', f'--against={finished[0]}', '--replicates=100', check=True
  )
  saved = json.loads((copy / 'evaluation/against_run.json').read_text())
  assert saved['margin'] == compared.margin == 0.02
  assert saved['mean']['auroc']['one']['value'] == compared.mean.auroc.one.value
  page = compared.report(tmp_path / 'compared.html')
  assert 'against' in page.read_text('utf-8')

  split = (copy / 'split.csv').read_text().replace(',test\n', ',train\n')
  vouched_runs.split_otherwise(copy, split)
  warned = medjax.compare(run, copy, replicates=0)
  assert 'unless they are other people' in warned.warning and warned.warning in str(warned)


def test_what_is_no_run_cannot_be_compared(finished, tmp_path):
  with pytest.raises(medjax.InputError, match='not the work directory of a run'):
    medjax.compare(finished[0], tmp_path)
  with pytest.raises(medjax.InputError, match='a run is compared, not int'):
    medjax.compare(finished[0], 3)
  for name, value in (('margin', '0.02'), ('replicates', 0.5), ('seed', -1)):
    with pytest.raises(medjax.InputError, match=f'{name}='):
      medjax.compare(finished[0], finished[0], **{name: value})
