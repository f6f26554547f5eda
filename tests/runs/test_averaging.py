"""Averages over passes, checkpoints and runs against numpy's means of what each gives by itself."""

import dataclasses
import hashlib
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import vouched_runs
from conftest import PROJECT, TINY
from scipy import special

from medjax import config as configs
from medjax.augment import policies
from medjax.data import study
from medjax.errors import InputError
from medjax.evaluation import frozen, predictions
from medjax.experiment.run import run as run_experiment
from medjax.inference import export_files, export_program
from medjax.runs import averaging, checkpoints, model_file
from medjax.runs import finished as finished_runs
from medjax.runs.layout import Layout
from medjax.runs.trained_network import stacked
from medjax.training import learner, preprocessing

LABELS = ['Lung Lesion', 'Pneumonia', 'Edema']


def config(*overrides):
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*tiny, *overrides])


def learn(*overrides):
  experiment = config(*overrides)
  return learner.build(experiment, *preprocessing.resolve(experiment, None))


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)


@pytest.fixture(scope='module')
def variables():
  """Of two networks with random parameters."""
  return [jax.jit(learn(f'seed={seed}').init_state)({}).variables for seed in (0, 1)]


def predicted(learned, variables, images):
  step = jax.jit(averaging.step(learned))
  return np.asarray(step(stacked(variables), images))


@pytest.mark.slow
def test_each_checkpoint_and_pass_is_what_it_gives_by_itself(images, variables):
  learned = learn('evaluation.test_augment=2')
  log_odds = predicted(learned, variables, images)
  assert log_odds.shape == (4, 2, 3, 3)  # images, checkpoints, passes, labels
  # The policy by itself, an image after the other, with the key that the pass and the pixels make.
  weights = 2 * np.arange(32 * 32, dtype=np.uint64) + 1
  policy = jax.jit(policies.chest)
  alone = jax.jit(lambda checkpoint, shown: learned.eval_step(checkpoint, images, lambda _: shown))
  for number in range(3):
    shown = images.astype(np.float32) / 255
    if number:
      digests = (images.reshape(4, -1) * weights).sum(axis=1) % 2**32
      key = jax.random.fold_in(jax.random.key(0), number)
      shown = jnp.concatenate(
        [
          policy(jax.random.fold_in(key, np.uint32(digest)), image[None])
          for digest, image in zip(digests, shown)
        ]
      )
    for place, checkpoint in enumerate(variables):
      np.testing.assert_allclose(log_odds[:, place, number], alone(checkpoint, shown), atol=1e-4)
  assert np.abs(log_odds[:, :, 1] - log_odds[:, :, 2]).max() > 1e-3
  assert np.abs(log_odds[:, :, 1] - log_odds[:, :, 0]).max() > 1e-3
  mean = special.expit(averaging.mean([log_odds]))
  np.testing.assert_allclose(mean, special.expit(log_odds).mean((1, 2)), atol=1e-7)


def test_the_mean_of_certain_networks_keeps_what_they_doubt():
  # 1 - p is the mean of 1e-20 and 3e-20, which no probability in float64 can say.
  of_each = -np.log([1e-20, 3e-20])
  mean = averaging.mean([of_each.reshape(1, 1, 2, 1)])
  np.testing.assert_allclose(np.exp(-mean), [[2e-20]], rtol=1e-9)
  np.testing.assert_allclose(averaging.mean([-of_each.reshape(1, 2, 1, 1)]), -mean, rtol=1e-12)
  alone = np.float32([[[[17.3]]]])
  assert averaging.mean([alone])[0, 0] == np.float64(alone[0, 0, 0, 0])


@pytest.mark.slow
def test_a_policy_that_changes_nothing_changes_no_prediction(images, variables):
  plain = predicted(learn(), variables, images)
  assert plain.shape == (4, 2, 1, 3)
  identity = dataclasses.replace(learn('evaluation.test_augment=3'), augment=policies.none)
  probabilities = predicted(identity, variables, images)
  np.testing.assert_allclose(probabilities, np.repeat(plain, 4, axis=2), atol=1e-6)


