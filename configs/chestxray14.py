"""The fourteen findings of NIH ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315).

Command:  python -m medjax.main --config=configs/chestxray14.py --workdir=runs/chestxray14
          For a look on a CPU, add --config.data.image_size=64 --config.model.name=resnet_tiny
          --config.model.pretrained= --config.steps=300 --config.evaluate_every=100
          --config.optimizer.warmup_steps=30 --config.data.workers=0.
Data:     the images and Data_Entry_2017_v2020.csv from the NIH Clinical Center under data/nih (or
          --config.data.root=…). With train_val_list.txt and test_list.txt beside the table the
          official split is used, otherwise a fifth of the patients is drawn for the test.
Published, not ours: mean AUROC 0.841 over the fourteen findings by DenseNet-121 on a split by
          patient of its own (the mean of the findings' AUROCs in CheXNet, arXiv 1711.05225).
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.chestxray14 import LABELS


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='chestxray14',
      root='data/nih',
      modality='chest',
      labels=LABELS,
      image_size=224,
      workers=8,
    ),
    split=Split(test='official or 0.2', validation=0.1, seed=0),
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
