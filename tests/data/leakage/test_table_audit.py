"""What the table part of an audit finds, against counts by hand and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from medjax.data.leakage import copies, differences, inspect, shortcuts, table_audit
from medjax.data.leakage.findings import SIDES, SharedName, SideSize
from medjax.data.split import split_files
from medjax.errors import InputError


def study(seed, patients=400, **columns):
  """Returns a table of up to 5 images a patient, its truth for one label and a split by patient."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
  table = pd.DataFrame(
    {
      'image': [f'{number}.png' for number in range(len(patient))],
      'patient': [f'p{number}' for number in patient],
      'view': rng.choice(['AP', 'PA'], len(patient)),
      'site': rng.choice(['a', 'b', 'c', ''], patients, p=(0.5, 0.3, 0.15, 0.05))[patient],
      'age': rng.integers(20, 90, patients)[patient].astype(str),
      'sex': rng.choice(['F', 'M'], patients)[patient],
    }
  )
  truth = (rng.random(patients) < 0.3)[patient] & (rng.random(len(patient)) < 0.9)
  split = rng.choice(SIDES, patients, p=(0.6, 0.2, 0.2))[patient]
  return table.assign(**columns), split, truth[:, None].astype(np.float32), rng


def audited(table, split, truth, **further):
  return table_audit.tables(table, split, ['Edema'], truth, np.ones(truth.shape, bool), **further)


def test_patients_on_both_sides_are_counted_by_pair_of_sides():
  table = pd.DataFrame(
    {
      'image': list('abcdefgh'),
      'patient': ['1', '1', '2', '2', '3', '3', '4', '4'],
      'study': ['s1', 's2', 's1', 's1', 's1', 's1', 's1', 's2'],
      'lesion': ['x', '', 'x', '', '', '', '', ''],
      'slide': [''] * 8,
    }
  )
  split = np.array(['train', 'train', 'train', 'test', 'validation', 'test', 'unused', 'train'])
  audit = audited(table, split, np.zeros((8, 1), np.float32))
  patients = audit.overlap['patient']
  assert patients.matrix == {
    'train': {'train': 3, 'validation': 0, 'test': 1},
    'validation': {'train': 0, 'validation': 1, 'test': 1},
    'test': {'train': 1, 'validation': 1, 'test': 2},
  }
  assert (patients.names, patients.shared) == (4, 2)
  assert patients.examples[0] == SharedName('2', {'train': 1, 'test': 1})
  # A study1 of every patient is not one study; a lesion of two patients on one side is on one side.
  assert audit.overlap['study'].names == 5 and audit.overlap['lesion'].shared == 0
  assert 'slide' not in audit.overlap
  assert audit.unused == 1 and audit.sides['train'] == SideSize(patients=3, images=4)
  (first, *_) = table_audit.sentences(audit)
  assert '2 patients on more than one side' in first and '1 in train and test' in first
  assert audit.overlapping


def test_a_lesion_of_two_patients_on_two_sides_is_found():
  table, split, truth, _ = study(0)
  lesions = table['image'].where(table.index > 1, 'one lesion')
  split[:2] = 'train', 'test'
  table.loc[:1, 'patient'] = ['someone', 'someone else']
  audit = audited(table.assign(lesion=lesions), split, truth)
  assert not audit.overlap['patient'].shared and audit.overlap['lesion'].shared == 1
  assert audit.overlapping


def test_prevalence_and_unknown_labels():
  table, split, truth, rng = study(1)
  known = rng.random(truth.shape) < 0.7
  prevalence = table_audit.tables(table, split, ['Edema'], truth, known).prevalence['Edema']
  for side in SIDES:
    kept = truth[known & (split == side)[:, None]]
    assert prevalence[side].known == len(kept)
    assert prevalence[side].prevalence == pytest.approx(kept.mean())


