"""The split's proof and files: counts by hand, hashes, and what does not belong together."""

import hashlib
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from split_studies import LABELS, make, one_image_each, study

from medjax.data.split import by_patient as splits
from medjax.data.split import characteristics, split_files
from medjax.errors import InputError


@pytest.fixture
def proven():
  table, truth, known = made = study(
    120, known=0.7, official=[''] * 5 + ['test', 'train'] * 57 + ['train']
  )
  split, how = make(made, 'official', 0.1, seed=4)
  settings = {'test': 'official', 'validation': 0.1, 'test_floor': {}, 'seed': 4}
  return (
    made,
    split,
    split_files.proof(table, split, truth, known, LABELS, settings=settings, how=how),
  )


def test_the_proof_counts_what_a_loop_over_the_rows_counts(proven):
  (table, truth, known), split, proof = proven
  for name in splits.SPLITS:
    rows = [row for row in range(len(table)) if split[row] == name]
    result = proof['splits'][name]
    assert result['images'] == len(rows) > 0
    assert result['patients'] == len({table['patient'][row] for row in rows})
    assert result['characteristics'] == characteristics.of_rows(table.iloc[rows])
    for column, label in enumerate(LABELS):
      sure = [row for row in rows if known[row, column]]
      positive = [row for row in sure if truth[row, column] == 1]
      assert result['labels'][label] == {
        'known': len(sure),
        'positive': len(positive),
        'prevalence': len(positive) / len(sure),
        'positive_patients': len({table['patient'][row] for row in positive}),
        'negative_patients': len({table['patient'][row] for row in set(sure) - set(positive)}),
      }
  assert proof['seed'] == 4 and proof['settings']['test'] == 'official'
  assert json.loads(json.dumps(proof, allow_nan=False)) == proof


def test_the_overlap_matrix_has_the_patients_of_each_split_on_its_diagonal(proven):
  (table, truth, known), _, proof = proven
  overlap = proof['patient_overlap']
  for a, b in itertools.product(splits.SPLITS, repeat=2):
    assert overlap[a][b] == (proof['splits'][a]['patients'] if a == b else 0)
  by_image = np.array(['train', 'test'])[np.arange(len(table)) % 2]
  leaky = split_files.proof(table, by_image, truth, known, LABELS, settings={}, how={})
  pair = {p for p, s in zip(table['patient'], by_image) if s == 'train'} & {
    p for p, s in zip(table['patient'], by_image) if s == 'test'
  }
  assert leaky['patient_overlap']['train']['test'] == len(pair) > 0


def test_the_proof_lists_labels_of_one_class():
  made = one_image_each(['10'] * 6 + ['00'] * 6)
  table, truth, known = made
  known[6:, 1] = False
  split = np.array(['train'] * 6 + ['test'] * 6)
  proof = split_files.proof(table, split, truth, known, LABELS[:2], settings={}, how={})
  assert proof['labels_without_positives'] == {'train': ['Edema'], 'test': ['Mass', 'Edema']}
  assert proof['labels_without_negatives'] == {'train': ['Mass'], 'test': ['Edema']}
  assert proof['splits']['test']['labels']['Edema']['prevalence'] is None


def test_the_proof_says_what_weakens_the_split():
  made = table, truth, known = one_image_each(['1'] * 14 + ['0'] * 200)

  def notes(table, **settings):
    split, how = make((table, truth, known), 20, 20, **settings)
    return split_files.proof(table, split, truth, known, ['Mass'], settings={}, how=how)['notes']

  assert notes(table) == []
  enriched, rationed = notes(table, test_floor={'Mass': 10})
  assert 'enriched to meet the floor for Mass' in enriched
  assert 'Validation has fewer positives than the test set has of Mass' in rationed
  (unknown,) = notes(made[0].assign(patient=made[0]['image']))
  assert 'every image counts as a patient' in unknown
  some = np.where(np.arange(len(table)) < 14, 'lesion', 'patient')
  (lesions,) = notes(table.assign(grouped_by=some))
  assert 'For 14 images' in lesions and 'every lesion counts as a patient' in lesions


def test_hashes_hold_for_the_content_and_not_for_its_order(proven):
  (table, truth, known), split, proof = proven
  order = np.random.default_rng(0).permutation(len(table))
  columns = ['Hernia', 'image', 'Edema', 'patient', 'Mass']
  shuffled = table[columns].iloc[order].reset_index(drop=True)

  def hashes(table, split):
    again = split_files.proof(table, split, truth, known, LABELS, settings={}, how={})
    return again['table_sha256'], again['split_sha256']

  same = (proof['table_sha256'], proof['split_sha256'])
  assert hashes(shuffled, split[order]) == same
  for column, value in (('Mass', -1), ('Mass', np.nan), ('patient', 'q'), ('image', 'x.png')):
    changed = table.copy()
    assert changed.loc[0, column] != value
    changed.loc[0, column] = value
    assert hashes(changed, split)[0] != same[0]
  other = np.where(split == 'validation', 'unused', split)
  assert hashes(table, other)[0] == same[0] and hashes(table, other)[1] != same[1]


