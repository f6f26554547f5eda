"""Settings of configs/phantom.py that are worth a search, on a CPU in about half an hour.

Command:  python -m medjax.tune --config=configs/phantom.py --search=configs/search/phantom.py
          --workdir=tuned/phantom
"""

TRIALS = 20


def search(trial):
  """Returns field → value of a trial."""
  return {
    'optimizer.learning_rate': trial.suggest_float('learning_rate', 3e-4, 3e-2, log=True),
    'optimizer.weight_decay': trial.suggest_float('weight_decay', 1e-4, 1e-1, log=True),
    'loss.name': trial.suggest_categorical(
      'loss', ['binary_cross_entropy', 'weighted_binary_cross_entropy']
    ),
    'augment': trial.suggest_categorical('augment', ['none', 'chest']),
  }
