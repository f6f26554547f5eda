"""The phantom keeps CheXpert's layout, its own promises, and a real data set's pitfalls."""

import concurrent.futures
import json
import pathlib
import shutil

import filelock
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from medjax.data.phantom import chest
from medjax.errors import InputError

# Copied from the published train.csv.
CHEXPERT_HEADER = (
  'Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,'
  'Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,'
  'Pleural Effusion,Pleural Other,Fracture,Support Devices'
)
FINDINGS = ['Lung Lesion', 'Pneumonia', 'Edema']
LABELLED = [*FINDINGS, 'Consolidation', 'Lung Opacity']
IMAGES, SIZE = 800, 48


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  root = tmp_path_factory.mktemp('phantom') / 'root'
  chest.generate(root, images=IMAGES, image_size=SIZE, seed=3)
  return root


def read(root, name):
  return pd.read_csv(root / f'{name}.csv', dtype=str, keep_default_na=False)


def rows(root):
  """Returns train.csv and valid.csv as one table, with truth.csv's rows in the same order."""
  table = pd.concat([read(root, 'train'), read(root, 'valid')], ignore_index=True)
  truth = read(root, 'truth').set_index('Path').loc[table['Path']].reset_index()
  table['patient'] = table['Path'].str.extract(r'(patient\d+)')
  table['study'] = table['Path'].str.extract(r'(study\d+)')
  return table, truth


def film(root, path):
  return np.asarray(Image.open(root / path.removeprefix('CheXpert-v1.0-small/')))


def contents(root):
  return {
    str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()
  }


# ---- the layout ---------------------------------------------------------------------------------


@pytest.mark.parametrize('split', ['train', 'valid'])
def test_header_is_the_published_one(root, split):
  assert (root / f'{split}.csv').read_text().splitlines()[0] == CHEXPERT_HEADER


@pytest.mark.parametrize('split', ['train', 'valid'])
def test_paths_are_the_published_shape(root, split):
  pattern = (
    rf'CheXpert-v1\.0-small/{split}/patient\d{{5}}/study[1-3]/view[1-8]_(frontal|lateral)\.jpg'
  )
  assert read(root, split)['Path'].str.fullmatch(pattern).all()


def test_every_image_is_a_grey_jpeg_in_one_table(root):
  table, truth = rows(root)
  assert len(table) == IMAGES
  assert table['Path'].is_unique
  assert len(truth) == IMAGES
  assert sum(1 for _ in root.rglob('*.jpg')) == IMAGES
  for path in table['Path']:
    with Image.open(root / path.removeprefix('CheXpert-v1.0-small/')) as image:
      assert (image.format, image.mode, image.size) == ('JPEG', 'L', (SIZE, SIZE))


def test_codes(root):
  train, valid = read(root, 'train'), read(root, 'valid')
  other = [label for label in chest.LABELS if label not in [*LABELLED, 'No Finding']]
  assert set(train[LABELLED].to_numpy().ravel()) == {'1.0', '0.0', '-1.0', ''}
  assert set(train['No Finding']) == {'1.0', ''}
  # The validation labels are the radiologists': definite.
  assert set(valid[[*LABELLED, 'No Finding']].to_numpy().ravel()) == {'1.0', '0.0'}
  for table in (train, valid):
    assert set(table[other].to_numpy().ravel()) == {''}
    assert set(table['Sex']) == {'Male', 'Female'}
    assert table['Age'].astype(int).between(18, 90).all()


def test_views(root):
  table, _ = rows(root)
  lateral = table['Frontal/Lateral'] == 'Lateral'
  assert (lateral == table['Path'].str.contains('lateral')).all()
  assert 0.13 < lateral.mean() < 0.22
  assert set(table['AP/PA'][~lateral]) == {'AP', 'PA'}
  assert set(table['AP/PA'][lateral]) == {''}


def test_patients(root):
  table, _ = rows(root)
  train, valid = (set(part['patient']) for part in (table[: -len(read(root, 'valid'))], table))
  valid -= train
  assert valid == set(table['patient'][table['Path'].str.contains('/valid/')])
  assert len(valid) == pytest.approx(0.1 * len(train | valid), abs=1)
  assert train | valid == {f'patient{n:05d}' for n in range(1, len(train | valid) + 1)}
  counts = table.groupby('patient').size()
  assert counts.between(1, 8).all()
  assert counts.mean() == pytest.approx(4, abs=0.5)
  assert table.groupby('patient')['study'].nunique().between(1, 3).all()
  assert (table.groupby('patient')[['Sex', 'Age']].nunique() == 1).all(axis=None)


