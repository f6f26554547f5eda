"""Several sets as one table: vocabulary, patients, views, and what a set does not label."""

import json

import layouts
import numpy as np
import pandas as pd
import pytest

from medjax import config
from medjax.data import datasets, missing_files, study
from medjax.data import labels as policies
from medjax.data.datasets import (
  chestxray14,
  chexpert,
  padchest,
  rsna_pneumonia,
  several,
  vindr_cxr,
  vocabulary,
)
from medjax.errors import InputError
from medjax.training import objective

NAN = np.nan
LABELS = ('Edema', 'Lung Lesion', 'Pleural Effusion')


@pytest.fixture
def root(tmp_path):
  layouts.chexpert(tmp_path / 'CheXpert-v1.0-small')
  layouts.nih(tmp_path / 'nih')
  layouts.rsna(tmp_path / 'rsna')
  return tmp_path


SETS = {
  'stanford': {'source': 'chexpert', 'root': 'CheXpert-v1.0-small'},
  'nih': {'source': 'chestxray14'},
  'rsna': {'source': 'rsna_pneumonia'},
}


def data(root, labels=LABELS, sets=SETS, views=(), blank='ignore'):
  settings = {} if sets is None else {'sets': sets}
  return config.Data('several', str(root), labels, views=views, blank=blank, settings=settings)


def test_one_table(root):
  table = datasets.read(data(root, (*LABELS, 'Pneumonia')))
  assert table['dataset'].tolist() == ['stanford'] * 4 + ['nih'] * 3 + ['rsna'] * 3
  assert all((root / image).is_file() for image in table['image'])
  assert missing_files.check(table, root, broken='stop') == []
  assert table['patient'].tolist() == [
    'stanford:patient00001', 'stanford:patient00001', 'stanford:patient00002',
    'stanford:patient64541', 'nih:1', 'nih:1', 'nih:2', 'rsna:u1', 'rsna:u2', 'rsna:u3',
  ]  # fmt: skip
  assert table['grouped_by'].tolist() == ['patient'] * 7 + ['image'] * 3
  assert table['sex'].tolist() == ['F', 'F', 'M', 'M', 'M', 'M', 'F', '', '', '']
  assert table['age'].tolist() == ['68', '68', '40', '73', '57', '58', '80', '', '', '']
  assert table['view'].tolist() == ['AP', 'lateral', 'PA', 'AP', 'PA', 'AP', 'PA'] + ['frontal'] * 3
  np.testing.assert_array_equal(table['width'], [NAN] * 4 + [2682, 2894, 2500] + [NAN] * 3)
  np.testing.assert_array_equal(table['Edema'], [1, 1, NAN, 1, 0, 0, 0, NAN, NAN, NAN])
  np.testing.assert_array_equal(table['Lung Lesion'], [NAN] * 4 + [0, 0, 1] + [NAN] * 3)
  np.testing.assert_array_equal(table['Pleural Effusion'], [-1, -1, NAN, NAN, 1, 0, 0] + [NAN] * 3)
  np.testing.assert_array_equal(table['Pneumonia'], [NAN] * 4 + [0, 0, 0, 0, 1, 0])
  assert 'stage_2_train_labels.csv: row 3' in table['named_in'][8]


def test_frontal_is_the_same_in_every_set(root):
  table = datasets.read(data(root, views=('frontal',)))
  assert len(table) == 9 and 'lateral' not in set(table['view'])


def test_what_a_set_does_not_label_is_masked_whatever_the_policy_for_blanks(root):
  table = datasets.read(data(root))
  for blank in ('zeros', 'ignore', {'Edema': 'zeros'}):
    values, mask = policies.resolve(table, LABELS, 'ones', blank)
    truth, known = policies.reference(table, LABELS, blank)
    of_rsna = (table['dataset'] == 'rsna').to_numpy()
    assert not mask[of_rsna].any() and not known[of_rsna].any()
    assert not values[of_rsna].any() and not truth[of_rsna].any()
  # A blank of a set that does give the label stays a matter of policy.
  _, mask = policies.resolve(table, LABELS, 'ones', 'zeros')
  assert mask[:7].all()
  _, mask = policies.resolve(table, LABELS, 'ones', 'ignore')
  np.testing.assert_array_equal(mask[:4, 0], [1, 1, 0, 1])


