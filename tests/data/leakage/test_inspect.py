"""An audit from start to end, on generated films with faults planted in them."""

import shutil

import numpy as np
import planted_films
import pytest
from PIL import Image

from medjax import config as configs
from medjax.data import study
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import inspect
from medjax.errors import InputError
from medjax.report import audit_files
from medjax.runs import workdir


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  """A folder with one film of each of 200 patients, and its table, in which nothing is wrong."""
  root = tmp_path_factory.mktemp('films') / 'phantom'
  return root, planted_films.films(root)


@pytest.fixture(scope='module')
def planted(films, tmp_path_factory):
  """The folder with copies under new patients and a size that gives the label away; its table."""
  other = tmp_path_factory.mktemp('planted') / 'set'
  return other, planted_films.planted(*films, other)


@pytest.fixture(scope='module')
def deep(films, tmp_path_factory):
  """The config of thirty films as PNGs of 16 bits, two of them under two names."""
  return planted_films.deep(*films, tmp_path_factory.mktemp('deep') / 'deep')


def audited(path, *overrides, other=None, **settings):
  config = configs.load(str(path), overrides)
  second = None if other is None else configs.load(str(other[0]), other[1:])
  return inspect.audit(config, other=second, **settings)


def page_of(inspection, folder):
  audit_files.write(folder, 'title', inspection)
  assert audit_files.read(folder / 'audit.json') == inspection.audit
  return (folder / 'index.html').read_text()


def test_nothing_is_found_where_nothing_was_planted(films, tmp_path):
  inspection = audited(films[0] / 'config.py')
  audit = inspection.audit
  assert audit.warnings == () and audit.copies.pairs == ()
  assert audit.table.overlap['patient'].shared == 0 and not audit.table.overlapping
  assert audit.facts['Opened'] == '200 images'
  page = page_of(inspection, tmp_path)
  assert 'Not a split by patient' not in page and 'data:image' not in page


def test_everything_planted_is_found(planted, tmp_path):
  root, table = planted
  images = list(table['image'])
  # The copies are tested, what they are copies of trains.
  changes = {name: 'test' for name in images[200:]} | {images[20 * n]: 'train' for n in range(4)}
  split = planted_films.sides(table, tmp_path / 'paper.csv', **changes)
  inspection = audited(root / 'config.py', split=str(split))
  audit = inspection.audit
  pairs = {pair.images: pair for pair in audit.copies.pairs}
  names = ('renamed.jpg', 'again.jpg', 'smaller.png', 'flipped.png')
  assert set(pairs) == {(images[20 * n], name) for n, name in enumerate(names)}
  kinds = [pairs[images[20 * n], name].kind for n, name in enumerate(names)]
  assert kinds == ['file', 'near', 'near', 'mirrored']
  assert all(pair.crossing for pair in pairs.values())
  assert audit.copies.across['test']['train'] == 4
  assert audit.copies.two_patients == 4 and audit.copies.conflicts == {'Edema': 1}
  strongest = audit.table.predicts[0]
  assert (strongest.column, strongest.flagged) == ('size of the file', True)
  # `view`, `site` and the ending of the file have nothing to do with it.
  flagged = {predictor.column for predictor in audit.table.predicts if predictor.flagged}
  assert flagged == {'size of the file'}
  warnings = ' '.join(audit.warnings)
  assert '4 images of test show the same as images of train' in warnings
  assert 'size of the file tells Edema' in warnings
  page = page_of(inspection, tmp_path / 'out')
  assert page.count('<img src="data:image/png;base64,') == 8
  assert 'src="http' not in page and '<script' not in page


def test_pairs_of_deep_greys_are_drawn_as_the_config_shows_them(deep, tmp_path):
  inspection = audited(deep)
  pairs = {(*pair.images, pair.kind) for pair in inspection.audit.copies.pairs}
  assert pairs == {(f'{n}.png', f'again{n}.png', 'turned by 90°') for n in range(2)}
  page = page_of(inspection, tmp_path)
  assert page.count('<img src="data:image/png;base64,') == 4
  assert 'The same picture, turned by 90°' in page and 'The same picture, mirrored' not in page
  assert 'cannot be read' not in ' '.join(inspection.audit.warnings)


def test_each_of_two_sets_is_read_as_its_own_config_says(films, deep):
  warnings = ' '.join(audited(films[0] / 'config.py', other=[deep]).audit.warnings)
  assert 'deep and phantom share 30 pictures' in warnings
  assert 'cannot be read' not in warnings


def test_what_could_not_be_read_or_has_no_row_is_reported(films, deep, tmp_path):
  root = tmp_path / 'set'
  shutil.copytree(films[0], root)
  (root / films[1]['image'][3]).write_bytes(b'no image')
  rows = set(films[1]['image'])
  strays = [
    path for path in root.glob('*/*/*/*.jpg') if path.relative_to(root).as_posix() not in rows
  ]
  (tmp_path / 'nowhere').mkdir()
  shutil.copy(deep.parent / 'labels.csv', tmp_path / 'nowhere')
  config = planted_films.write(root, films[1])
  inspection = audited(config, other=[deep, f'data.root={tmp_path}/nowhere'])
  unread = f'1 of 200 images cannot be read, and copies of them not be found; the first: {root}'
  uncompared = 'Nothing was compared with the second set: no image of it is under'
  first_screen = page_of(inspection, tmp_path / 'out').partition('<main')[0]
  for words in (unread, uncompared):
    assert words in first_screen
    assert any(warning.startswith(words) for warning in inspection.audit.warnings)
  assert inspection.audit.facts['Opened'] == '199 images'
  unseen = ' '.join(inspection.audit.not_looked_at)
  assert f'{len(strays):,} images under {root} in no row of the table' in unseen
  assert 'cropped, given borders' in unseen


