"""Predicting a folder as people have it: good, broken and foreign files, known patients."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import deciding_run
import jax
import numpy as np
import pandas as pd
import pytest
import vouched_runs
from conftest import PROJECT
from deciding_run import LABELS
from dicom_files import write as write_dicom
from PIL import Image
from scipy import special

from medjax.data.images import decoding
from medjax.data.images.lists import Item
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import seen_before
from medjax.errors import InputError
from medjax.evaluation import frozen
from medjax.final_test import overlay as heat_overlay
from medjax.final_test import saliency
from medjax.inference import new_images, reading, result_file
from medjax.runs import finished as finished_runs
from medjax.runs import seen_by_run
from medjax.runs.layout import Layout


@pytest.fixture(scope='module')
def run(finished, tmp_path_factory):
  """A finished run of its own, with what validation chose."""
  return deciding_run.copy(finished[0], tmp_path_factory.mktemp('predict') / 'run')


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
  """21 good images of every kind, 4 broken ones, and what is no image."""
  root, rng = tmp_path_factory.mktemp('mixed'), np.random.default_rng(0)
  (root / 'sub').mkdir()
  for number in range(16):
    pixels = rng.integers(0, 256, (40, 50), np.uint8)
    Image.fromarray(pixels).save(root / f'new{number:02}.jpg')
  Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(root / 'colour.png')
  Image.fromarray(rng.integers(0, 2**16, (40, 50), np.uint16)).save(root / 'sub' / 'deep.tiff')
  write_dicom(root / 'film.dcm', rng.integers(0, 4096, (40, 50)).astype(np.uint16), bits=12)
  write_dicom(root / 'sub' / 'IM1', rng.integers(0, 4096, (40, 50)).astype(np.uint16), bits=12)
  Image.fromarray(rng.integers(0, 256, (40, 50), np.uint8)).save(root / 'sub' / 'a, "b" ü.png')
  (root / 'empty.png').write_bytes(b'')
  (root / 'cut.jpg').write_bytes((root / 'new00.jpg').read_bytes()[:400])
  (root / 'no.dcm').write_bytes(b'no DICOM' * 40)
  (root / 'sub' / 'text.png').write_text('no picture')
  for name in ('notes.txt', 'list.csv', '.hidden.png', 'sub/README'):
    (root / name).write_text('x')
  return root


def rows(path):
  with path.open(newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def content(output):
  return output.read_bytes(), result_file.broken_path(output).read_bytes()


def test_one_row_per_good_file_and_a_list_of_the_others(run, mixed, tmp_path, capsys):
  output = tmp_path / 'out.csv'
  new_images.predict_to_csv(finished_runs.open_run(run), mixed, output, raw=True)
  said = capsys.readouterr().out
  assert f'{output}: 21 images predicted; 4 could not be read' in said
  assert 'skipped: not images' in said and '; 4 files (' in said
  listed = rows(output)
  names = [row['image'] for row in listed]
  assert names == [
    'colour.png', 'film.dcm', *(f'new{number:02}.jpg' for number in range(16)),
    'sub/IM1', 'sub/a, "b" ü.png', 'sub/deep.tiff',
  ]  # fmt: skip
  assert list(listed[0]) == [
    'image', *(prefix + label for prefix in ('prob_', 'decision_', 'raw_') for label in LABELS)
  ]  # fmt: skip
  broken = rows(tmp_path / 'out.broken.csv')
  assert [row['image'] for row in broken] == ['cut.jpg', 'empty.png', 'no.dcm', 'sub/text.png']
  assert all(str(mixed) in row['reason'] for row in broken)
  # The network on each image by itself, calibrated and decided by what is frozen.
  opened = finished_runs.open_run(run)
  pixels = np.stack(
    [decoding.decode(mixed / name, opened.model_file.image_format) for name in names]
  )
  raw = special.expit(jax.jit(opened.network.learner.eval_step)(opened.network.best, pixels))
  prob, before = (
    np.array([[float(row[prefix + label]) for label in LABELS] for row in listed])
    for prefix in ('prob_', 'raw_')
  )
  np.testing.assert_allclose(before, raw, atol=1e-5)
  assert not np.allclose(prob, before, atol=1e-3)
  level = frozen.read(run, LABELS).levels['image']
  for column, label in enumerate(LABELS):
    threshold = level.threshold(label)
    decided = [str(int(p >= threshold)) for p in prob[:, column]]
    assert [row[f'decision_{label}'] for row in listed] == decided
  settings = json.loads((tmp_path / 'out.csv.json').read_text())
  assert settings['images'] == 25 and settings['training_images'] == 0


def test_a_table_says_what_the_file_says_and_names_what_it_could_not_read(run, mixed, tmp_path):
  opened = finished_runs.open_run(run)
  new_images.predict_to_csv(opened, mixed, tmp_path / 'out.csv', raw=True)
  table = new_images.predict(opened, mixed)
  assert len(table) == 25 and not table['image'].duplicated().any()
  good, broken = table[table['reason'] == ''], table[table['reason'] != '']
  listed = rows(tmp_path / 'out.csv')
  assert list(good['image']) == [row['image'] for row in listed]
  for name in list(listed[0])[1:]:
    np.testing.assert_allclose(
      good[name].astype(float), [float(row[name]) for row in listed], rtol=1e-8
    )
  assert [
    {'image': image, 'reason': reason} for image, reason in zip(broken['image'], broken['reason'])
  ] == rows(tmp_path / 'out.broken.csv')
  assert broken.filter(regex='^(prob|raw|decision)_').isna().all(axis=None)
  # By their paths, in another order.
  paths = [mixed / name for name in ('sub/deep.tiff', 'colour.png')]
  two = new_images.predict(opened, paths)
  assert list(two['image']) == [str(path) for path in paths]
  expected = good.set_index('image').loc[['sub/deep.tiff', 'colour.png']]
  np.testing.assert_allclose(two['prob_Edema'], expected['prob_Edema'].astype(float), atol=1e-6)
  for wrong, words in (([], 'no image is given'), (paths[:1] * 2, 'given twice')):
    with pytest.raises(InputError, match=words):
      new_images.predict(opened, wrong)


@pytest.mark.slow
def test_interrupted_anywhere_it_ends_in_the_same_bytes(run, mixed, tmp_path, capsys):
  output = tmp_path / 'out.csv'
  new_images.predict_to_csv(finished_runs.open_run(run), mixed, output)
  good, broken = content(output)
  # After the header, in a row of the second batch of eight, and before the last byte.
  for of_good, of_broken in (
    (good.index(b'\n') + 1, 13),
    (good.index(b'new09') + 9, len(broken)),
    (-1, 0),
  ):
    output.write_bytes(good[:of_good])
    result_file.broken_path(output).write_bytes(broken[:of_broken])
    new_images.predict_to_csv(finished_runs.open_run(run), mixed, output)
    assert content(output) == (good, broken)
  assert 'going on after' in capsys.readouterr().out
  new_images.predict_to_csv(finished_runs.open_run(run), mixed, output)
  assert content(output) == (good, broken)
  assert 'going on after 25 of 25 images' in capsys.readouterr().out
  with pytest.raises(InputError, match=r'raw: was False, is now True'):
    new_images.predict_to_csv(finished_runs.open_run(run), mixed, output, raw=True)
  Image.new('L', (40, 40)).save(tmp_path / 'one.png')
  with pytest.raises(InputError, match=r'begun with other settings'):
    new_images.predict_to_csv(finished_runs.open_run(run), tmp_path, output)


@pytest.mark.slow
def test_killed_it_goes_on(run, tmp_path):
  root, rng = tmp_path / 'images', np.random.default_rng(0)
  root.mkdir()
  for number in range(600):
    pixels = rng.integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(pixels).save(root / f'{number}.png')
  for number in range(0, 600, 7):
    (root / f'{number}.png').write_bytes(b'broken')

  def start(output):
    command = [
      sys.executable, '-m', 'medjax.predict', f'--workdir={run}', f'--images={root}',
      f'--output={output}'
    ]  # fmt: skip
    environment = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
    return subprocess.Popen(
      command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
      text=True
    )  # fmt: skip

  whole, killed = tmp_path / 'whole.csv', tmp_path / 'killed.csv'
  said, _ = start(whole).communicate(timeout=300)
  assert '514 images predicted; 86 could not be read' in said, said
  for _ in range(3):
    process = start(killed)
    before = killed.stat().st_size if killed.exists() else 0
    while process.poll() is None and (not killed.exists() or killed.stat().st_size <= before + 100):
      time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
  said, _ = start(killed).communicate(timeout=300)
  assert 'going on after' in said and content(killed) == content(whole)


def test_a_csv_keeps_its_patients_and_its_order(run, mixed, tmp_path):
  pipe = tmp_path / 'pipe.png'
  os.mkfifo(pipe)
  (tmp_path / 'list.csv').write_text(
    f'patient,image\nnew 1,film.dcm\n,colour.png\nnew 2,no.png\nnew 2,{pipe}\n'
  )
  new_images.predict_to_csv(
    finished_runs.open_run(run), tmp_path / 'list.csv', tmp_path / 'out.csv', root=mixed
  )
  listed = rows(tmp_path / 'out.csv')
  assert [(row['image'], row['patient']) for row in listed] == [
    ('film.dcm', 'new 1'), ('colour.png', '')
  ]  # fmt: skip
  assert rows(tmp_path / 'out.broken.csv') == [
    {'image': 'no.png', 'reason': f'{mixed}/no.png: no such image file'},
    {'image': str(pipe), 'reason': f'{pipe}: a folder, pipe or device, not an image file'},
  ]


@pytest.mark.slow
def test_heat_maps_lie_under_the_names_of_their_images(run, mixed, tmp_path):
  folder = tmp_path / 'maps'
  new_images.predict_to_csv(
    finished_runs.open_run(run),
    mixed,
    tmp_path / 'out.csv',
    heat_maps=folder,
    heat_map_labels=['Edema', 'Pneumonia'],
  )
  listed = sorted(str(path.relative_to(folder)) for path in folder.rglob('*.png'))
  names = [row['image'] for row in rows(tmp_path / 'out.csv')]
  assert listed == sorted(f'{name}.{label}.png' for name in names for label in LABELS[1:])
  opened = finished_runs.open_run(run)
  pixels = decoding.decode(mixed / 'sub' / 'IM1', ImageFormat(32, 1))
  maps = saliency.of_learner(
    opened.network.learner, opened.network.best, opened.config.evaluation.saliency
  )
  expected = heat_overlay.overlay(pixels, np.asarray(maps(pixels[None], 2))[0])
  drawn = np.asarray(Image.open(folder / 'sub' / 'IM1.Edema.png'))
  np.testing.assert_allclose(drawn.astype(int), expected, atol=2)
  for wrong, words in (
    ({'heat_maps': mixed / 'maps'}, 'would be predicted next time'),
    ({'heat_maps': folder, 'heat_map_labels': ['Edma']}, "did you mean 'Edema'"),
  ):
    with pytest.raises(InputError, match=words):
      new_images.predict_to_csv(finished_runs.open_run(run), mixed, tmp_path / 'other.csv', **wrong)


def split_of(run):
  return pd.read_csv(run / 'split.csv', dtype=str)


def test_images_that_trained_the_model_are_refused_unless_allowed(
  run, phantom_root, other_root, tmp_path, capsys
):
  split = split_of(run)
  split_rows = {part: split[split['split'] == part] for part in ('train', 'validation', 'test')}
  listed = tmp_path / 'list.csv'
  # The test images of the run's own folder are new to it.
  split_rows['test'][['image', 'patient']].to_csv(listed, index=False)
  new_images.predict_to_csv(
    finished_runs.open_run(run), listed, tmp_path / 'test.csv', root=phantom_root
  )
  assert len(rows(tmp_path / 'test.csv')) == len(split_rows['test'])
  refusals = {}
  # The folder itself, a link to it, and one image by its path.
  os.symlink(phantom_root, tmp_path / 'link')
  refusals['folder'] = (phantom_root, None)
  refusals['link'] = (tmp_path / 'link', None)
  one = split_rows['validation']['image'].iloc[0]
  (tmp_path / 'one.csv').write_text(f'image\n{one}\n')
  refusals['csv'] = (tmp_path / 'one.csv', phantom_root)
  # A copy, and another image of a patient who trained.
  for name in split_rows['train']['image'][:3]:
    (tmp_path / 'copy' / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(phantom_root / name, tmp_path / 'copy' / name)
  refusals['copy'] = (tmp_path / 'copy', None)
  patient = split_rows['train']['patient'].iloc[0]
  Image.new('L', (40, 40)).save(tmp_path / 'x.png')
  (tmp_path / 'patient.csv').write_text(f'image,patient\nx.png,{patient}\n')
  refusals['patient'] = (tmp_path / 'patient.csv', None)
  words = {
    'folder': f'(at least {len(split) - len(split_rows["test"])} of the',
    'link': 'this model (',
    'csv': f"'{one}' chose this model (at least 1 of the 1 images",
    'copy': f'is byte for byte {phantom_root}',
    'patient': f"'x.png' is of patient '{patient}', who trained this model",
  }
  for name, (source, root) in refusals.items():
    with pytest.raises(InputError) as raised:
      new_images.predict_to_csv(
        finished_runs.open_run(run), source, tmp_path / 'refused.csv', root=root
      )
    assert words[name] in str(raised.value) and '--allow_training_images' in str(raised.value)
    assert '\n' not in str(raised.value) and not (tmp_path / 'refused.csv').exists()
  # Other pictures of the same names are new.
  assert seen_before.find_seen(
    (Item(name, str(other_root / name), '') for name in split['image']),
    seen_by_run.seen_by(Layout(run)),
  ) == (0, '')
  capsys.readouterr()
  new_images.predict_to_csv(
    finished_runs.open_run(run), tmp_path / 'copy', tmp_path / 'allowed.csv',
    allow_training_images=True
  )  # fmt: skip
  said = capsys.readouterr().out
  assert 'note: at least 3 of the 3 images trained or chose this model' in said
  assert json.loads((tmp_path / 'allowed.csv.json').read_text())['training_images'] == 3


def test_an_image_without_the_memory_for_it_is_named_so(tmp_path, monkeypatch):
  def decode(path, image_format):
    raise MemoryError

  monkeypatch.setattr(decoding, 'decode', decode)
  path = str(tmp_path / 'huge.png')
  read = reading._read(Item('huge.png', path, ''), [ImageFormat(16, 1)])
  assert read.reason.startswith(f'{path}: not enough memory') and '.py' not in read.reason


def test_files_of_one_name_are_told_apart_by_their_folders():
  paths = ['/r/a/s1/v.png', '/r/b/s1/v.png', '/r/b/s2/v.png', '/r/b/s2/w.png']
  assert seen_before._by_distinct_end(paths) == {
    'w.png': paths[3], 's2/v.png': paths[2], 'a/s1/v.png': paths[0], 'b/s1/v.png': paths[1]
  }  # fmt: skip


def test_what_does_not_belong_together_is_one_line(run, mixed, tmp_path):
  def broken_run(name, change):
    folder = tmp_path / name
    shutil.copytree(run, folder)
    change(folder)
    return folder

  def of_another_step(folder):
    chosen = json.loads((folder / 'frozen.json').read_text())
    (folder / 'frozen.json').write_text(json.dumps(chosen | {'step': 99}))
    vouched_runs.vouch(folder)

  cases = [
    (broken_run('a', lambda folder: (folder / frozen.NAME).unlink()), 'vouches for it; restore it'),
    (broken_run('b', of_another_step), 'was chosen for the checkpoint of step 99'),
    (broken_run('e', lambda f: (f / 'evaluation/test.json').unlink()), 'not a finished run'),
    (broken_run('f', lambda f: shutil.rmtree(f / 'checkpoints')), 'has no checkpoint yet'),
    (tmp_path, 'not the work directory of a run'),
  ]
  for folder, words in cases:
    with pytest.raises(InputError) as raised:
      new_images.predict_to_csv(finished_runs.open_run(folder), mixed, tmp_path / 'out.csv')
    assert words in str(raised.value) and '\n' not in str(raised.value)
  (tmp_path / 'bad').mkdir()
  (tmp_path / 'bad' / 'x.png').write_bytes(b'')
  for source, words in (
    (tmp_path / 'bad', 'none of its 1 images can be read'),
    (tmp_path / 'nowhere', 'no such folder or CSV'),
  ):
    with pytest.raises(InputError) as raised:
      new_images.predict_to_csv(finished_runs.open_run(run), source, tmp_path / 'other.csv')
    assert words in str(raised.value) and '\n' not in str(raised.value)


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([], '--workdir is missing'),
    (['--workdir=x', '--images=x'], '--output is missing'),
    (['--workdir=x', '--images=x', '--output=no/out.csv'], 'there is no folder no'),
    (['--workdir=tests', '--images=x', '--output=out.csv'], 'not the work directory of a run'),
  ],
)
def test_wrong_arguments_are_one_line(command, arguments, words):
  refused = command('predict', *arguments)
  assert refused.returncode == 1
  assert words in refused.stderr and refused.stderr.strip().count('\n') == 0
