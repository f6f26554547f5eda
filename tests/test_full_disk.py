"""Commands on a disk without room: one line, and once there is room the same command goes on."""

import shutil
import subprocess
import sys

import drawn_slides
import pytest
from conftest import PROJECT, TINY

PHANTOM = '--config=configs/phantom.py'


def fails(command, name, *arguments, bytes_left):
  """Runs a command where no file may become larger; returns the one line that it ends with."""
  failed = command(name, *arguments, file_size=bytes_left)
  assert failed.returncode == 1, failed.stdout
  assert failed.stderr.startswith('error: ') and failed.stderr.count('\n') == 1, failed.stderr
  assert failed.stderr.endswith('the same command goes on\n')
  return failed.stderr


@pytest.mark.slow
def test_training(command, phantom_root, tmp_path):
  workdir = tmp_path / 'run'
  flags = (PHANTOM, f'--workdir={workdir}', *TINY, f'--config.data.root={phantom_root}')
  # Larger than all that comes before the first checkpoint, which orbax writes in threads.
  assert f'error: {workdir}: ' in fails(command, 'main', *flags, bytes_left=70_000)
  assert (workdir / 'checkpoints').is_dir() and (workdir / 'metrics.jsonl').is_file()


STUDY = (PHANTOM, *TINY, '--config.data.root=FILMS')
PREDICTIONS = (
  '--predictions=RUN/predictions/test.csv', '--operating_points=threshold=0.5', '--replicates=20',
)  # fmt: skip


@pytest.mark.parametrize(
  ('name', 'bytes_left', 'arguments', 'written'),
  [
    ('split', 500, (*STUDY, '--output=OUT'), 'split.csv'),
    ('split', 2_000, (*STUDY[:-1], '--config.data.root=OUT/films', '--output=OUT'), 'split.csv'),
    ('audit', 500, (*STUDY, '--output=OUT'), 'audit.json'),
    ('export', 20_000, ('--workdir=RUN', '--output=OUT'), 'model.stablehlo'),
    ('evaluate', 2_000, (*PREDICTIONS, '--output=OUT'), 'evaluation.json'),
    ('predict', 1_500, ('--workdir=RUN', '--images=FILMS', '--output=OUT/p.csv'), 'p.csv'),
    pytest.param(
      *('preview', 2_000, (*STUDY, '--images=2', '--output=OUT/p.png'), 'p.png'),
      marks=pytest.mark.slow,
    ),
  ],
)
def test_other_commands(
  command, finished, other_root, tmp_path, name, bytes_left, arguments, written
):
  out = tmp_path / 'out'
  out.mkdir()
  places = {'RUN': finished[0], 'FILMS': other_root, 'OUT': out}
  flags = ['--config.data.settings.seed=1'] if STUDY[0] in arguments else []
  for argument in arguments:
    for word, place in places.items():
      argument = argument.replace(word, str(place))
    flags.append(argument)
  assert str(out) in fails(command, name, *flags, bytes_left=bytes_left)
  done = command(name, *flags)
  assert done.returncode in (0, 2), done.stderr
  assert (out / written).stat().st_size > bytes_left
  assert not list(tmp_path.rglob('.*.tmp'))


@pytest.mark.slow
def test_a_slide_is_not_blamed_for_a_full_disk(command, tmp_path):
  for number in range(2):
    drawn_slides.node(tmp_path / 'in', f's{number}', number, False, size=(900, 850))
  flags = (
    f'--slides={tmp_path / "in"}', f'--output={tmp_path / "out"}', '--mpp=0.5', '--patch_size=32',
    '--workers=2',
  )  # fmt: skip
  assert str(tmp_path / 'out') in fails(command, 'slides', *flags, bytes_left=5_000)
  assert not (tmp_path / 'out' / 'set_aside.csv').exists()
  done = command('slides', *flags, check=True)
  assert 'set aside' not in done.stdout and '2 slides' in done.stdout


def in_a_namespace(script, **settings):
  """Runs a shell script that may mount; skips where the system lets nobody."""
  if shutil.which('unshare') is None:
    pytest.skip('this system has no unshare')
  run = ['unshare', '--user', '--map-root-user', '--mount', 'bash', '-c']
  allowed = subprocess.run([*run, 'mount -t tmpfs none /mnt'], capture_output=True)
  if allowed.returncode:
    pytest.skip('nothing may be mounted here')
  return subprocess.run([*run, script], cwd=PROJECT, capture_output=True, text=True, **settings)


@pytest.mark.slow
def test_a_real_disk_that_fills_up_after_a_checkpoint(phantom_root, tmp_path):
  disk, flags = tmp_path / 'disk', ' '.join(f"'{flag}'" for flag in TINY)
  disk.mkdir()
  train = (
    f'{sys.executable} -m medjax.main {PHANTOM} --workdir={disk}/run {flags} '
    f'--config.data.root={phantom_root}'
  )
  done = in_a_namespace(
    f'mount -t tmpfs -o size=430k none {disk}; {train}; echo "status $?"; '
    f'mount -o remount,size=50m {disk}; {train}',
    timeout=500,
  )
  assert done.returncode == 0 and 'status 1' in done.stdout, done.stderr
  assert done.stderr.count('\n') == 1
  assert done.stderr.startswith(f'error: {disk}/run: the disk has too little room (')
  assert 'going on from the checkpoint of step 3' in done.stdout
