"""Train, fine-tune and honestly evaluate medical image classifiers in JAX and Flax."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from medjax import augment, config, losses, models
  from medjax.api.evaluations import assess, compare
  from medjax.api.plans import test_set_size
  from medjax.api.repeated import Folds, Seeds
  from medjax.api.runs import Run, load_config, open_run, train
  from medjax.api.searches import search_settings
  from medjax.api.tables import audit_table, split_patients
  from medjax.config import Config
  from medjax.errors import InputError

__version__ = '0.1.0'

__all__ = [
  'Config',
  'Folds',
  'InputError',
  'Run',
  'Seeds',
  'assess',
  'audit_table',
  'augment',
  'compare',
  'config',
  'load_config',
  'losses',
  'models',
  'open_run',
  'search_settings',
  'split_patients',
  'test_set_size',
  'train',
]

# Imported when first asked for (PEP 562): commands and input workers import this file too, and must
# wait neither for jax nor for pandas.
_WHERE = {
  'Config': 'medjax.config',
  'Folds': 'medjax.api.repeated',
  'InputError': 'medjax.errors',
  'Run': 'medjax.api.runs',
  'Seeds': 'medjax.api.repeated',
  'assess': 'medjax.api.evaluations',
  'audit_table': 'medjax.api.tables',
  'compare': 'medjax.api.evaluations',
  'load_config': 'medjax.api.runs',
  'open_run': 'medjax.api.runs',
  'search_settings': 'medjax.api.searches',
  'split_patients': 'medjax.api.tables',
  'test_set_size': 'medjax.api.plans',
  'train': 'medjax.api.runs',
}


def __getattr__(name: str) -> Any:
  if name in _WHERE:
    value = getattr(importlib.import_module(_WHERE[name]), name)
  elif name in __all__:
    value = importlib.import_module(f'medjax.{name}')
  else:
    raise AttributeError(f"module 'medjax' has no attribute '{name}'")
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*__all__, *(name for name in globals() if name.startswith('__'))})
