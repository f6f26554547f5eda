"""The report's first screen: what was asked, on whom, the answer, and what weakens it."""

from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.result import Result
from medjax.report import weaknesses
from medjax.report.markup import NOTHING, Markup, banner, findings, join, small, tag, term
from medjax.report.sections import patients

_APART = ('notes', 'versions', 'warning')  # facts that are not shown in the list of facts


def first_screen(
  title: str, result: Result, proof: Mapping, facts: Mapping, people: Mapping
) -> Markup:
  """Returns the header of the report; arguments as for `medjax.report.run_page.render`.

  Args:
    title, result, proof, facts: as there.
    people: of the test.
  """
  mean = result.mean
  what = _answers(mean.labels, result)
  auroc, auprc = mean.auroc, mean.auprc
  number = 'No AUROC' if auroc.value is None else wording.number(auroc.value, 3)
  answer = tag(
    'section',
    tag(
      'div',
      tag('h2', what, id='answer'),
      tag('p', number, class_='number'),
      _interval(auroc, result),
      _auprc(auprc, len(mean.labels)),
      _worst(result),
      [tag('p', words, class_='quiet') for words in _left_out(result)],
    ),
    _decision(result),
    class_='answer',
    aria_labelledby='answer',
  )
  sentences = weaknesses.of_run(result, proof, facts)
  asked = tag(
    'dl',
    term('Asked', *_question(str(facts.get('model', 'this model')), result)),
    term(
      'On whom',
      *_tested_on(result, proof, sentences),
      *_people(result, people, bool(proof.get('splits'))),
    ),
    [term(name, text) for name, text in facts.items() if name not in _APART],
    class_='asked',
  )
  weak = findings('What weakens this answer', sentences, NOTHING)
  heading = tag(
    'div',
    _banner(proof, facts),
    tag('p', 'medjax evaluation report', class_='eyebrow'),
    tag('h1', title),
  )
  body = tag('div', tag('div', answer, weak), asked, class_='first')
  return tag('header', heading, body, id='first')


def _answers(labels: Sequence[str], result: Result) -> str:
  if len(labels) == 1:
    return f'Test AUROC of {labels[0]}'
  several = wording.things(result)[1]
  return f'Mean test AUROC of {len(labels)} {several}' if labels else 'Mean test AUROC'


def _auprc(auprc: Figure, labels: int) -> Markup | None:
  if auprc.value is None:
    return None
  why = None if auprc.interval else f', no interval: {auprc.reason}'
  return tag('p', 'Mean ' if labels > 1 else '', 'AUPRC ', wording.plain(auprc, 3), why)


def _worst(result: Result) -> Markup | None:
  """Returns the label with the lowest AUROC, which a mean over several hides."""
  ranked = [
    (r.auroc.value, label) for label, r in result.labels.items() if r.auroc.value is not None
  ]
  if len(ranked) < 2:
    return None
  _, label = min(ranked)
  auroc = result.labels[label].auroc
  bounds = (
    f'({wording.bounds(auroc.interval, 3)})' if auroc.interval else f'(no interval: {auroc.reason})'
  )
  return tag(
    'p', 'Worst: ', tag('b', label), f' {wording.number(auroc.value, 3)} {bounds}', class_='worst'
  )


def _left_out(result: Result) -> list[str]:
  """Returns which labels the mean does not have, and why."""
  mean, sentences = result.mean, []
  if mean.of_one_patient:
    sentences.append(
      f'Without {", ".join(mean.of_one_patient)}, all positives or all negatives of which are of '
      f'one patient: with it there is no interval. The mean of all is '
      f'{wording.number(mean.auroc_of_all, 3)}.'
    )
  absent = [label for label in result.labels if label not in (*mean.labels, *mean.of_one_patient)]
  if absent:
    sentences.append(f'Without {", ".join(absent)}: no positives or no negatives on test.')
  return sentences


def _people(result: Result, people: Mapping, has_flow: bool) -> list[object]:
  """Returns age, sex and prevalence of those tested, and where there is more on them."""
  shares = [r.prevalence for r in result.labels.values() if r.prevalence is not None]
  words = patients.in_short(people)
  if shares:
    low, high = wording.percent(min(shares)), wording.percent(max(shares))
    words.append(f'Prevalence {low}.' if low == high else f'Prevalence {low} to {high}.')
  link = tag('a', 'All on the patients', href='#patients') if has_flow or people else None
  return [' ', ' '.join(words), ' ' if link else None, link]


