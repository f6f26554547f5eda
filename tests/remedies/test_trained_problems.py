"""Class imbalance, many tasks, few labels: how their labels are made, and that each is measured."""

import pathlib

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from sklearn import metrics

from medjax.augment import label_check
from medjax.errors import InputError
from medjax.remedies import few_labels, films, imbalance, tasks, training
from medjax.remedies.experiment import Repetition


@pytest.fixture(scope='module')
def truth():
  """2,000 patients, of whom exactly a tenth, a fifth and three tenths have a finding."""
  chance = np.random.default_rng(0)
  table = pd.DataFrame(
    {
      finding: (chance.permutation(2_000) < share * 2_000).astype(int)
      for finding, share in films.PREVALENCE.items()
    }
  )
  return table.assign(image=[f'{row}.png' for row in range(2_000)], patient=range(2_000))


@pytest.mark.parametrize('share', [0.2, 0.5, 0.8])
def test_unknown_labels_are_of_the_stated_share_and_independent_of_the_truth(truth, share):
  changed = tasks.unknown(truth, share, seed=3)
  for label in tasks.LABELS:
    is_unknown = changed[label].isna()
    assert is_unknown.sum() == share * 2_000
    assert (changed[label] == truth[label])[~is_unknown].all()
    counts = pd.crosstab(is_unknown, truth[label])
    assert stats.chi2_contingency(counts).pvalue > 0.001
  assert not changed.equals(tasks.unknown(truth, share, seed=4))


@pytest.mark.parametrize('share', [0.1, 0.3, 0.5])
def test_uncertain_labels_are_of_the_stated_share_and_more_often_positives(truth, share):
  changed = tasks.uncertain(truth, share, seed=3)
  for label in tasks.LABELS:
    is_uncertain = changed[label] == -1
    assert is_uncertain.sum() == share * 2_000
    assert (changed[label] == truth[label])[~is_uncertain].all()
    rates = is_uncertain.groupby(truth[label]).mean()
    assert rates[1] / rates[0] == pytest.approx(1.5, rel=0.02)


def test_parts_have_the_stated_sizes_and_positives_in_proportion(truth):
  rare = truth.assign(**{'Lung Lesion': (np.arange(2_000) < 18).astype(int)})
  counts = {'train': 1_000, 'validation': 800, 'test': 200}
  parted = training.parted(rare, counts, 0, 'Lung Lesion')
  assert parted['official_split'].value_counts().to_dict() == counts
  positives = parted.groupby('official_split')['Lung Lesion'].sum().to_dict()
  assert positives == {'train': 9, 'validation': 7, 'test': 2}
  by_chance = training.parted(truth, counts, 0)
  assert by_chance['official_split'].value_counts().to_dict() == counts


@pytest.mark.parametrize('seed', range(4))
def test_parts_are_independent_of_findings_and_of_what_is_unknown(truth, seed):
  parts = training.parted(truth, {'train': 1_000, 'validation': 800, 'test': 200}, seed)
  unknown = tasks.unknown(parts, 0.5, seed)
  for label in tasks.LABELS:
    for values in (truth[label], unknown[label].isna()):
      counts = pd.crosstab(parts['official_split'], values)
      assert stats.chi2_contingency(counts).pvalue > 0.001


def test_films_of_dextrocardia_are_the_mirror_images_of_the_same_patients(tmp_path):
  settings = {'patients': 10, 'films': 1, 'seed': 5}
  plain = films.draw(tmp_path / 'plain', **settings)
  some = films.draw(
    tmp_path / 'some', **settings, prevalence={**films.PREVALENCE, films.MIRRORED: 0.4}
  )
  assert some[films.MIRRORED].sum() == 4
  assert some[list(films.FINDINGS)].equals(plain[list(films.FINDINGS)])
  for row in some.itertuples():
    film, other = (
      np.asarray(Image.open(tmp_path / folder / row.image)) for folder in ('some', 'plain')
    )
    assert np.array_equal(film, np.fliplr(other) if row.Dextrocardia else other)


def test_a_folder_is_made_once_and_never_by_half(tmp_path):
  made = []
  for _ in range(2):
    films.once(tmp_path / 'folder', lambda folder: made.append((folder / 'file').touch()))
  assert len(made) == 1 and (tmp_path / 'folder' / 'file').exists()
  with pytest.raises(ZeroDivisionError):
    films.once(tmp_path / 'other', lambda folder: 1 / 0)
  assert [path.name for path in tmp_path.iterdir()] == ['folder']


