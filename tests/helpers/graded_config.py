"""A config of exclusive classes for tests: three grades in one column of a table."""

from medjax.config import Config, Data, Loss, Model, Optimizer, Split


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` is the head."""
  return Config(
    data=Data(
      source='csv',
      root='data/graded',
      labels=('none', 'mild', 'severe'),
      image_size=32,
      settings={'columns': {'class': 'grade'}},
    ),
    split=Split(test=0.25, validation=0.25),
    model=Model('resnet_tiny', {'width': 4}, head=arg),
    loss=Loss('cross_entropy' if arg == 'softmax' else 'binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-2),
    batch_size=16,
    steps=40,
    evaluate_every=20,
    replicates=50,
  )
