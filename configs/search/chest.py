"""Settings for fine-tuning on chest X-rays, around those of configs/chexpert.py.

Command:  python -m medjax.tune --config=configs/chexpert.py --search=configs/search/chest.py
          --workdir=tuned/chexpert
          A trial is a whole training, unless it is ended early; --config.steps=5000 makes each a
          quarter as long, and the winner too. Several GPUs: one process on each, see
          docs/tuning.md.

The ranges: rates around 1e-4, that of CheXpert's authors (Irvin et al. 2019, arXiv 1901.07031,
Training Procedure), of the head, which starts from random parameters, up to thirty times that;
weight decay from next to none to twice ConvNeXt's (Liu et al. 2022, arXiv 2201.03545, table 5);
layer-wise decay of the rate around that of fine-tuning ViT (He et al. 2021, arXiv 2111.06377, table
9), 1 being none; focal loss with exponents that Lin et al. 2017 tried (arXiv 1708.02002, table 1b);
uncertain labels ignored, positive or smoothed as in arXiv 1911.06475. Take the last out for sets
that have no uncertain labels.
"""

TRIALS = 30
_LOSSES = ('weighted_binary_cross_entropy', 'binary_cross_entropy', 'focal')
_UNCERTAIN = {
  'as in the config': None,
  'ignored': 'ignore',
  'positive': 'ones',
  'smoothed': '0.55..0.85',
}


def search(trial):
  """Returns field → value of a trial."""
  rate = trial.suggest_float('learning_rate', 1e-5, 1e-3, log=True)
  settings = {
    'optimizer.learning_rate': rate,
    'optimizer.head_learning_rate': rate * trial.suggest_float('head_faster', 1, 30, log=True),
    'optimizer.weight_decay': trial.suggest_float('weight_decay', 1e-5, 1e-1, log=True),
    'optimizer.layer_decay': trial.suggest_float('layer_decay', 0.6, 1.0),
    'optimizer.ema': trial.suggest_categorical('ema', [0.0, 0.999]),
    'augment': trial.suggest_categorical('augment', ['none', 'chest']),
    'loss.name': trial.suggest_categorical('loss', _LOSSES),
  }
  if settings['loss.name'] == 'focal':
    settings['loss.settings'] = {'gamma': trial.suggest_float('gamma', 0.5, 3.0)}
  uncertain = _UNCERTAIN[trial.suggest_categorical('uncertain', list(_UNCERTAIN))]
  if uncertain is not None:
    settings['data.uncertain'] = uncertain
  return settings
