"""The folder that a data set is generated in, and what a killed process leaves of it."""

import filelock

from medjax.data.phantom import chest


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path):
  for name in ('.root.killed', '.root.living'):
    (tmp_path / name / 'phantom').mkdir(parents=True)
    (tmp_path / name / 'lock').touch()
  with filelock.FileLock(tmp_path / '.root.living' / 'lock'):
    chest.generate(tmp_path / 'root', images=2, image_size=16, seed=0)
    assert {path.name for path in tmp_path.iterdir()} == {'root', '.root.living'}