def test_what_differs_between_sides_has_the_published_effect_sizes():
  table, split, truth, rng = study(2)
  older = table['age'].astype(int) + 25 * (split == 'test')
  site = np.where((split == 'test') & (rng.random(len(table)) < 0.7), 'd', table['site'])
  audit = audited(table.assign(age=older.astype(str), site=site), split, truth)
  flagged = {
    (difference.what, *difference.between) for difference in audit.differences if difference.flagged
  }
  assert flagged == {
    (what, other, 'test') for what in ('age', 'site') for other in ('train', 'validation')
  }
  effects = {
    (difference.what, *difference.between): difference.effect for difference in audit.differences
  }
  one, other = older[split == 'train'], older[split == 'test']
  spread = np.sqrt((one.var(ddof=0) + other.var(ddof=0)) / 2)
  assert effects['age', 'train', 'test'] == pytest.approx((other.mean() - one.mean()) / spread)
  counts = pd.crosstab(site, split, normalize='columns')
  variation = (counts['train'] - counts['test']).abs().sum() / 2
  assert effects['site', 'train', 'test'] == pytest.approx(variation)
  assert 'The sides differ' in ' '.join(table_audit.sentences(audit))


def test_nothing_is_flagged_where_nothing_was_planted():
  for seed in range(10):
    table, split, truth, _ = study(seed, patients=150 + 100 * (seed % 3))
    audit = audited(table, split, truth)
    assert not [finding for finding in (*audit.differences, *audit.predicts) if finding.flagged], (
      seed
    )
    assert table_audit.sentences(audit) == [] and not audit.overlapping


def test_chance_is_what_patients_do_not_images():
  # One patient with many images moves an average far; dealt out again, they do so every time.
  table, split, truth, _ = study(3, patients=60)
  many = pd.concat([table, table.iloc[[0] * 200].assign(image=[f'm{n}' for n in range(200)])])
  many = many.reset_index(drop=True)
  split, truth = (
    np.concatenate([split, [split[0]] * 200]),
    np.concatenate([truth, [truth[0]] * 200]),
  )
  audit = audited(many, split, truth)
  assert max(difference.effect for difference in audit.differences) > 0.5
  assert not [difference for difference in audit.differences if difference.flagged]


def test_auroc_of_a_column_is_that_of_scikit_learn():
  table, _, truth, rng = study(4)
  patients = pd.factorize(table['patient'])[0]
  positive = truth[:, 0] > 0
  codes = np.where(rng.random(len(table)) < np.where(positive, 0.6, 0.3), 1, 0)
  codes[rng.random(len(table)) < 0.1] = 2
  folds = patients % 5
  auroc = shortcuts.predictive_auroc(codes, positive, folds)
  areas, pairs = [], []
  for fold in range(5):
    train, test = folds != fold, folds == fold
    shares = [
      (positive[train & (codes == code)].sum() + 10 * positive.mean())
      / ((train & (codes == code)).sum() + 10)
      for code in range(3)
    ]
    areas.append(roc_auc_score(positive[test], np.take(shares, codes[test])))
    pairs.append(positive[test].sum() * (~positive[test]).sum())
  assert auroc == pytest.approx(np.average(areas, weights=pairs))


def test_a_size_that_gives_the_label_away_is_found():
  table, split, truth, rng = study(6)
  wide = (truth[:, 0] > 0) ^ (rng.random(len(table)) < 0.1)
  sizes = {'width': np.where(wide, '2048', '1024'), 'height': '1024'}
  audit = audited(table.assign(**sizes), split, truth)
  strongest = audit.predicts[0]
  assert (strongest.column, strongest.label) == ('size', 'Edema')
  assert strongest.flagged and shortcuts.warns(strongest) and strongest.auroc > 0.85
  assert strongest.values[0].value == '2048 × 1024'
  share = truth[wide].mean()
  assert strongest.values[0].positive / strongest.values[0].images == pytest.approx(share)
  assert 'size tells Edema' in ' '.join(table_audit.sentences(audit))
  assert {predictor.column for predictor in audit.predicts if predictor.flagged} == {'size'}
  # The same from the files, where the table does not say.
  further = {'size of the file': pd.Series(sizes['width'])}
  audit = audited(table, split, truth, further=further)
  assert audit.predicts[0].column == 'size of the file'


def test_an_age_that_predicts_is_told_apart_from_a_shortcut():
  table, split, truth, rng = study(7)
  ages = np.where(truth[:, 0] > 0, 70, 40) + rng.integers(0, 20, len(table))
  (sentence,) = table_audit.sentences(audited(table.assign(age=ages.astype(str)), split, truth))
  assert 'age tells Edema' in sentence and 'in place of the disease' not in sentence


