"""A work directory whose files were edited, or are of another run: each opener says which."""

import dataclasses
import hashlib
import json
import shutil

import pandas as pd
import pytest
import vouched_runs
from orbax.checkpoint import v1 as ocp

from medjax.errors import InputError
from medjax.runs import finished as finished_runs
from medjax.runs import integrity, weights_of_run
from medjax.runs.layout import Layout


@pytest.fixture
def copy(finished, tmp_path):
  return Layout(shutil.copytree(finished[0], tmp_path / 'run'))


def edit(path, change):
  text = change(path.read_text())
  assert text != path.read_text()
  path.write_text(text)


def replaced(path, old, new):
  edit(path, lambda text: text.replace(old, new, 1))


def another_split(layout):
  """Both files of it, as `medjax.split` writes them: everybody who was tested trains."""
  edit(layout.split, lambda text: text.replace(',test\n', ',train\n'))
  digest = hashlib.sha256(layout.split.read_bytes()).hexdigest()
  proof = json.loads(layout.split_proof.read_text())
  layout.split_proof.write_text(json.dumps(proof | {'split_sha256': digest}))


def checkpoint_of_another(layout, **values):
  """Gives the checkpoints what a run of another split or config would have had them carry."""
  for path in layout.checkpoints.glob('*/_CHECKPOINT_METADATA'):
    content = json.loads(path.read_text())
    content['custom_metadata'] |= values
    path.write_text(json.dumps(content))


def without_first_row(path):
  pd.read_csv(path, dtype=str, keep_default_na=False).iloc[1:].to_csv(path, index=False)


def other_threshold(layout):
  chosen = json.loads(layout.frozen.read_text())
  for points in chosen['levels']['image']['operating_points'].values():
    points[0]['threshold'] = 0.123
  layout.frozen.write_text(json.dumps(chosen))


def other_truth(layout):
  path = layout.predictions('test')
  table = pd.read_csv(path)
  table['true_Edema'] = 1 - table['true_Edema']
  table.to_csv(path, index=False)


def renamed_checkpoint(layout):
  (layout.checkpoints / '6').rename(layout.checkpoints / '5')


def other_figure(layout):
  content = json.loads(layout.result.read_text())
  content['mean']['auroc']['value'] = 0.99
  layout.result.write_text(json.dumps(content, indent=2))


def damaged_checkpoint(layout):
  (path,) = layout.checkpoints.glob(f'{max(layout.saved_steps())}/_CHECKPOINT_METADATA')
  path.write_bytes(b'\xff' + path.read_bytes())


CHANGES = {
  'a figure': other_figure,
  'the page': lambda layout: edit(layout.report, lambda text: text.replace('0.', '9.')),
  'damaged checkpoint': damaged_checkpoint,
  'split.csv': lambda layout: replaced(layout.split, ',test\n', ',train\n'),
  'both split files': another_split,
  'renamed checkpoint': renamed_checkpoint,
  'checkpoints of another split': lambda layout: checkpoint_of_another(
    layout, split_sha256='0' * 64
  ),
  'checkpoints of another config': lambda layout: checkpoint_of_another(
    layout, config=json.loads(layout.config.read_text()) | {'seed': 5}
  ),
  'what trained': lambda layout: replaced(layout.config, '"seed": 0', '"seed": 7'),
  'calibration': lambda layout: replaced(layout.config, '"platt"', '"none"'),
  'normalisation': lambda layout: replaced(layout.model, '0.5', '0.4'),
  'images set aside': lambda layout: edit(
    layout.set_aside, lambda text: text + 'train/a.jpg,test,broken\n'
  ),
  'images': lambda layout: without_first_row(layout.images),
  'thresholds': other_threshold,
  'a tested image': lambda layout: without_first_row(layout.predictions('test')),
  'truth': other_truth,
  'no frozen.json': lambda layout: layout.frozen.unlink(),
}


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ('a figure', ['evaluation/test.json: was edited', 'tests it again']),
    ('the page', ['report/index.html: not the file that', 'test.json vouches for']),
    ('damaged checkpoint', ['checkpoints/6: does not say which split']),
    ('split.csv', ['split.csv: not the file that split.json vouches for']),
    ('renamed checkpoint', ['checkpoints/5: is the checkpoint of step 6']),
    ('both split files', ['split.csv: its SHA-256', 'not that of the split that trained']),
    ('checkpoints of another split', ['checkpoints/', '000000000000', 'of another run']),
    ('checkpoints of another config', ['config.json: ', 'config.seed: was 5, is now 0']),
    ('what trained', ['config.json: ', 'seed: was 0, is now 7', 'as its run left it']),
    ('calibration', ['config.json: not the file that', 'evaluation/test.json vouches for']),
    ('normalisation', ['model.json: not the file that', 'checkpoints/']),
    ('images set aside', ['set_aside.csv: not the file that']),
    ('images', ['images.csv: not the file that']),
    ('thresholds', ['frozen.json: not the file that', 'test.json vouches for', 'tests it again']),
    ('a tested image', ['predictions/test.csv: not the file that', 'tests it again']),
    ('truth', ['predictions/test.csv: not the file that', 'restore it, or delete']),
    ('no frozen.json', ['frozen.json: no such file, though']),
  ],
)
def test_a_changed_file_is_named_when_the_run_is_opened(copy, change, words):
  finished_runs.open_run(copy.workdir)
  CHANGES[change](copy)
  with pytest.raises(InputError) as refused:
    finished_runs.open_run(copy.workdir)
  message = str(refused.value)
  assert '\n' not in message and str(copy.workdir) in message
  for word in words:
    assert word in message


