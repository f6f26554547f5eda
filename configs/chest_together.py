"""CheXpert, ChestX-ray14 and PadChest together: findings that at least two of them label.

Command:  python -m medjax.main --config=configs/chest_together.py --workdir=runs/chest_together
          Another set is one more line in `sets`; a set that lies elsewhere:
          --config.data.settings.sets.nih.root=/mnt/nih
Data:     the sets as in configs/chexpert.py, chestxray14.py and padchest.py, under data/.
Labels:   which of a set's labels make one of ours is a table, medjax/data/datasets/vocabulary.py; a
          set may bring its own: 'labels': {'Lung Lesion': ['Mass', 'Nodule']}. Where a set does not
          label a finding, its images are unknown for it and teach nothing about it, whatever
          data.blank says; blank as negative holds for what a set's reports could have mentioned.
Mixture:  half of what a batch shows is CheXpert, the rest is shared.
Test:     patients of all sets, drawn together; no two sets' patients are taken for one. Sets may
          share pictures, which only the audit can tell.
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Sampling, Split
from medjax.config.published import fine_tuned


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='several',
      modality='chest',
      intensity='stretch',
      root='data',
      labels=(
        'Atelectasis',
        'Cardiomegaly',
        'Consolidation',
        'Edema',
        'Emphysema',
        'Fibrosis',
        'Lung Lesion',
        'Pleural Effusion',
        'Pneumonia',
        'Pneumothorax',
      ),
      image_size=224,
      views=('frontal',),
      uncertain='ignore',
      blank='zeros',
      broken='set_aside',
      workers=8,
      settings={
        'sets': {
          'chexpert': {'source': 'chexpert', 'root': 'CheXpert-v1.0-small'},
          'nih': {'source': 'chestxray14'},
          'padchest': {'source': 'padchest'},
        }
      },
    ),
    split=Split(test=0.1, validation=0.1, seed=0),
    sampling=Sampling(mixture={'chexpert': 0.5, 'nih': 0.25, 'padchest': 0.25}),
    augment='chest',
    model=Model(arg or 'densenet121'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=500),
    batch_size=64,
    steps=40_000,
    evaluate_every=1_000,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
