"""docs/config.md is what the settings are."""

import dataclasses
import re

from conftest import PROJECT

from medjax import config
from medjax.config import fields, page


def test_the_page_is_of_the_settings_as_they_are():
  text = (PROJECT / 'docs/config.md').read_text()
  assert text == page.page(), 'python -m medjax.config > docs/config.md'


def test_every_setting_stands_there_and_says_what_it_is():
  rows = re.findall(r'^\| `([\w.]+)` \| (.+?) \| (.+?) \| (.+) \|$', page.page(), re.M)
  assert [name for name, *_ in rows] == sorted(
    fields.paths(config.Config), key=lambda name: '.' in name
  )
  assert all(default and allowed and meaning for _, default, allowed, meaning in rows)


def test_a_default_there_is_the_default():
  rows = dict(re.findall(r'^\| `([\w.]+)` \| `(.+?)` \|', page.page(), re.M))
  loaded = config.Config(config.Data('phantom', '', ('x',)), config.Model('resnet18'))
  for field in dataclasses.fields(loaded.evaluation):
    assert rows[f'evaluation.{field.name}'] == repr(getattr(loaded.evaluation, field.name))
