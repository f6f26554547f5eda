"""The preview command draws what a policy does, and refuses what training would refuse."""

import numpy as np
import pytest
from conftest import TINY
from PIL import Image


@pytest.mark.slow
def test_before_and_after(command, phantom_root, tmp_path):
  output = tmp_path / 'preview.png'
  printed = command(
    'preview', '--config=configs/phantom.py', *TINY, f'--config.data.root={phantom_root}',
    '--images=3', '--draws=2', f'--output={output}', check=True,
  ).stdout  # fmt: skip
  assert '3 training images, 2 draws' in printed
  sheet = np.asarray(Image.open(output).convert('L'), np.float32)
  # Three rows of three pictures of 96 px under a line of text, on white.
  assert sheet.shape == (18 + 3 * 100 + 4, 3 * 100 + 4)
  pictures = [[sheet[22 + 100 * r :, 4 + 100 * c :][:96, :96] for c in range(3)] for r in range(3)]
  for before, *after in pictures:
    for picture in after:
      assert 0.5 < np.corrcoef(before.ravel(), picture.ravel())[0, 1] < 0.9999
  assert not np.array_equal(pictures[0][1], pictures[0][2])


@pytest.mark.slow
def test_a_policy_for_another_modality_is_refused_unless_forced(command, phantom_root, tmp_path):
  arguments = (
    'preview', '--config=configs/phantom.py', *TINY, f'--config.data.root={phantom_root}',
    '--config.augment=skin', '--images=1', '--draws=1', f'--output={tmp_path / "skin.png"}',
  )  # fmt: skip
  refused = command(*arguments)
  assert refused.returncode == 1 and 'Traceback' not in refused.stderr
  assert 'mirrors or turns the image' in refused.stderr and 'dextrocardia' in refused.stderr
  assert not (tmp_path / 'skin.png').exists()
  command(*arguments, '--config.force_augment=True', check=True)
  assert (tmp_path / 'skin.png').is_file()
