"""Words of settings that mean nothing are refused."""

import pytest

from medjax.config import vocabulary
from medjax.errors import InputError


@pytest.mark.parametrize('word', ['full', '4095', '5..5', '9..1', 'a..b', '0..inf', '0..nan', ''])
def test_an_intensity_that_means_nothing_is_one_line(word):
  with pytest.raises(InputError, match=r"config\.data\.intensity is .*'stretch'.*low\.\.high"):
    vocabulary.check_intensity(word, 'config.data.intensity')
