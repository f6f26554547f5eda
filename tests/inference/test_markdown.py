"""Text in Markdown is shown as it is, as markdown-it-py renders CommonMark and GitHub's tables."""

import html
import re

import pytest

from medjax.inference import markdown

TEXTS = (
  '<script>alert(1)</script>',
  '[click](javascript:alert(1))',
  '![x](http://a.example/x.png)',
  '[a][b] [c]: http://a.example',
  '`code` **bold** _leaning_ ~~gone~~',
  'a | b \\| c \\',
  '&lt;b&gt; &#60;',
  'http://a.example and www.a.example',
  'densenet121_x.tv_in1k',
  'T1 < 2 cm & N0*',
)


@pytest.mark.parametrize('text', TEXTS)
def test_text_is_shown_as_it_is(text):
  renderer = pytest.importorskip('markdown_it').MarkdownIt('commonmark').enable('table')
  rendered = renderer.render(markdown.items(text))
  assert rendered.count('<') == 4  # The list and its item, nothing of the text.
  assert html.unescape(rendered) == f'<ul>\n<li>{text}</li>\n</ul>\n'
  rendered = renderer.render(markdown.table(['a', text], [[text, 'b']]))
  cells = re.findall(r'<t[hd]>(.*?)</t[hd]>', rendered)
  assert [html.unescape(cell) for cell in cells] == ['a', text, text, 'b']


def test_no_address_becomes_a_link_by_itself():
  assert 'http://' not in markdown.text('see http://a.example') and 'www.a' not in markdown.text(
    'www.a'
  )


@pytest.mark.parametrize('text', ['a\nb', 'a\x1b[2Jb', 'a\u202eb', 'a\u2028b', 'a\x00b'])
def test_what_steers_is_shown_as_an_escape_on_one_line(text):
  shown = markdown.text(text)
  assert shown.isprintable() and shown.startswith('a\\')
