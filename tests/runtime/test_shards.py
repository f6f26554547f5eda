"""Pieces of a work: their numbers as people and schedulers write them."""

import pytest

from medjax.errors import InputError
from medjax.runtime import shards
from medjax.runtime.shards import Shard

# As Slurm sets them for the task 2 of `--array=0-3`, and for that task sent again alone.
ARRAY = {
  'SLURM_ARRAY_TASK_ID': '2',
  'SLURM_ARRAY_TASK_MIN': '0',
  'SLURM_ARRAY_TASK_MAX': '3',
  'SLURM_ARRAY_TASK_COUNT': '4',
}
AGAIN = {name: '2' for name in ARRAY} | {'SLURM_ARRAY_TASK_COUNT': '1'}
POD = {'JOB_COMPLETION_INDEX': '1'}


@pytest.mark.parametrize(
  ('text', 'environment', 'expected'),
  [
    ('', ARRAY, None),  # An array may be of something else: nobody is given a piece unasked.
    ('0/3', {}, Shard(0, 3)),
    ('2/3', ARRAY, Shard(2, 3)),
    ('auto', ARRAY, Shard(2, 4)),
    ('auto/4', AGAIN, Shard(2, 4)),
    ('auto/3', POD, Shard(1, 3)),
  ],
)
def test_the_piece_that_is_asked_for(text, environment, expected):
  assert shards.asked(text, environment) == expected


@pytest.mark.parametrize(
  ('text', 'environment', 'words'),
  [
    ('0/0', {}, '--shard=0/0: .* of 0 pieces there is none'),
    ('3/2', {}, '--shard=3/2: pieces are numbered from 0, so that of 2 pieces the last is 1/2'),
    ('2/2', {}, 'the last is 1/2'),
    ('x', {}, '--shard=x: must be such as 0/3'),
    ('-1/3', {}, 'must be such as 0/3'),
    ('auto', {}, '--shard=auto: of how many pieces'),
    ('auto', AGAIN, r'tasks of this Slurm array are 2-2\); say it, such as --shard=auto/3'),
    ('auto', POD, 'of how many pieces'),
    ('auto/3', {}, 'no task of a Slurm array and no pod of an Indexed Job'),
    ('auto/2', ARRAY, r'--shard=auto/2 \(the scheduler counts 2\)'),
  ],
)
def test_what_is_no_piece_is_refused(text, environment, words):
  with pytest.raises(InputError, match=words):
    shards.asked(text, environment)


def test_a_fold_may_be_that_of_the_scheduler():
  assert shards.index('--fold', '3', {}) == 3
  assert shards.index('--fold', 'auto', AGAIN) == 2
  assert shards.index('--fold', 'auto', POD) == 1
  assert shards.index('--fold', None, ARRAY) is None
  for text, words in (('x', '--fold=x: must be a whole number'), ('auto', '--fold=auto: this is')):
    with pytest.raises(InputError, match=words):
      shards.index('--fold', text, {})


@pytest.mark.parametrize('length', [0, 1, 2, 7, 1000])
def test_pieces_are_everything_once_and_of_nearly_one_size(length):
  spans = [Shard(number, 3).span(length) for number in range(3)]
  assert [item for span in spans for item in span] == list(range(length))
  assert max(map(len, spans)) - min(map(len, spans)) <= 1


def test_pieces_of_two_numbers_do_not_mix(tmp_path):
  assert shards.find(tmp_path / 'none', None) == []
  assert len(shards.find(tmp_path / 'none', Shard(0, 2))) == 2
  (tmp_path / '1-of-3.csv').touch()
  (tmp_path / '.1-of-3.csv.lock').touch()
  assert shards.find(tmp_path, None) == [Shard(0, 3), Shard(1, 3), Shard(2, 3)]
  with pytest.raises(InputError, match='holds pieces of 3, --shard=0/2 is another number'):
    shards.find(tmp_path, Shard(0, 2))
  with pytest.raises(InputError, match='out: pieces 0 and 2 of 3 are not finished; --shard=0/3'):
    shards.check_finished(tmp_path / 'out', [Shard(0, 3), Shard(2, 3)])


def test_a_folder_of_pieces_that_holds_other_files_is_refused_and_they_stay(tmp_path):
  folder = tmp_path / 'shards'
  folder.mkdir()
  (folder / '0-of-2').mkdir()
  (folder / '.1-of-2.lock').touch()
  assert shards.find(folder, None) == [Shard(0, 2), Shard(1, 2)]
  (folder / 'train-0000.tar').write_text('of somebody')
  with pytest.raises(InputError, match='holds other files than pieces'):
    shards.find(folder, Shard(0, 2))
  (folder / 'train-0000.tar').unlink()
  shards.remove(folder)
  assert list(tmp_path.iterdir()) == []
