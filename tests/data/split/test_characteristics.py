"""Table 1: figures of pandas and numpy, counts by patient, and what is missing."""

import numpy as np
import pandas as pd
import pytest

from medjax.data.split import characteristics


def test_ages_and_sexes_are_of_patients():
  table = pd.DataFrame(
    {
      'patient': ['a', 'a', 'a', 'b', 'c', 'd'],
      'age': ['40', '42', '', '045Y', '', '90+'],
      'sex': ['F', 'Female', '', 'M', '', 'w'],
      'view': ['PA', 'lateral', 'PA', 'PA', '', 'AP'],
    }
  )
  told = characteristics.of_rows(table)
  ages = np.array([41, 45, 90])  # the median of a's two; c's is not known
  age = told['age']
  assert (age['known'], age['missing']) == (3, 1)
  assert age['mean'] == pytest.approx(ages.mean()) and age['sd'] == pytest.approx(ages.std(ddof=1))
  assert age['quartiles'] == pytest.approx(np.percentile(ages, (25, 75)))
  assert age['range'] == [41, 90] and age['median'] == 45
  sex, view = told['counts']['sex'], told['counts']['view']
  assert sex == {'unit': 'patient', 'known': 3, 'missing': 1, 'values': {'F': 2, 'M': 1}}
  assert view['unit'] == 'image' and view['missing'] == 1
  assert view['values'] == table['view'][table['view'] != ''].value_counts().to_dict()
  assert told['images_per_patient'] == {'median': 1, 'lowest': 1, 'highest': 3}


def test_a_patient_of_two_sexes_and_many_sites():
  table = pd.DataFrame(
    {
      'patient': list('aabcdefghij'),
      'sex': ['F', 'M', *['F'] * 9],
      'site': ['s0', 's0', *(f's{number}' for number in range(9))],
    }
  )
  counts = characteristics.of_rows(table)['counts']
  assert counts['sex']['values'] == {'F': 9, characteristics.SEVERAL: 1}
  sites = counts['site']['values']
  assert sites['s0'] == 3 and len(sites) == characteristics.MOST + 1
  assert sites[characteristics.OTHER] == 3 and sum(sites.values()) == 11


def test_nothing_is_said_of_columns_that_are_not_there():
  told = characteristics.of_rows(pd.DataFrame({'patient': ['a', 'b']}))
  assert 'age' not in told and told['counts'] == {}
  assert characteristics.of_rows(pd.DataFrame({'patient': []})) == {}


def test_a_patient_of_both_sexes_is_named():
  table = pd.DataFrame({'patient': ['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd']})
  assert characteristics.note_on_sexes(table) == []
  known = table.assign(sex=['F', 'female', 'M', '', 'O', 'M', 'w', 'F'])
  assert characteristics.note_on_sexes(known) == []
  mixed = table.assign(sex=['M', '', 'F', 'male', 'F', 'F', 'F', 'F'])
  [note] = characteristics.note_on_sexes(mixed)
  assert note.startswith("1 patient with images of both sexes, such as 'b'. ")
