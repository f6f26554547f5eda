"""The proof that nobody was scored by a network that saw them, from what the runs of folds wrote.

Opening a run has compared its files: each checkpoint vouches for the split that trained it, and the
result for the predictions. Here the splits are compared with each other, and each fold's
predictions with all that its network has seen, its pretrained weights included.
"""

from collections.abc import Sequence

import pandas as pd

from medjax.data import table
from medjax.errors import InputError
from medjax.runs import seen_by_run
from medjax.runs.finished import Run
from medjax.runtime import files

_RESTORE = 'take the folders as their runs left them'


def check(runs: Sequence[Run]) -> None:
  """Raises InputError unless every patient is tested in one fold, by a network that never saw them.

  Args:
    runs: finished, of all folds in their order.
  """
  tested: dict[str, int] = {}
  everybody: set[str] = set()
  first = None
  for number, run in enumerate(runs):
    where, proof = run.workdir, files.read_json(run.layout.split_proof)
    first = first or proof
    how = proof.get('how', {}).get('test', {})
    if (how.get('fold'), how.get('folds')) != (number, len(runs)):
      raise InputError(
        f'{run.layout.split_proof}: is not of fold {number} of {len(runs)}; {_RESTORE}'
      )
    for name, what in (('table_sha256', 'table'), ('seed', 'seed of the split')):
      if proof.get(name) != first.get(name):
        raise InputError(f'{where}: has another {what} than {runs[0].workdir}; {_RESTORE}')
    split = table.read_csv(run.layout.split, ['image', 'patient', 'split'])
    everybody |= set(split.loc[split['split'] != 'unused', 'patient'])
    of_fold = set(split.loc[split['split'] == 'test', 'patient'])
    for patient in sorted(of_fold & tested.keys()):
      raise InputError(
        f"{where}: patient '{patient}' is tested there and in fold {tested[patient]}; {_RESTORE}"
      )
    tested |= dict.fromkeys(of_fold, number)
    _check_predicted(run, of_fold)
  missing = sorted(everybody - tested.keys())
  if missing:
    raise InputError(
      f"{runs[0].workdir.parent}: {len(missing):,} patients, such as '{missing[0]}', are tested in "
      f'no fold; {_RESTORE}'
    )


def _check_predicted(run: Run, of_fold: set[str]) -> None:
  """Compares whom a fold's predictions are of with its split and with all that its network saw."""
  test = run.raw_predictions('test')
  strangers = sorted(set(test.patients) - of_fold)
  if strangers:
    raise InputError(
      f"{run.layout.predictions('test')}: patient '{strangers[0]}' is not of this fold's test; "
      f'{_RESTORE}'
    )
  seen = _of_same_set(seen_by_run.seen_by(run.layout))
  again = sorted(set(seen['patient']) & set(test.patients))
  if again:
    raise InputError(
      f"{run.workdir}: patient '{again[0]}' is tested and was seen by the network; {_RESTORE}"
    )


def _of_same_set(seen: pd.DataFrame) -> pd.DataFrame:
  """Returns those rows whose images are of the run's own set: those stand first.

  Patients of other sets, which pretrained weights have seen, may bear the same names; whether they
  are the same people was looked at when the run started (medjax.data.leakage.seen_before).
  """
  return seen[seen['root'] == seen['root'].iloc[0]]
