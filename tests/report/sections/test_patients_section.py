"""The patients: the way from the files to the test set adds up, and who they are."""

import synthetic_summary
from parsed_page import Page

from medjax.report.sections import patients, proof_words

LABELS = ['Edema', 'Mass']


def part(images, number, known=None):
  label = {'known': known or images, 'positive': 7, 'prevalence': 0.1, 'positive_patients': 3}
  return {'images': images, 'patients': number, 'labels': dict.fromkeys(LABELS, label)}


PROOF = {
  'source': {
    'images': 1000,
    'patients': 300,
    'of_other_views': 90,
    'patients_of_other_views': 4,
  },
  'splits': {
    'train': part(410, 150),
    'validation': part(100, 46),
    'test': part(403, 201, known=390),
    'unused': part(7, 2),
  },
}
PEOPLE = {
  'test': {
    'images_per_patient': {'median': 2.0, 'lowest': 1, 'highest': 4},
    'age': {
      'known': 190, 'missing': 11, 'mean': 61.2, 'sd': 9.9, 'median': 62.0,
      'quartiles': [54.0, 70.0], 'range': [18.0, 90.0],
    },
    'counts': {
      'sex': {'unit': 'patient', 'known': 199, 'missing': 2, 'values': {'F': 100, 'M': 99}}
    },
  }
}  # fmt: skip


def test_the_flow_says_who_was_left_out_and_why():
  result = synthetic_summary.evaluated(LABELS)
  aside = {'test': {'cut off': 2, 'no such image file': 1}, 'train': {'cut off': 10}}
  text = Page(patients.patients(result, PROOF, PEOPLE, aside)).text()
  for words in (
    '1,000 images of 300 patients', '90 images of 4 patients', '7 images of 2 patients',
    '403 images of 201 patients', '3 images: 2 cut off; 1 no such image file',
    'Trained on400 images', 'Tested400 images of 200 patients',
    '61.2 ± 9.9 median 62 (54–70)', 'not recorded 11 of 201', '50.3% 100 of 199', '2 of 201',
    'truth not known of 13',
  ):  # fmt: skip
    assert words in text, words


def test_nobody_is_counted_where_patients_are_not_named():
  result = synthetic_summary.evaluated(LABELS)
  note = 'The source names no patients: every image counts as a patient of its own.'
  alone = {name: part(number, number) for name, number in
           (('train', 410), ('validation', 100), ('test', 400))}  # fmt: skip
  for splits, words in (
    (alone, '410 images, their patients not named'),
    (PROOF['splits'], '410 images of 150 patients or what stands in for them'),
  ):
    proof = {'source': PROOF['source'], 'splits': splits, 'notes': [note]}
    text = Page(patients.patients(result, proof, PEOPLE, {})).text()
    assert words in text and 'Images per patientor what stands in for one' in text.replace(
      'patient or', 'patientor'
    )
    assert '3 patients' not in text  # positive for a label
  text = Page(patients.patients(result, PROOF, PEOPLE, {})).text()
  assert 'not named' not in text and 'stands in' not in text and '3 patients' in text


def test_an_older_split_says_that_it_does_not_record_them():
  result = synthetic_summary.evaluated(LABELS)
  splits = {name: counts for name, counts in PROOF['splits'].items()}
  text = Page(patients.patients(result, {'splits': splits}, {}, {})).text()
  assert 'were not recorded when this split was made' in text and 'In the source' not in text
  assert patients.patients(result, {}, {}, {}) is None
  assert patients.in_short({}) == []  # What is recorded is not known.
  assert patients.in_short({'counts': {}}) == ['Age and sex: not recorded.']


def test_a_proof_is_told_in_words():
  proof = {
    'seed': 3,
    'settings': {'test': 0.2, 'validation': 'official or 0.1', 'file': '', 'date': '', 'seed': 3},
    'how': {
      'test': {'from': 'drawn', 'floor': {'Mass': 10}, 'enriched': ['Mass']},
      'validation': {'from': 'official', 'stand_ins': 0},
    },
    'duplicates': {'images_listed_twice': 0, 'identical_images': {'test in train': 2}},
  }
  words = dict(proof_words.rows(proof))
  assert words['Test'].startswith('drawn by patient; 20% of the patients; at least so many')
  assert 'Mass 10' in words['Test'] and 'enriched to reach that: Mass' in words['Test']
  assert words['Seed of the draw'] == '3'
  assert 'test in train 2' in words['Images that are byte for byte those of another side']
  assert not any('.' in name or '_' in name for name in words)  # no keys of JSON
  assert proof_words.rows({}) == []
