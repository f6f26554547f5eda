"""The notebooks of examples/ run from a clean kernel, in a folder of their own."""

import os

import pytest
from conftest import PROJECT

NOTEBOOKS = sorted((PROJECT / 'examples').glob('*.ipynb'))


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_a_clean_kernel(path, tmp_path, monkeypatch):
  nbclient = pytest.importorskip('nbclient')
  nbformat = pytest.importorskip('nbformat')
  monkeypatch.setenv('PYTHONPATH', f'{PROJECT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  content = nbformat.read(path, as_version=4)
  assert not any(cell.get('outputs') for cell in content.cells), 'it is kept without its outputs'
  client = nbclient.NotebookClient(
    content, timeout=600, kernel_name='python3', resources={'metadata': {'path': str(tmp_path)}}
  )
  client.execute()
  outputs = [output for cell in content.cells for output in cell.get('outputs', [])]
  kinds = {kind for output in outputs for kind in output.get('data', {})}
  assert {'image/png', 'text/html'} <= kinds
