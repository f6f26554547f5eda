"""Which images are shown, and how."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from medjax.evaluation.predictions import Predictions
from medjax.report.sections import examples


def predicted(rows, labels=('Edema',)):
  """Predictions from (patient, probabilities, truth) per image; a truth of None is not known."""
  truth = [[np.nan if t is None else t for t in of] for _, _, of in rows]
  return Predictions(
    [f'{at}.jpg' for at in range(len(rows))],
    [patient for patient, _, _ in rows],
    list(labels),
    np.array([p for _, p, _ in rows], np.float32),
    np.nan_to_num(np.array(truth, np.float32)),
    ~np.isnan(np.array(truth, np.float32)),
  )


def shown(chosen, kind):
  return [example['row'] for example in chosen if example['kind'] == kind]


def test_the_furthest_of_every_kind_and_no_patient_twice():
  test = predicted([
    ('a', [0.99], [1]), ('b', [0.97], [1]), ('b', [0.98], [1]), ('c', [0.6], [1]),
    ('d', [0.01], [1]), ('e', [0.3], [1]), ('f', [0.95], [0]), ('g', [0.02], [0]),
    ('h', [0.999], [None]),
  ])  # fmt: skip
  chosen = examples.choose(test, {'Edema': 0.5}, each=2)
  assert shown(chosen, 'true positive') == [0, 2]  # the surer one of b; h's truth is not known
  assert shown(chosen, 'false negative') == [4, 5]
  assert shown(chosen, 'false positive') == [6] and shown(chosen, 'true negative') == [7]
  assert chosen[0] == {
    'kind': 'false negative', 'label': 'Edema', 'row': 4, 'image': '4.jpg', 'patient': 'd',
    'probability': pytest.approx(0.01), 'threshold': 0.5, 'truth': 1,
  }  # fmt: skip
  patients = [example['patient'] for example in chosen]
  assert len(patients) == len(set(patients))


def test_a_probability_at_the_threshold_is_called_positive():
  chosen = examples.choose(predicted([('a', [0.5], [1])]), {'Edema': 0.5})
  assert [example['kind'] for example in chosen] == ['true positive']


def test_every_label_has_its_turn_and_is_measured_from_its_own_threshold():
  rows = [(f'a{at}', [0.99 - at / 100, 0.001], [1, 0]) for at in range(5)]
  rows.append(('b', [0.01, 0.2], [0, 1]))  # sure for a label whose threshold is 0.02
  rows.append(('c', [0.01, 0.04], [0, 1]))
  test = predicted(rows, ('Common', 'Rare'))
  chosen = examples.choose(test, {'Common': 0.5, 'Rare': 0.02}, each=2)
  hits = [example for example in chosen if example['kind'] == 'true positive']
  assert [(hit['label'], hit['row']) for hit in hits] == [('Common', 0), ('Rare', 5)]


@pytest.mark.parametrize('threshold', [None, float('nan')])
def test_a_label_without_a_threshold_is_passed_over(threshold):
  test = predicted([('a', [0.9], [1])])
  assert examples.choose(test, {'Edema': threshold}) == examples.choose(test, {}) == []


def test_choice_agrees_with_a_plain_search():
  rng = np.random.default_rng(0)
  truth = rng.random(500) < 0.3
  test = predicted([
    (f'p{at // 3}', [p], [t])
    for at, (p, t) in enumerate(zip(rng.random(500).round(2), truth))
  ])  # fmt: skip
  chosen = examples.choose(test, {'Edema': 0.4}, each=4)
  used = set()
  for kind, called, there, sign in (
    ('false negative', False, True, 1), ('false positive', True, False, -1),
    ('true positive', True, True, -1), ('true negative', False, False, 1),
  ):  # fmt: skip
    order = sorted(range(500), key=lambda row: (sign * test.probabilities[row, 0], row))
    expected = []
    for row in order:
      right = (test.probabilities[row, 0] >= 0.4) == called and truth[row] == there
      if right and test.patients[row] not in used and len(expected) < 4:
        used.add(test.patients[row])
        expected.append(row)
    assert shown(chosen, kind) == expected


def test_pictures_lie_in_the_page():
  buffer = io.BytesIO()
  Image.new('L', (4, 4)).save(buffer, 'PNG')
  uri = examples.data_uri(buffer.getvalue())
  kind, data = uri.split(',')
  assert kind == 'data:image/png;base64' and base64.b64decode(data) == buffer.getvalue()
  assert examples.data_uri(b'\xff\xd8\xff').startswith('data:image/jpeg;')
  assert examples.data_uri(uri) == uri
  assert examples.data_uri(None) is None and examples.data_uri('https://example.org/a.png') is None


def test_section_says_what_is_seen_and_marks_boxes():
  example = {
    'kind': 'false negative', 'label': 'Mass <2 cm', 'image': 'a.png', 'patient': 'p',
    'probability': 0.02, 'threshold': 0.4, 'truth': 1, 'picture': None, 'heat': b'\x89PNG',
    'boxes': [(0.25, 0.5, 0.125, 0.25)],
  }  # fmt: skip
  text = examples.section([example])
  assert 'Worst misses' in text and 'Surest hits' not in text
  assert 'Mass &lt;2 cm' in text and '2.0%' in text and 'could not be drawn' in text
  assert 'x="0.2500" y="0.5000" width="0.1250" height="0.2500"' in text
  assert 'what speaks for that label, by heat maps of' in text and 'alt="Heat map of Mass' in text
  plain = examples.section([{**example, 'heat': None, 'boxes': []}])
  assert 'what speaks' not in plain and 'Frames' not in plain
  assert 'single images' not in text
  of_studies = examples.section([example], 'Grad-CAM', 'study')
  assert 'by Grad-CAM' in of_studies and 'while this report is of studies' in of_studies