def test_images_of_two_sets_that_share_pictures(films, planted):
  audit = audited(films[0] / 'config.py', other=[planted[0] / 'config.py']).audit
  assert 'phantom and set share 200 pictures' in ' '.join(audit.warnings)


def test_without_pixels_no_image_is_opened(films, tmp_path):
  inspection = audited(films[0] / 'config.py', pixels=False)
  assert inspection.audit.copies is None and inspection.audit.facts['Opened'] == '0 images'
  assert 'no image was opened' in inspection.audit.not_looked_at[0]
  assert 'No image was opened.' in page_of(inspection, tmp_path)


def test_a_published_split_that_leaks_is_audited(films, tmp_path):
  _, table = films
  parts = np.where(np.arange(len(table)) % 4 == 0, 'test', 'train')
  table = table.assign(official_split=parts)
  table.loc[:1, 'patient'] = 'one'
  config = planted_films.write(tmp_path, table)  # There is no image in this folder.
  audit = audited(config, 'split.test=official').audit
  assert audit.table.overlapping and '1 patient on more than one side' in audit.warnings[0]
  assert '200 of 200 images are not there' in audit.not_looked_at[1]


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('image,part\na.jpg,test\n', ["no column 'split'", 'paper.csv']),
    ('image,split\na.jpg,tset\n', ['paper.csv: row 2', "'tset'", "did you mean 'test'?"]),
    ('image,split\na.jpg,test\n', ['none of its 1 images is in the table', 'a.jpg']),
    ('image,split\n{film},unused\n', ['no image is in train, validation or test']),
  ],
)
def test_a_split_file_that_does_not_fit(films, tmp_path, text, words):
  (tmp_path / 'paper.csv').write_text(text.format(film=films[1]['image'][0]))
  with pytest.raises(InputError) as caught:
    audited(films[0] / 'config.py', split=str(tmp_path / 'paper.csv'), pixels=False)
  for word in words:
    assert word in str(caught.value)
  assert '\n' not in str(caught.value)


def notes_of_a_run(path):
  """Returns the notes that a run adds once it has looked at table and images."""
  config = configs.load(str(path))
  data, _ = study.make(config)
  before = list(data.proof['notes'])
  workdir.prove_apart(config, data, workdir.look_at_images(config, data, ImageFormat(32, 1)))
  return [note for note in data.proof['notes'] if note not in before]


def test_training_reports_what_the_table_gives_away(films, tmp_path):
  _, table = films
  root = tmp_path / 'set'
  shutil.copytree(films[0], root)
  sizes = np.where(table['Edema'] == 1, '2048', '1024')
  path = planted_films.write(root, table.assign(width=sizes, height='1024'))
  assert any('size tells Edema with an AUROC of 1.00' in note for note in notes_of_a_run(path))
  path = planted_films.write(root, table)
  assert not any('tells' in note for note in notes_of_a_run(path))


def test_training_reports_what_the_files_give_away_as_the_audit_does(films, tmp_path):
  # Edema is larger, in colour and a PNG; two pictures have both labels under two patients.
  root = tmp_path / 'set'
  shutil.copytree(films[0], root)
  table = films[1].copy()
  for row in np.flatnonzero(table['Edema']):
    with Image.open(root / table['image'][row]) as film:
      film.convert('RGB').resize((80, 80)).save(root / table['image'][row], 'PNG')
  healthy = np.flatnonzero(table['Edema'] == 0)[:4]
  for one, other in healthy.reshape(2, 2):
    shutil.copy(root / table['image'][one], root / table['image'][other])
    table.loc[other, 'Edema'] = 1
  path = planted_films.write(root, table)
  said = notes_of_a_run(path)
  audit = audited(path).audit
  for words in (
    'size of the file tells Edema with an AUROC of',
    '2 pictures under the names of several patients',
    'Pictures with a label both present and absent: Edema 2.',
  ):
    for notes in (said, audit.warnings):
      assert any(words in note for note in notes), (words, notes)
  # Of three that tell the same images apart one is named.
  assert not any('colour mode' in note or 'kind of file' in note for note in said)
  assert {predictor.column for predictor in audit.table.predicts if predictor.flagged} == {
    'size of the file'
  }
  # Where the source names no patient, copies are not of two.
  alone = planted_films.write(root, table.drop(columns='patient'))
  text = alone.read_text().replace(
    'image_size=32', "image_size=32, settings={'grouped_by': 'image'}"
  )
  alone.write_text(text)
  for notes in (notes_of_a_run(alone), audited(alone).audit.warnings):
    assert any('both present and absent: Edema 2.' in note for note in notes)
    assert not any('several patients' in note for note in notes)
