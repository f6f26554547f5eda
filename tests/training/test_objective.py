"""What the loss is given of the labels that training shows."""

import dataclasses

import numpy as np
import pytest
from conftest import TINY

from medjax import config
from medjax.config import Config, Data, Loss, Model
from medjax.data import study, targets
from medjax.errors import InputError
from medjax.training import objective


def experiment(root, **overrides):
  assignments = [f'{name}={value}' for name, value in overrides.items()]
  tiny = [flag.removeprefix('--config.') for flag in TINY if 'data.settings' not in flag]
  return config.load('configs/phantom.py', [f'data.root={root}', *tiny, *assignments])


@pytest.mark.parametrize('loss', ['weighted_binary_cross_entropy', 'logit_adjusted'])
def test_weights_and_priors_are_those_of_what_training_shows(phantom_root, loss):
  balanced = {'sampling.name': 'balanced', 'sampling.label': 'Edema'}
  for overrides, expected in (({}, None), (balanced, 0.5)):
    settings = {'data.settings': "{'images': 120, 'image_size': 32}"}
    asked = experiment(phantom_root, **settings, **{'loss.name': loss, **overrides})
    made, _ = study.make(asked)
    trained = objective.make(asked, made)
    rows, bound = trained.rows, trained.loss
    column = asked.data.labels.index('Edema')
    of_split = made.values[rows['train'], column][made.mask[rows['train'], column] > 0]
    share = of_split.mean() if expected is None else expected
    assert 0 < of_split.mean() < 0.4
    if loss == 'logit_adjusted':
      positives, negatives = bound.keywords['positives'], bound.keywords['negatives']
      given_share = positives / (positives + negatives)
    else:
      given_share = bound.keywords['negative_weight']  # w_n = positives / total
    assert given_share[column] == pytest.approx(share, abs=1 / len(rows['train']))


def test_labels_that_nobody_knows_are_not_trained_on(phantom_root):
  asked = experiment(phantom_root, **{'data.settings': "{'images': 120, 'image_size': 32}"})
  made, _ = study.make(asked)
  train = (made.split == 'train')[:, None]
  with pytest.raises(InputError, match=r'no training image has a known label.*config\.data\.blank'):
    objective.make(asked, dataclasses.replace(made, mask=np.where(train, 0, made.mask)))
  one_known = np.where(train & (np.arange(3) > 0), 0, made.mask)
  assert objective.make(asked, dataclasses.replace(made, mask=one_known)).rows['train'].size


LABELS = ('none', 'mild', 'severe')
# Half of the images none, 3 in 8 mild, 1 in 8 severe.
VALUES = np.eye(3, dtype=np.float32)[np.repeat([0, 1, 2], [4, 3, 1])]


def bound(head, name, settings):
  asked = Config(Data('', '', LABELS), Model('resnet_tiny', head=head), loss=Loss(name, settings))
  return objective.bound_loss(asked, *targets.targets(head, VALUES, np.ones_like(VALUES))).keywords


def test_class_weights_are_given_by_label():
  by_label = {'positive_weight': {'severe': 3}, 'negative_weight': {'none': 0.5, 'mild': 1.0}}
  weights = bound('sigmoid', 'weighted_binary_cross_entropy', by_label)
  np.testing.assert_allclose(weights['positive_weight'], [0.5, 0.625, 3])
  np.testing.assert_allclose(weights['negative_weight'], [0.5, 1.0, 0.125])
  weights = bound('softmax', 'weighted_cross_entropy', {'class_weight': {'severe': 10}})
  np.testing.assert_allclose(weights['class_weight'], [2 / 3, 8 / 9, 10])


def test_weights_of_grades_are_of_reaching_them():
  settings = {'positive_weight': {'severe': 2.0}}
  weights = bound('ordinal', 'weighted_binary_cross_entropy', settings)
  np.testing.assert_allclose(weights['positive_weight'], [0.5, 2.0])
  with pytest.raises(InputError, match="the label is 'none'; allowed: mild, severe"):
    bound('ordinal', 'weighted_binary_cross_entropy', {'positive_weight': {'none': 2.0}})


@pytest.mark.parametrize(
  ('weights', 'words'),
  [
    ({'sever': 2}, "settings.positive_weight: the label is 'sever'.*did you mean 'severe'"),
    ({'severe': -1}, r"positive_weight\['severe'\]=-1: must be a number, 0 or more"),
    ({'severe': 'a lot'}, "'a lot': must be a number"),
  ],
)
def test_a_weight_that_is_none_is_refused(weights, words):
  with pytest.raises(InputError, match=words):
    bound('sigmoid', 'weighted_binary_cross_entropy', {'positive_weight': weights})
