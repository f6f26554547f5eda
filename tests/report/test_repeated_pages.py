"""The pages of folds and of seeds say over what each figure is, and never a figure alone."""

import dataclasses
import re

import numpy as np
import pytest
import synthetic_summary
from drawn_folds import LABELS, PROTOCOL, fold
from parsed_page import Page

from medjax.evaluation import folds, spreads, wording
from medjax.evaluation.repeated_result import FoldsResult, Network, OverSeeds, SeedsResult
from medjax.report import beside, folds_page, repeated_parts, seeds_page


def networks(results, kind):
  return tuple(
    Network(
      name=f'{kind} {number}',
      folder=f'{kind}{number}',
      images=result.test.images,
      patients=result.test.patients,
      trained_on=300,
      chosen_on=60,
      auroc=result.mean.auroc,
      labels={label: tested.auroc for label, tested in result.labels.items()},
      thresholds=result.thresholds(),
    )
    for number, result in enumerate(results)
  )


@pytest.fixture(scope='module')
def of_folds():
  parts = [fold(seed, patients=25) for seed in range(3)]
  pooled = folds.pool(parts, PROTOCOL)
  return FoldsResult(
    by='patient',
    networks=networks([part.result for part in parts], 'fold'),
    pooled=pooled.result,
    mean=pooled.mean,
    labels=pooled.labels,
    notes=('A note.',),
    facts={'test set read': 'once by each fold'},
  )


@pytest.fixture(scope='module')
def of_seeds():
  labels = ['Edema', 'Mass & <N0>']
  results = [synthetic_summary.evaluated(labels) for _ in range(2)]
  over = {
    label: OverSeeds(results[0].labels[label].auroc, spreads.of_label(results, label))
    for label in labels
  }
  mean = OverSeeds(results[0].mean.auroc, spreads.of_mean(results, labels))
  return SeedsResult((0, 1), networks(results, 'seed'), results[0], mean, over)


def test_the_first_screen_of_folds_has_the_three_figures_and_who_was_tested(of_folds):
  page = folds_page.render(of_folds, title='net on films', warning='Generated.')
  text = Page(page).text()
  auroc = of_folds.pooled.mean.auroc
  for words in (
    'Generated.', 'net on films', 'Mean AUROC of 2 labels, pooled over 3 folds',
    f'95% interval {auroc.interval[0]:.3f} to {auroc.interval[1]:.3f} over patients',
    f'Within folds: {of_folds.mean.auroc_within.value:.3f}',
    f'Mean of folds: {of_folds.mean.auroc_mean.value:.3f}',
    '75 patients, 150 images', 'everybody once, by a network that had not seen them', 'A note.',
    'Raw scores of networks that were trained apart do not share a scale',
  ):  # fmt: skip
    assert words in text, words
  for number in range(3):
    assert f'href="../fold{number}/report/index.html"' in page


def test_the_first_screen_of_seeds_keeps_two_kinds_of_luck_apart(of_seeds):
  page = seeds_page.render(of_seeds, title='net', method='platt')
  text = Page(page).text()
  assert 'ensemble of 2 networks' in text and 'Two kinds of luck stay apart' in text
  spread = of_seeds.mean.spread.auroc
  assert f'Over seeds: SD 0.000, {spread.low:.3f} to {spread.high:.3f} over 2 seeds' in text
  assert 'Mass &amp; &lt;N0&gt;' in page and '<N0>' not in page


@pytest.mark.parametrize('which', ['folds', 'seeds'])
def test_no_figure_is_without_interval_or_why(which, of_folds, of_seeds):
  if which == 'folds':
    page = folds_page.render(of_folds, title='x')
  else:
    page = seeds_page.render(of_seeds, title='x', method='platt')
  cells = re.findall(r'<td[^>]*>(.*?)</td>', page, re.S)
  figures = [cell for cell in cells if re.search(r'<b>−?\d', cell)]
  assert len(figures) > 20
  for cell in figures:
    assert re.search(r'\(−?[\d.]+(–| to )', cell) or 'no interval' in cell, cell


def test_tables_beside_the_page_have_every_network(of_folds):
  tables = beside.of_networks(of_folds.networks, of_folds.labels)
  rows = tables['networks.csv'].splitlines()
  assert len(rows) == 1 + 3 * (len(LABELS) + 1)
  value = of_folds.labels['Mass'].spread.auroc.sd
  assert any(f'{value}' in row for row in tables['spread.csv'].splitlines())


def test_a_label_that_a_fold_could_not_decide_has_no_figure(of_folds):
  point = dataclasses.replace(
    of_folds.pooled.labels['Mass'].operating_points[0], reason='fold 1: too few', confusion=None
  )
  tested = of_folds.pooled.labels['Mass']
  changed = dataclasses.replace(tested, operating_points=(point, *tested.operating_points[1:]))
  pooled = dataclasses.replace(of_folds.pooled, labels=of_folds.pooled.labels | {'Mass': changed})
  text = Page(folds_page.render(dataclasses.replace(of_folds, pooled=pooled), title='x')).text()
  assert 'fold 1: too few' in text


def test_predictive_values_at_a_stated_prevalence_are_shown():
  protocol = dataclasses.replace(PROTOCOL, prevalence={'Edema': 0.02})
  pooled = folds.pool([fold(seed, patients=25) for seed in range(2)], protocol)
  result = FoldsResult('patient', (), pooled.result, pooled.mean, pooled.labels)
  text = Page(folds_page.render(result, title='x')).text()
  stated = pooled.result.labels['Edema'].decision.at_prevalence
  for figure in (stated.ppv, stated.npv):
    assert f'at {wording.percent(0.02)}: {wording.plain(figure, 3)}' in text
  assert 'below them stands what they are at the prevalence named there' in text


def test_of_sites_the_page_says_that_pooling_may_raise_the_auroc(of_folds):
  by_site = dataclasses.replace(of_folds, by='site')
  said = 'between sites of unlike prevalence it may also raise it'
  assert said in Page(folds_page.render(by_site, title='x')).text()
  assert said not in Page(folds_page.render(of_folds, title='x')).text()


def test_dots_of_networks_that_have_no_value_are_left_out():
  spread = spreads.spread([0.7, None, 0.9])
  drawing = repeated_parts.dots('AUROC', spread, 0.5, 'folds')
  assert drawing.count('<circle') == 2 and 'in 2 folds' in drawing
  assert repeated_parts.spread_words(spread, 2, 'folds') == 'SD 0.14, 0.70 to 0.90 over 2 folds'
  assert np.isclose(spread.sd, np.std([0.7, 0.9], ddof=1))
