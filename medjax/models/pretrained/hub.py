"""Weights of the Hugging Face hub: asked for once, for seconds, or else taken from its cache."""

import contextlib
import hashlib
import logging
import pathlib
import re
import shlex
import threading
from collections.abc import Iterator

from medjax.errors import InputError
from medjax.runtime import files, progress, storage

FILES = ('config.json', 'model.safetensors')
_PATIENCE = 4  # seconds for the hub's first answer; HF_HUB_ETAG_TIMEOUT allows more


def fetch(
  repository: str, revision: str | None, where: str, setting: str
) -> tuple[pathlib.Path, pathlib.Path]:
  """Returns the description and the weights, of `FILES`, as files in the cache of the hub.

  Where the hub does not answer they are those that the cache has of before.

  Args:
    repository: 'timm/densenet121.tv_in1k'.
    revision: of the repository; None is its latest.
    where: what is asked for, for messages.
    setting: that names weights, for messages.

  Raises:
    InputError: the hub has none such, does not answer and the cache has none, or something between
      here and the hub has sent other bytes; it says how to bring them here.
  """
  import huggingface_hub
  from huggingface_hub import constants, errors

  progress.say(f'{where}: asking the hub; what it sends is kept in {_cache()}')
  silence = _silence(repository, revision)
  what = (
    f'{where}: fetching it from {constants.ENDPOINT}; where another process fetches it too, '
    f'waiting for that one (its lock is in {_cache()}/.locks)'
  )
  try:
    with _silent_retries(), progress.waiting(what):
      description, weights = (
        pathlib.Path(
          huggingface_hub.hf_hub_download(
            repository, file, revision=revision, local_files_only=bool(silence)
          )
        )
        for file in FILES
      )
  except errors.LocalEntryNotFoundError as error:
    raise InputError(
      f'{where}: no such file or folder here, not in the cache of the hub ({_cache()}), and the '
      f'hub cannot be asked ({silence or _reason(error)}); '
      f'{_by_hand(repository, revision, setting)}'
    ) from None
  except (errors.HfHubHTTPError, errors.HFValidationError) as error:
    raise InputError(
      f'{where}: the hub has no such weights ({_reason(error)}); names look like '
      'timm/densenet121.tv_in1k, and there is no such file'
    ) from None
  # The hub's client has no error of its own for what its connections raise: HTTPError is the base
  # of those; a proxy's malformed address is a ValueError, a disk that fails an OSError.
  except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
    if failure := storage.failure(error):
      raise InputError(f'{where}: {storage.in_words(failure, [_cache()])}') from None
    raise InputError(
      f'{where}: the download broke off ({_reason(error)}); start again, or: '
      f'{_by_hand(repository, revision, setting)}'
    ) from None
  for path in (description, weights):
    if not _is_what_the_hub_has(path):
      for other in (path.resolve(), path):  # Or the next start would take it from the cache.
        with contextlib.suppress(OSError):  # A cache that others share may be read-only.
          other.unlink()
      raise InputError(
        f'{where}: {path.name} came with other bytes than the hub has, by their hash; it '
        'was deleted where that is allowed; start again. If it comes so again: '
        f'{_by_hand(repository, revision, setting)}'
      )
  return description, weights


@contextlib.contextmanager
def _silent_retries() -> Iterator[None]:
  """Leaves out what the client says of each of its tries: the error says it once, in the end."""

  def is_an_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR

  client = logging.getLogger('huggingface_hub.file_download')
  client.addFilter(is_an_error)
  try:
    yield
  finally:
    client.removeFilter(is_an_error)


def _is_what_the_hub_has(path: pathlib.Path) -> bool:
  """Whether a file of the cache has the hash that the hub gave for it, by which the cache calls it.

  It is a SHA-256, or of small files git's SHA-1. Where the cache has no such names it is believed.
  """
  known = path.resolve()
  if re.fullmatch('[0-9a-f]{64}', known.name):
    return files.sha256(known) == known.name
  if re.fullmatch('[0-9a-f]{40}', known.name):
    content = known.read_bytes()
    git = hashlib.sha1(b'blob %d\0' % len(content) + content)
    return known.name in (git.hexdigest(), hashlib.sha1(content).hexdigest())  # A mirror's.
  return True


def _silence(repository: str, revision: str | None) -> str:
  """Returns why the hub cannot be asked; '' where it answers, be it that it has no such weights.

  The client itself tries again for half a minute, or for six where nobody ever answers.
  """
  import huggingface_hub
  from huggingface_hub import constants, errors

  if constants.HF_HUB_OFFLINE:
    return 'HF_HUB_OFFLINE is set'
  patience = _PATIENCE
  if constants.HF_HUB_ETAG_TIMEOUT != constants.DEFAULT_ETAG_TIMEOUT:
    patience = constants.HF_HUB_ETAG_TIMEOUT
  outcome = [f'no answer in {patience} s; HF_HUB_ETAG_TIMEOUT=60 waits longer']

  def ask() -> None:
    url = huggingface_hub.hf_hub_url(repository, FILES[0], revision=revision)
    try:
      huggingface_hub.get_hf_file_metadata(url, timeout=patience)
      outcome[0] = ''
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError,
            errors.EntryNotFoundError, errors.HFValidationError):  # fmt: skip
      outcome[0] = ''
    except Exception as error:  # Whatever stands between here and the hub.
      status = getattr(getattr(error, 'response', None), 'status_code', 0)
      if status == 429 or status >= 500:  # It is busy: there it is right to try again.
        outcome[0] = ''
      elif not type(error).__name__.endswith('Timeout'):
        outcome[0] = _reason(error)

  # A thread, because looking up a name has no time limit of its own.
  asking = threading.Thread(target=ask, daemon=True)
  asking.start()
  asking.join(patience + 0.5)
  return outcome[0]


def _by_hand(repository: str, revision: str | None, setting: str) -> str:
  """Returns how to bring the weights here from a machine that can ask the hub."""
  folder = repository.partition('/')[2]
  fetch = ['hf', 'download', repository, *FILES, '--local-dir', folder]
  if revision:
    fetch += ['--revision', revision]
  given = f'{setting}={folder}/{FILES[1]}'
  if setting.startswith('config.'):
    given = f'--{given}'
  return f'on a machine with network: {shlex.join(fetch)}; bring that folder here, and: {given}'


def _reason(error: Exception) -> str:
  line = next((line for line in str(error).splitlines() if line.strip()), '')
  return f'{type(error).__name__}: {line[:200]}'


def _cache() -> str:
  from huggingface_hub import constants

  return constants.HF_HUB_CACHE
