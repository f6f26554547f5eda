"""Melanoma on ISIC 2020 (SIIM-ISIC Melanoma Classification).

Command:  python -m medjax.main --config=configs/skin.py --workdir=runs/skin
          configs/skin.py:phantom needs no data: 1,000 generated pictures, on a CPU in minutes.
Data:     ISIC_2020_Training_GroundTruth_v2.csv (or the first release's), ISIC_2020_Training_
          Duplicates.csv and ISIC_2020_Training_JPEG.zip, unpacked to train/, under data/isic2020
          (or --config.data.root=…), from challenge.isic-archive.com/data. Of the pictures that the
          list of duplicates names, one of each stays. The challenge's own test set has no public
          labels, so a test set is drawn here, by patient, with a floor of melanomas.
Published, not ours: AUROC 0.949 on the challenge's hidden test set, by an ensemble that also used
          earlier years' images and what is known of the patient (arXiv 2010.05351, abstract).
          For the phantom nothing is published.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` is 'phantom', or names another network of medjax.models."""
  if arg == 'phantom':
    return _phantom()
  config = Config(
    data=Data(
      source='isic2020',
      modality='skin',
      root='data/isic2020',
      labels=('melanoma',),
      image_size=380,
      channels=3,
      workers=8,
    ),
    # About 21 % of the patients have a melanoma.
    split=Split(test=0.2, validation=0.1, test_floor={'melanoma': 0.2}, seed=0),
    augment='skin',
    model=Model(arg or 'efficientnet_b4'),
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
      source='phantom_skin',
      modality='skin',
      root='data/phantom_skin',
      labels=('melanoma',),
      image_size=64,
      channels=3,
      settings={'images': 1_000, 'image_size': 96, 'seed': 0},
    ),
    split=Split(test=0.25, validation=0.15, test_floor={'melanoma': 0.1}, seed=0),
    augment='skin',
    model=Model('resnet_tiny'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=3e-3, weight_decay=1e-2, warmup_steps=50, ema=0.99),
    batch_size=32,
    steps=1_000,
    evaluate_every=100,
    seed=0,
  )
