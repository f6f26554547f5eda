"""Grades of diabetic retinopathy on APTOS 2019 (Kaggle, Blindness Detection).

Command:  python -m medjax.main --config=configs/aptos2019.py --workdir=runs/aptos2019
          With --config.model.pretrained=runs/retina it starts from a run of configs/retina.py.
Data:     train.csv and train_images/ under data/aptos2019 (or --config.data.root=…), from
          kaggle.com/c/aptos2019-blindness-detection. No patients are published: the split is by
          image, the two eyes of a patient may be on both sides, and the report says so.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.classes import GRADES


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='aptos2019',
      modality='retina',
      root='data/aptos2019',
      labels=GRADES,
      image_size=380,
      channels=3,
      workers=8,
    ),
    split=Split(test=0.2, validation=0.1, seed=0),
    augment='retina',
    model=Model(arg or 'efficientnet_b4', head='ordinal'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=200),
    batch_size=32,
    steps=5_000,
    evaluate_every=250,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