def test_too_few_patients_are_not_asked():
  table, split, truth, _ = study(8)
  truth[:] = 0
  truth[:30:3] = 1
  audit = audited(table, split, truth)
  assert audit.predicts == () and any(
    'Edema: fewer than 20' in sentence for sentence in audit.not_asked
  )


def test_copies_that_leak_and_contradict():
  pictures = pd.DataFrame(
    {
      'image': list('abcdef'),
      'patient': ['1', '2', '3', '3', '5', '1'],
      'side': ['train', 'test', 'train', 'train', 'validation', ''],
      'set': ['ours'] * 5 + ['theirs'],
    }
  )
  truth = np.array([[1, 0], [0, np.nan], [1, 1], [1, 1], [0, 0], [1, 0]])
  pairs = pd.DataFrame(
    {
      'a': [0, 2, 0],
      'b': [1, 3, 5],
      'kind': ['near', 'file', 'pixels'],
      'correlation': [0.98, 1.0, 1.0],
    }
  )
  pairs_found = copies.findings(pairs, pictures, ['Edema', 'Mass'], truth)
  assert {kind: n for kind, n in pairs_found.kinds.items() if n} == {
    'file': 1,
    'pixels': 1,
    'near': 1,
  }
  assert (pairs_found.groups, pairs_found.images) == (2, 5)
  assert pairs_found.across['test'] == {'train': 1, 'validation': 0, 'test': 0}
  assert pairs_found.across['train'] == {'train': 2, 'validation': 0, 'test': 1}
  assert pairs_found.sets == {'ours and theirs': 1}
  assert pairs_found.two_patients == 1  # Patient 1 of another set is another person's name.
  assert pairs_found.conflicts == {'Edema': 1}
  gravest = pairs_found.pairs[0]
  assert gravest.crossing and gravest.images == ('a', 'b')
  assert gravest.conflicts == {'Edema': (1, 0)}
  words = ' '.join(copies.sentences(pairs_found))
  assert '1 image of test shows the same as images of train' in words
  assert 'ours and theirs share 1 picture.' in words
  assert 'both present and absent: Edema 1' in words


def test_a_published_split_is_joined_by_path_or_by_file_name(tmp_path):
  images = ['x/a.png', 'x/b.png', 'x/c.png', 'y/c.png', 'x/d.png']
  table = pd.DataFrame({'image': images, 'patient': list('12345')})
  path = tmp_path / 'paper.csv'
  path.write_text(
    'image,split,patient\nx/c.png,Val,3\na.png,training,1\n./x/b.png,test,9\ngone.png,test,7\n'
  )
  split, patients, notes = split_files.read_published(path, table)
  assert split.tolist() == ['train', 'test', 'validation', 'unused', 'unused']
  assert patients.tolist() == ['1', '9', '3', '', '']
  assert (
    notes[0] == "Joined by file name alone: 1 image, such as 'a.png' of paper.csv to 'x/a.png'."
  )
  assert (
    'in paper.csv but not in the table: 1 image, such as' in notes[1] and 'gone.png' in notes[1]
  )
  assert 'in the table but not in paper.csv, so on no side: 2 images' in notes[2]
  # c.png alone could be either of two images.
  path.write_text('image,split\nc.png,test\na.png,train\n')
  split, patients, _ = split_files.read_published(path, table)
  assert split.tolist() == ['train', *['unused'] * 4] and patients is None
  path.write_text('image,split\na.png,test\nx/a.png,train\n')
  with pytest.raises(InputError, match=r"row 3: image 'x/a.png' is listed twice"):
    split_files.read_published(path, table)


def test_images_joined_by_name_to_another_patient_are_noted(tmp_path):
  table = pd.DataFrame({'image': ['train/1.png', 'train/2.png'], 'patient': ['a', 'b']})
  path = tmp_path / 'paper.csv'
  path.write_text('image,patient,split\ntrain/1.png,a,train\ntest/2.png,zz,test\n')
  notes = split_files.read_published(path, table)[2]
  assert 'alone: 1 image' in notes[0]
  assert "1 image, such as 'test/2.png' of 'zz' to 'train/2.png' of 'b'" in notes[1]
  # Where the table names no patients, theirs contradict nothing.
  alone = table.assign(patient=table['image'], grouped_by='image')
  assert len(split_files.read_published(path, alone)[2]) == 1


