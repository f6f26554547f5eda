"""A page as a parser reads it."""

import html.parser
import re

VOID = {'meta', 'wbr', 'img', 'input'}


class Page(html.parser.HTMLParser):
  """Collects text and attributes, and fails at an element closed out of turn."""

  def __init__(self, text):
    super().__init__()
    self.open, self.elements, self.texts = [], [], []
    self.feed(text)
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))
    assert len(attrs) == len(dict(attrs)), f'{tag} has an attribute twice'
    if tag not in VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] != 'style':
      self.texts.append(data)

  def text(self):
    return re.sub(r'\s+', ' ', ''.join(self.texts))

  def count(self, tag):
    return sum(name == tag for name, _ in self.elements)
