"""Metastasis in hospitals never seen: Camelyon17-WILDS (Koh et al. 2021, arXiv 2012.07421).

Command:  python -m medjax.main --config=configs/camelyon17.py --workdir=runs/camelyon17
Data:     metadata.csv and patches/ under data/camelyon17_v1.0 (or --config.data.root=…), through
          the wilds package (wilds.stanford.edu). WILDS' split: hospitals 0, 3 and 4 train, 1
          validates, 2 tests; its in-distribution validation patches, of slides that train, are
          unused.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='camelyon17',
      modality='histopathology',
      root='data/camelyon17_v1.0',
      labels=('Tumor',),
      image_size=96,
      channels=3,
      workers=8,
    ),
    split=Split(test='official', validation='official', seed=0),
    augment='histopathology',
    model=Model(arg or 'densenet121'),
    loss=Loss('binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=500),
    batch_size=128,
    steps=20_000,
    evaluate_every=1_000,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