def test_patients_that_only_the_split_file_names_are_looked_at_too():
  table, split, truth, _ = study(9)
  table = table.assign(patient=table['image'], grouped_by='image')
  whose = pd.Series(['the same person'] * len(table))
  audit = audited(table, split, truth, groups={"patient in the split's file": whose})
  assert audit.overlap["patient in the split's file"].shared == 1 and audit.overlapping
  assert any('the image stands in' in sentence for sentence in audit.not_asked)


def test_a_table_and_a_split_alone_are_audited():
  table, split, truth, _ = study(10)
  table = table.assign(Edema=np.where(np.arange(len(table)) % 7 == 0, np.nan, truth[:, 0]))
  split[:5], table.loc[:4, 'patient'] = ['train', 'test', 'test', 'test', 'unused'], 'one'
  audit = inspect.audit_table(table, split)
  known = table['Edema'].notna()
  assert audit.prevalence['Edema']['test'].known == (known & (split == 'test')).sum()
  assert audit.overlap['patient'].shared == 1 and audit.overlapping
  assert audit == inspect.audit_table(table, list(split), ['Edema'])


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (lambda table, split: (table.drop(columns='patient'), split), "no column 'patient'"),
    (lambda table, split: (table, split[1:]), 'values for'),
    (lambda table, split: (table, ['tset', *split[1:]]), "row 1: 'tset'; allowed are train"),
    (lambda table, split: (table, ['unused'] * len(split)), 'no row is in train'),
  ],
)
def test_a_table_that_cannot_be_audited(change, words):
  table, split, truth, _ = study(11)
  with pytest.raises(InputError, match=words):
    inspect.audit_table(*change(table.assign(Edema=truth[:, 0]), split), ['Edema'])


@pytest.mark.parametrize('kind', ['one test patient has most', 'test patients have more'])
def test_sides_with_unlike_numbers_of_images_differ_by_chance_no_more_often_than_said(kind):
  rng, in_test, shift = np.random.default_rng(0), np.arange(200) < 40, 0.7
  by_chance, truly = 0, 0
  for _ in range(200):
    images = np.where(in_test, rng.integers(10, 30, 200), rng.integers(1, 3, 200))
    if kind == 'one test patient has most':
      images = np.where(in_test, 1, 3)
      images[0] = 60
    patients = np.repeat(np.arange(200), images)
    side = np.where(in_test[patients], 'test', 'train')
    values = rng.normal(0, 0.84, 200)[patients] + rng.normal(0, 0.55, len(patients))
    moved = values + shift * in_test[patients]
    same, other = (
      differences.between_sides(
        patients, side, [differences.Question('brightness', False, column[:, None], [''])]
      )[0].p
      for column in (values, moved)
    )
    by_chance, truly = by_chance + (same < 0.05), truly + (other < 0.05)
  # Of 200 at 5 % it is 18 or fewer in 99 of 100 tries. If deals are compared by the difference
  # itself, not in its standard errors, it is 87 where one has most; where patients have more, 167
  # are told of those that differ.
  assert by_chance <= 18
  assert truly > (100 if kind == 'one test patient has most' else 180)


def test_deals_that_end_early_call_no_other_difference_real(monkeypatch):
  """p values around 0.05: whether it is below must not hang on when the deals end."""
  below = {}
  for enough in (differences.ENOUGH, 10**9):
    monkeypatch.setattr(differences, 'ENOUGH', enough)
    below[enough] = []
    for seed in range(60):
      rng = np.random.default_rng(seed)
      in_a = np.arange(80) < 40
      values = rng.normal(0.45 * in_a, 1)[:, None]
      (p,) = differences._chance(values, np.array([0]), np.arange(80), in_a)
      below[enough].append(bool(p < differences.LEVEL))
  early, all_deals = below.values()
  assert early == all_deals and 10 < sum(early) < 50
