"""The documentation's site builds without a warning: every link, anchor and figure is there."""

import os
import subprocess
import sys

import pytest
from conftest import PROJECT


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
  pytest.importorskip('mkdocs')
  done = subprocess.run(
    [sys.executable, '-m', 'mkdocs', 'build', '--strict', f'--site-dir={tmp_path}'],
    cwd=PROJECT,
    env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  functions = (tmp_path / 'reference/api.html').read_text('utf-8')
  assert 'weighted_binary_cross_entropy' in functions and 'split_patients' in functions
  pages = [path.read_text('utf-8') for path in tmp_path.rglob('*.html')]
  assert not any('{remedies.' in page for page in pages)
  data = (tmp_path / 'data.html').read_text('utf-8')
  assert '<td><code>configs/chexpert.py</code></td>' in data  # no link out of the site, named once
  # Read without a network: nothing is fetched, and the search has what it needs on a page that was
  # opened from a folder.
  assert not any('src="http' in page for page in pages)
  assert 'src="../assets/search-iframe-worker.js"' in functions
  assert 'window.Worker' in (tmp_path / 'assets/search-iframe-worker.js').read_text('utf-8')
