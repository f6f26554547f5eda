"""Fourteen findings of PadChest (Bustos et al. 2019, arXiv 1901.07441).

Command:  python -m medjax.main --config=configs/padchest.py --workdir=runs/padchest
          Any term of its vocabulary is a label too: --config.data.labels=pseudonodule,scoliosis
Data:     PadChest, from BIMCV (bimcv.cipf.es/bimcv-projects/padchest), under data/padchest (or
          --config.data.root=…): PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv and the
          images, in their folders 0/, 1/ …, in images/, or beside the table. A few files are
          broken: they are set aside and reported.
Labels:   read from reports, 27 % by physicians, the rest by a network. There is no official split.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.padchest import LABELS


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='padchest',
      modality='chest',
      intensity='stretch',
      root='data/padchest',
      labels=tuple(label for label in LABELS if label not in ('Fracture', 'Normal')),
      image_size=224,
      views=('frontal',),
      broken='set_aside',
      workers=8,
    ),
    split=Split(test=0.1, validation=0.1, seed=0),
    augment='chest',
    model=Model(arg or 'densenet121'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=500),
    batch_size=64,
    steps=20_000,
    evaluate_every=1_000,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
