"""The documentation's site builds without a warning: every link, anchor and figure is there."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


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
  # Read without a network: nothing is fetched, and the search works from a folder.
  assert not any('src="http' in page for page in pages)
  if BROWSER is not None:
    done = subprocess.run(
      [
        BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--dump-dom',
        '--disable-background-networking', f'--user-data-dir={tmp_path / "profile"}',
        '--virtual-time-budget=20000', f'{(tmp_path / "index.html").as_uri()}?q=obuchowski',
      ],
      capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert 'class="md-search-result__item"' in done.stdout
