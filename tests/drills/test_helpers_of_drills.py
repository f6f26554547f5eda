"""What drills look with: a hang, an end and gigabytes are seen, and words in what is packed."""

import base64
import gzip
import io
import json
import random
import re
import subprocess
import sys
import zipfile
import zlib

import pytest
from conftest import PROJECT
from PIL import Image
from PIL.PngImagePlugin import PngInfo

sys.path.insert(0, str(PROJECT / 'drills'))

import found_bytes
import mutations

WORD = re.compile(b'SECRET')


# In a process of its own: jax's threads do not go through a fork.
TRIES = """
import json, os, sys, time
sys.path.insert(0, 'drills')
import watched_child

def attempt(number):
  if number in (1, 3):
    held = bytearray(b'x' * (2**28 if number == 3 else 1))
    time.sleep(60)
  if number == 2:
    os._exit(3)
  if number == 4:
    raise LookupError('lost')
  return 'wrong' if number == 5 else ''

print(json.dumps([*watched_child.go_through(attempt, 7, seconds=1, most_bytes=10**8)]))
"""


def test_a_child_that_hangs_ends_or_swells_is_seen_and_the_others_are_tried():
  done = subprocess.run(
    [sys.executable, '-c', TRIES], cwd=PROJECT, capture_output=True, text=True, check=True
  )
  words = dict(json.loads(done.stdout))
  assert list(words) == [1, 2, 3, 4, 5]
  assert words[1] == 'no end after 1 s' and words[2] == 'the process ended with status 3'
  assert words[3].endswith('GB of memory') and 'LookupError' in words[4] and words[5] == 'wrong'


def png(**texts):
  content, file = PngInfo(), io.BytesIO()
  for name, (text, packed) in texts.items():
    content.add_text(name, text, zip=packed)
  Image.new('L', (4, 4)).save(file, 'PNG', pnginfo=content)
  return file.getvalue()


def zipped(data):
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('a.txt', data)
  return file.getvalue()


@pytest.mark.parametrize(
  'data',
  [
    b'..SECRET..',
    'SECRET'.encode('utf-16'),
    gzip.compress(b'a SECRET'),
    b'xx' + gzip.compress(gzip.compress(b'a SECRET')),
    zipped(b'a SECRET'),
    zipped(gzip.compress(b'a SECRET')),
    b'junk' + zlib.compress(b'a SECRET that is packed'),
    png(a=('a SECRET', False)),
    png(a=('a SECRET', True)),
    b'<img src="data:image/png;base64,' + base64.b64encode(png(a=('SECRET', True))) + b'">',
  ],
  ids=range(10),  # What is packed holds the time, and all workers must give a test one name.
)
def test_words_are_found_in_what_is_packed(data):
  assert found_bytes.find(data, WORD)


def test_words_that_are_not_there_are_not_found():
  for data in (b'', b'nothing', gzip.compress(b'x'), zipped(b'x'), png(a=('x', True))):
    assert found_bytes.find(data, WORD) == ''


def test_mutations_are_told_by_their_seed_and_change_most_files():
  seed = bytes(range(256)) * 4
  made = [mutations.mutated(seed, [seed], (b'x',), random.Random(n)) for n in range(200)]
  again = [mutations.mutated(seed, [seed], (b'x',), random.Random(n)) for n in range(200)]
  assert made == again
  assert sum(data != seed for data in made) > 180
