"""No decimals that make a number something else: 0, 1, all, none, a margin or a level."""

import decimal

import numpy as np
import pytest

from medjax.evaluation import contrasts, wording
from medjax.report import comparison_page
from medjax.runtime import rounding


@pytest.mark.parametrize(
  ('value', 'digits', 'text'),
  [
    (0.99996, 3, '0.99996'), (0.9996, 3, '0.9996'), (0.9994, 3, '0.999'), (1, 3, '1.000'),
    (0.0004, 3, '0.0004'), (-0.0004, 3, '-0.0004'), (0, 3, '0.000'), (-0.0, 3, '0.000'),
    (1 - 1e-16, 3, '1.000'), (2.9999, 2, '3.00'), (-0.9999, 2, '-0.9999'), (0.5, 2, '0.50'),
  ],
)  # fmt: skip
def test_decimals(value, digits, text):
  assert rounding.decimal(value, digits) == text


def test_decimals_are_those_of_the_decimal_module_unless_it_says_0_or_1():
  for value in np.random.default_rng(0).random(500):
    step = decimal.Decimal(1).scaleb(-2)
    rounded = decimal.Decimal(float(value)).quantize(step, decimal.ROUND_HALF_EVEN)
    text = rounding.decimal(value, 2)
    assert text == str(rounded) or (rounded in (0, 1) and float(text) not in (0, 1))


def test_shares_thresholds_and_p_values():
  shares = (0, 0.00012, 0.123, 0.9997, 1)
  assert [wording.percent(share) for share in shares] == [
    '0.0%', '0.01%', '12.3%', '99.97%', '100.0%',
  ]  # fmt: skip
  assert rounding.percent(0.997, 0) == '99.7%' and rounding.percent(0.004, 0) == '0.4%'
  thresholds = (0.0042, 0.99996, 1.0, 0.5, 12.3456, -0.0042)
  assert [wording.threshold(value) for value in thresholds] == [
    '0.0042', '0.99996', '1.000', '0.500', '12.346', '-0.0042',
  ]  # fmt: skip
  values = (0.0496, 0.0504, 0.0123, 0.9999, 1.0, 0.0001)
  assert [comparison_page.p_value(p, 1 - 0.95) for p in values] == [
    '0.0496', '0.0504', '0.012', '0.9999', '1.000', '<\N{NO-BREAK SPACE}0.001',
  ]  # fmt: skip
  assert wording.signed(0.0004) == '+0.0004' and wording.signed(-0.0199, 3, (-0.02,)) == '−0.0199'
  assert wording.signed(1e-17) == '0.000' and wording.signed(0.0123) == '+0.012'


def test_a_bound_that_is_0_but_for_rounding_decides_nothing():
  for interval, margin, words in (
    ((1e-16, 0.1), 0.02, contrasts.NON_INFERIOR),
    ((1e-6, 0.1), 0.02, contrasts.SUPERIOR),
    ((-0.1, -1e-16), 0.02, contrasts.UNDECIDED),
    ((-0.02 + 1e-17, 0.1), 0.02, contrasts.UNDECIDED),
    ((-0.0199, 0.1), 0.02, contrasts.NON_INFERIOR),
    ((-0.01, -1e-6), 0.02, contrasts.WORSE_WITHIN),
  ):
    assert contrasts.verdict(interval, 0.01, margin, 0.95)[2] == words
