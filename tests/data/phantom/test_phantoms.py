"""The generated retinal, skin and tissue sets: layouts, learnable findings, honest pitfalls."""

import csv
import pathlib

import h5py
import numpy as np
import pandas as pd
import pytest
from layouts_other import read, there
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.phantom import retina, skin, tissue
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError

MODULES = {'retina': retina, 'skin': skin, 'tissue': tissue}
LABEL = {'retina': 'Referable DR', 'skin': 'melanoma', 'tissue': 'Tumor'}
IMAGES, SIZE = 480, 96
every_kind = pytest.mark.parametrize('kind', list(MODULES))
pytestmark = pytest.mark.slow  # All of them look at 480 pictures of three kinds.


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
  root = tmp_path_factory.mktemp('phantoms')
  for kind, module in MODULES.items():
    module.generate(root / kind, images=IMAGES, image_size=SIZE, seed=1)
  return root


@pytest.fixture(scope='module')
def sets(roots):
  """Returns kind → (study table, pictures f32[N, SIZE, SIZE, 3] in [0, 1])."""
  loaded = {}
  for kind in MODULES:
    table = read(f'phantom_{kind}', roots / kind, images=IMAGES, image_size=SIZE, seed=1)
    pixels = [
      decoding.decode(roots / kind / image, ImageFormat(SIZE, 3)) for image in table['image']
    ]
    loaded[kind] = table, np.stack(pixels).astype(np.float32) / 255
  return loaded


def contents(root):
  return {
    str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()
  }


def rows(path):
  return pd.read_csv(path, dtype=str, keep_default_na=False)


# ---- the layouts --------------------------------------------------------------------------------


def test_retina_is_laid_out_as_eyepacs(roots, sets):
  root = roots / 'retina'
  assert (root / 'trainLabels.csv').read_text().splitlines()[0] == 'image,level'
  table, _ = sets['retina']
  assert len(table) == IMAGES and there(table, root)
  assert table['image'].str.fullmatch(r'train/\d+_(left|right)\.jpeg').all()
  assert (table.groupby('patient')['laterality'].nunique() == 2).all()
  with Image.open(root / table['image'][0]) as image:
    assert (image.format, image.mode, image.size) == ('JPEG', 'RGB', (SIZE, SIZE))


def test_retina_grades_agree_between_the_eyes_as_in_eyepacs(roots):
  truth = rows(roots / 'retina/truth.csv')
  level = truth['level'].astype(int).to_numpy().reshape(-1, 2)
  assert np.mean(level[:, 0] == level[:, 1]) == pytest.approx(0.87, abs=0.05)
  assert np.abs(level[:, 0] - level[:, 1]).max() == 1
  assert set(level.ravel()) == set(range(5))
  given = rows(roots / 'retina/trainLabels.csv')['level'].astype(int).to_numpy()
  # Graders err, by one grade.
  assert 0.03 < np.mean(given != level.ravel()) < 0.1
  assert np.abs(given - level.ravel()).max() == 1
  assert cohen_kappa_score(given, level.ravel(), weights='quadratic') > 0.9


def test_retina_lesions_are_those_of_the_grade(roots):
  truth = rows(roots / 'retina/truth.csv').set_index('image').astype(int)
  lesions = truth.columns[1:]
  assert (truth.loc[truth['level'] == 0, lesions] == 0).all(axis=None)
  mild = truth[truth['level'] == 1]
  assert (mild['microaneurysms'] > 0).all() and (mild[lesions[1:]] == 0).all(axis=None)
  assert (truth.loc[truth['level'] == 2, 'haemorrhages'] > 0).all()
  assert ((truth['new_vessels'] > 0) == (truth['level'] == 4)).all()