@pytest.mark.slow
def test_an_image_is_predicted_alike_in_every_batch_and_again(images, variables):
  learned = learn('evaluation.test_augment=2')
  probabilities = predicted(learned, variables, images)
  np.testing.assert_array_equal(probabilities, predicted(learned, variables, images))
  order = np.array([3, 0, 3, 2])
  np.testing.assert_allclose(
    predicted(learned, variables, images[order]), probabilities[order], atol=1e-5
  )
  seeded = dataclasses.replace(learned, config=dataclasses.replace(learned.config, seed=7))
  other = predicted(seeded, variables, images)
  np.testing.assert_allclose(other[:, :, 0], probabilities[:, :, 0], atol=1e-6)
  assert np.abs(other[:, :, 1:] - probabilities[:, :, 1:]).max() > 1e-4


def test_what_stands_beside_the_mean():
  rng = np.random.default_rng(0)
  own, member = rng.random((5, 2, 4, 3)), rng.random((5, 1, 1, 3))
  every = config(
    'evaluation.test_augment=3', 'evaluation.checkpoints=2', 'evaluation.members=runs/a'
  )
  runs = [special.logit(own), special.logit(member)]
  ablations = averaging.ablations(every, runs)
  expected = {
    'single model': own[:, 0, 0],
    'test-time augmentation alone': own[:, 0].mean(1),
    'several checkpoints alone': own[:, :, 0].mean(1),
    'several runs alone': (own[:, 0, 0] + member[:, 0, 0]) / 2,
  }
  assert list(ablations) == list(expected)
  for name, array in expected.items():
    np.testing.assert_allclose(special.expit(ablations[name]), array, atol=1e-6)
  np.testing.assert_allclose(
    special.expit(averaging.mean(runs)), (own.mean((1, 2)) + member[:, 0, 0]) / 2, atol=1e-6
  )
  one = config('evaluation.checkpoints=2')
  assert list(averaging.ablations(one, [runs[0][:, :, :1]])) == ['single model']
  words = averaging.in_words(every, 2)
  assert words == (
    "mean probability of the 2 best checkpoints, each image as it is and 3 times under 'chest', "
    'and 1 further run'
  )


@pytest.mark.parametrize(
  ('override', 'words'),
  [
    ('evaluation.test_augment=-1', 'config.evaluation.test_augment=-1: must be 0 or more'),
    ('evaluation.checkpoints=0', 'config.evaluation.checkpoints=0: must be 1 or more'),
    ('evaluation.members=a,a', 'each of them once'),
  ],
)
def test_values_that_no_average_has_are_refused(override, words):
  with pytest.raises(InputError, match=words):
    config(override)


def test_passes_that_would_all_be_the_same_are_refused():
  with pytest.raises(InputError, match="'none' all passes would be the same"):
    config('evaluation.test_augment=2', 'augment=none')
  assert config('augment=none').evaluation.test_augment == 0


def test_of_equals_the_latest_are_the_best():
  history = [
    {'step': step, 'auroc_mean': value}
    for step, value in ((1, 0.7), (2, 0.9), (3, None), (4, 0.7), (5, 0.9), (6, 0.8))
  ]
  steps = [[row['step'] for row in checkpoints.best_validations(history, n)] for n in (1, 4, 9)]
  assert steps == [[5], [5, 2, 6, 4], [5, 2, 6, 4, 1]]
  assert checkpoints.best_validation(history)['step'] == 5


