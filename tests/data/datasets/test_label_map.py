"""A run's labels in another set: by what the user says, by name, by the common vocabulary."""

import numpy as np
import pytest

from medjax.data.datasets import label_map
from medjax.errors import InputError

NIH = ('Effusion', 'Mass', 'Nodule', 'Edema', 'Hernia')


def made(labels, source, other_labels, other_source, *given):
  entries = label_map.make(
    labels, source, other_labels, other_source, label_map.parse(given, labels)
  )
  return {entry.label: (entry.terms, entry.by) for entry in entries}, entries


def test_names_come_first_then_the_vocabulary():
  found, entries = made(
    ('Edema', 'Pleural Effusion', 'Lung Lesion', 'Fracture'), 'chexpert', NIH, 'chestxray14'
  )
  assert found == {
    'Edema': (('Edema',), 'name'),
    'Pleural Effusion': (('Effusion',), 'vocabulary'),
    'Lung Lesion': (('Mass', 'Nodule'), 'vocabulary'),
    'Fracture': ((), ''),
  }
  assert entries[3].reason == "'chestxray14' has no label for it"


def test_the_vocabulary_is_read_both_ways():
  found, entries = made(('Effusion', 'Mass', 'Emphysema'), 'chestxray14', ('Edema',), 'chexpert')
  assert found['Effusion'] == (('Pleural Effusion',), 'vocabulary')
  assert entries[1].reason == (
    "it is a part of 'Lung Lesion' (Mass or Nodule), which other sets do not divide"
  )
  assert entries[2].reason == "'chexpert' has no label for it"
  # Of a table of one's own the common names are understood.
  found, _ = made(('Effusion',), 'chestxray14', ('Pleural Effusion',), 'csv')
  assert found['Effusion'] == (('Pleural Effusion',), 'vocabulary')
  found, _ = made(('Pleural Effusion',), 'csv', NIH, 'chestxray14')
  assert found['Pleural Effusion'] == (('Effusion',), 'vocabulary')


def test_what_the_user_says_comes_before_all():
  found, _ = made(('Edema',), 'chexpert', NIH, 'chestxray14', 'Mass=Edema', 'Hernia = Edema')
  assert found['Edema'] == (('Mass', 'Hernia'), '--labels')


@pytest.mark.parametrize(
  ('pair', 'said'),
  [
    ('Effusion', "'Effusion' is no pair; write LABEL OF THE OTHER SET=LABEL OF THE RUN"),
    ('=Edema', "'=Edema' is no pair"),
    ('Oedema=Edemaa', "the run has no label 'Edemaa'; did you mean 'Edema'?"),
    ('Edema=Oedema', "did you mean 'Oedema=Edema'?"),
  ],
)
def test_a_wrong_pair_is_one_line(pair, said):
  with pytest.raises(InputError, match='--labels') as error:
    label_map.parse([pair], ['Edema', 'Mass'])
  assert said in str(error.value) and '\n' not in str(error.value)


def test_commas_part_pairs_and_no_labels():
  assert label_map.pairs('a=b,c=d') == ['a=b', 'c=d']
  assert label_map.pairs('Mass, left=Mass') == ['Mass, left=Mass']


def test_a_pair_given_twice_is_refused():
  with pytest.raises(InputError, match='is given twice'):
    label_map.parse(['a=Edema', 'a=Edema'], ['Edema'])


def test_any_term_makes_it_positive_and_an_unknown_one_leaves_it_unknown():
  _, entries = made(('Lung Lesion', 'Edema'), 'chexpert', NIH, 'chestxray14')
  terms = ['Mass', 'Nodule', 'Edema']
  truth = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]])
  known = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]], bool)
  mapped, is_known = label_map.apply(entries, terms, truth, known)
  assert mapped[:, 0].tolist() == [0, 0, 0, 1, 0]
  assert is_known[:, 0].tolist() == [False, True, False, True, False]
  assert mapped[:, 1].tolist() == [0, 1, 0, 0, 1]
  assert is_known[:, 1].tolist() == [True, True, False, True, True]


def test_several_labels_that_make_one_have_the_prevalence_of_the_set():
  # Either finding in 10 % of the images, so one of both in 19 %; a third of all answers is unknown.
  rng = np.random.default_rng(0)
  truth, known = rng.random((20_000, 2)) < 0.1, rng.random((20_000, 2)) < 2 / 3
  entries = [label_map.Entry('Lung Lesion', ('Mass', 'Nodule'))]
  mapped, is_known = label_map.apply(entries, ['Mass', 'Nodule'], truth, known)
  assert mapped[is_known].mean() == pytest.approx(1 - 0.9**2, abs=0.01)
  (said,) = label_map.partly_known(entries, ['Mass', 'Nodule'], truth, known)
  lost = known.any(axis=1) & ~known.all(axis=1)
  positive = lost & (truth & known).any(axis=1)
  assert f'Lung Lesion {positive.sum():,} with the finding' in said
  assert f'and {(lost & ~positive).sum():,} others' in said
  assert not label_map.partly_known(entries, ['Mass', 'Nodule'], truth, np.ones_like(known))


def test_nothing_in_common_names_both():
  _, entries = made(('melanoma',), 'csv', NIH, 'chestxray14')
  error = str(label_map.nothing_in_common(entries, NIH))
  assert error.startswith('no label in common: the run has melanoma, the other set Effusion, Mass')
  assert '--labels=' in error
