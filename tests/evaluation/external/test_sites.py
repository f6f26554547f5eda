"""Each site beside all others: the figures are those of the two parts by themselves."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from drawn_external import PROTOCOL, hospital

from medjax.errors import InputError
from medjax.evaluation import assessment, summary
from medjax.evaluation.external import cohorts, recalibrated, sites
from medjax.evaluation.frozen import calibrated

POINTS = assessment.freeze(hospital(1, 300), PROTOCOL)['image'].operating_points


def by_site(predictions, column='site'):
  return sites.by_column(predictions, POINTS, column, PROTOCOL)


def test_a_site_and_all_others_are_evaluated_by_themselves():
  whole = hospital(2, 250)
  found = by_site(whole)
  assert [site.value for site in found.sites] == ['west', 'north', 'south']  # by their patients
  assert sum(site.images for site in found.sites) == len(whole.images)
  inside = (whole.about['site'] == 'south').to_numpy()
  south = found.sites[2].contrast
  for part, side in ((inside, 'one'), (~inside, 'other')):
    alone = summary.evaluate(None, recalibrated.rows_of(whole, part), POINTS, PROTOCOL)
    assert getattr(south.labels['Edema'].auroc, side) == alone.labels['Edema'].auroc
    assert getattr(south.mean.auroc, side) == alone.mean.auroc
    point = alone.labels['Mass'].operating_points[1]
    assert getattr(south.labels['Mass'].operating_points[1].specificity, side) == point.specificity


def test_a_site_that_does_worse_is_told_from_the_others():
  whole = hospital(2, 500)
  rng = np.random.default_rng(0)
  here = (whole.about['site'] == 'north').to_numpy()
  noise = np.where(here[:, None], rng.random(whole.probabilities.shape), whole.probabilities)
  north = next(
    site for site in by_site(whole._replace(probabilities=noise)).sites if site.value == 'north'
  )
  assert north.contrast.mean.auroc.difference.interval[1] < -0.1


def test_patients_of_several_sites_are_counted_and_said():
  whole = hospital(3, 80)
  whole.about['site'] = np.where(np.arange(len(whole.images)) % 2, 'a', 'b')
  found = by_site(whole)
  shared = set(np.array(whole.patients)[::2]) & set(np.array(whole.patients)[1::2])
  assert [site.shared for site in found.sites] == [len(shared)] * 2
  assert any('of a site have images of others' in note for note in sites.notes(found))


def test_patients_of_several_sites_are_not_taken_for_others():
  # Every image at both sites: the two AUROCs are one, and their difference cannot vary.
  whole = cohorts.of_labels(hospital(3, 80), ['Edema'])
  twice = whole._replace(
    images=[f'{site}/{image}' for site in 'ab' for image in whole.images],
    patients=whole.patients * 2,
    probabilities=np.tile(whole.probabilities, (2, 1)),
    truth=np.tile(whole.truth, (2, 1)),
    known=np.tile(whole.known, (2, 1)),
    about=pd.DataFrame({'site': np.repeat(['a', 'b'], len(whole.images))}),
  )
  site = sites.by_column(twice, {'Edema': POINTS['Edema']}, 'site', PROTOCOL).sites[0]
  difference = site.contrast.labels['Edema'].auroc.difference
  assert difference.value == 0 and difference.interval is None


def test_missing_values_are_a_group_of_their_own():
  whole = hospital(4, 90)
  whole.about.loc[whole.about['site'] == 'south', 'site'] = ''
  assert [site.value for site in by_site(whole).sites] == ['west', 'north', 'not recorded']


@pytest.mark.parametrize(
  ('column', 'said'),
  [
    ('sit', "--by=sit: the images have no such column; did you mean 'site'? There are: site, sex"),
    ('one', '--by=one: all images are of one value, here; there is none to leave out'),
  ],
)
def test_a_column_that_parts_nothing_is_one_line(column, said):
  whole = hospital(5, 30)
  if column == 'one':
    whole.about['one'] = 'here'
  with pytest.raises(InputError) as error:
    by_site(whole, column)
  assert str(error.value).startswith(said)


def test_the_level_of_the_run_is_that_of_the_sites():
  found = sites.by_column(
    calibrated(assessment.freeze(hospital(1, 300), PROTOCOL)['image'], hospital(2, 60)),
    POINTS,
    'sex',
    dataclasses.replace(PROTOCOL, level='patient'),
  )
  assert found.unit == 'patient' and found.column == 'sex'
