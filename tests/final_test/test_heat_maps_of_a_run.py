"""Heat maps of a run: scored on the boxes of its data, and shown beside its examples."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import synthetic_summary
from random_networks import drawn, random_variables

from medjax import config as configs
from medjax.data.datasets import phantom as phantom_source
from medjax.data.images.preprocessing import ImageFormat
from medjax.evaluation import calibration
from medjax.evaluation.frozen import FrozenLevel, FrozenPoint
from medjax.evaluation.predictions import Predictions
from medjax.final_test import evaluate_once, saliency
from medjax.final_test import heat_maps as heat_drawing
from medjax.models.normalisation import Normalisation
from medjax.runs.layout import Layout
from medjax.runs.trained_network import TrainedNetwork, stacked
from medjax.training import learner


def test_a_network_is_scored_on_the_boxes_of_its_data(phantom_root, tmp_path):
  config = configs.load('configs/phantom.py', ['data.image_size=32', 'model.settings.width=4'])
  learn = learner.build(config, ImageFormat(32, 1), Normalisation((0.4,), (0.2,)))
  variables = random_variables(learn.network, drawn(channels=1))
  table = phantom_source.read(phantom_root, images=120, image_size=32)
  names, patients = list(table['image']), list(table['patient'])
  labels = list(config.data.labels)
  arguments = (names, patients, labels)
  settings = {'method': 'grad_cam', 'replicates': 2, 'seed': 0}
  explain = saliency.of_learner(learn, variables, 'grad_cam')
  heat = heat_drawing.localise(learn, explain, phantom_root, *arguments, **settings)
  truth = pd.read_csv(phantom_root / 'truth.csv')
  assert heat.method == 'grad_cam' and (phantom_root / heat.file).is_file()
  assert set(heat.labels) == {'Lung Lesion', 'Pneumonia'}
  for label, scores in heat.labels.items():
    assert scores.images == scores.boxes == truth[label].sum()
    assert 0 < scores.pointing.chance < 0.3
  assert explain.func._cache_size() == 1  # compiled once for all labels
  assert heat_drawing.localise(learn, explain, tmp_path, *arguments, **settings) is None


@pytest.mark.slow
def test_boxes_that_do_not_fit_leave_the_heat_maps_alone(phantom_root, tmp_path):
  config = configs.load('configs/phantom.py', ['data.image_size=32', 'model.settings.width=4'])
  learn = learner.build(config, ImageFormat(32, 1), Normalisation((0.4,), (0.2,)))
  variables = random_variables(learn.network, drawn(channels=1))
  names = [str(path) for path in sorted(phantom_root.rglob('*.jpg'))[:4]]
  truth = np.array([[0, 0, 0], [1, 1, 1]] * 2, np.float32)
  test = Predictions(
    names, list('abcd'), list(config.data.labels), 0.8 - 0.6 * truth, truth, truth >= 0
  )
  points = {label: (FrozenPoint('youden', 0.5, ''),) for label in test.labels}
  fitted = calibration.fit('none', *test[3:6], test.labels, 'sigmoid')
  (tmp_path / 'boxes.csv').write_text('image,x,y\na.png,1,2\n')
  config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=str(tmp_path)))
  network = TrainedNetwork(learn, stacked([variables]), (1,))
  layout = Layout(tmp_path)
  result = evaluate_once._explain(
    config,
    layout,
    FrozenLevel(fitted, points),
    test,
    synthetic_summary.evaluated(test.labels),
    network,
  )
  (note,) = result.study_notes
  assert note.startswith('The boxes beside the data were ignored') and 'boxes.csv' in note
  shown = json.loads(layout.examples.read_text())
  assert shown and all(example['heat'].startswith('data:image/jpeg') for example in shown)
