"""A training run of seconds."""

from conftest import TINY


def run(command, workdir, root, *arguments, check=True):
  """A tiny run on one of the two phantoms."""
  arguments = (f'--config.data.settings.seed={int(root.name == "other")}', *arguments)
  return command(
    'main', '--config=configs/phantom.py', f'--workdir={workdir}', *TINY,
    f'--config.data.root={root}', *arguments, check=check,
  )  # fmt: skip
