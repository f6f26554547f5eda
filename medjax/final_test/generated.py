"""Whether figures are of generated pictures, which every page says first."""

import pathlib

from medjax.config import Config
from medjax.data.phantom import folder
from medjax.runs import finished
from medjax.runs.layout import Layout


def of_run(config: Config) -> str:
  """Returns a sentence if a run's pictures are a phantom's, else ''."""
  return folder.warning_of(config.data.source, config.data.root, config.data.settings)


def of_predictions(*paths: pathlib.Path) -> str:
  """Returns a sentence if one of these is seen to be of a run on a phantom, else ''.

  Args:
    paths: work directories, and files of predictions, which show it where they lie in one.
  """
  for path in paths:
    for folder_of_run in (path, *path.absolute().parents[:3]):
      layout = Layout(folder_of_run)
      if layout.is_run():
        if sentence := of_run(finished.read_config(layout)):
          return sentence
        break
  return ''
