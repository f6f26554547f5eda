"""Every setting of an experiment: typed dataclasses with units, defaults and ranges.

A config file defines `get_config(arg='') -> Config`. On the command line `--config=file.py:arg`
names it and `--config.data.root=…` overrides any field; values are read as Python literals where
they are some, as text otherwise.
"""

from medjax.config.checks import check
from medjax.config.loading import (
  differences,
  from_dict,
  load,
  read_module,
  to_dict,
  with_defaults,
)
from medjax.config.settings import (
  Config,
  Data,
  Evaluation,
  Loss,
  Model,
  Optimizer,
  Sampling,
  Split,
)

__all__ = [
  'Config',
  'Data',
  'Evaluation',
  'Loss',
  'Model',
  'Optimizer',
  'Sampling',
  'Split',
  'check',
  'differences',
  'from_dict',
  'load',
  'read_module',
  'to_dict',
  'with_defaults',
]
