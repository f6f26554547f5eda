"""How a work directory proves that its files are those that one run wrote, and wrote together.

Every checkpoint carries the config and the SHA-256 of what the run wrote before its first step, the
split's above all; evaluation/test.json carries those of all that its figures were made of. So a
file that was edited, or is of another run, is found and named whenever the run is opened.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from medjax import config as configs
from medjax.config import Config
from medjax.data.split import split_files
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.result import Result
from medjax.runs.layout import PARTS, Layout
from medjax.runtime import files

# Where orbax keeps the JSON of a checkpoint; orbax itself would take seconds to import.
_METADATA = '_CHECKPOINT_METADATA'
# Settings that say where and how fast, never what.
_FREE = (
  'config.data.root:',
  'config.data.workers:',
  'config.data.prepared:',
  'config.data.cache:',
  'config.data.placement:',
  'config.steps_per_call:',
  'config.deterministic:',
  'config.model.remat:',
  'config.tracking:',
)
# Those that are not used before the last step is done. How many checkpoints are averaged is: it
# says how many are kept. So is what is tested: the best checkpoint is chosen by it.
_AFTER_TRAINING = ('config.evaluation.', 'config.replicates:')
_OF_TRAINING = ('config.evaluation.checkpoints:', 'config.evaluation.level:')
# They say when the training ends: a run may go on with more steps, and with any patience.
_WHEN_IT_ENDS = ('steps', 'patience')
# Those among them by which nothing is chosen.
_SHOWN = (
  'config.evaluation.subgroups:',
  'config.evaluation.prevalence',
  'config.evaluation.saliency:',
  'config.replicates:',
)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Returns a line for each setting in which two configs, as dicts, are not the same run."""
  lines = configs.differences(dict(old), dict(new))
  return [line for line in lines if not line.startswith(_FREE)]


