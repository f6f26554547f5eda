"""What of a header's free text reaches a table: words of the standard, or a digest."""

import hashlib

import pytest

from medjax.data.images import dicom_words

NAME = 'Doe^Jane'


@pytest.mark.parametrize('word', ['PA', 'ap', 'LL', 'MLO', 'lateral', 'AP_AXIAL'])
def test_views_of_the_standard_stay(word):
  assert dicom_words.view(word) == word.upper().replace('_', ' ')


@pytest.mark.parametrize(
  'shown',
  [
    dicom_words.view(NAME),
    dicom_words.side(NAME),
    dicom_words.identifier(NAME),
    dicom_words.length(NAME),
    dicom_words.scanner('SIEMENS', NAME),
    dicom_words.scanner(NAME, ''),
    dicom_words.scanner(f'GE {NAME}', NAME),
  ],
)
def test_of_other_text_no_part_stays(shown):
  assert 'doe' not in shown.lower() and 'jane' not in shown.lower()


def test_scanners_are_told_apart_under_their_makers_name():
  one, other = (dicom_words.scanner('GE MEDICAL SYSTEMS', model) for model in ('A', 'B'))
  digest = hashlib.sha256(b'GE MEDICAL SYSTEMS A').hexdigest()[:8]
  assert one == f'GE {digest}' and other != one and other.startswith('GE ')
  assert dicom_words.scanner('Acme', 'X 1', frozenset({'Acme X 1'})) == 'Acme X 1'
  assert dicom_words.scanner('', '') == dicom_words.view('') == dicom_words.identifier('') == ''