def test_skin_is_laid_out_as_isic_2020(roots, sets):
  root = roots / 'skin'
  first, second = (
    (root / f'ISIC_2020_Training_GroundTruth{end}.csv').read_text().splitlines()
    for end in ('', '_v2')
  )
  # Copied from the published tables.
  assert first[0] == (
    'image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,'
    'target'
  )
  assert second[0] == first[0].replace('image_name,', 'image_name,lesion_id,')
  assert len(first) == len(second) == IMAGES + 1 == 1 + sum(1 for _ in root.rglob('*.jpg'))
  table, _ = sets['skin']
  assert there(table, root)
  pairs = rows(root / 'ISIC_2020_Training_Duplicates.csv')
  assert len(pairs) > 3 and len(table) == IMAGES - len(pairs)


def test_skin_duplicates_are_one_picture_under_two_names(roots):
  root = roots / 'skin'
  truth = rows(root / 'ISIC_2020_Training_GroundTruth_v2.csv').set_index('image_name')
  for one, other in rows(root / 'ISIC_2020_Training_Duplicates.csv').itertuples(index=False):
    assert truth.loc[one].equals(truth.loc[other])
    a, b = (np.asarray(Image.open(root / f'train/{name}.jpg'), float) for name in (one, other))
    assert not np.array_equal(a, b) and np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98


def test_skin_patients_have_several_lesions_and_some_melanomas(roots, sets):
  table, _ = sets['skin']
  assert table.groupby('patient')['lesion'].nunique().mean() == pytest.approx(4, abs=0.8)
  assert (table.groupby('lesion')['melanoma'].nunique() == 1).all()
  assert (table.groupby('lesion')['patient'].nunique() == 1).all()
  assert 0.06 < table['melanoma'].mean() < 0.16
  # Melanomas gather in patients at risk.
  affected = table.groupby('patient')['melanoma'].max()
  assert affected.mean() < 0.35
  truth = rows(roots / 'skin/truth.csv').set_index('image_name')['atypical'].astype(float)
  names = table['image'].map(lambda image: pathlib.PurePath(image).stem)
  assert roc_auc_score(table['melanoma'], truth[names]) > 0.9


def test_tissue_is_laid_out_as_patchcamelyon(roots, sets):
  root, table = roots / 'tissue', sets['tissue'][0]
  assert stand_ins_for_patients(table) == {'slide': IMAGES}
  for part, count in (('train', 336), ('valid', 72), ('test', 72)):
    stem = f'camelyonpatch_level_2_split_{part}'
    with h5py.File(root / f'{stem}_x.h5') as x, h5py.File(root / f'{stem}_y.h5') as y:
      assert x['x'].shape == (count, 96, 96, 3) and x['x'].dtype == np.uint8
      assert y['y'].shape == (count, 1, 1, 1) and y['y'].dtype == np.uint8
      label = y['y'][:].ravel() == 1
    meta = rows(root / f'{stem}_meta.csv')
    assert list(meta) == [
      'Unnamed: 0', 'coord_y', 'coord_x', 'tumor_patch', 'center_tumor_patch', 'wsi'
    ]  # fmt: skip
    assert (label == (meta['center_tumor_patch'] == 'True')).all()
    # Tumour in the centre is tumour in the patch, not the other way round.
    assert (meta['tumor_patch'][label] == 'True').all()
    assert (meta['tumor_patch'] == 'True').sum() > label.sum()
    assert 0.35 < label.mean() < 0.65
    assert not label[meta['wsi'].str.contains('normal')].any()
  assert (table.groupby('slide')['official_split'].nunique() == 1).all()


# ---- the findings, and the pitfall that is there to show -----------------------------------------


def blots(pixels):
  """How much of a photograph is spots darker, or yellower, than what is around them."""
  green = pixels[..., 1]
  around = ndimage.median_filter(green, (1, 9, 9))
  inside = ndimage.minimum_filter(pixels.max(axis=-1) > 0.1, (1, 9, 9))
  # An opening leaves spots and takes vessels away.
  dark = ndimage.grey_opening(np.maximum(around - green, 0) * inside, (1, 3, 3))
  bright = np.maximum(green - around, 0) * inside
  return np.stack([part.mean(axis=(1, 2)) for part in (dark, dark > 0.05, bright, bright > 0.1)], 1)