def changes_of_training(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Returns those of `changes` that make the training another one."""
  of_several = old['evaluation']['level'] != 'image'
  of_training = (*_OF_TRAINING, *(('config.evaluation.aggregate:',) if of_several else ()))
  return [
    line
    for line in changes(old, new)
    if line.startswith(of_training) or not line.startswith(_AFTER_TRAINING)
  ]


def chooses_nothing(line: str) -> bool:
  """Whether a line of `changes` is of a setting that only says what is shown."""
  return line.startswith(_SHOWN)


def not_to_go_on_with(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Returns those of `changes` with which a run that has trained cannot go on."""
  goes_further = new['steps'] > old['steps']
  allowed = ('config.patience:', 'config.steps:') if goes_further else ('config.patience:',)
  return [line for line in changes_of_training(old, new) if not line.startswith(allowed)]


def going_on(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the old config with what may be another one when a run goes on, of the new."""
  return {**old, **{name: new[name] for name in ('evaluation', 'replicates', *_WHEN_IT_ENDS)}}


def chosen_after_training(config: Config, layout: Layout) -> list[str]:
  """Returns a line for each setting by which the test is read otherwise than when training ended.

  Settings that only say what is shown are left out.
  """
  lines = changes(configs.with_defaults(carried(layout).get('config', {})), configs.to_dict(config))
  return [line for line in lines if not line.startswith(_SHOWN)]


def carried(layout: Layout) -> dict[str, Any]:
  """Returns what the latest checkpoint carries beside the state; nothing where there is none."""
  steps = layout.saved_steps()
  return (_carried(layout, steps[-1]) or {}) if steps else {}


def schedules(layout: Layout, steps: int) -> list[dict[str, int]]:
  """Returns the schedules that have trained a run, {'from': step, 'steps': of the whole run} each.

  Args:
    layout: of the run.
    steps: those of the run as it goes on; one is added where they are not those so far.
  """
  content, saved = carried(layout), layout.saved_steps()
  before = content.get('schedules') or (
    [{'from': 0, 'steps': content['config']['steps']}] if content else []
  )
  if before and before[-1]['steps'] == steps:
    return before
  return [*before, {'from': saved[-1] if saved else 0, 'steps': steps}]


def at_start(layout: Layout) -> dict[str, str]:
  """Returns file → SHA-256, of what a run writes before its first step."""
  paths = (layout.split, layout.split_proof, layout.model, layout.set_aside, layout.images)
  return _digests(layout, (*paths, layout.pretrained_on))


def at_end(layout: Layout) -> dict[str, str]:
  """Returns file → SHA-256, of all that the figures of the test are made of."""
  predicted = (
    path
    for part in PARTS
    for path in sorted(layout.predictions(part).parent.rglob(layout.predictions(part).name))
  )
  vouched = (layout.config, layout.frozen, layout.readings, layout.search, *predicted)
  return at_start(layout) | _digests(layout, vouched)


def vouched(layout: Layout, result: Result, page: str) -> Result:
  """Returns a result that vouches for itself and its page too, besides what it was made of.

  Its own digest is that of its JSON with sorted names and without `files`.
  """
  plain = json.loads(json.dumps(results_file.to_plain(result)))
  own = {
    layout.result: _own_digest(plain),
    layout.report: hashlib.sha256(page.encode()).hexdigest(),
  }
  named = {path.relative_to(layout.workdir).as_posix(): digest for path, digest in own.items()}
  return dataclasses.replace(result, files={**result.files, **named})


def _own_digest(plain: Mapping[str, Any]) -> str:
  text = json.dumps({**plain, 'files': {}}, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _digests(layout: Layout, paths: Iterable[pathlib.Path]) -> dict[str, str]:
  return {
    path.relative_to(layout.workdir).as_posix(): files.sha256(path)
    for path in paths
    if path.is_file()
  }


def check(layout: Layout) -> None:
  """Compares the files of a run with each other; reads them once and no array.

  Raises:
    InputError: naming the file that is not what the run wrote, and what vouches for it.
  """
  recorded = split_files.read_proof(layout.workdir)['split_sha256']
  digest = functools.cache(files.sha256)
  for step in layout.saved_steps():
    _check_checkpoint(layout, step, recorded, digest)
  if layout.is_finished():
    _check_result(layout, digest)


def _check_checkpoint(
  layout: Layout, step: int, recorded: str, digest: Callable[[pathlib.Path], str]
) -> None:
  carried = _carried(layout, step)
  if carried is None:
    return
  checkpoint = layout.checkpoints / str(step)
  if str(carried.get('next_batch', checkpoint.name)) != checkpoint.name:
    raise InputError(
      f'{checkpoint}: is the checkpoint of step {carried["next_batch"]}; take the folder as its '
      'run left it'
    )
  if carried['split_sha256'] != recorded:
    raise InputError(
      f'{layout.split}: its SHA-256, {recorded[:12]}, is not that of the split that trained '
      f'{checkpoint}, {carried["split_sha256"][:12]}: the split or the checkpoint is of another '
      'run; take the folder as its run left it'
    )
  # Either may be of a medjax that had fewer settings.
  configs_of = (carried['config'], files.read_json(layout.config))
  changed = not_to_go_on_with(*map(configs.with_defaults, configs_of))
  if changed:
    raise InputError(
      f'{layout.config}: is not the config that trained {checkpoint} (there, here): '
      f'{"; ".join(changed)}; take the folder as its run left it'
    )
  vouched = carried.get('files') or {}  # An earlier medjax gave none.
  _compare(layout, vouched, digest, checkpoint, 'take the folder as its run left it')


def _carried(layout: Layout, step: int) -> dict[str, Any] | None:
  """Returns what a run gave its checkpoint to carry; None if a newer one has replaced it.

  A run that is killed while it deletes a replaced checkpoint leaves some of its files.
  """
  checkpoint = layout.checkpoints / str(step)
  try:
    carried = files.parsed((checkpoint / _METADATA).read_text())['custom_metadata']
    if isinstance(carried['split_sha256'], str) and isinstance(carried['config'], dict):
      return carried
    reason = 'another program has saved it'
  except (OSError, ValueError, KeyError, TypeError) as error:
    is_replaced = step not in _kept(layout)
    if isinstance(error, FileNotFoundError) and (is_replaced or not checkpoint.is_dir()):
      return None
    reason = f'{type(error).__name__}: {error}'
  raise InputError(
    f'{checkpoint}: does not say which split and config trained it ({reason}); take the folder as '
    'its run left it'
  )


def _kept(layout: Layout) -> list[int]:
  """Returns the steps whose checkpoints a newer one does not replace: the newest and the best."""
  steps = layout.saved_steps()
  newest = layout.checkpoints / str(steps[-1]) / _METADATA if steps else None
  if newest is None or not newest.is_file():
    return steps[-1:]
  try:
    carried = files.parsed(newest.read_text())['custom_metadata']
    count = carried['config']['evaluation'].get('checkpoints', 1)
    defined = [entry for entry in carried['history'] if entry['auroc_mean'] is not None]
    best = sorted(reversed(defined), key=lambda entry: entry['auroc_mean'], reverse=True)[:count]
    return [steps[-1], *(entry['step'] for entry in best)]
  except (ValueError, KeyError, TypeError, AttributeError):
    return steps  # The newest is damaged, and nothing says which others are needed.


def _check_result(layout: Layout, digest: Callable[[pathlib.Path], str]) -> None:
  content = files.read_json(layout.result)
  vouched = content.get('files')
  again = f'delete {layout.result} and start the run again, which tests it again'
  if not isinstance(vouched, dict) or not vouched:
    raise InputError(
      f'{layout.result}: does not hold the SHA-256 of the files that it was made of, as those that '
      f'this medjax writes; {again}'
    )
  name = layout.result.relative_to(layout.workdir).as_posix()
  if vouched.get(name, own := _own_digest(content)) != own:
    raise InputError(
      f'{layout.result}: was edited, for its figures are not those that it was written with (their '
      f'SHA-256 differs); restore it, or {again}'
    )
  page = layout.report.relative_to(layout.workdir).as_posix()
  left_out = {name} if layout.report.is_file() else {name, page}  # A page may be taken away.
  others = {name: digest for name, digest in vouched.items() if name not in left_out}
  _compare(layout, others, digest, layout.result, f'restore it, or {again}')


def _compare(
  layout: Layout,
  vouched: Mapping[str, str],
  digest: Callable[[pathlib.Path], str],
  witness: pathlib.Path,
  remedy: str,
) -> None:
  for name, expected in vouched.items():
    path = layout.workdir / name
    if not path.is_file():
      raise InputError(f'{path}: no such file, though {witness} vouches for it; {remedy}')
    if digest(path) != expected:
      raise InputError(
        f'{path}: not the file that {witness} vouches for (its SHA-256 differs), so it was changed '
        f'or is of another run; {remedy}'
      )
