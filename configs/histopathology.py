"""Metastasis in lymph node patches: PatchCamelyon (Veeling et al. 2018, arXiv 1806.03962).

Command:  python -m medjax.main --config=configs/histopathology.py --workdir=runs/histopathology
          configs/histopathology.py:phantom needs no data: 1,000 generated patches, on a CPU in
          minutes.
Data:     the nine files camelyonpatch_level_2_split_{train,valid,test}_{x.h5,y.h5,meta.csv}, the
          .gz unpacked, under data/patchcamelyon (or --config.data.root=…), from
          github.com/basveeling/pcam. The published split is used; no slide is in two of its parts.
          HDF5 gives one image at a time to a process, so several workers read.
Published, not ours: AUROC 0.963 and accuracy 0.898 on the test set, by a rotation-equivariant
          DenseNet (the benchmark in PatchCamelyon's README). For the phantom nothing is published.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` is 'phantom', or names another network of medjax.models."""
  if arg == 'phantom':
    return _phantom()
  config = Config(
    data=Data(
      source='patchcamelyon',
      modality='histopathology',
      root='data/patchcamelyon',
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
  return fine_tuned(config, ('phantom',))


def _phantom() -> Config:
  return Config(
    data=Data(
      source='phantom_tissue',
      modality='histopathology',
      root='data/phantom_tissue',
      labels=('Tumor',),
      image_size=96,
      channels=3,
      settings={'images': 1_000, 'image_size': 96, 'seed': 0},
    ),
    split=Split(test='official', validation='official', seed=0),
    augment='histopathology',
    model=Model('resnet_tiny'),
    loss=Loss('binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=3e-3, weight_decay=1e-2, warmup_steps=50, ema=0.99),
    batch_size=32,
    steps=600,
    evaluate_every=100,
    seed=0,
  )
