"""What a search was started with, in asked.json; in its folder it goes on with the same alone."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from medjax import config as configs
from medjax.config import Config
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.search_result import Parameter
from medjax.experiment.tuning.space import Search
from medjax.runs import integrity

ASKED = 'asked.json'
ELSEWHERE = 'Take another --workdir, or the old settings to go on with that search'


@dataclasses.dataclass(frozen=True)
class Asked:
  """What a search was started with.

  Attributes:
    config: that its trials change, as a dict.
    search: the source of what proposes settings; '' where it has none, as what is typed at a
      prompt.
    trials: how many.
    proposals_sha256: of the space, and of what was proposed for draws that are always the same.
    schema: number of this schema.
  """

  config: dict[str, Any]
  search: str
  trials: int
  proposals_sha256: str = ''
  schema: int = 1


def load(folder: pathlib.Path) -> Asked:
  """Returns what the search of this folder was started with.

  Raises:
    InputError: no such file, or not one of this medjax.
  """
  return results_file.load(folder / ASKED, Asked, ELSEWHERE)


def digest(space: Mapping[str, Parameter], proposed: Sequence[Mapping[str, Any]]) -> str:
  """Returns the SHA-256, in hexadecimal, of a space and of what was proposed from it.

  Numbers count to six digits: the processes of one search may be on machines whose logarithms
  differ in the last one.
  """
  plain = json.dumps([results_file.to_plain(dict(space)), proposed], sort_keys=True)
  rounded = json.loads(plain, parse_float=lambda digits: float(f'{float(digits):.6g}'))
  return hashlib.sha256(json.dumps(rounded).encode()).hexdigest()


def check_same(
  before: Asked, config: Config, search: Search, proposals_sha256: str, folder: pathlib.Path
) -> None:
  """Raises InputError where a folder's search was started with another config or search(trial).

  The source alone does not say what a search is: a partial has none, and what a function takes
  from around it may have changed.
  """
  changed = integrity.changes(configs.with_defaults(before.config), configs.to_dict(config))
  if changed:
    raise InputError(
      f'{folder} holds a search with another config: {"; ".join(changed)}. {ELSEWHERE}'
    )
  if before.search != search.text:
    raise InputError(
      f'{folder} holds a search by another search(trial) than that of {search.where}; '
      f'{folder / ASKED} has it. {ELSEWHERE}'
    )
  if before.proposals_sha256 and before.proposals_sha256 != proposals_sha256:
    raise InputError(
      f'{folder} holds a search by another search(trial) than that of {search.where}: for the '
      'same draws it proposed other settings, so what it takes from outside its source has '
      f'changed, or is not the same each time. {ELSEWHERE}'
    )
