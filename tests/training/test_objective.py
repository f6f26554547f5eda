"""What the loss is given of the labels that training shows."""

import pytest
from conftest import TINY

from medjax import config
from medjax.data import study
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