@pytest.mark.parametrize('images', [1, 2, 3, 9])
def test_small_sets_have_the_right_size(tmp_path, images):
  chest.generate(tmp_path / 'root', images=images, image_size=16)
  table, _ = rows(tmp_path / 'root')
  assert len(table) == images
  assert len(read(tmp_path / 'root', 'valid')) >= (images > 1)


# ---- the findings and their labels
# -----------------------------------------------------------------


@pytest.mark.parametrize(
  ('finding', 'low', 'high'),
  [('Lung Lesion', 0.05, 0.07), ('Pneumonia', 0.11, 0.19), ('Edema', 0.25, 0.35)],
)
def test_prevalence(root, finding, low, high):
  _, truth = rows(root)
  assert low <= (truth[finding] == '1').mean() <= high


def test_findings_agree_with_each_other(root):
  table, truth = rows(root)
  assert (truth['Consolidation'] == truth['Pneumonia']).all()
  healthy = (truth[FINDINGS] == '0').all(axis=1)
  assert ((truth['Lung Opacity'] == '0') == healthy).all()
  assert ((table['No Finding'] == '1.0') == healthy).all()


def test_findings_belong_to_the_patient(root):
  table, truth = rows(root)
  present = (truth[FINDINGS] == '1').groupby(table['patient'])
  assert (present['Lung Lesion'].nunique() == 1).all()
  for finding in ('Pneumonia', 'Edema'):
    share = present[finding].mean()
    assert share[share > 0].mean() > 0.7
    assert (present[finding].nunique() == 2).any()


def test_training_labels_err_like_a_labeller(root):
  table, truth = rows(root)
  train = table['Path'].str.contains('/train/')
  label, real = table.loc[train, LABELLED].to_numpy(), truth.loc[train, LABELLED].to_numpy()
  negative, positive = real == '0', real == '1'
  assert (label == '-1.0').mean() == pytest.approx(0.05, abs=0.015)
  assert (label[negative] == '').mean() == pytest.approx(0.15, abs=0.02)
  assert (label[positive] == '').mean() < 0.01
  assert not (label[negative] == '1.0').any()
  assert not (label[positive] == '0.0').any()


def test_validation_labels_are_the_truth(root):
  table, truth = rows(root)
  valid = table['Path'].str.contains('/valid/')
  assert (table.loc[valid, LABELLED].astype(float) == truth.loc[valid, LABELLED].astype(float)).all(
    axis=None
  )
  assert (truth.loc[valid, FINDINGS] == '1').any().all()


@pytest.mark.parametrize('finding', ['Lung Lesion', 'Pneumonia'])
def test_boxes_lie_in_the_image(root, finding):
  _, truth = rows(root)
  boxes = truth[[f'{finding} {side}' for side in ('x', 'y', 'width', 'height')]]
  present = truth[finding] == '1'
  assert (boxes[~present] == '').all(axis=None)
  x, y, width, height = boxes[present].astype(int).to_numpy().T
  assert (x >= 0).all()
  assert (y >= 0).all()
  assert (x + width <= SIZE).all()
  assert (y + height <= SIZE).all()
  # A mass keeps a radius of 3 pixels when the film is resized to 64.
  assert (np.minimum(width, height) * 64 / SIZE > 5).all()


@pytest.mark.parametrize('finding', ['Lung Lesion', 'Pneumonia'])
def test_boxes_are_brighter_than_the_same_place_in_healthy_patients(root, finding):
  table, truth = rows(root)
  frontal = table['Frontal/Lateral'] == 'Frontal'
  healthy = [film(root, path) for path in table['Path'][frontal & (table['No Finding'] == '1.0')]]
  normal = np.mean(healthy, axis=0)
  spread = np.std(healthy, axis=0)
  gains = []
  for _, row in truth[frontal & (truth[finding] == '1')].iterrows():
    x, y, width, height = (int(row[f'{finding} {side}']) for side in ('x', 'y', 'width', 'height'))
    # The middle half of the box: its corners lie outside a round lesion.
    inside = np.s_[
      y + height // 4 : y + height - height // 4, x + width // 4 : x + width - width // 4
    ]
    gains.append(np.mean((film(root, row['Path']) - normal)[inside] / spread[inside]))
  assert len(gains) > 20
  assert np.mean(gains) > 1
  assert np.mean(np.array(gains) > 0) > 0.85


