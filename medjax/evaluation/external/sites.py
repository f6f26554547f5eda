"""One model at each site of a sample, beside all other sites together: leave one site out.

The model stays as it is: nothing is trained without the site. What is left out of is the figures of
"all others", so that a site is compared with patients who are not its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from medjax.config.protocol import Protocol
from medjax.data import units
from medjax.errors import InputError, nearest
from medjax.evaluation import summary, value_groups, wording
from medjax.evaluation.external import cohorts, recalibrated
from medjax.evaluation.external.cohorts import Cohort
from medjax.evaluation.external.result import Site, Sites
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.label_figures import CONFIDENCE
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.subgroup_notes import NOT_RECORDED, OTHER

OTHERS = 'all others'


def check_column(predictions: Predictions, column: str) -> None:
  """Raises InputError where predictions have no such column, or all of one value."""
  about = predictions.about
  columns = [] if about is None else list(about)
  if about is None or column not in columns:
    raise InputError(
      f'--by={column}: the images have no such column{nearest(column, columns) or "."} There are: '
      f'{", ".join(columns) or "none"}'
    )
  values = set(value_groups.of_values(column, units.text(about[column])))
  if len(values - {NOT_RECORDED}) < 2:
    only = ', '.join(sorted(values))
    raise InputError(
      f'--by={column}: all images are of one value, {only}; there is none to leave out'
    )


def by_column(
  predictions: Predictions,
  points: Mapping[str, Sequence[FrozenPoint]],
  column: str,
  protocol: Protocol,
) -> Sites:
  """Returns each value of a column less all others together.

  Args:
    predictions: at the level that is tested, calibrated.
    points: label → its frozen operating points.
    column: of `predictions.about`.
    protocol: its head, level, replicates and seed.

  Raises:
    InputError: as `check_column`.
  """
  check_column(predictions, column)
  assert predictions.about is not None
  names = np.array(value_groups.of_values(column, units.text(predictions.about[column])), object)
  patients = np.asarray(predictions.patients, object)
  sizes = {name: len(set(patients[names == name])) for name in dict.fromkeys(names)}
  by_size = sorted(set(sizes) - {NOT_RECORDED}, key=lambda name: (-sizes[name], name))
  kept, merged = by_size[: value_groups.MOST], by_size[value_groups.MOST :]
  groups = [(name, [name]) for name in kept]
  groups += [(OTHER if len(merged) > 1 else merged[0], merged)] if merged else []
  groups += [(NOT_RECORDED, [NOT_RECORDED])] if NOT_RECORDED in sizes else []
  plain = dataclasses.replace(protocol, prevalence={})
  return Sites(
    column=column,
    unit=protocol.level,
    confidence=CONFIDENCE,
    replicates=protocol.replicates,
    seed=protocol.seed,
    images=len(names),
    patients=len(set(patients)),
    sites=tuple(
      _site(predictions, np.isin(names, members), name, len(members), points, plain)
      for name, members in groups
    ),
  )


def _site(
  predictions: Predictions,
  inside: np.ndarray,
  name: str,
  merged: int,
  points: Mapping[str, Sequence[FrozenPoint]],
  protocol: Protocol,
) -> Site:
  patients = np.asarray(predictions.patients, object)
  here, elsewhere = set(patients[inside]), set(patients[~inside])
  one, other = (
    Cohort(called, part, summary.evaluate(None, part, points, protocol))
    for called, part in (
      (name, recalibrated.rows_of(predictions, inside)),
      (OTHERS, recalibrated.rows_of(predictions, ~inside)),
    )
  )
  return Site(
    value=name,
    merged=merged,
    images=int(inside.sum()),
    patients=len(here),
    shared=len(here & elsewhere),
    contrast=cohorts.contrast(one, other, protocol, is_one_set=True),
  )


def notes(sites: Sites) -> list[str]:
  """Returns sentences on what weakens figures by site, the gravest first."""
  sentences = []
  shared = sum(site.shared > 0 for site in sites.sites)
  if shared:
    most = wording.count(max(site.shared for site in sites.sites), 'patient')
    sentences.append(
      f'Up to {most} of a {sites.column} have images of others, too. Intervals of differences in '
      'AUROC know it; the others take the two sides for independent and are then too wide.'
    )
  few = [site.value for site in sites.sites if site.patients < 50]
  if few:
    sentences.append(
      f'Fewer than 50 patients: {wording.some(few)}; intervals from so few tend to be too narrow.'
    )
  return sentences
