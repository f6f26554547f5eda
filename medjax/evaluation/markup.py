"""HTML and SVG elements whose text is always escaped: a label may be called `T1 < 2 cm & N0`."""

import html


class Markup(str):
  """Text that is markup already and is not escaped again."""

  __slots__ = ()


def join(*children: object) -> Markup:
  """Concatenates: `Markup` as it is, lists flattened, None left out, anything else escaped."""
  parts = []
  for child in children:
    if isinstance(child, Markup):
      parts.append(child)
    elif isinstance(child, list | tuple):
      parts.append(join(*child))
    elif child is not None:
      parts.append(html.escape(str(child), quote=True))
  return Markup(''.join(parts))


def tag(name: str, *children: object, **attributes: object) -> Markup:
  """Returns an element: `tag('td', 'a < b', class_='n', data_label='x')`.

  A trailing underscore of an attribute falls away and others become hyphens; None leaves it out.
  """
  written = ''.join(
    f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
    for key, value in attributes.items()
    if value is not None
  )
  return Markup(f'<{name}{written}>{join(*children)}</{name}>')