def test_the_table_hash_can_be_recomputed_from_its_description():
  table = pd.DataFrame(
    {
      'image': ['b', 'a', 'ü', 'c'],
      'patient': ['1', '2', '3', '3'],
      'Mass': np.array([1, -1, np.nan, 0], np.float32),
      'Nodule': np.array([1, 1 / 3, 0, 0.5], np.float32),
    }
  )
  known = np.ones((4, 1), bool)
  split = np.array(['train'] * 4)
  proof = split_files.proof(table, split, known * 1.0, known, ['Mass'], settings={}, how={})

  def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()

  columns = {
    'Mass': sha256('"-10n"'),
    'Nodule': sha256('"s1s0 0.333333 0.500000"'),
    'image': sha256('["a", "b", "c", "\\u00fc"]'),
    'patient': sha256('["2", "1", "3", "3"]'),
  }
  assert proof['column_sha256'] == columns
  assert proof['table_sha256'] == sha256(''.join(f'{k} {v}\n' for k, v in columns.items()))


def test_the_csv_is_sorted_by_image_and_quoted_where_it_must_be():
  table = pd.DataFrame({'image': ['b.png', 'a,1.png', 'NA'], 'patient': ['7', '"8"', 'null']})
  text = split_files.to_csv(table, np.array(['test', 'train', 'validation']))
  assert text == 'image,patient,split\nNA,null,validation\n"a,1.png","""8""",train\nb.png,7,test\n'


def test_written_and_read_back_in_another_order(proven, tmp_path):
  (table, _, _), split, proof = proven
  split_files.write(tmp_path / 'new' / 'run', split_files.to_csv(table, split), proof)
  assert sorted(p.name for p in (tmp_path / 'new' / 'run').iterdir()) == ['split.csv', 'split.json']
  content = (tmp_path / 'new' / 'run' / 'split.csv').read_bytes()
  assert hashlib.sha256(content).hexdigest() == proof['split_sha256']
  order = np.random.default_rng(0).permutation(len(table))
  result, found_proof = split_files.read(
    tmp_path / 'new' / 'run', table.iloc[order].reset_index(drop=True)
  )
  np.testing.assert_array_equal(result, split[order])
  assert found_proof == proof


def test_names_that_pandas_would_take_for_missing_survive(tmp_path):
  table = pd.DataFrame({'image': ['NA', 'null', '007', ' x'], 'patient': ['nan', 'nan', '01', '1']})
  known = np.zeros((4, 0), bool)
  split = np.array(['train', 'train', 'test', 'validation'])
  proof = split_files.proof(table, split, known * 1.0, known, [], settings={}, how={})
  split_files.write(tmp_path, split_files.to_csv(table, split), proof)
  np.testing.assert_array_equal(split_files.read(tmp_path, table)[0], split)


def _drop_first(table):
  return table.iloc[1:].reset_index(drop=True)


def _set(column, value):
  def change(table):
    table = table.copy()
    table.loc[0, column] = value
    return table

  return change


@pytest.mark.parametrize(
  'change, words',
  [
    (_drop_first, ['split.csv', "1 of its images are not in the table, such as '{image}'"]),
    (
      _set('image', 'new.png'),
      ['split.csv', "1 images of the table are not in it, such as 'new.png'"],
    ),
    (
      _set('patient', 'x'),
      ['split.csv', "'{image}' is of patient '{patient}', in the table of 'x'"],
    ),
    (_set('Edema', -1), ['split.json', 'other or no values in Edema;']),
    (lambda table: table.drop(columns='Mass'), ['split.json', 'other or no values in Mass;']),
    (lambda table: table.assign(New=1), ['split.json', 'other or no values in New;']),
  ],
)
def test_a_table_other_than_the_one_that_was_split(proven, tmp_path, change, words):
  (table, _, _), split, proof = proven
  split_files.write(tmp_path, split_files.to_csv(table, split), proof)
  with pytest.raises(InputError) as error:
    split_files.read(tmp_path, change(table))
  for word in words:
    assert word.format(**table.loc[0, ['image', 'patient']]) in str(error.value)
  assert str(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_files_changed_missing_or_of_another_kind(proven, tmp_path):
  (table, _, _), split, proof = proven
  with pytest.raises(InputError, match=r'split\.json: no such file'):
    split_files.read(tmp_path, table)
  text = split_files.to_csv(table, split)
  split_files.write(tmp_path, text.replace(',test\n', ',train\n', 1), proof)
  with pytest.raises(InputError, match=r'split\.csv: not the file that split\.json vouches for'):
    split_files.read(tmp_path, table)
  split_files.write(tmp_path, text, proof | {'format': 'medjax split 9'})
  with pytest.raises(InputError, match="the format is 'medjax split 9'"):
    split_files.read(tmp_path, table)
  for name in ('table_sha256', 'column_sha256', 'splits'):
    split_files.write(tmp_path, text, proof | {name: None})
    with pytest.raises(InputError, match=f"it has no '{name}'"):
      split_files.read(tmp_path, table)
  (tmp_path / 'split.json').write_text('{"format": ')
  with pytest.raises(InputError, match=r'split\.json: not a readable JSON file'):
    split_files.read(tmp_path, table)
  split_files.write(tmp_path, text, proof)
  (tmp_path / 'split.csv').unlink()
  with pytest.raises(InputError, match=r'split\.csv: no such file'):
    split_files.read(tmp_path, table)


def test_a_leaky_split_is_refused_even_if_its_files_agree(tmp_path):
  table, truth, known = study(20)
  by_image = np.array(['train', 'test'])[np.arange(len(table)) % 2]
  proof = split_files.proof(table, by_image, truth, known, LABELS, settings={}, how={})
  split_files.write(tmp_path, split_files.to_csv(table, by_image), proof)
  with pytest.raises(InputError, match='more than one side'):
    split_files.read(tmp_path, table)
