"""Splits by patient, test first.

The order is the course's set sampling: the test set is drawn first, with a floor of positives where
asked; then a validation set whose patients resemble the test set's; the remaining patients train. A
split is an array of 'train', 'validation', 'test' or 'unused', one for each row of the study table.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data.split.draws import draw_test, draw_validation
from medjax.errors import InputError, check_option

SPLITS = ('train', 'validation', 'test', 'unused')
_OFFICIAL = r'\s*official(?:\s+or\s+(.*))?'


def make(
  table: pd.DataFrame,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  *,
  test: str | float,
  validation: str | float,
  test_floor: Mapping[str, float],
  seed: int,
  validation_like: str = 'test',
) -> tuple[np.ndarray, dict]:
  """Splits the patients of a study table into test, validation and training patients.

  A patient is positive for a label if any of their images is known to be. One random order of the
  patients (drawn over their sorted names, so the table's row order does not matter) serves every
  draw, and each draw takes the first that qualify:

  - Test: for each floor, the rarest label first, as many positive patients as it still lacks; then
    whoever comes next. A floor that chance meets by itself thus changes nothing, and one that it
    does not meet is met exactly. If the floors need more patients than the test set has, patients
    positive for several labels are taken first.
  - Validation: each pattern of positive labels gets the share that it has among the test patients
    (labels unknown throughout the test set do not count), or among those who are left to draw from
    with validation_like='rest': where the test patients stand for a site whose labels nobody has,
    theirs must choose nothing. Where a pattern runs out, the nearest one
    (Hamming distance) stands in. Validation never takes more than half of the positive patients of
    a label that the test set left over, so training keeps as many as validation has:
    thresholds can be set on few positives, nothing can be learned from none. (If validation is more
    than half of the remaining patients, that share takes the place of the half.)

  The publisher's own split, where one is used, is kept whole. With test='official' its test rows
  are the test set, the rows it leaves out are unused, and its validation rows are validation if
  that is official too; otherwise they are drawn from like training rows. Of several sets (column
  `dataset`) each is asked by itself: with 'official or 0.2' the test patients of the sets that have
  official ones are those, and of the others' patients that share is drawn.

  Args:
    table: a checked study table of N rows.
    truth: f32[N, L], 1 where positive (`labels.reference`).
    known: bool[N, L], where the truth is known.
    labels: the L labels.
    test: a share of the patients (0.1 or '0.1'), a count of patients (500 or '500'), 'official', or
      'official or 0.2': the publisher's where there is one, else that share or count. A share is of
      the patients that are not unused; of the sets it is drawn of, if those are not all.
    validation: likewise.
    test_floor: label -> the share of the test patients (0 < share < 1), or the count of them (1 or
      more), that must be positive. An official test set is only checked against it.
    seed: 0 or more.
    validation_like: 'test' or 'rest', whose patterns of labels a drawn validation set has.

  Returns:
    The split, str[N], and how it was made, a dict ready for JSON: the seed; whether test and
    validation are 'official' or 'drawn', or 'official and drawn' and then of which `sets`; for a
    drawn test set, the positive patients that each
    floor asks for, and the labels enriched beyond chance to meet it; for a drawn validation set,
    the labels matched, those rationed to leave training its half, and the number of patients who
    stand in for a pattern that ran out; the unused images and patients.

  Raises:
    InputError: a size or floor that cannot be read or met, an official split that is not there, or
      not of one of several sets, or has a patient on two sides, no patient left to train on.
  """
  check_option('validation_like', validation_like, ('test', 'rest'))
  if seed < 0:
    raise InputError(f'config.split.seed is {seed}; give a whole number, 0 or more')
  patients, names = pd.factorize(table['patient'], sort=True)
  official, sets = _official_column(table), _sets(table)
  draw_test_of = _sets_to_draw('test', test, official, sets)
  draw_validation_of = _sets_to_draw('validation', validation, official, sets)
  of_drawn_test = np.isin(sets, draw_test_of)
  of_drawn_validation = np.isin(sets, draw_validation_of)
  # The publisher left these rows out on purpose: no ground truth, or poor quality.
  unused = (official == '') & ~of_drawn_test
  test_rows = (official == 'test') & ~of_drawn_test
  validation_rows = (official == 'validation') & ~of_drawn_validation
  pool_rows = ~(unused | test_rows | validation_rows)
  in_test, in_validation, pool, in_unused, test_pool, validation_pool = (
    np.bincount(patients[rows], minlength=len(names)) > 0
    for rows in (
      test_rows,
      validation_rows,
      pool_rows,
      unused,
      pool_rows & of_drawn_test,
      pool_rows & of_drawn_validation,
    )
  )
  _check_sides({'test': in_test, 'validation': in_validation, 'the rest': pool}, names)
  test_size = _size('test', test, patients[of_drawn_test & ~unused])
  validation_size = _size('validation', validation, patients[of_drawn_validation & ~unused])
  _check_some_train(pool, test_pool, validation_pool, test_size, validation_size)

  known = known & ~unused[:, None]
  positive = by_patient(patients, len(names), known & (truth > 0.5))
  rank = np.random.default_rng(seed).permutation(len(names))
  how_test, how_validation = _origin(draw_test_of, sets), _origin(draw_validation_of, sets)
  published = in_test
  floors = _floors(test_floor, labels, test_size + int(published.sum()))
  if not test_size:
    _check_floors_met(floors, positive[published], labels, test_floor)
  else:
    has = positive[published].sum(axis=0)
    _check_floors_possible(
      floors, has, positive[test_pool], labels, test_floor, test_size, int(published.sum())
    )
    lacking = {column: max(0, need - int(has[column])) for column, need in floors.items()}
    joined = draw_test(positive, test_pool, rank, test_size, lacking)
    by_chance = positive[draw_test(positive, test_pool, rank, test_size, {})].sum(axis=0)
    in_test = published | joined
    how_test |= {
      'floor': {labels[column]: need for column, need in floors.items()},
      'enriched': [labels[column] for column in floors if by_chance[column] < lacking[column]],
    }
  if validation_size:
    rest = validation_pool & ~in_test
    like = in_test if validation_like == 'test' else rest
    matched = np.flatnonzero(known[like[patients]].any(axis=0)).tolist()
    joined, stand_ins, rationed = draw_validation(
      positive[:, matched], like, rest, rank, validation_size
    )
    in_validation = in_validation | joined
    how_validation |= {
      'matched': [labels[column] for column in matched],
      'rationed': [labels[column] for column, is_rationed in zip(matched, rationed) if is_rationed],
      'stand_ins': stand_ins,
    }
    if validation_like == 'rest':
      how_validation['like'] = 'rest'
  how = {
    'seed': int(seed),
    'test': how_test,
    'validation': how_validation,
    'unused': {'images': int(unused.sum()), 'patients': int(in_unused.sum())},
  }
  split = np.where(in_test[patients], 'test', 'train')
  split = np.where(in_validation[patients], 'validation', split)
  return np.where(unused, 'unused', split), how


def check_overlap(table: pd.DataFrame, split: np.ndarray) -> None:
  """Raises InputError if a patient is in two of train, validation and test, or a name is wrong."""
  for name in np.unique(split):
    check_option('a split', str(name), SPLITS)
  members = members_of(table, split)
  used = members[:, : SPLITS.index('unused')]
  twice = np.flatnonzero(used.sum(axis=1) > 1)
  if len(twice):
    names = pd.factorize(table['patient'], sort=True)[1]
    sides = [name for name, inside in zip(SPLITS, used[twice[0]]) if inside]
    raise InputError(
      f'split: {len(twice)} patients are on more than one side, such as patient '
      f"'{names[twice[0]]}' ({' and '.join(sides)}); keep all images of a patient on one side, or "
      'make the split anew'
    )


def _official_column(table: pd.DataFrame) -> np.ndarray:
  """Returns the publisher's split of each row, '' where it has none."""
  if 'official_split' not in table.columns:
    return np.full(len(table), '', object)
  column = table['official_split'].fillna('').to_numpy(object)
  for name in pd.unique(column):
    check_option("column 'official_split'", name, ('train', 'validation', 'test', ''))
  return column


def _sets(table: pd.DataFrame) -> np.ndarray:
  """Returns the set that each row is from, '' for all where there is but one."""
  if 'dataset' not in table.columns:
    return np.full(len(table), '', object)
  return table['dataset'].fillna('').to_numpy(object)


def _sets_to_draw(
  name: str, setting: str | float, official: np.ndarray, sets: np.ndarray
) -> list[str]:
  """Returns the sets whose test or validation patients are drawn, not the publisher's."""
  where, names = f'config.split.{name}', list(pd.unique(sets))
  match = re.fullmatch(_OFFICIAL, str(setting))
  if not match:
    return names
  if match[1] is not None:
    return [dataset for dataset in names if not (official[sets == dataset] == name).any()]
  if not (official == name).any():
    raise InputError(
      f"{where} is 'official', but no row's official_split is '{name}'; give a share or a count of "
      f"patients, such as {where}=0.1, or {where}='official or 0.1'"
    )
  for dataset in names:
    # Its images would all be unused. A set of training rows alone still trains.
    if name == 'test' and (official[sets == dataset] == '').all():
      raise InputError(
        f"{where} is 'official', but the set '{dataset}' has no official split; draw its part with "
        f"{where}='official or 0.1', or leave the set out"
      )
  return []


def _origin(drawn: Sequence[str], sets: np.ndarray) -> dict:
  """Returns whether a side is official or drawn, and of several sets which is what."""
  if len(drawn) in (0, len(pd.unique(sets))):
    return {'from': 'drawn' if drawn else 'official'}
  origins = {name: 'drawn' if name in drawn else 'official' for name in pd.unique(sets)}
  return {'from': 'official and drawn', 'sets': origins}


def _size(name: str, setting: str | float, patients: np.ndarray) -> int:
  """Returns how many of the patients of these rows to draw, 0 where there are none to draw from."""
  where = f'config.split.{name}'
  match = re.fullmatch(_OFFICIAL, str(setting))
  if match and match[1] is None:
    return 0
  size = _number(where, match[1] if match else setting, ", 'official', or 'official or 0.1'")
  count = len(np.unique(patients))
  if not count:
    return 0
  return size if isinstance(size, int) else max(1, math.floor(size * count + 0.5))


def _number(where: str, setting: str | float, alternatives: str = '') -> float:
  """Reads a share strictly between 0 and 1 (float) or a count of 1 or more (int)."""
  text = str(setting).strip()
  if re.fullmatch(r'\d+', text) and int(text) >= 1:
    return int(text)
  try:
    share = float(text)
  except ValueError:
    share = math.nan
  if not 0 < share < 1:
    raise InputError(
      f"{where} is '{setting}'; give a share of the patients between 0 and 1, or a whole number of "
      f'patients{alternatives}'
    )
  return share


def _check_some_train(
  pool: np.ndarray,
  test_pool: np.ndarray,
  validation_pool: np.ndarray,
  test_size: int,
  validation_size: int,
) -> None:
  if not pool.any():
    raise InputError(
      'official_split: no row is left to train on; draw the split instead, with '
      'config.split.test=0.1 and config.split.validation=0.1'
    )
  tested = min(test_size, int((test_pool & validation_pool).sum()))
  for candidates, size in (
    (validation_pool, validation_size and validation_size + tested),
    (test_pool, test_size),
  ):
    if size and size >= candidates.sum():
      raise InputError(
        f'config.split: test and validation ask for {size} of the {int(candidates.sum())} patients '
        'to draw from, and leave none to train on; ask for fewer in config.split.test or '
        'config.split.validation'
      )


def _check_sides(sides: dict[str, np.ndarray], names: np.ndarray) -> None:
  twice = np.flatnonzero(np.sum(list(sides.values()), axis=0) > 1)
  if len(twice):
    where = ' and '.join(side for side, inside in sides.items() if inside[twice[0]])
    raise InputError(
      f'official_split: {len(twice)} patients are on more than one side, such as patient '
      f"'{names[twice[0]]}' ({where}); the publisher's split is not by patient: draw one that is, "
      'with config.split.test=0.1 and config.split.validation=0.1'
    )


def by_patient(patients: np.ndarray, count: int, flags: np.ndarray) -> np.ndarray:
  """Returns bool[patients, L]: whether any image of the patient has the flag bool[N, L]."""
  result = np.zeros((count, flags.shape[1]), bool)
  rows, columns = np.nonzero(flags)
  result[patients[rows], columns] = True
  return result


def members_of(table: pd.DataFrame, split: np.ndarray) -> np.ndarray:
  """Returns bool[patients, splits]: whether the patient, sorted by name, has an image there."""
  patients, names = pd.factorize(table['patient'], sort=True)
  flags = np.stack([np.asarray(split) == name for name in SPLITS], axis=1)
  return by_patient(patients, len(names), flags)


def _floors(
  test_floor: Mapping[str, float], labels: Sequence[str], test_count: int
) -> dict[int, int]:
  """Returns column of the label -> positive test patients needed."""
  floors = {}
  for label, setting in test_floor.items():
    check_option('a label of config.split.test_floor', label, labels)
    number = _number(f"config.split.test_floor['{label}']", setting)
    # 0.07 * 100 is a hair more than 7: the floor it asks for is 7.
    need = number if isinstance(number, int) else max(1, math.ceil(number * test_count - 1e-9))
    floors[list(labels).index(label)] = need
  return floors


def _asked(test_floor: Mapping[str, float], label: str) -> str:
  return f"config.split.test_floor['{label}']={test_floor[label]}"


def _check_floors_met(
  floors: dict[int, int],
  positive: np.ndarray,
  labels: Sequence[str],
  test_floor: Mapping[str, float],
) -> None:
  for column, need in floors.items():
    has = int(positive[:, column].sum())
    if has < need:
      raise InputError(
        f'{_asked(test_floor, labels[column])} needs {need} positive patients; the official '
        f'test set has {has} of {len(positive)} ({has / len(positive):.3g}): lower the floor, or '
        'draw the test set yourself, with config.split.test=0.1'
      )


def _check_floors_possible(
  floors: dict[int, int],
  has: np.ndarray,
  positive: np.ndarray,
  labels: Sequence[str],
  test_floor: Mapping[str, float],
  size: int,
  published: int,
) -> None:
  """Checks the floors of a test set of `size` drawn and `published` official patients.

  `has`, i64[L], are the positive ones among the official.
  """
  for column, need in floors.items():
    available = int(positive[:, column].sum()) + int(has[column])
    most = min(int(positive[:, column].sum()), size) + int(has[column])
    if need > most:
      # Rounded down: the floor that the message names must itself be possible.
      share = math.floor(most / (size + published) * 1000) / 1000
      raise InputError(
        f'{_asked(test_floor, labels[column])} needs {need} positive patients of '
        f'{size + published} in the test set; {available} patients are positive: the largest '
        f'possible floor is {most} patients, a share of {share:g}'
      )
