"""Prints every network with its size: python -m medjax.models"""

from medjax.config.published import NETWORKS
from medjax.runtime import command_line


def table() -> str:
  """Returns the networks as a Markdown table."""
  lines = [
    '| network | parameters (M) | multiply-adds (G) | image size | published weights |',
    '|---|---|---|---|---|',
  ]
  for name, (size, parameters, operations, weights) in NETWORKS.items():
    named = f'`{weights}`' if weights else ''
    lines.append(f'| {name} | {parameters:.1f} | {operations:.2f} | {size} | {named} |')
  return '\n'.join(lines)


if __name__ == '__main__':
  command_line.run(lambda: print(table()))
