"""Accelerators: distributed start-up, the data mesh, and batches on their way to it."""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from medjax.errors import InputError
from medjax.runtime import progress

Result = TypeVar('Result')

# XLA's option for the same bits from run to run on a GPU: it takes no atomic additions, whose order
# differs, and no algorithm of cuDNN or cuBLAS that it has timed, which differs too. It includes
# xla_gpu_exclude_nondeterministic_ops, which leaves the timing as it is (openxla/xla#12520).
DETERMINISTIC = {'xla_gpu_deterministic_ops': True}


def compiler_options(deterministic: bool) -> dict[str, bool] | None:
  """Returns what `jax.jit` is to tell the compiler, None for nothing; of no effect but on a GPU."""
  return DETERMINISTIC if deterministic else None


def initialise(coordinator: str = '', processes: int = 1, process: int = 0) -> None:
  """Joins the other processes of the run; call before anything touches a device.

  Args:
    coordinator: 'host:port' of process 0; 'auto' on TPU pods, Slurm and Open MPI, where the
      environment says everything; '' for a single process.
    processes: number of processes, with 'host:port'.
    process: this one's number, from 0.
  """
  if not coordinator and (processes, process) != (1, 0):
    raise InputError('--processes and --process need --coordinator=host:port, the same for all')
  if coordinator not in ('', 'auto') and not 0 <= process < processes:
    raise InputError(
      f'--process={process}: must be from 0 to {processes - 1}, one less than --processes'
    )
  whom = f'process {process} of {processes} waits at {coordinator} for the others'
  check = 'are all started, with one --coordinator and --processes, and can they reach that port?'
  if coordinator == 'auto':
    whom, check = 'waiting for the other processes that the cluster names', 'are all started?'
  try:
    with progress.waiting(f'{whom}; {check}') if coordinator else contextlib.nullcontext():
      if coordinator == 'auto':
        jax.distributed.initialize()
      elif coordinator:
        jax.distributed.initialize(coordinator, processes, process)
      jax.devices()
  except (RuntimeError, ValueError) as error:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if coordinator == 'auto':
      raise InputError(
        f'--coordinator=auto: nothing here says where the other processes are ({reason}); it is '
        'for TPU pods, Slurm and Open MPI. Elsewhere give each process --coordinator=host0:port '
        '--processes=N --process=I, and a single process none of them'
      ) from None
    if coordinator:
      raise InputError(
        f'--coordinator={coordinator}: the {processes} processes cannot join ({reason})'
      ) from None
    raise InputError(f'the devices cannot be started: {reason}') from None
  if jax.process_count() > 1:
    _exchange_once()
  if not is_first():
    progress.leave_to_others()


def keep_compiled_programs() -> None:
  """Keeps compiled programs on disk, so that the second start of a large network takes seconds."""
  # Where the disk is full, nothing is lost but time.
  warnings.filterwarnings('ignore', 'Error (reading|writing) persistent compilation cache')
  if not jax.config.values['jax_compilation_cache_dir']:
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', '~/.cache')).expanduser()
    jax.config.update('jax_compilation_cache_dir', str(cache / 'medjax' / 'jax'))


def _exchange_once() -> None:
  """Connects all processes, and all devices, while everyone is here.

  The first exchange of a group of devices has a deadline of seconds, which one process may pass
  while another still reads images or compiles; later exchanges wait as long as it takes.
  """
  wait_for_all('start')
  mesh = data_mesh()
  ones = jax.make_array_from_process_local_data(sharded(mesh), np.ones(jax.local_device_count()))
  jax.jit(jnp.sum, out_shardings=replicated(mesh))(ones).block_until_ready()


def data_mesh() -> Mesh:
  """All devices of all processes on one axis, 'data', each process's devices side by side."""
  ordered = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
  return Mesh(np.array(ordered), ('data',))


def check_batch_size(batch_size: int, accumulate: int) -> None:
  """Raises InputError unless every device gets the same number of images of every part."""
  parts = jax.device_count() * accumulate
  if batch_size % parts:
    below, above = batch_size // parts * parts, -(-batch_size // parts) * parts
    nearby = ' or '.join(str(size) for size in (below, above) if size)
    raise InputError(
      f'config.batch_size={batch_size}: must be divisible by the {jax.device_count()} devices '
      f'times optimizer.accumulate={accumulate}; {nearby} would do'
    )


def sharded(mesh: Mesh) -> NamedSharding:
  """Arrays whose first axis is the batch."""
  return NamedSharding(mesh, PartitionSpec('data'))


def replicated(mesh: Mesh) -> NamedSharding:
  """Arrays that every device holds whole."""
  return NamedSharding(mesh, PartitionSpec())


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """Assembles the global batch from what each process read; returns before the copy is done."""
  sharding = sharded(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()
  }


def put_batches(batches: Sequence[Mapping[str, np.ndarray]], mesh: Mesh) -> dict[str, jax.Array]:
  """Assembles K global batches, [K, B, …] each array; see `put_batch`."""
  sharding = NamedSharding(mesh, PartitionSpec(None, 'data'))
  return {
    name: jax.make_array_from_process_local_data(
      sharding, np.stack([batch[name] for batch in batches])
    )
    for name in batches[0]
  }


def put_replicated(tree: Result, mesh: Mesh) -> Result:
  """Puts arrays, the same ones in every process, on all devices."""
  sharding = replicated(mesh)

  def put(leaf: jax.Array | np.ndarray) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):  # Of optimizers that draw.
      return jax.device_put(leaf, sharding)
    return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

  return jax.tree.map(put, tree)


def is_first() -> bool:
  """Whether this is the process that writes files and speaks."""
  return jax.process_index() == 0


def wait_for_all(name: str) -> None:
  """Returns when every process has come here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def first_does(action: Callable[[], Result]) -> Result | None:
  """Runs `action` on the first process while the others wait; all of them learn if it failed.

  Returns:
    What `action` returns on the first process, None on the others.
  """
  result, failure = None, None
  if is_first():
    try:
      result = action()
    except Exception as error:  # Whatever it is, the others must not wait for ever.
      failure = error
  whom = f'process {jax.process_index()} waits for process 0, which works alone and says on what'
  with contextlib.nullcontext() if is_first() else progress.waiting(whom):
    succeeded = all_agree(failure is None)
  if failure is not None:
    raise failure
  if not succeeded:
    raise InputError('the first process stopped; its message says why')
  return result


def all_agree(agreed: bool) -> bool:
  """Returns whether every process says so; all of them call it together."""
  if jax.process_count() == 1:
    return agreed
  return bool(multihost_utils.process_allgather(np.array(agreed)).all())
