"""The five competition tasks of CheXpert on MIMIC-CXR-JPG (Johnson et al. 2019, arXiv 1901.07042).

Command:  python -m medjax.main --config=configs/mimic_cxr.py --workdir=runs/mimic_cxr
          --config.data.settings.labeler=negbio takes the other program's reading of the reports.
Data:     MIMIC-CXR-JPG 2.x, from PhysioNet (physionet.org/content/mimic-cxr-jpg) after its
          training, under data/mimic-cxr-jpg (or --config.data.root=…): the tables
          mimic-cxr-2.0.0-{metadata,split,chexpert}.csv.gz and files/.
Labels:   14, read from reports by a program; the official split is used, its test set too. Policies
          as in configs/chexpert.py.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.chexpert import COMPETITION_TASKS


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='mimic_cxr',
      modality='chest',
      root='data/mimic-cxr-jpg',
      labels=COMPETITION_TASKS,
      image_size=320,
      views=('frontal',),
      uncertain={'Atelectasis': 'ones', 'Edema': 'ones', 'default': 'zeros'},
      blank='zeros',
      workers=8,
    ),
    split=Split(test='official', validation='official', seed=0),
    augment='chest',
    model=Model(arg or 'densenet121'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=500),
    batch_size=64,
    steps=30_000,
    evaluate_every=1_000,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
