"""Which images are shown, and how."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from medjax.evaluation import surest
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.surest import Example
from medjax.report.pictures import data_uri
from medjax.report.sections import examples


def predicted(rows, labels=('Edema',)):
  """Predictions from (patient, probabilities, truth) per image; a truth of None is not known."""
  truth = [[np.nan if t is None else t for t in values] for _, _, values in rows]
  return Predictions(
    [f'{at}.jpg' for at in range(len(rows))],
    [patient for patient, _, _ in rows],
    list(labels),
    np.array([p for _, p, _ in rows], np.float32),
    np.nan_to_num(np.array(truth, np.float32)),
    ~np.isnan(np.array(truth, np.float32)),
  )


def shown(chosen, kind):
  return [example.row for example in chosen if example.kind == kind]


def test_the_furthest_of_every_kind_and_no_patient_twice():
  test = predicted([
    ('a', [0.99], [1]), ('b', [0.97], [1]), ('b', [0.98], [1]), ('c', [0.6], [1]),
    ('d', [0.01], [1]), ('e', [0.3], [1]), ('f', [0.95], [0]), ('g', [0.02], [0]),
    ('h', [0.999], [None]),
  ])  # fmt: skip
  chosen = surest.choose(test, {'Edema': 0.5}, of_kind=2)
  assert shown(chosen, 'true positive') == [0, 2]  # the surer one of b; h's truth is not known
  assert shown(chosen, 'false negative') == [4, 5]
  assert shown(chosen, 'false positive') == [6] and shown(chosen, 'true negative') == [7]
  assert chosen[0] == Example(
    kind='false negative', label='Edema', row=4, image='4.jpg', patient='d',
    probability=float(np.float32(0.01)), threshold=0.5, truth=1,
  )  # fmt: skip
  patients = [example.patient for example in chosen]
  assert len(patients) == len(set(patients))


def test_a_probability_at_the_threshold_is_called_positive():
  chosen = surest.choose(predicted([('a', [0.5], [1])]), {'Edema': 0.5})
  assert [example.kind for example in chosen] == ['true positive']


def test_every_label_has_its_turn_and_is_measured_from_its_own_threshold():
  rows = [(f'a{at}', [0.99 - at / 100, 0.001], [1, 0]) for at in range(5)]
  rows.append(('b', [0.01, 0.2], [0, 1]))  # sure for a label whose threshold is 0.02
  rows.append(('c', [0.01, 0.04], [0, 1]))
  test = predicted(rows, ('Common', 'Rare'))
  chosen = surest.choose(test, {'Common': 0.5, 'Rare': 0.02}, of_kind=2)
  hits = [example for example in chosen if example.kind == 'true positive']
  assert [(hit.label, hit.row) for hit in hits] == [('Common', 0), ('Rare', 5)]


@pytest.mark.parametrize('threshold', [None, float('nan')])
def test_a_label_without_a_threshold_is_passed_over(threshold):
  test = predicted([('a', [0.9], [1])])
  assert surest.choose(test, {'Edema': threshold}) == surest.choose(test, {}) == []


def test_choice_agrees_with_a_plain_search():
  rng = np.random.default_rng(0)
  truth = rng.random(500) < 0.3
  test = predicted([
    (f'p{at // 3}', [p], [t])
    for at, (p, t) in enumerate(zip(rng.random(500).round(2), truth))
  ])  # fmt: skip
  chosen = surest.choose(test, {'Edema': 0.4}, of_kind=4)
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
  for kind, start in (('png', b'\x89PNG'), ('jpeg', b'\xff\xd8\xff')):
    uri, data = data_uri(Image.new('L', (4, 4)), kind).split(',')
    content = base64.b64decode(data)
    assert uri == f'data:image/{kind};base64' and content.startswith(start)
    assert Image.open(io.BytesIO(content)).size == (4, 4)


def test_section_says_what_is_seen_and_marks_boxes():
  example = Example(
    kind='false negative', label='Mass <2 cm', row=0, image='a.png', patient='p',
    probability=0.02, threshold=0.4, truth=1, heat=data_uri(Image.new('L', (4, 4)), 'png'),
    boxes=((0.25, 0.5, 0.125, 0.25),),
  )  # fmt: skip
  text = examples.section([example])
  assert 'Worst misses' in text and 'Surest hits' not in text
  assert 'Mass &lt;2 cm' in text and '2.0%' in text and 'could not be drawn' in text
  assert 'x="0.2500" y="0.5000" width="0.1250" height="0.2500"' in text
  assert 'what speaks for that label, by heat maps of' in text and 'alt="Heat map of Mass' in text
  plain = examples.section([dataclasses.replace(example, heat=None, boxes=())])
  assert 'what speaks' not in plain and 'Frames' not in plain
  assert 'single images' not in text
  of_studies = examples.section([example], 'Grad-CAM', 'study')
  assert 'by Grad-CAM' in of_studies and 'while this report is of studies' in of_studies
  elsewhere = dataclasses.replace(example, heat='https://example.org/a.png')
  assert 'example.org' not in examples.section([elsewhere])
