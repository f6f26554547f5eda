"""The built-in data set: 4,000 generated chest X-rays of about 1,000 patients, on a CPU in minutes.

Command:  python -m medjax.main --config=configs/phantom.py --workdir=runs/phantom
Data:     generated under data/phantom at the first start, in seconds.
Result:   see README.md; nothing is published for a set that is generated here.
"""

from medjax.config import Config, Data, Evaluation, Loss, Model, Optimizer, Split
from medjax.config.published import image_size_for


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network, such as resnet18."""
  return Config(
    data=Data(
      source='phantom',
      root='data/phantom',
      modality='chest',
      labels=('Lung Lesion', 'Pneumonia', 'Edema'),
      image_size=image_size_for(arg, 64),
      uncertain='ignore',
      blank='zeros',
      settings={'images': 4_000, 'image_size': 128, 'seed': 0},
    ),
    split=Split(test=0.2, validation=0.15, test_floor={'Lung Lesion': 0.05}, seed=0),
    augment='chest',
    model=Model(arg or 'resnet_tiny'),
    loss=Loss('weighted_binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=3e-3, weight_decay=1e-2, warmup_steps=50, ema=0.99),
    batch_size=32,
    steps=2_000,
    evaluate_every=200,
    seed=0,
    # resnet_tiny ends in a feature map of 4 × 4, which is too coarse for Grad-CAM to find a mass.
    evaluation=Evaluation(saliency='integrated_gradients'),
  )
