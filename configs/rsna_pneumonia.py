"""Opacities that suggest pneumonia: the RSNA Pneumonia Detection Challenge of 2018, stage 2.

Command:  python -m medjax.main --config=configs/rsna_pneumonia.py --workdir=runs/rsna_pneumonia
Data:     the competition's files, from Kaggle (rsna-pneumonia-detection-challenge), under
          data/rsna-pneumonia (or --config.data.root=…): stage_2_train_labels.csv,
          stage_2_train_images/ and, if there, stage_2_detailed_class_info.csv. The images are
          DICOM: pip install 'medjax[dicom]'.
Labels:   boxes drawn by radiologists; with the class table its three classes are labels too. The
          competition's test images have no published labels, so a tenth is drawn. A `patientId`
          names an image: patients are not published, and the pictures are of ChestX-ray14.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.config.published import fine_tuned


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='rsna_pneumonia',
      modality='chest',
      root='data/rsna-pneumonia',
      labels=('Pneumonia',),
      image_size=320,
      workers=8,
    ),
    split=Split(test=0.1, validation=0.1, seed=0),
    augment='chest',
    model=Model(arg or 'densenet121'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=200),
    batch_size=32,
    steps=10_000,
    evaluate_every=500,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