def test_studies_that_a_set_left_unlabelled_stay_so(root):
  layouts.mimic(root / 'mimic')
  sets = {'mimic': {'source': 'mimic_cxr'}, 'nih': {'source': 'chestxray14'}}
  table = datasets.read(data(root, ('Edema', 'Hernia'), sets))
  _, mask = policies.resolve(table, ('Edema', 'Hernia'), 'ones', 'zeros')
  np.testing.assert_array_equal(mask, [[1, 0]] * 3 + [[0, 0]] + [[1, 1]] * 3)


def test_a_map_of_ones_own(root):
  sets = {
    'nih': {
      'source': 'chestxray14',
      'labels': {'Heart': 'Cardiomegaly', 'Any': ['Mass', 'Hernia']},
    },
    'rsna': {'source': 'rsna_pneumonia', 'labels': {'Any': ['Pneumonia']}},
  }
  table = datasets.read(data(root, ('Any', 'Heart'), sets))
  np.testing.assert_array_equal(table['Any'], [0, 0, 1, 0, 1, 0])
  np.testing.assert_array_equal(table['Heart'], [1, 0, 0, NAN, NAN, NAN])
  assert table['unlabelled'].tolist() == [''] * 3 + ['Heart'] * 3


def test_terms_of_padchest_and_a_release_that_lacks_some_labels(tmp_path):
  layouts.padchest(tmp_path / 'padchest')
  layouts.vindr_kaggle(tmp_path / 'vindr')
  sets = {
    'padchest': {'source': 'padchest', 'labels': {'Fibrosis': 'pseudonodule', 'Edema': 'Edema'}},
    'vindr': {'source': 'vindr_cxr'},
  }
  table = datasets.read(data(tmp_path, ('Fibrosis', 'Edema', 'Lung Lesion'), sets))
  np.testing.assert_array_equal(table['Fibrosis'], [0, 0, 1, 0, NAN, NAN, 0, 0])
  # Kaggle's release of VinDr-CXR does not ask for edema.
  np.testing.assert_array_equal(table['Edema'], [0, 0, 0, 0, NAN, NAN, NAN, NAN])
  unlabelled = [set(text.split('|')) & {'Lung Lesion', 'Edema'} for text in table['unlabelled']]
  # The fifth report of PadChest has no list, and the sixth says 'unchanged'.
  nothing = [{'Lung Lesion', 'Edema'}] * 2
  assert unlabelled == [{'Lung Lesion'}] * 4 + nothing + [{'Edema'}] * 2


@pytest.mark.parametrize(
  ('codes', 'expected'),
  [
    ([0, 0], 0),
    ([0, 1], 1),
    ([-1, 1], 1),
    ([NAN, 1], 1),
    ([0, -1], -1),
    ([NAN, -1], -1),
    ([0, NAN], NAN),
    ([NAN, NAN], NAN),
    ([0.25, 0.75], 0.75),
    ([0.75, NAN], NAN),
    ([0.75, 1], 1),
  ],
)
def test_one_of_several_terms(codes, expected):
  for order in (codes, codes[::-1]):
    np.testing.assert_array_equal(several.either(np.array([order], np.float32)), [expected])


def test_the_vocabulary_names_labels_that_the_sources_have():
  has = {
    'chexpert': chexpert.LABELS,
    'mimic_cxr': chexpert.LABELS,
    'phantom': chexpert.LABELS,
    'chestxray14': (*chestxray14.LABELS, 'No Finding'),
    'padchest': padchest.LABELS,
    'vindr_cxr': vindr_cxr.LABELS,
    'rsna_pneumonia': ('Pneumonia', *rsna_pneumonia.CLASSES),
  }
  assert has.keys() == vocabulary.CHEST.keys() and has.keys() < datasets.SOURCES.keys()
  for source, mapping in vocabulary.CHEST.items():
    for ours, source_label in mapping.items():
      assert set(several.terms(source_label)) <= set(has[source]), (source, ours)