def test_a_page_may_be_taken_away(copy):
  copy.report.unlink()
  finished_runs.open_run(copy.workdir)


def test_arrays_that_cannot_be_read_are_one_short_line(copy):
  run = finished_runs.open_run(copy.workdir)
  for path in copy.checkpoints.rglob('*'):
    if path.is_file() and path.name != '_CHECKPOINT_METADATA':
      path.write_bytes(b'damaged')
  with pytest.raises(InputError, match=r'checkpoints: its best.*restore the folder') as raised:
    _ = run.network
  assert len(str(raised.value)) < len(str(copy.checkpoints)) + 160


def test_weights_are_those_that_the_thresholds_were_chosen_for(copy):
  run = finished_runs.open_run(copy.workdir)
  assert run.network.sha256 == run.frozen.weights_sha256
  other = finished_runs.open_run(copy.workdir)
  # As if the arrays of the checkpoint were others, which no other file tells.
  vars(other)['frozen'] = dataclasses.replace(run.frozen, weights_sha256='0' * 64)
  with pytest.raises(InputError, match='its weights are not those that'):
    _ = other.network


def test_everything_that_opens_a_run_looks(command, copy, tmp_path):
  another_split(copy)
  shutil.rmtree(copy.evaluation)  # A run that is not finished is pre-trained from too.
  with pytest.raises(InputError, match='not that of the split that trained'):
    weights_of_run.find(str(copy.workdir))
  copy.evaluation.mkdir()
  copy.result.write_text('{}')
  vouched_runs.vouch(copy.workdir)
  for name, *flags in (
    ('predict', f'--images={tmp_path}', f'--output={tmp_path}/out.csv'),
    ('export',),
    ('evaluate',),
    ('slide_report',),
    ('attention',),
  ):
    refused = command(name, f'--workdir={copy.workdir}', *flags)
    assert refused.returncode == 1
    (line,) = refused.stderr.strip().splitlines()
    assert 'not that of the split that trained' in line, name
  config = finished_runs.read_config(copy)
  config.evaluation.members = (str(copy.workdir),)
  proof = json.loads(copy.split_proof.read_text())
  with pytest.raises(InputError, match='not that of the split that trained'):
    finished_runs.open_members(config, tmp_path, proof['split_sha256'])


def test_weights_in_the_export_of_a_changed_run_are_refused(command, copy):
  command('export', f'--workdir={copy.workdir}', check=True)
  exported = copy.export / 'model.safetensors'
  assert weights_of_run.find(str(exported)).run == copy.workdir
  another_split(copy)
  with pytest.raises(InputError, match='not that of the split that trained'):
    weights_of_run.find(str(exported))


def test_a_run_of_an_earlier_version_says_what_to_do(copy):
  content = json.loads(copy.result.read_text())
  del content['files']
  copy.result.write_text(json.dumps(content))
  with pytest.raises(InputError, match=r'does not hold the SHA-256 .* tests it again') as refused:
    finished_runs.open_run(copy.workdir)
  assert '\n' not in str(refused.value)


def test_checkpoints_that_say_nothing_are_refused_and_gone_ones_are_not_missed(copy):
  (path,) = copy.checkpoints.glob(f'{max(copy.saved_steps())}/_CHECKPOINT_METADATA')
  path.write_text('{}')
  with pytest.raises(InputError, match='does not say which split and config trained it'):
    integrity.check(copy)
  shutil.rmtree(copy.checkpoints)
  integrity.check(copy)


def test_a_replaced_checkpoint_may_be_deleted_by_half_but_not_the_latest(copy):
  latest = copy.checkpoints / str(max(copy.saved_steps()))
  replaced = shutil.copytree(latest, copy.checkpoints / '1')
  (replaced / '_CHECKPOINT_METADATA').unlink()
  integrity.check(copy)
  edit(
    latest / '_CHECKPOINT_METADATA',
    lambda text: text.replace('"history": [', '"history": [{"step": 1, "auroc_mean": 0.99}, '),
  )
  with pytest.raises(InputError, match=f'{replaced}: does not say which split'):
    integrity.check(copy)  # The best one is not replaced.
  (latest / '_CHECKPOINT_METADATA').unlink()
  with pytest.raises(InputError, match=f'{latest}: does not say which split'):
    integrity.check(copy)


def test_what_a_checkpoint_carries_is_what_orbax_reads(finished):
  layout = Layout(finished[0])
  for step in layout.saved_steps():
    checkpoint = layout.checkpoints / str(step)
    carried = ocp.checkpointables_metadata(checkpoint.absolute()).custom_metadata
    assert carried == integrity._carried(layout, step)
    assert set(carried['files']) == {
      'split.csv', 'split.json', 'model.json', 'set_aside.csv', 'images.csv'
    }  # fmt: skip
    for name, digest in carried['files'].items():
      assert digest == hashlib.sha256((finished[0] / name).read_bytes()).hexdigest()
