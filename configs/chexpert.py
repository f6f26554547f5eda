"""The five competition tasks of CheXpert (Irvin et al. 2019, arXiv 1901.07031).

Command:  python -m medjax.main --config=configs/chexpert.py --workdir=runs/chexpert
          configs/chexpert.py:densenet121 is the same; configs/chexpert.py:NETWORK takes any network
          of `python -m medjax.models`, such as resnet50, efficientnet_b4, convnext_tiny or
          vit_base_patch16, with its published weights, fetched once (--config.model.pretrained=
          starts from random ones). Add --config.data.views=frontal,lateral for all views. On 16 GB
          of accelerator memory lower --config.batch_size or raise --config.optimizer.accumulate.
Data:     CheXpert-v1.0-small or CheXpert-v1.0, from the Stanford AIMI Center, under
          data/CheXpert-v1.0-small (or --config.data.root=…). With the test set's groundtruth.csv
          and test/ beside train.csv that is the test set; add --config.split.validation=official.
Policies: uncertain Atelectasis and Edema count as positive (U-Ones), the other tasks as negative
          (U-Zeros), blank as negative everywhere: the policies of arXiv 1901.07031 as the code
          of LibAUC assigns them (arXiv 2012.03173). Label smoothing after arXiv 1911.06475 instead:
          --config.data.uncertain=0.55..0.85
Published, not ours: mean AUROC over the five tasks 0.940 on the validation set (which is the test
          set here) and 0.930 on the hidden test set, by an ensemble (arXiv 1911.06475, abstract).
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Sampling, Split
from medjax.config.published import fine_tuned
from medjax.data.datasets.chexpert import COMPETITION_TASKS


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='chexpert',
      root='data/CheXpert-v1.0-small',
      modality='chest',
      labels=COMPETITION_TASKS,
      image_size=320,
      views=('frontal',),
      uncertain={'Atelectasis': 'ones', 'Edema': 'ones', 'default': 'zeros'},
      blank='zeros',
      workers=8,
    ),
    split=Split(test='official', validation=0.1, seed=0),
    sampling=Sampling('none'),
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