@pytest.mark.parametrize(
  ('labels', 'sets', 'words'),
  [
    (('Edma',), SETS, ["no label 'Edma'", "did you mean 'Edema'"]),
    (('Edema',), {}, ['settings.sets={}']),
    (('Edema',), None, ['settings.sets=None', "{'source': 'chestxray14'}"]),
    (
      ('age',),
      {'nih': {'source': 'chestxray14', 'labels': {'age': 'Edema'}}},
      ["called 'age'", 'rename'],
    ),
    (('Edema',), {'nih': 'chestxray14'}, ["sets['nih']='chestxray14'", "'source'"]),
    (('Edema',), {'nih': {'source': 'chestxray13'}}, ["sets['nih']", "did you mean 'chestxray14'"]),
    (
      ('Edema',),
      {'nih': {'source': 'chestxray14', 'rot': 'x'}},
      ["sets['nih'] is 'rot'", "'root'"],
    ),
    (('Edema',), {'a:b': {'source': 'chestxray14'}}, ["sets['a:b']", "holds a ':'"]),
    (('Edema',), {'mine': {'source': 'csv'}}, ["sets['mine']", 'no label map', 'csv']),
    (
      ('A',),
      {'nih': {'source': 'chestxray14', 'labels': {'A': 'Edma'}}},
      ["sets['nih']['labels']['A'] is 'Edma'", "did you mean 'Edema'"],
    ),
    (('A',), {'nih': {'source': 'chestxray14', 'labels': {'A': []}}}, ["['A'] is empty"]),
    (
      ('Edema',),
      {'nih': {'source': 'chestxray14', 'settings': {'x': 1}}},
      ["sets['nih'].settings", "'x'"],
    ),
    (('Edema',), {'nih': {'source': 'chestxray14', 'root': 'none'}}, ['none', 'available from']),
    (
      ('Edema',),
      {'a': SETS['nih'] | {'root': 'nih'}, 'b': SETS['nih'] | {'root': 'nih'}},
      ['Data_Entry_2017_v2020.csv: row 2', 'listed twice'],
    ),
  ],
)
def test_mistakes_in_the_sets_are_named(root, labels, sets, words):
  with pytest.raises(InputError) as error:
    datasets.read(data(root, labels, sets))
  assert '\n' not in str(error.value)
  for word in words:
    assert word in str(error.value)


# The shipped config, through the command and into training.


@pytest.fixture
def phantoms(tmp_path, phantom_root, other_root):
  """Two phantoms under one root: the same patient names, other patients."""
  for name, source in (('one', phantom_root), ('two', other_root)):
    (tmp_path / name).symlink_to(source)
  return tmp_path


TWO = {
  'one': {'source': 'chexpert', 'labels': {'Edema': 'Edema', 'Mass': 'Lung Lesion'}},
  'two': {'source': 'chexpert', 'labels': {'Edema': ['Edema', 'Consolidation']}},
}


def experiment(root):
  experiment = config.load('configs/chest_together.py')
  experiment.data = data(root, ('Edema', 'Mass'), TWO, views=('frontal',), blank='zeros')
  experiment.sampling.mixture = {'one': 0.75, 'two': 0.25}
  experiment.batch_size = 8
  return experiment


def test_reports_that_say_nothing_are_unknown_in_training_and_in_evaluation(tmp_path):
  layouts.chexpert(tmp_path / 'CheXpert-v1.0-small')
  layouts.nih(tmp_path / 'nih')
  lists = ("['unchanged']", "['exclude']", "['suboptimal study']", '', 'nan', '[]', "['pneumonia']")
  rows = [
    f'{n},{n}.png,0,20140915,s{n},{n},1930.0,F,2000,1500,PA,RNN_model,"{text}"'
    for n, text in enumerate((*lists, "['unchanged', 'pneumonia']", "['suboptimal study', 'mass']"))
  ]
  layouts.padchest(tmp_path / 'padchest', rows, images=[f'{n}.png' for n in range(len(rows))])
  asked = config.load('configs/chest_together.py', [f'data.root={tmp_path}']).data
  table = datasets.read(asked)
  padchest = (table['dataset'] == 'padchest').to_numpy()
  pneumonia, mass = asked.labels.index('Pneumonia'), asked.labels.index('Lung Lesion')
  values, mask = policies.resolve(table, asked.labels, asked.uncertain, asked.blank)
  truth, known = policies.reference(table, asked.labels, asked.blank)
  assert not mask[padchest][:6].any() and not known[padchest][:6].any()
  assert known[padchest][6:, pneumonia].all() and truth[padchest][6:, pneumonia].tolist() == [
    1,
    1,
    0,
  ]
  assert known[padchest][:, mass].tolist() == [False] * 6 + [True, False, True]
  assert values[padchest][:, mass].tolist() == [0] * 8 + [1]
  # What CheXpert's reports do not mention is still negative by the config's policy.
  assert mask[(table['dataset'] == 'chexpert').to_numpy(), pneumonia].all()