@pytest.mark.slow
def test_as_many_of_the_best_are_kept(tmp_path):
  learned = learn('optimizer.ema=0')
  state = jax.jit(learned.init_state)({})
  history = []
  with checkpoints.open_checkpoints(Layout(tmp_path), 3) as saved:
    for step, value in enumerate((0.7, 0.9, 0.7, None, 0.7, 0.5), start=1):
      history.append({'step': step, 'auroc_mean': value})
      params = jax.tree.map(lambda leaf, step=step: leaf + step, state.params)
      saved.save(state.replace(params=params), step, {'history': list(history)}, value)
  kept = sorted(int(folder.name) for folder in (tmp_path / 'checkpoints').iterdir())
  best = checkpoints.several_best_variables(Layout(tmp_path), 3)
  assert [step for _, step in best] == [2, 5, 3] and kept == [2, 3, 5, 6]
  first = jax.tree.leaves(state.params)[0]
  for saved, step in best:
    np.testing.assert_allclose(jax.tree.leaves(saved['params'])[0], first + step, rtol=1e-6)
  np.testing.assert_array_equal(
    jax.tree.leaves(checkpoints.best_variables(Layout(tmp_path))[0])[0],
    jax.tree.leaves(best[0][0])[0],
  )


SPLIT = 'image,patient,split\na.png,1,train\n'


def member(folder, experiment, split=SPLIT, finished=True):
  """What a run leaves that a check looks at."""
  layout = Layout(folder)
  layout.evaluation.mkdir(parents=True)
  learned = learner.build(experiment, *preprocessing.resolve(experiment, None))
  layout.model.write_text(model_file.to_json(model_file.describe(learned, None, None)))
  layout.config.write_text(json.dumps(configs.to_dict(experiment)))
  vouched_runs.write_split(folder, split)
  if finished:
    layout.result.write_text('{}')
    vouched_runs.vouch(folder)
  return folder


def test_members_that_do_not_belong_are_refused_by_name(tmp_path):
  sha256 = hashlib.sha256(SPLIT.encode()).hexdigest()
  member(tmp_path / 'right', config('model.name=resnet18', 'data.image_size=64'))
  member(tmp_path / 'split', config(), split=SPLIT.replace('train', 'test'))
  (member(tmp_path / 'edited', config()) / 'split.csv').write_text(SPLIT + 'b.png,2,train\n')
  member(tmp_path / 'labels', config('data.labels=Edema'))
  member(tmp_path / 'head', config('model.head=softmax'))
  member(tmp_path / 'unfinished', config(), finished=False)
  member(tmp_path / 'ensemble', config('evaluation.members=x'))
  for name, words in (
    ('right', ''),
    ('split', f'here {sha256[:12]}), so it may have been trained on patients who are tested here'),
    ('edited', 'split.csv: not the file that split.json vouches for'),
    ('labels', "has labels ['Edema'], not ['Lung Lesion', 'Pneumonia', 'Edema']"),
    ('head', 'has a head softmax, not sigmoid'),
    ('unfinished', 'a run that is not finished'),
    ('ensemble', 'averages further runs itself'),
    ('nowhere', 'is not the work directory of a run'),
    ('own', 'is this run itself'),
  ):
    ours = config(f'evaluation.members={tmp_path / name}')
    if not words:
      (opened,) = finished_runs.open_members(ours, tmp_path / 'own', sha256)
      assert opened.config.model.name == 'resnet18'
      continue
    with pytest.raises(InputError) as raised:
      finished_runs.open_members(ours, tmp_path / 'own', sha256)
    assert words in str(raised.value) and str(tmp_path / name) in str(raised.value)
    assert '\n' not in str(raised.value)


def test_a_checkpoint_of_another_label_set_is_one_line(finished):
  run = finished_runs.open_run(finished[0])
  run.config.data.labels = (*run.config.data.labels, 'Mass')
  with pytest.raises(InputError, match=r'is not of the network and the 4 labels') as raised:
    _ = run.network
  assert '\n' not in str(raised.value)


