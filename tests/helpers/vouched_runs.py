"""Work directories that a test has changed, made to vouch for themselves again."""

import hashlib
import json
import shutil

from medjax.data.split import split_files
from medjax.runs import integrity
from medjax.runs.layout import Layout


def vouch(workdir):
  """Has test.json vouch for the files as they are now; returns the folder."""
  layout = Layout(workdir)
  content = json.loads(layout.result.read_text()) | {'files': integrity.at_end(layout)}
  layout.result.write_text(json.dumps(content))
  return workdir


def write_split(workdir, text):
  """Writes split.csv, with a proof of it and nothing else; returns its SHA-256."""
  layout, digest = Layout(workdir), hashlib.sha256(text.encode()).hexdigest()
  layout.split.write_text(text)
  proof = {'format': split_files.FORMAT, 'split_sha256': digest}
  layout.split_proof.write_text(json.dumps(proof))
  return digest


def split_otherwise(workdir, text):
  """Gives a finished run another split, as if it had been trained with it."""
  shutil.rmtree(workdir / 'checkpoints')  # They say which split trained them.
  write_split(workdir, text)
  return vouch(workdir)
