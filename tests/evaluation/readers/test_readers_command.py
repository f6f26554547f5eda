"""`python -m medjax.readers` on a CSV alone, as a user runs it."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score


@pytest.fixture(scope='module')
def reads():
  """Three readers of 150 images, two labels, and the truth: the readings' CSV and bool[150, 2]."""
  rng = np.random.default_rng(0)
  truth = rng.random((150, 2)) < (0.4, 0.25)
  lines = ['image,patient,reader,Mass,Edema']
  for image in range(150):
    for reader, sensitivity, specificity in (
      ('ann', 0.95, 0.9),
      ('bo', 0.8, 0.95),
      ('cy', 0.7, 0.8),
    ):
      yes = rng.random(2) < np.where(truth[image], sensitivity, 1 - specificity)
      lines.append(f'{image:03}.png,P{image // 2},{reader},{int(yes[0])},{int(yes[1])}')
  return '\n'.join(lines) + '\n', truth


def test_it_writes_consensus_readers_and_agreement(command, reads, tmp_path):
  text, truth = reads
  (tmp_path / 'reads.csv').write_text(text)
  (tmp_path / 'ct.csv').write_text('image,Mass,test\n000.png,1,CT\n001.png,0,CT\nnew.png,1,CT\n')
  said = command(
    'readers',
    f'--readers={tmp_path}/reads.csv',
    f'--definitive={tmp_path}/ct.csv',
    '--consensus=dawid_skene',
    f'--output={tmp_path}/out',
    check=True,
  ).stdout
  assert '150 images, 3 readers, 450 rows' in said
  assert 'definitive: 3 images, 1 of which no reader read' in said
  consensus = pd.read_csv(tmp_path / 'out/consensus.csv').set_index('image')
  assert list(consensus) == ['Mass', 'Edema', 'reference'] and len(consensus) == 151
  assert consensus['Mass'][['000.png', '001.png', 'new.png']].tolist() == [1, 0, 1]
  assert np.isnan(consensus['Edema']['new.png'])
  assert consensus['reference']['000.png'] == 'Mass: CT; Edema: Dawid-Skene of 3 readers'
  assert consensus['reference']['002.png'] == 'Dawid-Skene of 3 readers'
  right = (consensus['Edema'].to_numpy()[:150] == truth[:, 1]).mean()
  assert right > 0.85

  rates = pd.read_csv(tmp_path / 'out/readers.csv')
  assert list(rates) == ['reader', 'label', 'reads', 'sensitivity', 'specificity']
  assert len(rates) == 6 and (rates['reads'] == 150).all()
  of_mass = rates[rates['label'] == 'Mass'].set_index('reader')
  np.testing.assert_allclose(of_mass['sensitivity'], [0.95, 0.8, 0.7], rtol=0, atol=0.15)

  agreed = json.loads((tmp_path / 'out/agreement.json').read_text())
  assert agreed['method'] == 'percentile bootstrap over patients' and agreed['replicates'] == 2000
  wide = pd.read_csv(tmp_path / 'reads.csv').pivot(index='image', columns='reader', values='Mass')
  kappa = agreed['labels']['Mass']['cohen'][0]
  assert kappa['readers'] == ['ann', 'bo']
  assert kappa['kappa']['value'] == pytest.approx(cohen_kappa_score(wide['ann'], wide['bo']))
  low, high = kappa['kappa']['interval']
  assert low < kappa['kappa']['value'] < high
  assert f'{agreed["labels"]["Mass"]["fleiss"]["value"]:.3f}' in said


def test_grades_by_name(command, tmp_path):
  (tmp_path / 'reads.csv').write_text(
    'image,reader,grade\na,1,none\na,2,mild\nb,1,severe\nb,2,severe\nc,1,mild\nc,2,mild\nd,1,none\n'
  )
  command(
    'readers',
    f'--readers={tmp_path}/reads.csv',
    '--classes=none,mild,severe',
    f'--output={tmp_path}/out',
    check=True,
  )
  consensus = pd.read_csv(tmp_path / 'out/consensus.csv', keep_default_na=False)
  assert consensus['grade'].tolist() == ['', 'severe', 'mild', 'none']
  assert consensus['reference'][0] == 'tie of 2 readers'


@pytest.mark.parametrize(
  ('change', 'flags', 'words'),
  [
    (('003.png,P1,bo,0', '003.png,P1,bo,maybe'), (), ['reads.csv: row', "'Mass'", "'maybe'"]),
    (('bo,', 'ann,'), (), ['reads.csv: row 3', "reader 'ann' reads image '000.png' twice"]),
    (('image,', 'picture,'), (), ["reads.csv: no column 'image'", 'picture']),
    (('reader,', 'raeder,'), (), ["no column 'reader'", "did you mean 'raeder'"]),
    (('001.png,P0,ann', '001.png,P9,ann'), (), ["image '001.png' is of two patients"]),
    (('P0,ann', ' ,ann'), (), ['reads.csv: row 2: the patient is empty']),
    ((), ('--consensus=stapel',), ['--consensus', "did you mean 'staple'"]),
    ((), ('--ties=even',), ['--ties', 'uncertain, positive, negative']),
    ((), ('--definitive=nowhere.csv',), ['nowhere.csv: no such file']),
    ((), ('--classes=one',), ['--classes=one', 'two or more']),
    ((), ('--readers=',), ['--readers is missing']),
    ((), ('--output=',), ['--output is missing']),
  ],
)
def test_a_mistake_is_one_line(command, reads, tmp_path, change, flags, words):
  text = reads[0].replace(*change) if change else reads[0]
  assert bool(change) == (text != reads[0])
  (tmp_path / 'reads.csv').write_text(text)
  finished = command(
    'readers', f'--readers={tmp_path}/reads.csv', f'--output={tmp_path}/out', *flags
  )
  lines = finished.stderr.strip().splitlines()
  assert finished.returncode == 1 and len(lines) == 1 and lines[0].startswith('error: ')
  for word in words:
    assert word in lines[0]
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('wrong', [False, True])
def test_when_nobody_reads_what_it_prints_it_ends_without_a_word(reads, tmp_path, wrong):
  (tmp_path / 'reads.csv').write_text(reads[0])
  reading, writing = os.pipe()
  os.close(reading)  # As `| head` does, having seen enough.
  finished = subprocess.run(
    [sys.executable, '-m', 'medjax.readers', f'--readers={tmp_path}/reads.csv']
    + [f'--output={tmp_path}/out'] * (not wrong),
    stdout=writing,
    stderr=subprocess.PIPE,
    text=True,
    timeout=300,
  )
  os.close(writing)
  if wrong:  # Which is said elsewhere.
    assert finished.returncode == 1 and finished.stderr.startswith('error: --output is missing')
  else:
    assert finished.returncode == 141 and finished.stderr == ''
    assert (tmp_path / 'out/agreement.json').is_file()
