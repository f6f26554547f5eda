"""HTML and SVG elements whose text is always escaped: a label may be called `T1 < 2 cm & N0`.

What turns the direction of reading or steers a terminal is shown as an escape, too: a file's name
could look like another's.
"""

import html
import importlib.resources
import re
from collections.abc import Sequence

from medjax.config import names


class Markup(str):
  """Text that is markup already and is not escaped again."""

  __slots__ = ()


def escaped(value: object) -> str:
  """Returns text that is shown in a page as it is, whatever it holds."""
  text = str(value)
  if not text.isprintable():
    text = ''.join(
      character.encode('unicode_escape').decode()
      if character not in '\n\t' and names.is_steering(character)
      else character
      for character in text
    )
  return html.escape(text, quote=True)


def join(*children: object) -> Markup:
  """Concatenates: `Markup` as it is, lists flattened, None left out, anything else escaped."""
  parts: list[str] = []
  for child in children:
    if isinstance(child, Markup):
      parts.append(child)
    elif isinstance(child, list | tuple):
      parts.append(join(*child))
    elif child is not None:
      parts.append(escaped(child))
  return Markup(''.join(parts))


def tag(name: str, *children: object, **attributes: object) -> Markup:
  """Returns an element: `tag('td', 'a < b', class_='n', data_label='x')`.

  A trailing underscore of an attribute falls away and others become hyphens; None leaves it out.
  """
  attribute_text = ''.join(
    f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
    for key, value in attributes.items()
    if value is not None
  )
  if name in ('img', 'input'):
    return Markup(f'<{name}{attribute_text}>')
  return Markup(f'<{name}{attribute_text}>{join(*children)}</{name}>')


def enlarged(words: str, *picture: object) -> Markup:
  """Returns a picture that fills the screen when it is clicked, or by keyboard; no script does it.

  Args:
    words: what it shows, for those who cannot see it.
    picture: the image and what is drawn over it.
  """
  box = tag('input', type='checkbox', aria_label=f'Enlarge {words}')
  return tag('label', box, *picture, class_='picture')


def page(title: str, css: str, *body: object) -> str:
  """Returns a whole HTML file that fetches nothing: no network, no script, no second file."""
  head = tag(
    'head',
    Markup('<meta charset="utf-8">'),
    Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
    Markup('<meta name="color-scheme" content="light dark">'),
    # Nothing may be fetched, whatever a label or a path contains; pictures lie in the page itself.
    Markup(
      '<meta http-equiv="Content-Security-Policy" '
      "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
    ),
    tag('title', title),
    tag('style', Markup(css)),
  )
  return f'<!doctype html>\n{tag("html", head, tag("body", *body), lang="en")}\n'


def style(*names: str) -> str:
  """Returns style sheets of medjax.report, one after another."""
  folder = importlib.resources.files('medjax.report')
  return '\n'.join(folder.joinpath(name).read_text('utf-8') for name in names)


def identity(name: str) -> str:
  """Returns the id of the part of a page with a title: 'Operating points' → 'operating-points'."""
  return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')


def section(heading: str, *children: object) -> Markup:
  """Returns a section of the report under its heading."""
  return tag('section', tag('h2', heading), *children)


def banner(*sentences: str) -> Markup | None:
  """Returns the first line of a page that forbids trust in it; None without sentences."""
  words = ' '.join(filter(None, sentences))
  return tag('p', words, class_='banner', role='alert') if words else None


SHOWN = 5  # findings that are not folded away
NOTHING = 'Nothing that medjax looks for. It cannot see how the patients were chosen.'


def findings(heading: str, sentences: Sequence[str], nothing: str) -> Markup:
  """Returns the box of a first screen that lists what was found, or says that it was nothing.

  The first `SHOWN` are shown and the others folded away: the gravest must come first.
  """
  entries = [tag('li', sentence) for sentence in sentences]
  more = entries[SHOWN:] and tag(
    'details', tag('summary', f'{len(entries) - SHOWN:,} more'), tag('ul', entries[SHOWN:])
  )
  return tag(
    'section',
    tag('h2', heading, id='weak'),
    tag('ul', entries[:SHOWN]) if entries else tag('p', nothing),
    more or None,
    class_='weak' if sentences else 'weak none',
    aria_labelledby='weak',
  )


def table(
  header: Sequence[str], rows: Sequence[Sequence[object]], class_: str | None = None
) -> Markup:
  """Returns a table; the style sheet turns one of class 'cards' into cards on a narrow screen.

  Roles are spelt out because a browser forgets them when the display of a table is changed.
  """
  head = [tag('th', name, scope='col', role='columnheader') for name in header]
  body = [
    tag(
      'tr',
      tag('th', row[0], scope='row', role='rowheader'),
      [
        tag('td', tag('div', cell), role='cell', data_label=name)
        for name, cell in zip(header[1:], row[1:])
      ],
      role='row',
    )
    for row in rows
  ]
  return tag(
    'table',
    tag('thead', tag('tr', head, role='row'), role='rowgroup'),
    tag('tbody', body, role='rowgroup'),
    role='table',
    class_=class_,
  )


def term(name: str, *children: object) -> Markup:
  """Returns one entry of a `dl`; a long dotted name may break after a dot or an underscore."""
  parts = re.split(r'(?<=[._])', name)
  breakable = [(Markup('<wbr>'), part) for part in parts[1:]]
  return tag('div', tag('dt', parts[0], breakable), tag('dd', *children))


def one_line(value: object, remark: str) -> Markup:
  """Returns a value with quieter words that stay on its line."""
  return tag('span', value, ' ', tag('span', remark, class_='beside'), class_='line')


def small(text: str) -> Markup:
  """Returns quiet words on a line of their own."""
  return tag('small', text)
