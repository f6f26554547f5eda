"""Prints every setting with its default and range, docs/config.md: python -m medjax.config"""

from medjax.runtime import command_line


def main() -> None:
  """Prints the page."""
  from medjax.config import page

  print(page.page(), end='')


if __name__ == '__main__':
  command_line.run(main)
