"""A model whose decision is the same whatever the picture shows is called that."""

import dataclasses

import numpy as np
import pytest
import synthetic_summary

from medjax.evaluation import notes
from medjax.report import weaknesses

CLASSES = ['none', 'mild', 'severe']


def answers(result, test):
  sentences = notes.notes(result, None, test)
  return [text for text in sentences if 'one answer only' in text], sentences


@pytest.mark.parametrize(('head', 'things'), [('softmax', 'classes'), ('ordinal', 'grades')])
def test_a_model_that_decides_one_class_only(head, things):
  result = synthetic_summary.evaluated(CLASSES, head)
  test = synthetic_summary.predicted(1, CLASSES, 400, head, ())
  assert answers(result, test)[0] == []
  counts = np.array(result.classes.confusion)
  matrix = np.zeros_like(counts)
  matrix[:, 1] = counts.sum(axis=1)
  same = dataclasses.replace(result.classes, confusion=tuple(map(tuple, matrix.tolist())))
  said, sentences = answers(dataclasses.replace(result, classes=same), test)
  assert said == [
    'The model decides one answer only: it calls every image of the test mild, and tells no '
    f'{things} apart.'
  ]
  few = 'Only 20 test patients: intervals from so few tend to be too narrow.'
  assert weaknesses.ranked([few, *sentences])[0] == said[0]


@pytest.mark.parametrize(('call', 'rates'), [('positive', (1.0, 0.0)), ('negative', (0.0, 1.0))])
def test_an_operating_point_at_which_all_are_called_alike(call, rates):
  result = synthetic_summary.evaluated(['Edema', 'Mass'])
  test = synthetic_summary.predicted(1, ['Edema', 'Mass'], 400, 'sigmoid', ())
  assert answers(result, test)[0] == []
  of_mass = result.labels['Mass']
  figures = {
    name: dataclasses.replace(getattr(of_mass.decision, name), value=value)
    for name, value in zip(('sensitivity', 'specificity'), rates)
  }
  first, *others = of_mass.operating_points
  points = type(of_mass.operating_points)((dataclasses.replace(first, **figures), *others))
  labels = {**result.labels, 'Mass': dataclasses.replace(of_mass, operating_points=points)}
  said, _ = answers(dataclasses.replace(result, labels=labels), test)
  assert said == [
    'The model decides one answer only: at the operating point it calls every image of the test '
    f'{call} for Mass.'
  ]