@pytest.mark.slow
def test_a_run_reports_its_average_and_its_single_model(finished, phantom_root, tmp_path):
  experiment = config(
    f'data.root={phantom_root}', 'evaluation.checkpoints=3', 'evaluation.test_augment=2',
    f'evaluation.members={finished[0]}', 'seed=3', 'replicates=0',
  )  # fmt: skip
  workdir = tmp_path / 'run'
  run_experiment(experiment, workdir)
  run, other = (finished_runs.open_run(folder).network for folder in (workdir, finished[0]))
  assert sorted(run.steps) == [3, 6] and len(other.steps) == 1
  data = study.read(experiment, workdir)
  for part in ('validation', 'test'):
    rows = data.rows(part)
    read = study.records(experiment, run.learner.image_format, data, rows).load(
      np.arange(len(rows)), len(rows)
    )
    own, others = (
      special.expit(jax.jit(averaging.step(row.learner))(row.variables, read['image']))
      for row in (run, other)
    )
    expected = (own.reshape(len(rows), 6, 3).mean(1) + others[:, 0, 0]) / 2
    whole = predictions.read(workdir / 'predictions' / f'{part}.csv')
    single = predictions.read(workdir / 'predictions' / 'single_model' / f'{part}.csv')
    np.testing.assert_allclose(whole.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(single.probabilities, own[:, 0, 0], atol=1e-5)
    assert whole.images == single.images and (whole.truth == single.truth).all()
    alone = predictions.read(finished[0] / 'predictions' / f'{part}.csv')
    np.testing.assert_allclose(alone.probabilities, others[:, 0, 0], atol=1e-5)
  assert not (finished[0] / 'predictions' / 'single_model').exists()
  page = (workdir / 'report' / 'index.html').read_text()
  assert 'mean probability of the 2 best checkpoints' in page  # Of three asked for there are two.
  # Of the same split and network, and yet another run.
  mixed = shutil.copytree(finished[0], tmp_path / 'mixed')
  shutil.rmtree(mixed / 'checkpoints')
  shutil.copytree(workdir / 'checkpoints', mixed / 'checkpoints')
  with pytest.raises(InputError, match=r'config\.seed: was 3, is now 0'):
    finished_runs.open_run(mixed)


@pytest.mark.slow
def test_of_an_average_one_checkpoint_is_exported_with_its_own_thresholds(
  command, phantom_root, tmp_path
):
  experiment = config(
    f'data.root={phantom_root}', 'evaluation.checkpoints=2', 'evaluation.level=study',
    'replicates=20'
  )  # fmt: skip
  workdir = tmp_path / 'run'
  run_experiment(experiment, workdir)
  folder = workdir / 'predictions' / 'single_model'
  parts = {part: predictions.read(folder / f'{part}.csv') for part in ('validation', 'test')}
  own = frozen.freeze(parts['validation'], experiment.protocol)
  export_files.write(finished_runs.open_run(workdir), tmp_path / 'export')
  exported = frozen.read(tmp_path / 'export', LABELS).levels
  assert exported['image'] == own != frozen.read(workdir, LABELS).levels['image']
  program = export_program.stablehlo(
    finished_runs.open_run(workdir).network, exported['image'].calibration
  )
  rows = study.read(experiment, workdir).rows('test')
  pixels = study.records(
    experiment, finished_runs.open_run(workdir).model_file.image_format,
    study.read(experiment, workdir), rows
  ).load(np.arange(len(rows)), len(rows))  # fmt: skip
  np.testing.assert_allclose(
    program.call(pixels['image']), frozen.calibrated(own, parts['test']).probabilities, atol=1e-5
  )
  card = (tmp_path / 'export' / 'README.md').read_text()
  shown = [exported['study'].threshold(label) for label in LABELS]
  assert all(f'{threshold:.4f}' in card for threshold in shown if threshold is not None)
  assert 'one checkpoint of an average (mean probability of the 2 best checkpoints' in card
  # Told again, the run says the same: also in which order.
  layout = Layout(workdir)
  before = [path.read_bytes() for path in (layout.result, layout.report)]
  command('evaluate', f'--workdir={workdir}', check=True)
  assert [path.read_bytes() for path in (layout.result, layout.report)] == before
