"""Questions about the size of a test set, and what a test that was done says for the next."""

import numpy as np
import pytest

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import assessment, pilot, results_file, test_size, test_size_words
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.test_size import Plan
from medjax.evaluation.test_size_question import Question


@pytest.fixture
def nothing_simulated(monkeypatch):
  monkeypatch.setattr(test_size, '_MOST_IMAGES', 0)


def drawn(patients=150, images=3, own=1.0, seed=0, shift=1.5):
  """Returns predictions of one label; `own` is the patient's share of a score's variance."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), images)
  truth = (rng.random(patients) < 0.3)[patient]
  noise = np.sqrt(own) * rng.normal(size=patients)[patient]
  noise = noise + np.sqrt(1 - own) * rng.normal(size=len(patient))
  logits = shift * (noise + shift * truth - shift / 2) - 0.85
  return Predictions(
    images=[f'{row}.png' for row in range(len(patient))],
    patients=[str(name) for name in patient],
    labels=['Edema'],
    probabilities=(1 / (1 + np.exp(-logits)))[:, None],
    truth=truth[:, None].astype(np.float32),
    known=np.ones((len(patient), 1), bool),
  )


def test_the_way_back_gives_what_was_asked_for(nothing_simulated):
  there = test_size.answer(
    Question(
      prevalence=0.1, auroc=0.85, sensitivity=0.9, specificity=0.8, half_width=0.04,
      slope_half_width=0.2, oe_half_width=0.2,
    )
  )  # fmt: skip
  assert [answer.figure for answer in there.answers] == list(test_size.FIGURES)
  assert there.patients == max(answer.patients for answer in there.answers)
  for answer in there.answers:
    back = test_size.answer(
      Question(
        prevalence=0.1, auroc=0.85, sensitivity=0.9, specificity=0.8, patients=answer.patients
      )
    )
    same = next(other for other in back.answers if other.figure == answer.figure)
    assert same.reach == answer.reach and back.patients == answer.patients


def test_more_is_asked_of_a_small_margin_and_of_uncorrelated_models():
  def patients(**asked):
    return test_size.answer(Question(prevalence=0.3, auroc=0.85, **asked)).patients

  # By half a margin four times as many; two that correlate by 0.5 halve the variance.
  assert patients(margin=0.02, correlation=0.5) == pytest.approx(
    4 * patients(margin=0.04, correlation=0.5), rel=0.02
  )
  assert patients(margin=0.02, correlation=0.0) == pytest.approx(
    2 * patients(margin=0.02, correlation=0.5), rel=0.02
  )
  assert patients(difference=-0.05, correlation=0.5) > patients(difference=0.05, correlation=0.5)


def test_images_of_one_patient_tell_no_more_than_one_unless_it_is_said(nothing_simulated):
  one = test_size.answer(Question(prevalence=0.2, auroc=0.85, half_width=0.05))
  several = Question(prevalence=0.2, auroc=0.85, half_width=0.05, images_per_patient=4)
  alike = test_size.answer(several)
  assert alike.patients == one.patients and alike.answers[0].images == 4 * one.patients
  assert 'tell no more than one' in alike.notes[0]
  apart = test_size.answer(Question(**{**vars(several), 'icc': 0.0}))
  assert apart.patients < 0.5 * one.patients


def test_a_pilot_measures_how_alike_images_of_a_patient_are(nothing_simulated):
  alike = pilot.measure(drawn(own=1.0), 'Edema', 0.3)
  assert set(alike.design_effects) == set(test_size.FIGURES)
  # Each image thrice is each patient once: the counts by which variances are corrected aside.
  assert list(alike.design_effects.values()) == pytest.approx([3.0] * 5, rel=0.03)
  apart = pilot.measure(drawn(own=0.0), 'Edema', 0.3).design_effects
  assert max(apart[name] for name in ('auroc', 'sensitivity', 'calibration_slope')) < 1.35
  assert apart['observed_expected'] == pytest.approx(3, rel=0.03)  # The finding is the patient's.
  plan = test_size.answer(Question(half_width=0.03), alike)
  assert plan.question.auroc == alike.auroc and plan.question.prevalence == alike.prevalence
  single = Question(prevalence=alike.prevalence, auroc=alike.auroc, half_width=0.03)
  assert plan.patients == pytest.approx(test_size.answer(single).patients, rel=0.03)


def test_a_plan_of_a_run_s_own_size_says_what_its_report_has(nothing_simulated):
  test = drawn(patients=240, own=0.6)
  protocol = Protocol(operating_points=('threshold=0.3',), replicates=400)
  tested = assessment.assess(None, test, protocol).result.labels['Edema']
  done = pilot.measure(test, 'Edema', 0.3)
  asked = Question(
    sensitivity=tested.decision.sensitivity.value,
    specificity=tested.decision.specificity.value,
    patients=240,
  )
  reached = {part.figure: part.reach for part in test_size.answer(asked, done).answers}
  for name, figure in (
    ('auroc', tested.auroc),
    ('sensitivity', tested.decision.sensitivity),
    ('specificity', tested.decision.specificity),
    ('calibration_slope', tested.calibration_slope),
  ):
    low, high = figure.interval
    assert reached[name] == pytest.approx((high - low) / 2, rel=0.12), name


def test_a_pilot_measures_the_correlation_of_two_models():
  one = drawn(own=0.5)
  assert pilot.measure(one, 'Edema', None, one).correlation == pytest.approx(0.999)
  turned = one._replace(
    images=one.images[::-1],
    probabilities=one.probabilities[::-1],
  )  # The same scores of the same images in another order.
  assert pilot.measure(one, 'Edema', None, turned).correlation == pytest.approx(0.999)
  shuffled = np.random.default_rng(1).permutation(one.probabilities)
  unrelated = pilot.measure(one, 'Edema', None, one._replace(probabilities=shuffled))
  assert unrelated.correlation < 0.3
  with pytest.raises(InputError, match='not the same test images'):
    pilot.measure(one, 'Edema', None, drawn(patients=100))
  with pytest.raises(InputError, match='no variance between patients'):
    pilot.measure(drawn(patients=1), 'Edema', None)
  assert 'known roughly' in pilot.measure(drawn(patients=30), 'Edema', None).notes[0]
  assert not any('share of images' in note for note in pilot.measure(drawn(), 'Edema', None).notes)
  mixed = drawn(patients=30)
  mixed.truth[:6:3] = 1 - mixed.truth[:6:3]  # One image each of the first two patients.
  (said,) = pilot.measure(mixed, 'Edema', None).notes[1:]
  assert said.startswith('2 patients of them have images with Edema and without')


@pytest.mark.parametrize(
  ('asked', 'words'),
  [
    ({}, 'nothing is asked; try --auroc=0.85'),
    ({'prevalence': 0.1, 'auroc': 0.8}, 'nothing is asked'),
    ({'prevalence': 0, 'auroc': 0.8, 'half_width': 0.1}, '--prevalence=0: must be between 0 and 1'),
    ({'prevalence': 0.1, 'auroc': 0.5, 'half_width': 0.1}, '--auroc=0.5: must be above 0.5'),
    ({'prevalence': 0.1, 'auroc': 1, 'half_width': 0.1}, '--auroc=1: must be'),
    ({'prevalence': 0.1, 'auroc': 0.8, 'half_width': 0.5}, '--half_width=0.5: must be above 0'),
    ({'prevalence': float('nan'), 'half_width': 0.1}, '--prevalence=nan'),
    ({'prevalence': '0.1', 'half_width': 0.1}, '--prevalence=0.1: must be between'),
    ({'auroc': 0.8, 'half_width': 0.1}, '--prevalence is missing'),
    ({'prevalence': 0.1, 'half_width': 0.1}, '--half_width: of what?'),
    ({'prevalence': 0.1, 'auroc': 0.8, 'patients': 100, 'half_width': 0.1}, 'leave one of them'),
    ({'prevalence': 0.1, 'difference': 0.1, 'margin': 0.1}, 'leave one out'),
    ({'prevalence': 0.1, 'margin': 0.1}, '--margin depends on the AUROC'),
    ({'prevalence': 0.1, 'auroc': 0.8, 'margin': 0.1}, '--correlation is missing'),
    ({'prevalence': 0.1, 'auroc': 0.98, 'difference': 0.03, 'correlation': 0}, 'AUROC 1.010'),
    ({'prevalence': 0.1, 'auroc': 0.8, 'half_width': 0.1, 'icc': 0.5}, '--images_per_patient'),
    ({'prevalence': 0.01, 'auroc': 0.8, 'patients': 100}, 'of them 1.0 have the finding'),
    ({'prevalence': 1e-6, 'auroc': 0.8, 'half_width': 0.001}, 'more than 100,000,000 patients'),
    ({'prevalence': 0.1, 'auroc': 0.8, 'half_width': 0.1, 'correlation': 0.5}, '--difference or'),
    ({'prevalence': 0.1, 'sensitivity': 0.9, 'oe_half_width': 0.1}, '--sensitivity: add'),
  ],
)
def test_what_cannot_be_answered_is_one_line(asked, words):
  with pytest.raises(InputError) as error:
    test_size.answer(Question(**asked))
  assert words in str(error.value) and '\n' not in str(error.value)


def test_what_a_run_measures_cannot_be_stated_too():
  done = pilot.measure(drawn(), 'Edema', 0.3)
  with pytest.raises(InputError, match='--images_per_patient: is measured'):
    test_size.answer(Question(half_width=0.05, images_per_patient=2), done)


def test_answers_are_told_and_kept(tmp_path):
  plan = test_size.answer(
    Question(prevalence=0.2, auroc=0.85, patients=300, correlation=0.4, images_per_patient=2)
  )
  lines = test_size_words.in_words(plan)
  assert lines[1].startswith('AUROC 0.85 ± 0.0') and 'design effect 2.00' in lines[1]
  assert any('shown in 80% of studies' in line for line in lines)
  assert any(line.startswith('simulated, 200 test sets: ') for line in lines)
  results_file.save(tmp_path / 'plan.json', plan)
  assert results_file.load(tmp_path / 'plan.json', Plan, 'plan again') == plan


def test_a_split_says_what_its_test_set_can_show():
  counts = {'known': 200, 'positive': 40, 'positive_patients': 30}
  rare = {'known': 200, 'positive': 3, 'positive_patients': 1}
  proof = {'splits': {'test': {'patients': 100, 'labels': {'Edema': counts, 'Mass': rare}}}}
  lines = test_size_words.of_split(proof)
  shown = test_size.answer(Question(prevalence=0.3, auroc=0.8, patients=100)).answers[0].reach
  assert lines[1].split() == (f'Edema ± {shown:.3f}, from 30 patients with and 70 without'.split())
  assert lines[2].split(maxsplit=1)[1].startswith('nothing: it needs two patients')
