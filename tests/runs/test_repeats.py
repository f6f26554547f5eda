"""A folder of folds or seeds is no run; its splits prove who was seen by which network."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import split_studies
from vouched_runs import write_split

from medjax.config import Split
from medjax.data.split import folds, split_files
from medjax.errors import InputError
from medjax.runs import finished, fold_lineage, repeats
from medjax.runs.layout import Layout


@pytest.mark.parametrize(('kind', 'words'), [('fold', 'folds of a study'), ('seed', 'members')])
def test_a_folder_of_several_runs_is_answered_with_one_of_them(finished_run, tmp_path, kind, words):
  shutil.copytree(finished_run, tmp_path / f'{kind}1')
  with pytest.raises(InputError) as error:
    finished.open_run(tmp_path)
  message = str(error.value)
  assert words in message and f'such as {tmp_path / kind}1' in message and '\n' not in message
  assert finished.open_run(tmp_path / f'{kind}1').result
  assert repeats.find(tmp_path).started() == [1] and repeats.find(tmp_path / f'{kind}1') is None


@pytest.fixture
def finished_run(finished):
  return finished[0]


@pytest.fixture
def three(tmp_path):
  """What the lineage reads of three folds, written as runs write it."""
  made = split_studies.study(30)
  table, truth, known = made
  labels = split_studies.LABELS
  runs = []
  for fold in range(3):
    layout = Layout(tmp_path / f'fold{fold}')
    layout.workdir.mkdir()
    settings = Split(validation=5, folds=3, fold=fold)
    sides, how = folds.split(table, truth, known, labels, settings)
    proof = split_files.proof(table, sides, truth, known, labels, settings={'seed': 0}, how=how)
    split_files.write(layout.workdir, split_files.to_csv(table, sides), proof)
    layout.config.write_text(json.dumps({'data': {'root': str(tmp_path)}}))
    tested = table['patient'][sides == 'test'].tolist()
    predictions = SimpleNamespace(patients=tested)
    runs.append(
      SimpleNamespace(
        layout=layout, workdir=layout.workdir, raw_predictions=lambda part, of=predictions: of
      )
    )
  return runs


def changed_split(run, change):
  """Writes a fold's split anew, vouched for as if the run had written it so."""
  proof = json.loads(run.layout.split_proof.read_text())
  table = pd.read_csv(run.layout.split, dtype=str)
  digest = write_split(run.workdir, change(table).to_csv(index=False))
  run.layout.split_proof.write_text(json.dumps(proof | {'split_sha256': digest}))


def test_folds_as_their_runs_left_them_are_proved(three):
  fold_lineage.check(three)


def test_a_patient_whom_the_network_saw_is_found(three):
  tested = three[1].raw_predictions('test').patients[0]

  def into_training(table):
    first = table.index[table['patient'] == tested][0]
    return table.assign(split=np.where(table.index == first, 'train', table['split']))

  if list(pd.read_csv(three[1].layout.split)['patient']).count(tested) == 1:
    pytest.skip('of one image: it would be tested no more')
  changed_split(three[1], into_training)
  with pytest.raises(InputError, match=f"patient '{tested}' is tested and was seen"):
    fold_lineage.check(three)


def test_a_patient_whom_pretrained_weights_saw_is_found(three, tmp_path):
  tested = three[2].raw_predictions('test').patients[0]
  seen = pd.DataFrame({'image': ['x.png'], 'patient': [tested], 'split': ['train']})
  seen.assign(root=str(tmp_path), sha256='').to_csv(three[2].layout.pretrained_on, index=False)
  with pytest.raises(InputError, match='was seen by the network'):
    fold_lineage.check(three)


@pytest.mark.parametrize(
  ('spoil', 'words'),
  [
    (lambda runs: runs.reverse(), 'is not of fold 0 of 3'),
    (lambda runs: runs.pop(), 'is not of fold 0 of 2'),
    (
      lambda runs: changed_split(
        runs[1],
        lambda table: table.assign(
          split=np.where(
            table['patient'] == runs[0].raw_predictions('test').patients[0], 'test', table['split']
          )
        ),
      ),
      'is tested there and in fold 0',
    ),
    (
      lambda runs: changed_split(
        runs[2],
        lambda table: table.assign(
          split=np.where(
            table['patient'] == runs[2].raw_predictions('test').patients[0], 'train', table['split']
          )
        ),
      ),
      "is not of this fold's test",
    ),
    (
      lambda runs: runs[1].layout.split_proof.write_text(
        runs[1].layout.split_proof.read_text().replace('"table_sha256": "', '"table_sha256": "0')
      ),
      'has another table than',
    ),
  ],
)
def test_other_folders_are_refused_in_one_line(three, spoil, words):
  spoil(three)
  with pytest.raises(InputError) as error:
    fold_lineage.check(three)
  assert words in str(error.value) and '\n' not in str(error.value)