def _decision(result: Result) -> Markup | None:
  """Returns what comes of deciding, beside what ranking reaches."""
  classes, mean = result.classes, result.mean
  if classes is not None:
    entries = [
      _figure(words, figure, 3, result)
      for name, words, figure in wording.class_figures(classes)
      if name in ('balanced_accuracy', 'quadratic_kappa')
    ]
    return tag('dl', entries, class_='decision')
  points = [result.labels[label].decision for label in mean.labels]
  rules = sorted(
    {wording.rule(point.rule) for point in points if point and point.threshold is not None}
  )
  if not rules:  # The weaknesses say why.
    return None
  some = 'mean ' if len(points) > 1 else ''
  return tag(
    'dl',
    _figure(f'{some}sensitivity', mean.sensitivity, 2, result),
    _figure(f'{some}specificity', mean.specificity, 2, result),
    tag('div', tag('dd', small(f'At the threshold: {", ".join(rules)}'))),
    class_='decision',
  )


def _figure(name: str, figure: Figure, digits: int, result: Result) -> Markup:
  value = tag('span', wording.number(figure.value, digits), class_='number')
  if figure.interval:
    low, high = (wording.number(bound, digits) for bound in figure.interval)
    remark = f'{result.confidence:.0%} interval {low} to {high}'
  else:
    remark = f'{"None" if figure.value is None else "No interval"}: {figure.reason}.'
  shown = None if figure.value is None else value
  return term(wording.capital(name), shown, small(remark))


def _interval(figure: Figure, result: Result) -> Markup:
  if figure.interval is None:
    return tag('p', f'No interval: {figure.reason}.', class_='interval')
  low, high = (wording.number(bound, 3) for bound in figure.interval)
  method = f'{result.method}, {result.replicates:,} replicates'
  return join(
    tag(
      'p',
      f'{result.confidence:.0%} interval ',
      tag('b', low),
      ' to ',
      tag('b', high),
      class_='interval',
    ),
    tag('p', method[0].upper() + method[1:], class_='quiet'),
  )


def _question(model: str, result: Result) -> list[object]:
  labels, (one, several) = list(result.labels), wording.things(result)
  count = f'one {one}' if len(labels) == 1 else f'{len(labels)} {several}'
  asked = f'read {count}' if result.classes is None else f'tell {count} apart'
  return [f'How well does {model} {asked}: ', tag('span', ', '.join(labels), class_='names')]


def _tested_on(result: Result, proof: Mapping, sentences: Sequence[str]) -> list[object]:
  size = result.test
  unit = result.unit
  patients, tested = wording.count(size.patients, 'patient'), wording.count(size.images, unit)
  words = f'{patients if unit == "patient" else f"{patients}, {tested}"} in the test set'
  rule = wording.aggregate(result.aggregate)
  made = f' A {unit}’s probability is {rule} of those of its images.' if unit != 'image' else ''
  are_named = not weaknesses.is_anyone_unnamed(sentences)
  if not are_named and size.patients == size.images:
    words = f'{tested} in the test set'
  if 'test' not in proof.get('patient_overlap', {}):
    if not are_named:
      words += ', their patients not named'
    return [f'{words}. Whether they are also in training is not recorded.{made}']
  shared = shared_with_test(proof)
  if not shared and not are_named:
    return [
      f'{words}. Patients are not named, or not all of them: whether a person is in training too '
      f'is not known.{made}'
    ]
  if not shared:
    return [f'{words}, none of them in training or validation.{made}']
  return [f'{words}. ', tag('strong', f'Of the patients, {shared}.'), made]


def shared_with_test(proof: Mapping) -> str:
  """Returns how many test patients are in other splits, in words; '' if none."""
  overlap = proof.get('patient_overlap', {}).get('test', {})
  return ', '.join(
    f'{number:,} also in {name}' for name, number in overlap.items() if name != 'test' and number
  )


def _banner(proof: Mapping, facts: Mapping) -> Markup | None:
  shared = shared_with_test(proof)
  not_new = f'Not a test on new patients: of those tested, {shared}.' if shared else ''
  return banner(str(facts.get('warning') or ''), not_new)