def rings(pixels):
  """Mean and spread of the colours in rings around the middle: how uneven a lesion is."""
  axis = np.linspace(-1, 1, SIZE)
  ring = np.minimum(np.hypot(axis[:, None], axis) * 6, 6).astype(int)
  return np.concatenate(
    [f(pixels[:, ring == r], axis=1) for r in range(7) for f in (np.mean, np.std)], axis=1
  )


def grain(pixels):
  """The central third's colours, and how they vary at several scales: how large its nuclei are."""
  centre = pixels[:, SIZE // 3 : -SIZE // 3, SIZE // 3 : -SIZE // 3]
  scales = [ndimage.gaussian_filter(centre, (0, s, s, 0)) for s in (0, 1, 2, 3, 4)]
  return np.concatenate([centre.mean(axis=(1, 2)), *(s.std(axis=(1, 2)) for s in scales)], axis=1)


def held_out_parts(table, seed):
  """A third of the images for the test: by patient, and as many by image, bool[N] each."""
  rng = np.random.default_rng(seed)
  place = rng.permutation(table['patient'].nunique())[table['patient'].factorize()[0]]
  by_patient = place < np.sort(place)[len(table) // 3]
  return by_patient, rng.permutation(len(table)) < by_patient.sum()


@pytest.mark.parametrize(
  ('kind', 'features', 'least'),
  [('retina', blots, 0.9), ('skin', rings, 0.75), ('tissue', grain, 0.9)],
)
def test_findings_can_be_learned_and_hold_on_new_patients(sets, kind, features, least):
  table, pixels = sets[kind]
  label, inputs = table[LABEL[kind]].to_numpy(int), features(pixels)
  scores = []
  for seed in range(6):
    test, _ = held_out_parts(table, seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(inputs[~test], label[~test])
    scores.append(roc_auc_score(label[test], model.decision_function(inputs[test])))
  assert np.mean(scores) > least


@every_kind
def test_no_finding_is_given_away_by_the_mean_colour(sets, kind):
  table, pixels = sets[kind]
  label = table[LABEL[kind]].to_numpy(int)
  for channel in pixels.mean(axis=(1, 2)).T:
    assert abs(roc_auc_score(label, channel) - 0.5) < 0.3


@every_kind
def test_a_split_by_image_flatters(sets, kind):
  table, pixels = sets[kind]
  label = table[LABEL[kind]].to_numpy(int)
  # What a patient's eyes, a patient's skin or a slide's patches share: colour and light.
  flat = pixels[:, ::3, ::3].reshape(len(pixels), -1, 3)
  colours = np.quantile(flat, (0.1, 0.25, 0.5, 0.75, 0.9), axis=1).transpose(1, 0, 2)
  colours = np.concatenate([colours.reshape(len(flat), -1), flat.std(axis=1)], axis=1)
  colours = (colours - colours.mean(axis=0)) / (colours.std(axis=0) + 1e-6)
  gaps = []
  for seed in range(20):
    by_patient, by_image = held_out_parts(table, seed)
    scores = [nearest_neighbours_auroc(colours, label, test) for test in (by_image, by_patient)]
    gaps.append(scores[0] - scores[1])
  assert np.mean(gaps) > 0.05
  assert np.mean(gaps) > 3 * np.std(gaps, ddof=1) / np.sqrt(len(gaps))


def nearest_neighbours_auroc(features, label, test):
  """AUROC of a vote of the three most alike training images."""
  squared = (features**2).sum(axis=1)
  distance = squared[test][:, None] + squared[~test] - 2 * features[test] @ features[~test].T
  near = np.argpartition(distance, 3, axis=1)[:, :3]
  return roc_auc_score(label[test], label[~test][near].mean(axis=1))


# ---- generate -----------------------------------------------------------------------------------


@every_kind
def test_bytes_depend_on_the_settings_alone(tmp_path, kind):
  for name, seed in (('one', 0), ('again', 0), ('other', 1)):
    MODULES[kind].generate(tmp_path / name, images=24, image_size=32, seed=seed)
  one, again, other = (contents(tmp_path / name) for name in ('one', 'again', 'other'))
  assert one == again
  assert one.keys() == other.keys() and one != other


@every_kind
@pytest.mark.parametrize('count', [12, 13, 25])
def test_small_sets_have_the_right_size(tmp_path, kind, count):
  MODULES[kind].generate(tmp_path / 'root', images=count, image_size=32, seed=5)
  settings = {'images': count, 'image_size': 32, 'seed': 5}
  table = read(f'phantom_{kind}', tmp_path / 'root', **settings)
  duplicates = 0
  if kind == 'skin':
    with open(tmp_path / 'root/ISIC_2020_Training_Duplicates.csv', newline='') as file:
      duplicates = len(list(csv.DictReader(file)))
  assert len(table) == count - duplicates


@every_kind
def test_the_same_settings_again_leave_it_alone_and_others_are_refused(tmp_path, kind, monkeypatch):
  module = MODULES[kind]
  module.generate(tmp_path / 'root', images=12, image_size=32)
  before = contents(tmp_path / 'root')
  monkeypatch.setattr(module, '_write', lambda *_: pytest.fail('made again'))
  module.generate(tmp_path / 'root', images=12, image_size=32)
  for other in ({'images': 13}, {'image_size': 33}, {'seed': 1}):
    with pytest.raises(InputError, match=r'other settings.*another root'):
      module.generate(tmp_path / 'root', **({'images': 12, 'image_size': 32} | other))
  monkeypatch.setattr(module, 'FORMAT', module.FORMAT + 1)
  with pytest.raises(InputError, match='other settings'):
    module.generate(tmp_path / 'root', images=12, image_size=32)
  assert contents(tmp_path / 'root') == before


def test_one_kind_is_not_taken_for_another(tmp_path):
  retina.generate(tmp_path / 'root', images=12, image_size=32)
  with pytest.raises(InputError, match='other settings'):
    skin.generate(tmp_path / 'root', images=12, image_size=32)


@every_kind
@pytest.mark.parametrize('wrong', [{'images': 1}, {'image_size': 31}, {'seed': -1}])
def test_settings_out_of_range(tmp_path, kind, wrong):
  name, value = next(iter(wrong.items()))
  with pytest.raises(InputError, match=f'{name} is {value}; it must be at least'):
    MODULES[kind].generate(tmp_path / 'root', **({'images': 12, 'image_size': 32} | wrong))
  assert not list(tmp_path.iterdir())


@every_kind
def test_an_interrupted_run_leaves_nothing(tmp_path, kind, monkeypatch):
  whole = Image.Image.save if kind != 'tissue' else None

  def interrupted(*args, **kwargs):
    raise KeyboardInterrupt

  if whole:
    monkeypatch.setattr(Image.Image, 'save', interrupted)
  else:
    monkeypatch.setattr(tissue, '_write_csv', interrupted)
  with pytest.raises(KeyboardInterrupt):
    MODULES[kind].generate(tmp_path / 'root', images=12, image_size=32)
  assert not list(tmp_path.iterdir())


def test_a_folder_that_a_typo_makes_is_said(tmp_path, capsys):
  def said(name):
    skin.generate(tmp_path / name, images=24, image_size=32, seed=0)
    return capsys.readouterr().out

  first = f'{tmp_path}/skin: there is no such folder; generated pictures are written there, once'
  assert said('skin') == f'{first}\n' and said('skin') == ''
  assert said('skn') == f"{first.replace('skin', 'skn')}; did you mean 'skin'?\n"
