"""The report in a real browser, where there is one: fetches nothing, fits, takes focus."""

import json
import re
import shutil
import subprocess

import pytest
import synthetic_summary

from medjax.evaluation.surest import Example
from medjax.report import run_page

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(
  BROWSER is None, reason=f'none of {", ".join(BROWSERS)} is installed'
)
# Asks the report in a frame 400 pixels wide what a person would see, and writes it into the page.
ASKING = """<!doctype html><body style="margin:0"><iframe id="f" src="index.html"
  style="border:0;width:400px;height:800px"></iframe><pre id="said"></pre><script>
onload = () => {
  const frame = document.getElementById('f'), page = frame.contentDocument
  const shown = hit => frame.contentWindow.getComputedStyle(hit.querySelector('.tip')).visibility
  const hit = page.querySelector('.hit[tabindex="0"]'), before = shown(hit)
  hit.focus()
  const paper = frame.contentWindow.getComputedStyle(page.documentElement).backgroundColor
  const root = page.documentElement
  document.getElementById('said').textContent = JSON.stringify({
    wide: root.scrollWidth, room: root.clientWidth, before, focused: shown(hit), paper,
    high: root.scrollHeight,
  })
}
</script>"""


def browse(folder, page, *settings):
  """Opens a page and returns its state, the console messages, and the requested addresses."""
  log = folder / 'net.json'
  finished = subprocess.run(
    [
      BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--v=0',
      '--enable-logging=stderr', '--disable-background-networking', '--disable-component-update',
      '--allow-file-access-from-files', f'--user-data-dir={folder / "profile"}',
      f'--log-net-log={log}', '--dump-dom', *settings, page.as_uri(),
    ],
    capture_output=True, text=True, timeout=120,
  )  # fmt: skip
  assert finished.returncode == 0, finished.stderr[-2000:]
  requests = [event.get('params', {}) for event in json.loads(log.read_text())['events']]
  # What the browser asks for by itself has no page as its initiator.
  asked = {
    request['url']
    for request in requests
    if 'url' in request
    and request.get('initiator', 'not an origin') != 'not an origin'
    and not request['url'].startswith(('file:', 'data:'))
  }
  return finished.stdout, finished.stderr, asked


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('report')
  picture = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
  example = Example(
    kind='false negative', label='Edema', row=0, image='a/1.jpg', patient='a', probability=0.1,
    threshold=0.3, truth=1, picture=picture, heat=picture, boxes=((0.1, 0.2, 0.3, 0.4),),
  )  # fmt: skip
  labels = synthetic_summary.FINDINGS
  page = run_page.render(
    title='Chest films', split_proof={}, config={}, facts={'source': 'https://example.org/films'},
    result=synthetic_summary.evaluated(labels, absent=('Fracture',)), pictures=[example],
    history=[
      {'step': 1, 'split': 'train', 'loss': 1.0},
      {'step': 2, 'split': 'train', 'loss': 0.5},
    ],
  )  # fmt: skip
  (folder / 'index.html').write_text(page, encoding='utf-8')
  (folder / 'asking.html').write_text(ASKING)
  return folder


def test_no_error_and_nothing_from_outside(folder):
  page, said, asked = browse(folder, folder / 'index.html')
  assert '</html>' in page and page.count('class="hit"') > 500
  assert 'CONSOLE' not in said, said[-2000:]
  assert not asked
  fetching = folder / 'fetching.html'
  fetching.write_text('<img src="http://nobody.invalid/a.png">')
  assert browse(folder, fetching)[2] == {'http://nobody.invalid/a.png'}


def test_fits_a_narrow_screen_and_shows_its_words_in_both_themes(folder):
  papers = []
  for scheme in (0, 1):
    page, _, _ = browse(
      folder, folder / 'asking.html', f'--blink-settings=preferredColorScheme={scheme}'
    )
    said = json.loads(re.search(r'<pre id="said">(.*?)</pre>', page).group(1))
    assert 300 < said['wide'] <= said['room'] <= 400 and said['high'] > 5000
    assert (said['before'], said['focused']) == ('hidden', 'visible')
    papers.append(said['paper'])
  assert papers[0] != papers[1]