def with_views(root, views):
  """A set of ones own beside NIH's: a.png … have these views, or there is no such column."""
  (root / 'mine').mkdir()
  rows = [f'{chr(97 + n)}.png,{n},{view},0' for n, view in enumerate(views)]
  lines = ['image,patient,view,Edema', *rows]
  if not any(views):
    lines = [line.replace(',view', '').replace(',,', ',') for line in lines]
  layouts.write(root / 'mine' / 'labels.csv', *lines)
  mine = {'source': 'csv', 'labels': {'Edema': 'Edema'}}
  return {'nih': SETS['nih'], 'stanford': SETS['stanford'], 'mine': mine}


def test_a_set_that_the_views_would_take_away_whole_is_named(root):
  asked = data(root, ('Edema',), with_views(root, ['', '']), views=('frontal',))
  with pytest.raises(InputError, match=r"no image of the set 'mine' is left.*2 of unknown view"):
    datasets.read(asked)


def test_what_the_views_leave_out_is_noted_by_set(command, root):
  views = ['PA ', 'pa', '', 'Lateral', 'AP']
  asked = data(root, ('Edema',), with_views(root, views), views=('frontal',))
  kept, notes = datasets.keep_views(datasets.read_all(asked), asked)
  assert kept['view'][kept['dataset'] == 'mine'].tolist() == ['PA', 'PA', 'AP']
  assert notes == [
    "config.data.views=frontal leaves out 2 of 5 images of the set 'mine': 1 of unknown view, 1 "
    'lateral.',
  ]
  printed = command(
    'split', '--config=configs/chest_together.py', f'--config.data.root={root}',
    f'--config.data.settings={asked.settings!r}', '--config.data.labels=Edema',
    f'--output={root / "split"}', check=True,
  ).stdout  # fmt: skip
  proof = json.loads((root / 'split' / 'split.json').read_text())
  assert all(f'note: {note}' in printed and note in proof['notes'] for note in notes)


def test_two_sets_split_and_mix_in_a_study(phantoms):
  data, _ = study.make(experiment(phantoms))
  trained = objective.make(experiment(phantoms), data)
  sets = data.table['dataset'].to_numpy(object)[trained.rows['train']]
  shown = sets[trained.stream.epoch(0)]
  assert abs((shown == 'one').mean() - 0.75) < 1 / len(shown)
  two = (data.table['dataset'] == 'two').to_numpy()
  assert not data.mask[two, 1].any() and data.mask[~two, 1].any()
  # The same patient numbers in both sets are different people.
  bare = data.table['patient'].str.partition(':')[2]
  assert len(set(bare[two]) & set(bare[~two])) > 10
  assert data.table['patient'].nunique() == bare[two].nunique() + bare[~two].nunique()


def test_the_split_command_on_several_sets(command, phantoms, tmp_path):
  output = tmp_path / 'split'
  printed = command(
    'split',
    '--config=configs/chest_together.py',
    f'--config.data.root={phantoms}',
    f'--config.data.settings={ ({"sets": TWO})!r}',
    '--config.data.labels=Edema,Mass',
    f'--output={output}',
    check=True,
  ).stdout
  assert 'written' in printed
  split = pd.read_csv(output / 'split.csv')
  assert set(split['patient'].str.partition(':')[0]) == {'one', 'two'}
  proof = json.loads((output / 'split.json').read_text())
  known = proof['splits']['train']['labels']
  assert 0 < known['Mass']['known'] < known['Edema']['known']


@pytest.mark.parametrize(
  'name', ['mimic_cxr', 'padchest', 'vindr_cxr', 'rsna_pneumonia', 'chest_together']
)
def test_configs_ask_for_labels_that_their_sources_have(name, tmp_path):
  asked = config.load(f'configs/{name}.py').data
  make = {
    'mimic_cxr': layouts.mimic,
    'padchest': layouts.padchest,
    'vindr_cxr': layouts.vindr_kaggle,
    'rsna_pneumonia': layouts.rsna,
  }
  if name == 'chest_together':
    layouts.chexpert(tmp_path / 'CheXpert-v1.0-small')
    layouts.nih(tmp_path / 'nih')
    layouts.padchest(tmp_path / 'padchest')
  else:
    make[name](tmp_path)
  asked.root = str(tmp_path)
  table = datasets.read(asked)
  assert set(asked.labels) <= set(table.columns) and len(table)
