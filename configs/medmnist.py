"""Any two-dimensional set of MedMNIST v2 (Yang et al. 2023, arXiv 2110.14795).

Command:  python -m medjax.main --config=configs/medmnist.py:bloodmnist --workdir=runs/bloodmnist
Data:     bloodmnist.npz under data/medmnist (or --config.data.root=…), from zenodo.org (see
          medmnist.com); with bloodmnist_64 and so on the larger images of MedMNIST+. The published
          split is used. No patients are published, so nobody can say whether it keeps them apart:
          DermaMNIST's does not (arXiv 2401.14497), and configs/ham10000.py is the honest form of
          it.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.data.datasets.medmnist import CLASSES
from medjax.errors import check_option

GREY = (
  'breastmnist', 'chestmnist', 'octmnist', 'organamnist', 'organcmnist', 'organsmnist',
  'pneumoniamnist', 'tissuemnist',
)  # fmt: skip
MODALITIES = {
  'chestmnist': 'chest',
  'dermamnist': 'skin',
  'pathmnist': 'histopathology',
  'pneumoniamnist': 'chest',
  'retinamnist': 'retina',
}


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names the set, 'dermamnist' by default."""
  name = arg or 'dermamnist'
  family, _, size = name.partition('_')
  check_option('the set', family, CLASSES)
  labels = CLASSES[family]
  # RetinaMNIST's classes are grades; ChestMNIST's findings come together.
  head = {'retinamnist': 'ordinal', 'chestmnist': 'sigmoid'}.get(family, 'softmax')
  return Config(
    data=Data(
      source='medmnist',
      modality=MODALITIES.get(family, ''),
      root='data/medmnist',
      labels=labels,
      image_size=int(size or 28),
      channels=1 if family in GREY else 3,
      settings={'name': name},
    ),
    split=Split(test='official', validation='official', seed=0),
    augment='plain',
    model=Model('resnet18', head=head),
    loss=Loss('cross_entropy' if head == 'softmax' else 'binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-3, weight_decay=1e-2, warmup_steps=100),
    batch_size=128,
    steps=5_000,
    evaluate_every=250,
    seed=0,
  )
