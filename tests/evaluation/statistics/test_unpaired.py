"""Differences of two samples, and predictive values, against published examples and simulation."""

import numpy as np
import pytest
from scipy import special, stats

from medjax.evaluation.figure import Figure
from medjax.evaluation.statistics import proportions, unpaired

NAMES = 'here', 'there'
# Newcombe, Stat. Med. 17:873, 1998, table II, method 10: contrasts (a) to (h).
NEWCOMBE = [
  ((56, 70), (48, 80), (0.0524, 0.3339)),
  ((9, 10), (3, 10), (0.1705, 0.8090)),
  ((6, 7), (2, 7), (0.0582, 0.8062)),
  ((5, 56), (0, 29), (-0.0381, 0.1926)),
  ((0, 10), (0, 20), (-0.1611, 0.2775)),
  ((0, 10), (0, 10), (-0.2775, 0.2775)),
  ((10, 10), (0, 20), (0.6791, 1.0)),
  ((10, 10), (0, 10), (0.6075, 1.0)),
]


def share(hits, total):
  return Figure(
    hits / total, proportions.score_interval(hits / total, total, stats.norm.ppf(0.975))
  )


@pytest.mark.parametrize(('one', 'other', 'published'), NEWCOMBE)
def test_differences_of_proportions_are_newcombes(one, other, published):
  found = unpaired.difference(share(*one), share(*other), NAMES)
  assert found.value == pytest.approx(one[0] / one[1] - other[0] / other[1])
  assert found.interval == pytest.approx(published, abs=6e-5)


def test_symmetric_intervals_add_up_like_standard_errors():
  one, other = Figure(1.2, (0.9, 1.5)), Figure(1.0, (0.6, 1.4))
  found = unpaired.difference(one, other, NAMES)
  assert found.interval == pytest.approx((0.2 - 0.5, 0.2 + 0.5))


def test_what_lacks_a_value_or_an_interval_says_whose():
  nothing, bare = Figure(None, reason='no positives'), Figure(0.5, reason='too few')
  assert unpaired.difference(nothing, bare, NAMES).reason == 'here: no positives'
  assert unpaired.difference(bare, nothing, NAMES).reason == 'there: no positives'
  found = unpaired.difference(share(1, 2), bare, NAMES)
  assert found.value == 0 and found.interval is None
  assert found.reason == 'there: too few'


def test_predictive_values_follow_bayes():
  # Altman & Bland, BMJ 309:102, 1994: sensitivity 0.90, specificity 0.63; at a prevalence of 0.75
  # the positive predictive value is 0.88, at 0.25 it is 0.45; the negative 0.67 and 0.95.
  sensitivity, specificity = share(231, 258), share(54, 86)
  for prevalence, ppv, npv in ((0.75, 0.88, 0.67), (0.25, 0.45, 0.95)):
    exact = Figure(prevalence, (prevalence, prevalence))
    found = unpaired.predictive_values(sensitivity, specificity, exact)
    assert [round(figure.value, 2) for figure in found] == [ppv, npv]
    for figure in found:
      assert figure.interval[0] < figure.value < figure.interval[1]


def test_bounds_of_predictive_values_add_up_on_the_scale_of_log_odds():
  # Bounds that are symmetric on that scale are standard errors, whose squares add up.
  def around(value, reach):
    return value / np.exp(reach), value * np.exp(reach)

  low, high = around(0.2, 0.2)
  rates = Figure(0.8, around(0.8, 0.1)), Figure(0.8, (1 - high, 1 - low))
  prevalence = Figure(0.3, tuple(special.expit(special.logit(0.3) + np.array([-0.3, 0.3]))))
  ppv, _ = unpaired.predictive_values(*rates, prevalence)
  reach = np.sqrt(0.1**2 + 0.2**2 + 0.3**2)
  expected = special.expit(special.logit(ppv.value) + np.array([-reach, reach]))
  assert ppv.interval == pytest.approx(tuple(expected))
  # The NPV is the PPV of the opposite question.
  turned = Figure(0.7, (1 - prevalence.interval[1], 1 - prevalence.interval[0]))
  _, npv = unpaired.predictive_values(rates[1], rates[0], turned)
  assert npv.interval == pytest.approx(ppv.interval)


def test_predictive_values_at_the_ends_have_a_reason_and_no_bounds():
  some = share(8, 10)
  perfect = unpaired.predictive_values(some, share(10, 10), share(2, 10))
  assert perfect[0].value == 1 and perfect[0].interval is None and perfect[0].reason
  nobody = unpaired.predictive_values(share(0, 10), share(10, 10), share(2, 10))
  assert nobody[0].value is None and nobody[0].reason == 'nothing is called positive'
  none_ill = unpaired.predictive_values(some, some, Figure(0.0, (0.0, 0.1)))
  assert [figure.value for figure in none_ill] == [None, None]
  lacking = Figure(None, reason='no positives')
  assert unpaired.predictive_values(lacking, some, some)[0].reason == 'no positives'


@pytest.mark.slow
def test_intervals_cover():
  """Two samples of patients with up to four images each; nominal 95 %."""
  rng, held = np.random.default_rng(0), {'difference': [], 'ppv': [], 'npv': []}
  sensitivity, specificity, prevalence, elsewhere = 0.8, 0.85, 0.3, 0.12
  chance = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
  there = elsewhere * sensitivity, (1 - elsewhere) * (1 - specificity)
  missed = elsewhere * (1 - sensitivity), (1 - elsewhere) * specificity
  truths = {
    'difference': there[0] / sum(there) - chance[0] / sum(chance),
    'ppv': there[0] / sum(there),
    'npv': missed[1] / sum(missed),
  }
  for _ in range(1500):
    own = sample(rng, 250, prevalence, sensitivity, specificity)
    other = sample(rng, 350, elsewhere, sensitivity, specificity)
    rates, others = (rates_of(*part) for part in (own, other))
    ill = other[1]
    common = Figure(ill.mean(), proportions.of_images(other[0], ill))
    ppv, npv = unpaired.predictive_values(rates['sensitivity'], rates['specificity'], common)
    found = {
      'difference': unpaired.difference(others['ppv'], rates['ppv'], NAMES),
      'ppv': ppv,
      'npv': npv,
    }
    for name, figure in found.items():
      held[name].append(figure.interval[0] <= truths[name] <= figure.interval[1])
  covered = {name: np.mean(values) for name, values in held.items()}
  assert all(0.93 <= value <= 0.97 for value in covered.values()), covered


def sample(rng, patients, prevalence, sensitivity, specificity):
  """Returns (patient, ill, called); a patient is ill in all images or none."""
  images = rng.integers(1, 3, patients)
  ill = np.repeat(rng.random(patients) < prevalence, images)
  alike = np.repeat(rng.normal(size=patients), images)
  noise = (alike + rng.normal(size=len(ill)) * np.sqrt(3)) / 2  # a quarter of it the patient's
  cut = np.where(ill, special.ndtri(sensitivity), special.ndtri(1 - specificity))
  return np.repeat(np.arange(patients), images), ill, noise < cut


def rates_of(patient, ill, called):
  bounds = proportions.rates(patient, ill, called)
  values = {
    'sensitivity': called[ill].mean(),
    'specificity': (~called[~ill]).mean(),
    'ppv': ill[called].mean(),
    'npv': (~ill[~called]).mean(),
  }
  return {name: Figure(float(value), bounds[name]) for name, value in values.items()}
