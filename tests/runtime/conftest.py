"""Several machines in one process."""

import fsspec
import pytest

from medjax.runtime import bucket, leases, remote


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Makes this process one of several machines, each with a disk of its own, by its name."""
  monkeypatch.setattr(remote, '_PAUSE', 0)
  monkeypatch.setattr(leases, 'LONGEST', 0.05)
  monkeypatch.setattr(leases, '_LOOK', 0.02)
  monkeypatch.setattr(bucket, '_THREADS', 1)
  yield lambda name: monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / name))
  fsspec.filesystem('memory').store.clear()