def test_who_makes_a_folder_second_takes_the_first(tmp_path):
  def make(folder):
    films.once(tmp_path / 'folder', lambda faster: (faster / 'faster').touch())
    (folder / 'slower').touch()

  films.once(tmp_path / 'folder', make)
  assert [path.name for path in (tmp_path / 'folder').iterdir()] == ['faster']


@pytest.mark.parametrize('prevalence', [0.2, 0.05, 0.01, 0.003])
def test_patients_are_counted_so_often_that_the_prevalence_is_that_of_the_level(prevalence):
  negative, positive = imbalance.repeats(4_500, 500, prevalence)
  positives = 500 * positive
  assert positives / (positives + 4_500 * negative) == pytest.approx(prevalence, rel=0.01)


def test_the_auprc_of_counted_patients_is_that_of_weights(truth):
  scores = np.random.default_rng(1).random(2_000) + 0.3 * truth['Lung Lesion'].to_numpy()

  class Run:
    def predict(self, images):
      return pd.DataFrame({'raw_Lung Lesion': scores / 2, 'prob_Lung Lesion': scores / 4})

  figures = imbalance._figures(Run(), pathlib.Path(), truth, 0.01)
  positive = truth['Lung Lesion'].to_numpy() == 1
  weight = np.where(positive, 0.01 / 0.1, 0.99 / 0.9)
  expected = metrics.average_precision_score(positive, scores, sample_weight=weight)
  assert figures['auprc'] == pytest.approx(expected, rel=0.01)
  assert figures['auroc'] == pytest.approx(metrics.roc_auc_score(positive, scores))
  assert figures['excess_raw'] - figures['excess'] == pytest.approx(1)
  mean = np.average(scores / 4, weights=weight)
  assert 2 ** figures['excess'] == pytest.approx(mean / 0.01)


def test_excess_is_1_where_twice_as_many_are_expected(truth):
  predicted = pd.DataFrame(
    {'prob_Edema': np.full(2_000, 0.6), 'prob_Pneumonia': np.full(2_000, 0.1)}
  )
  assert training.excess(predicted, truth, ['Edema']) == pytest.approx(1)
  assert training.excess(predicted, truth, ['Pneumonia']) == pytest.approx(-1)
  assert training.excess(predicted, truth, ['Edema', 'Pneumonia']) == pytest.approx(0)


def test_the_mirroring_policy_mirrors_half_and_is_refused_for_chests():
  with pytest.raises(InputError, match='mirrors'):
    label_check.check_policy(few_labels.mirroring, 'mirroring', 'chest', 1)
  images = jax.numpy.broadcast_to(jax.numpy.linspace(0, 1, 32)[None, :, None], (200, 32, 32, 1))
  policed = np.asarray(few_labels.mirroring(jax.random.key(0), images))
  is_mirrored = policed[:, :, :8].mean(axis=(1, 2, 3)) > policed[:, :, 24:].mean(axis=(1, 2, 3))
  assert 60 < is_mirrored.sum() < 140


# Of the experiments that the quick version leaves out: a level, and sizes at which nothing is
# learned.
_TINY = {
  'together': (40, {}),
  'uncertain': (0.5, {'train': 60, 'validation': 60}),
  'starts': (25, {'other_patients': 100, 'other_steps': 24}),
}
_EXPERIMENTS = [
  experiment
  for problem in (imbalance.PROBLEM, tasks.PROBLEM, few_labels.PROBLEM)
  for experiment in problem.experiments
]


@pytest.mark.deep
@pytest.mark.parametrize(
  'experiment',
  [experiment for experiment in _EXPERIMENTS if not experiment.quick.levels],
  ids=lambda experiment: experiment.name,
)
def test_every_condition_is_measured(experiment, tmp_path):
  level, own_sizes = _TINY[experiment.name]
  sizes = {'steps': 24, 'new_patients': 60, **own_sizes}
  values = experiment.measure(Repetition(level, 0, sizes, tmp_path / 'own', tmp_path / 'shared'))
  assert tuple(values) == experiment.conditions
  for row in values.values():
    assert list(row) == [measure.name for measure in experiment.measures]
    assert 0 <= row['auroc'] <= 1
    assert all(np.isfinite(value) for value in row.values())


@pytest.mark.parametrize('experiment', _EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_both_plans_name_the_sizes_that_are_asked_for(experiment):
  assert experiment.full.repetitions >= 3 and experiment.full.levels
  if experiment.quick.levels:
    assert experiment.quick.repetitions >= 3
    assert experiment.quick.sizes.keys() == experiment.full.sizes.keys()
