"""The page of an external validation: no figure without its interval, and nothing unescaped."""

import dataclasses
import html
import re

import pytest
from drawn_external import hospital, validated
from parsed_page import Page

from medjax.evaluation.external import notes
from medjax.evaluation.external.result import ExternalResult, Mapped, Source
from medjax.report import beside, external_page, sites_page, weaknesses

PEOPLE = {'external': {}, 'own test': {}}
FACTS = {'model': 'net & co', 'versions': {'medjax': '0'}}


def result_of(external, **settings):
  found = validated(external, **settings)
  source = Source(
    run='runs/<a>', step=3, frozen_sha256='f' * 64, source='csv', root='/data/b', part='all',
    images=len(external.images), patients=len(set(external.patients)), unreadable={},
    table_sha256='t' * 64, compared='byte for byte',
  )  # fmt: skip
  mapping = (
    Mapped('Edema', ('Oedema',), '--labels', ''),
    Mapped('Mass', ('Mass',), 'name', ''),
    Mapped('Hernia', (), '', "'csv' has no label for it"),
  )
  result = ExternalResult(source, mapping, *found, warnings=(), notes=())
  return dataclasses.replace(
    result, warnings=tuple(notes.warnings(result)), notes=tuple(notes.notes(result, []))
  )


@pytest.fixture(scope='module')
def rendered():
  result = result_of(
    hospital(3, 150, prevalence=(0.5, 0.3), moved=-1.0), by='site', subgroups=('sex',)
  )
  return result, external_page.render(result, title='T1 < 2 cm', people=PEOPLE, facts=FACTS)


def test_every_figure_has_an_interval_or_says_why_not(rendered):
  _, text = rendered
  page = Page(text)
  cells = [
    html.unescape(re.sub(r'<[^>]+>', ' ', cell))
    for cell in re.findall(r'<td[^>]*>.*?</td>', text, re.S)
    if re.search(r'<b>[+−]?\d', cell)
  ]
  assert len(cells) > 60
  for cell in cells:
    assert re.search(r'\(.+(–| to ).+\)', cell) or 'no interval' in cell, cell
  shown = page.text()
  for words in ('T1 < 2 cm', 'runs/<a>', 'net & co', 'Oedema', "'csv' has no label for it"):
    assert words in shown


def test_the_first_screen_says_what_does_not_hold(rendered):
  result, text = rendered
  screen = html.unescape(text[: text.index('<nav')])
  mean = result.contrast.mean
  assert f'{mean.auroc.one.value:.3f}' in screen and f'{mean.auroc.other.value:.3f}' in screen
  assert '150 patients' in screen and '250 patients' in screen and '2 of 3 of the run' in screen
  assert 'Frozen probabilities do not hold in the external set: Edema too low' in screen
  assert 'The prevalence differs: Edema' in screen and 'Not tested: Hernia' in screen
  assert 'class="banner"' not in screen


def test_patients_with_names_of_training_patients_are_said_first(rendered):
  result, text = rendered
  assert 'none known to have trained the run' in Page(text).text()
  source = dataclasses.replace(result.source, namesakes=7)
  result = dataclasses.replace(result, source=source)
  result = dataclasses.replace(result, notes=tuple(notes.notes(result, [])))
  text = Page(external_page.render(result, title='t', people=PEOPLE, facts=FACTS)).text()
  assert '7 by names of patients who trained or chose the run' in text
  assert 'none known' not in text
  note = weaknesses.ranked(result.notes)[0]
  assert note.startswith('7 of 150 patients of the external set bear names of patients') and (
    'if both sets come from one source they are not new, and the figures flatter' in note
  )
  assert note in text


def test_inverted_scores_stand_on_the_first_line():
  external = hospital(8, 100)
  turned = external._replace(probabilities=1 - external.probabilities)
  result = result_of(turned)
  text = external_page.render(result, title='t', people=PEOPLE, facts=FACTS)
  banner = re.search(r'<p class="banner" role="alert">(.*?)</p>', text, re.S).group(1)
  assert 'Edema: the AUROC of the external set is 0.' in banner and 'look inverted' in banner
  # There is no recalibration of what goes the wrong way, and the page says so.
  assert 'the slope is below 0' in html.unescape(text)


def test_sites_have_a_page_and_tables_of_their_own(rendered):
  result, _ = rendered
  text = Page(sites_page.render(dataclasses.replace(result.sites, run='r', tested='x'))).text()
  for site in result.sites.sites:
    assert f'{site.images:,} images' in text
  assert len(sites_page.in_words(result.sites)) == 3
  table = beside.of_sites(result.sites)['sites_labels.csv'].splitlines()
  assert len(table) == 1 + 3 * (len(result.labels) + 1)
  assert table[0].startswith('site,all_images,all_patients,label,here_images')
