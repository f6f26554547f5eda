"""`python -m medjax.audit`, as a user runs it, on generated films."""

import shutil

import pandas as pd
import planted_films
import pytest

from medjax.report import audit_files


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  """A folder with one film of each of 200 patients, and its table, in which nothing is wrong."""
  root = tmp_path_factory.mktemp('films') / 'phantom'
  return root, planted_films.films(root)


def test_the_split_of_a_work_directory_and_a_second_set(command, films, tmp_path):
  root, table = films
  config = f'--config={root}/config.py'
  command('split', config, f'--output={tmp_path}/run', check=True)
  split = pd.read_csv(tmp_path / 'run' / 'split.csv')
  again = tmp_path / 'again'
  again.mkdir()
  planted_films.write(again, table)
  done = command(
    'audit', config, f'--split={tmp_path}/run', f'--other={again}/config.py',
    f'--other_root={root}', f'--output={tmp_path}/out', check=True,
  )  # fmt: skip
  assert 'phantom and phantom (the second set) share 200 pictures' in done.stdout
  assert f'written: {tmp_path}/out/index.html and {tmp_path}/out/audit.json' in done.stdout
  audit = audit_files.read(tmp_path / 'out' / 'audit.json')
  counts = {side: size.images for side, size in audit.table.sides.items()}
  assert counts == split['split'].value_counts().to_dict()
  assert '<h1>phantom</h1>' in (tmp_path / 'out' / 'index.html').read_text()


def test_patients_on_both_sides_end_with_two(command, films, tmp_path):
  root, table = films
  again = table.iloc[:6].assign(image=[f'{n}.jpg' for n in range(6)])
  folder = tmp_path / 'set'
  shutil.copytree(root, folder)
  for number, source in enumerate(table['image'][100:106]):
    shutil.copy(root / source, folder / f'{number}.jpg')
  table = pd.concat([table, again], ignore_index=True)
  config = planted_films.write(folder, table)
  changes = {f'{n}.jpg': 'val' for n in range(5)} | {'5.jpg': 'train', table['image'][5]: 'train'}
  split = planted_films.sides(table, tmp_path / 'paper.csv', **changes)
  arguments = (f'--config={config}', f'--split={split}', f'--output={tmp_path}/out')
  done = command('audit', *arguments, '--nopixels')
  assert done.returncode == 2, done.stderr
  assert done.stdout.startswith('- 5 patients on more than one side of the split')
  audit = audit_files.read(tmp_path / 'out' / 'audit.json')
  assert audit.table.overlap['patient'].shared == 5 and audit.copies is None
  page = (tmp_path / 'out' / 'index.html').read_text()
  assert 'Not a split by patient: 5 patients on more than one side' in page


def test_a_published_split_that_leaks_is_refused_by_split(command, films, tmp_path):
  table = films[1].assign(official_split='train')
  table.loc[0, 'official_split'] = 'test'
  table.loc[:1, 'patient'] = 'one'
  config = planted_films.write(tmp_path, table)
  refused = command(
    'split', f'--config={config}', '--config.split.test=official', f'--output={tmp_path}/out'
  )
  assert refused.returncode == 1 and 'more than one side' in refused.stderr


def test_nothing_found_is_said(command, films, tmp_path):
  done = command(
    'audit', f'--config={films[0]}/config.py', f'--output={tmp_path}/out', '--nopixels', check=True
  )
  assert done.stdout.startswith('nothing that it looks for')


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    (['--output={o}', '--split={o}.csv'], ["no column 'split'", '.csv']),
    ([], ['--output is missing']),
    (['--output={o}', '--other_root={o}'], ['--other_root is given without --other']),
  ],
)
def test_a_mistake_is_one_line(command, films, tmp_path, flags, words):
  (tmp_path / 'out.csv').write_text('image,part\na.jpg,test\n')
  given = [flag.format(o=tmp_path / 'out') for flag in flags]
  done = command('audit', f'--config={films[0]}/config.py', '--nopixels', *given)
  assert done.returncode == 1 and not (tmp_path / 'out').exists()
  assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
  for word in words:
    assert word in done.stderr
