"""Grades of diabetic retinopathy on EyePACS (Kaggle, Diabetic Retinopathy Detection, 2015).

Command:  python -m medjax.main --config=configs/retina.py --workdir=runs/retina
          configs/retina.py:phantom needs no data: 1,000 generated photographs, on a CPU in minutes.
Data:     trainLabels.csv and the images, under data/eyepacs/train (or --config.data.root=…), from
          kaggle.com/c/diabetic-retinopathy-detection. With retinopathy_solution.csv and the images
          of data/eyepacs/test, Kaggle's private part is the test and its public part the validation
          set; otherwise both are drawn by patient. Both eyes of a patient are always on one side.
Head:     ordinal: the five grades in their order. For the one question of a screening programme,
          referable or not: --config.model.head=sigmoid --config.data.labels="('Referable DR',)"
Published, not ours: AUROC 0.951 for referable retinopathy on Kaggle's EyePACS test set
          (Voets, Møllersen and Bongo 2019, doi.org/10.1371/journal.pone.0217541, abstract). For the
          phantom nothing is published.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.classes import GRADES


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` is 'phantom', or names another network of medjax.models."""
  if arg == 'phantom':
    return _phantom()
  config = Config(
    data=Data(
      source='eyepacs',
      modality='retina',
      root='data/eyepacs',
      labels=GRADES,
      image_size=380,
      channels=3,
      workers=8,
    ),
    split=Split(test='official or 0.2', validation='official or 0.1', seed=0),
    augment='retina',
    model=Model(arg or 'efficientnet_b4', head='ordinal'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=500),
    batch_size=32,
    steps=20_000,
    evaluate_every=1_000,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config, ('phantom',))


def _phantom() -> Config:
  return Config(
    data=Data(
      source='phantom_retina',
      modality='retina',
      root='data/phantom_retina',
      labels=GRADES,
      image_size=96,
      channels=3,
      settings={'images': 1_000, 'image_size': 96, 'seed': 0},
    ),
    split=Split(test=0.25, validation=0.15, seed=0),
    augment='retina',
    model=Model('resnet_tiny', head='ordinal'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=3e-3, weight_decay=1e-2, warmup_steps=50, ema=0.99),
    batch_size=32,
    steps=1_000,
    evaluate_every=100,
    seed=0,
  )
