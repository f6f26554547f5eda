"""An evaluation by what validation chose, as a run does it."""

from medjax.config.protocol import Protocol
from medjax.evaluation import frozen, summary

RULES = ('youden', 'specificity=0.9')


def evaluate(validation, test, *, head='sigmoid', calibration='none', **settings):
  """Freezes on validation and evaluates, as a run does."""
  chosen = frozen.freeze(validation, Protocol(calibration=calibration, operating_points=RULES))
  raw = {'validation': validation, 'test': test}
  ready = {name: frozen.calibrated(chosen, part) for name, part in raw.items()}
  return summary.evaluate(
    ready['validation'],
    ready['test'],
    chosen.operating_points,
    Protocol(head=head, **settings),
    uncalibrated=None if calibration == 'none' else raw,
  )
