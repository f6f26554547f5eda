"""Findings of VinDr-CXR, read by three radiologists each (Nguyen et al. 2022, arXiv 2012.15029).

Command:  python -m medjax.main --config=configs/vindr_cxr.py --workdir=runs/vindr_cxr
          --config.data.settings.consensus=share trains on the share of readers who say yes,
          --config.data.settings.consensus=dawid_skene on an estimate that weighs the readers.
Data:     VinDr-CXR, under data/vindr-cxr (or --config.data.root=…): from PhysioNet
          (physionet.org/content/vindr-cxr) annotations/, train/ and test/; or from Kaggle
          (vinbigdata-chest-xray-abnormalities-detection) train.csv and train/. The images are
          DICOM: pip install 'medjax[dicom]'.
Labels:   those that both releases have. The test images of PhysioNet have the consensus of five
          radiologists and are the test set; Kaggle's release has none, so a tenth is drawn.
          Patients are not published, so every image counts as a patient.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.vindr_cxr import KAGGLE_LABELS


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='vindr_cxr',
      modality='chest',
      root='data/vindr-cxr',
      labels=KAGGLE_LABELS,
      image_size=320,
      workers=8,
    ),
    split=Split(test='official or 0.1', validation=0.1, seed=0),
    augment='chest',
    model=Model(arg or 'densenet121'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=200),
    batch_size=32,
    steps=8_000,
    evaluate_every=500,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
