"""All folds are looked at before one is trained: which label is missing, and how many would do."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from medjax.config import Config, Data, Model, Split
from medjax.data import fold_study, study
from medjax.data.study import Source
from medjax.errors import InputError


def drawn(positives, patients=60, site=None):
  """A source of one image per patient, the first so many of them positive."""
  names = [f'{number:03}' for number in range(patients)]
  truth = (np.arange(patients) < positives).astype(np.float32)[:, None]
  table = pd.DataFrame(
    {'image': [f'{name}.png' for name in names], 'patient': names, 'Mass': truth[:, 0]}
  )
  if site:
    table['site'] = site
  known = np.ones(truth.shape, bool)
  return Source(table, table, truth, known.astype(np.float32), truth, known, [])


def config(folds, validation=0.25):
  return Config(
    data=Data('csv', '', ('Mass',)),
    model=Model('resnet_tiny'),
    split=Split(folds=folds, validation=validation),
  )


def test_every_fold_has_its_config_and_all_are_drawn_alike():
  source = drawn(20)
  made = fold_study.configs_of(config(5), source)
  assert [of_fold.split.fold for of_fold in made] == [0, 1, 2, 3, 4]
  tested = [study.draw(of_fold, source)[0] == 'test' for of_fold in made]
  assert np.sum(tested, axis=0).tolist() == [1] * 60


@pytest.mark.parametrize('positives', [3, 5])
def test_a_fold_without_positives_says_how_many_would_do(positives):
  source, asked = drawn(positives), config(8)
  with pytest.raises(InputError) as error:
    fold_study.configs_of(asked, source)
  message = str(error.value)
  assert f"has no positive of 'Mass', which {positives} patients of all 60 have" in message
  (number,) = map(int, re.findall(r'(\d+) folds would do', message))

  def works(folds):
    try:
      fold_study.configs_of(
        dataclasses.replace(asked, split=dataclasses.replace(asked.split, folds=folds)), source
      )
    except InputError:
      return False
    return True

  assert [folds for folds in range(2, 8) if works(folds)][-1] == number


def test_where_no_number_would_do_it_says_so():
  with pytest.raises(InputError, match='no number of folds would do: leave the label out'):
    fold_study.configs_of(config(3), drawn(1))


def test_a_site_without_positives_is_named():
  site = ['north'] * 30 + ['south'] * 30
  with pytest.raises(InputError) as error:
    fold_study.configs_of(config('site'), drawn(20, site=site))
  assert str(error.value).startswith(
    "config.split.folds=site: the validation set of fold 0, the site 'north', has no positive of "
    "'Mass', which 20 patients of all 60 have"
  )
