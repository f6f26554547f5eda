"""Seven kinds of pigmented lesion on HAM10000 (Tschandl et al. 2018, arXiv 1803.10417).

Command:  python -m medjax.main --config=configs/ham10000.py --workdir=runs/ham10000
Data:     HAM10000_metadata.csv and the two folders of images under data/ham10000 (or
          --config.data.root=…), from doi.org/10.7910/DVN/DBW86T. No patients are published: the
          split keeps the pictures of a lesion together, and the report says that this is all it
          does.
Head:     softmax, one of the seven. For cancer or not: --config.model.head=sigmoid
          --config.loss.name=weighted_binary_cross_entropy --config.data.labels="('malignant',)"
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Sampling, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.ham10000 import CLASSES


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='ham10000',
      modality='skin',
      root='data/ham10000',
      labels=CLASSES,
      image_size=224,
      channels=3,
      workers=8,
    ),
    split=Split(test=0.2, validation=0.1, seed=0),
    sampling=Sampling('none'),
    augment='skin',
    model=Model(arg or 'efficientnet_b0', head='softmax'),
    loss=Loss('cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=200),
    batch_size=64,
    steps=6_000,
    evaluate_every=300,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
