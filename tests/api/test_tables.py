"""Tables of images in pandas are split and audited as the commands split and audit sources."""

import json

import numpy as np
import pandas as pd
import pytest

import medjax

LABELS = ['Edema', 'Mass']


def table_of(images=600, patients=200):
  rng = np.random.default_rng(0)
  return pd.DataFrame(
    {
      'image': [f'{number}.png' for number in range(images)],
      'patient': rng.integers(0, patients, images).astype(str),
      'Edema': rng.choice([0, 1, -1, np.nan], images, p=[0.7, 0.1, 0.1, 0.1]),
      'Mass': rng.integers(0, 2, images),
      'hospital': 'St. Thomas',
      'weight': rng.normal(70, 10, images),
    },
    index=np.arange(images) + 1_000,
  )


def test_patients_are_on_one_side_and_the_floor_is_met():
  table = table_of()
  split = medjax.split_patients(
    table, LABELS, test=0.2, validation=30, test_floor={'Edema': 0.4}, seed=3
  )
  assert split.sides.index.equals(table.index) and split.sides.name == 'split'
  by_patient = split.sides.groupby(table['patient'])
  assert (by_patient.nunique() == 1).all()
  sides = by_patient.first()
  patients = table['patient'].nunique()
  assert (sides == 'test').sum() == round(0.2 * patients)
  assert (sides == 'validation').sum() == 30
  positive = (table['Edema'] == 1).groupby(table['patient']).any()
  assert positive[sides == 'test'].mean() >= 0.4
  overlap = split.proof['patient_overlap']
  assert overlap['train']['test'] == 0 and overlap['test']['test'] == (sides == 'test').sum()
  assert any('Edema' in note for note in split.proof['notes'])


def test_neither_the_order_of_rows_nor_other_columns_change_it_but_the_seed_does():
  table = table_of()
  sides = medjax.split_patients(table, LABELS).sides
  shuffled = table.sample(frac=1, random_state=0).drop(columns=['hospital', 'weight'])
  pd.testing.assert_series_equal(
    medjax.split_patients(shuffled, LABELS).sides.loc[table.index], sides
  )
  assert (medjax.split_patients(table, LABELS, seed=1).sides != sides).any()


def test_it_is_the_split_of_the_command(command, phantom_root, tmp_path):
  from conftest import TINY

  command(
    'split', '--config=configs/phantom.py', *TINY, f'--config.data.root={phantom_root}',
    f'--output={tmp_path / "command"}', '--config.split.test_floor={"Edema":0.3}', check=True,
  )  # fmt: skip
  config = medjax.load_config(
    'configs/phantom.py', *(flag.removeprefix('--config.') for flag in TINY)
  )
  from medjax.data import datasets

  config.data.root = str(phantom_root)
  table = datasets.read(config.data)
  labels = list(config.data.labels)
  # The phantom's config reads what is not mentioned as negative; here only what is known counts.
  table[labels] = table[labels].fillna(0)
  split = medjax.split_patients(table, labels, test=0.2, validation=0.15, test_floor={'Edema': 0.3})
  split.save(tmp_path / 'python')
  assert (tmp_path / 'python/split.csv').read_bytes() == (
    tmp_path / 'command/split.csv'
  ).read_bytes()
  proof = json.loads((tmp_path / 'python/split.json').read_text())
  assert proof['split_sha256'] == split.proof['split_sha256']


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'test': 0}, "test is '0'; give a share"),
    ({'validation': 'official'}, 'validation'),
    ({'test_floor': {'Edma': 3}}, "a label of test_floor is 'Edma'; allowed: Edema, Mass; did you"),
    ({'test_floor': {'Edema': 500}}, "test_floor['Edema']=500"),
    ({'seed': -1}, 'seed is -1'),
    ({'labels': 'Edema'}, "labels: 'Edema'; give a list"),
    ({'labels': ['Edm']}, "labels: table has no label 'Edm'; did you mean 'Edema'"),
    ({'labels': ['patient']}, "a label cannot be called 'patient'"),
    ({'labels': ['weight']}, "column 'weight': unknown code"),
    ({'table': table_of().drop(columns='patient')}, "no column 'patient'"),
    ({'table': 'table.csv'}, 'table: str given; give a pandas DataFrame'),
    ({'table': table_of()[:0]}, 'table: has no rows'),
    ({'table': table_of().assign(Edema='yes')}, "label column 'Edema' is not numeric"),
    (
      {'table': pd.concat([table_of(), table_of()[['patient']]], axis=1)},
      "table: column 'patient' is there twice",
    ),
    ({'labels': None}, 'labels: None; give a list'),
    ({'labels': ['Edema', 'Edema']}, 'give every label once'),
    ({'seed': 1.5}, 'seed=1.5: must be a whole number'),
    ({'test_floor': ['Edema']}, "test_floor=['Edema']: give shares or counts by label"),
  ],
)
def test_a_mistake_is_one_line_in_the_words_of_the_arguments(settings, words):
  with pytest.raises(medjax.InputError) as error:
    medjax.split_patients(**{'table': table_of(), 'labels': LABELS, **settings})
  message = str(error.value)
  assert words in message and '\n' not in message and 'config.' not in message


def test_numbers_of_numpy_and_pandas_are_numbers(tmp_path):
  table = table_of()
  settings = {'test': 50, 'validation': 0.25, 'test_floor': {'Edema': 20}, 'seed': 3}
  plain = medjax.split_patients(table, LABELS, **settings)
  table['Edema'] = table['Edema'].astype('Int8')
  split = medjax.split_patients(
    table,
    LABELS,
    test=np.int64(50),
    validation=np.float32(0.25),
    test_floor={'Edema': np.int64(20)},
    seed=np.int64(3),
  )
  split.save(tmp_path / 'split')
  assert json.loads((tmp_path / 'split/split.json').read_text()) == plain.proof
  with pytest.raises(medjax.InputError, match='File exists'):
    split.save(tmp_path / 'split/split.csv')


def test_an_audit_finds_patients_on_two_sides_and_what_predicts_a_label():
  table = table_of()
  table['site'] = np.where(table['Mass'] == 1, 'oncology', 'ward')
  split = medjax.split_patients(table, LABELS, test=0.3)
  audit = medjax.audit_table(table, split)
  assert not audit.overlapping and set(audit.prevalence) == set(LABELS)
  assert audit.sides['test'].images == (split.sides == 'test').sum()
  assert audit.predicts[0].label == 'Mass' and audit.predicts[0].auroc == pytest.approx(1)
  assert medjax.audit_table(table, split.sides, LABELS) == audit
  by_image = np.random.default_rng(5).choice(['train', 'test'], len(table))
  assert medjax.audit_table(table, by_image, LABELS).overlapping


@pytest.mark.parametrize(
  ('split', 'words'),
  [
    (['train'] * 599, '599'),
    (['train', 'tset'] * 300, "'tset'"),
    (pd.Series(['train'] * 600), 'its index is not that of the table'),
    (None, 'split: NoneType given'),
    ('split', 'split: str given'),
  ],
)
def test_a_split_that_does_not_fit_is_one_line(split, words):
  with pytest.raises(medjax.InputError, match='split') as error:
    medjax.audit_table(table_of(), split, LABELS)
  assert words in str(error.value) and '\n' not in str(error.value)