# ---- the pitfall it is there to show
# ---------------------------------------------------------------


def nearest_neighbour_auroc(films, labels, test):
  """Mean AUROC over labels of a vote of the five most alike training films."""
  squared = (films**2).sum(axis=1)
  distance = squared[test][:, None] + squared[~test] - 2 * films[test] @ films[~test].T
  near = np.argpartition(distance, 5, axis=1)[:, :5]
  return roc_auc_score(labels[test], labels[~test][near].mean(axis=1), average='macro')


def test_a_split_by_image_flatters(root):
  table, truth = rows(root)
  labels = (truth[FINDINGS] == '1').to_numpy(int)
  films = np.stack([film(root, path) for path in table['Path']]).astype(np.float32)
  films = (
    films.reshape(IMAGES, 16, SIZE // 16, 16, SIZE // 16).mean(axis=(2, 4)).reshape(IMAGES, -1)
  )
  films = (films - films.mean(axis=1, keepdims=True)) / films.std(axis=1, keepdims=True)
  gaps = []
  for seed in range(6):
    rng = np.random.default_rng(seed)
    place = rng.permutation(table['patient'].nunique())[table['patient'].factorize()[0]]
    by_patient = place < np.sort(place)[IMAGES // 3]
    by_image = rng.permutation(IMAGES) < by_patient.sum()
    scores = [nearest_neighbour_auroc(films, labels, test) for test in (by_image, by_patient)]
    gaps.append(scores[0] - scores[1])
  # Six splits: the least gap is clear, and the mean is many standard errors from none.
  assert min(gaps) > 0.05
  assert np.mean(gaps) > 0.1
  assert np.mean(gaps) > 5 * np.std(gaps, ddof=1) / np.sqrt(len(gaps))


# ---- generate ------------------------------------------------------------------------------------


def test_bytes_depend_on_the_settings_alone(tmp_path):
  for name, seed, workers in (('one', 0, 1), ('many', 0, 4), ('other', 1, 1)):
    chest.generate(tmp_path / name, images=24, image_size=32, seed=seed, workers=workers)
  one, many, other = (contents(tmp_path / name) for name in ('one', 'many', 'other'))
  assert one == many
  films = [{value for name, value in c.items() if name.endswith('.jpg')} for c in (one, other)]
  assert len(films[0]) == 24
  assert films[0].isdisjoint(films[1])


def test_another_hospital_has_darker_films_and_more_findings(tmp_path):
  hospitals = {
    'usual': chest.Hospital(),
    'dark': chest.Hospital(exposure=0.3),
    'ill': chest.Hospital(prevalence=2.0),
  }
  for name, hospital in hospitals.items():
    chest.generate(tmp_path / name, images=150, image_size=32, seed=1, hospital=hospital)
  brightness, shares = {}, {}
  for name in hospitals:
    films = sorted((tmp_path / name).rglob('*.jpg'))
    brightness[name] = np.mean([np.asarray(Image.open(film)) for film in films])
    shares[name] = pd.read_csv(tmp_path / name / 'truth.csv')[list(chest.PREVALENCE)].mean()
  assert brightness['dark'] < brightness['usual'] - 20
  assert (shares['dark'] == shares['usual']).all()  # The same patients, through another scanner.
  for finding, share in chest.PREVALENCE.items():
    assert abs(shares['ill'][finding] - 2 * share) < 0.1 and shares['ill'][finding] > share
  # A usual hospital's settings are those of before, so that older roots stay what they are.
  assert 'exposure' not in json.loads((tmp_path / 'usual' / 'phantom.json').read_text())
  with pytest.raises(InputError, match='other settings'):
    chest.generate(tmp_path / 'dark', images=150, image_size=32, seed=1)


@pytest.mark.parametrize(
  ('hospital', 'said'),
  [
    (chest.Hospital(exposure=0.6), 'exposure is 0.6; it must be between -0.5 and 0.5'),
    (chest.Hospital(exposure=float('nan')), 'exposure is nan'),
    (chest.Hospital(prevalence=0.0), 'prevalence is 0.0 times the usual; it must be above 0'),
    (chest.Hospital(prevalence=3.0), 'at most 2.83'),
  ],
)
def test_a_hospital_that_cannot_be(tmp_path, hospital, said):
  with pytest.raises(InputError, match=said):
    chest.generate(tmp_path / 'root', images=4, image_size=16, hospital=hospital)
  assert not list(tmp_path.iterdir())


def test_images_of_one_seed_differ_from_each_other(root):
  assert len({path.read_bytes() for path in root.rglob('*.jpg')}) == IMAGES


def test_the_same_settings_again_leave_it_alone(tmp_path, monkeypatch):
  chest.generate(tmp_path / 'root', images=4, image_size=16)
  before = contents(tmp_path / 'root')
  monkeypatch.setattr(chest, '_write', lambda *_: pytest.fail('made again'))
  chest.generate(tmp_path / 'root', images=4, image_size=16, workers=3)
  assert contents(tmp_path / 'root') == before


@pytest.mark.parametrize('other', [{'images': 5}, {'image_size': 17}, {'seed': 1}])
def test_other_settings_are_refused(tmp_path, other):
  settings = {'images': 4, 'image_size': 16, 'seed': 0}
  chest.generate(tmp_path / 'root', **settings)
  before = contents(tmp_path / 'root')
  with pytest.raises(InputError, match=r'other settings.*another root'):
    chest.generate(tmp_path / 'root', **(settings | other))
  assert contents(tmp_path / 'root') == before


def test_another_format_is_refused(tmp_path, monkeypatch):
  chest.generate(tmp_path / 'root', images=4, image_size=16)
  monkeypatch.setattr(chest, 'FORMAT', chest.FORMAT + 1)
  with pytest.raises(InputError, match='other settings'):
    chest.generate(tmp_path / 'root', images=4, image_size=16)


@pytest.mark.parametrize('content', [{}, {'train.csv': 'mine'}, {'phantom.json': 'no json'}])
def test_a_root_that_is_no_phantom_is_refused_and_untouched(tmp_path, content):
  root = tmp_path / 'root'
  root.mkdir()
  for name, text in content.items():
    (root / name).write_text(text)
  with pytest.raises(InputError, match='no phantom'):
    chest.generate(root, images=4, image_size=16)
  assert contents(tmp_path) == {f'root/{name}': text.encode() for name, text in content.items()}


def test_a_file_is_refused(tmp_path):
  (tmp_path / 'root').write_text('mine')
  with pytest.raises(InputError, match='no phantom'):
    chest.generate(tmp_path / 'root', images=4, image_size=16)
  assert (tmp_path / 'root').read_text() == 'mine'


@pytest.mark.parametrize(
  'wrong',
  [
    {'images': 0},
    {'images': -1},
    {'image_size': 0},
    {'image_size': -3},
    {'seed': -1},
    {'workers': 0},
  ],
)
def test_settings_out_of_range(tmp_path, wrong):
  name, value = next(iter(wrong.items()))
  with pytest.raises(InputError, match=f'{name} is {value}; it must be at least'):
    chest.generate(tmp_path / 'root', **({'images': 4, 'image_size': 16} | wrong))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, error):
  patients = []
  whole = chest._write_patient

  def interrupted(*args):
    if len(patients) == 3:
      raise error
    patients.append(whole(*args))
    return patients[-1]

  monkeypatch.setattr(chest, '_write_patient', interrupted)
  with pytest.raises(error):
    chest.generate(tmp_path / 'root', images=40, image_size=16)
  assert len(patients) >= 3
  assert not list(tmp_path.iterdir())


def test_two_that_race_both_succeed(tmp_path):
  root = tmp_path / 'deep' / 'root'

  def make(_):
    chest.generate(root, images=30, image_size=16)

  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    list(pool.map(make, range(4)))
  assert [path.name for path in root.parent.iterdir()] == ['root']
  assert len(rows(root)[0]) == 30
  assert json.loads((root / 'phantom.json').read_text())['images'] == 30


def test_one_that_is_taken_for_abandoned_before_it_holds_its_lock_begins_anew(
  tmp_path, monkeypatch
):
  acquire, removed = filelock.FileLock.acquire, []

  def removed_first(lock, *arguments, **options):
    if not removed:
      removed.append(pathlib.Path(lock.lock_file).parent)
      shutil.rmtree(removed[0])
      raise FileNotFoundError(lock.lock_file)
    return acquire(lock, *arguments, **options)

  monkeypatch.setattr(filelock.FileLock, 'acquire', removed_first)
  chest.generate(tmp_path / 'root', images=4, image_size=16)
  assert removed and [path.name for path in tmp_path.iterdir()] == ['root']


def test_root_may_be_relative(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  chest.generate(pathlib.Path('root'), images=2, image_size=16)
  assert (tmp_path / 'root' / 'train.csv').exists()
