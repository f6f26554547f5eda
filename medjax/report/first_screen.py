"""The report's first screen: what was asked, on whom, the answer, and what weakens it."""

import itertools
from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.report.markup import NOTHING, Markup, findings, join, small, tag, term

_APART = ('notes', 'versions', 'warning')  # facts that are not shown in the list of facts


def first_screen(title: str, summary: Mapping, proof: Mapping, facts: Mapping) -> Markup:
  """Returns the header of the report; the arguments are those of `medjax.report.run_page.render`."""
  mean, labels = summary['mean'], list(summary['labels'])
  what = _answers(mean['labels'], summary)
  auroc, auprc = mean['auroc'], mean['auprc']
  number = 'No AUROC' if auroc['value'] is None else f'{auroc["value"]:.3f}'
  left_out = [label for label in labels if label not in mean['labels']]
  answer = tag(
    'section',
    tag(
      'div',
      tag('h2', what, id='answer'),
      tag('p', number, class_='number'),
      _interval(auroc, summary),
      None
      if auprc['value'] is None
      else tag('p', 'Mean ' if len(mean['labels']) > 1 else '', 'AUPRC ', wording.plain(auprc, 3)),
      tag('p', f'Without {", ".join(left_out)}: see below.', class_='quiet') if left_out else None,
    ),
    _decision(summary),
    class_='answer',
    aria_labelledby='answer',
  )
  asked = tag(
    'dl',
    term('Asked', *_question(str(facts.get('model', 'this model')), summary)),
    term('On whom', *_tested_on(summary, proof)),
    [term(name, text) for name, text in facts.items() if name not in _APART],
    class_='asked',
  )
  weaknesses = findings('What weakens this answer', _weaknesses(summary, proof, facts), NOTHING)
  heading = tag(
    'div',
    _banner(proof, facts),
    tag('p', 'medjax evaluation report', class_='eyebrow'),
    tag('h1', title),
  )
  body = tag('div', tag('div', answer, weaknesses), asked, class_='first')
  return tag('header', heading, body, id='first')


def _answers(labels: Sequence[str], summary: Mapping) -> str:
  if len(labels) == 1:
    return f'Test AUROC of {labels[0]}'
  several = wording.things(summary)[1]
  return f'Mean test AUROC of {len(labels)} {several}' if labels else 'Mean test AUROC'


def _decision(summary: Mapping) -> Markup | None:
  """Returns what comes of deciding, beside what ranking reaches."""
  classes, mean = summary['classes'], summary['mean']
  if classes is not None:
    entries = [
      _figure(wording.CLASS_FIGURES[name], classes[name], 3, summary)
      for name in ('balanced_accuracy', 'quadratic_kappa')
      if name in classes
    ]
    return tag('dl', entries, class_='decision')
  points = [summary['labels'][label]['operating_points'] for label in mean['labels']]
  rules = sorted(
    {wording.rule(of[0]['rule']) for of in points if of and of[0]['threshold'] is not None}
  )
  if not rules:  # The weaknesses say why.
    return None
  names = ('sensitivity', 'specificity')
  some = 'mean ' if len(points) > 1 else ''
  return tag(
    'dl',
    [_figure(some + name, mean[name], 2, summary) for name in names],
    tag('div', tag('dd', small(f'At the threshold: {", ".join(rules)}'))),
    class_='decision',
  )


def _figure(name: str, figure: Mapping, digits: int, summary: Mapping) -> Markup:
  value = tag('span', wording.number(figure['value'], digits), class_='number')
  if figure['interval']:
    low, high = (f'{bound:.{digits}f}' for bound in figure['interval'])
    beside = f'{summary["level"]:.0%} interval {low} to {high}'
  else:
    beside = f'{"None" if figure["value"] is None else "No interval"}: {figure["reason"]}.'
  shown = None if figure['value'] is None else value
  return term(wording.capital(name), shown, small(beside))


def _interval(figure: Mapping, summary: Mapping) -> Markup:
  if figure['interval'] is None:
    return tag('p', f'No interval: {figure["reason"]}.', class_='interval')
  low, high = (f'{bound:.3f}' for bound in figure['interval'])
  method = f'{summary["method"]}, {summary["replicates"]:,} replicates'
  return join(
    tag(
      'p',
      f'{summary["level"]:.0%} interval ',
      tag('b', low),
      ' to ',
      tag('b', high),
      class_='interval',
    ),
    tag('p', method[0].upper() + method[1:], class_='quiet'),
  )


def _question(model: str, summary: Mapping) -> list[object]:
  labels, (one, several) = list(summary['labels']), wording.things(summary)
  count = f'one {one}' if len(labels) == 1 else f'{len(labels)} {several}'
  asked = f'read {count}' if summary['classes'] is None else f'tell {count} apart'
  return [f'How well does {model} {asked}: ', tag('span', ', '.join(labels), class_='names')]


def _tested_on(summary: Mapping, proof: Mapping) -> list[object]:
  size = summary['test']
  unit = wording.unit(summary)
  patients, tested = wording.count(size['patients'], 'patient'), wording.count(size['images'], unit)
  words = f'{patients if unit == "patient" else f"{patients}, {tested}"} in the test set'
  rule = wording.aggregate(summary.get('aggregate') or 'max')
  made = f' A {unit}’s probability is {rule} of those of its images.' if unit != 'image' else ''
  if 'test' not in proof.get('patient_overlap', {}):
    return [f'{words}. Whether they are also in training is not recorded.{made}']
  shared = shared_with_test(proof)
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
  words = [
    facts.get('warning'),
    shared and f'Not a test on new patients: of those tested, {shared}.',
  ]
  words = [sentence for sentence in words if sentence]
  return tag('p', ' '.join(words), class_='banner', role='alert') if words else None


def _weaknesses(summary: Mapping, proof: Mapping, facts: Mapping) -> list[str]:
  found = []
  overlap = proof.get('patient_overlap', {})
  for one, other in itertools.combinations(overlap, 2):
    # The summary has counted those that validation and test share in the predictions themselves.
    if {one, other} != {'validation', 'test'} and overlap[one].get(other):
      found.append(f'{wording.count(overlap[one][other], "patient")} in both {one} and {other}.')
  aside = str(facts.get('images set aside', '0')).strip()
  if aside not in ('', '0', 'none'):
    found.append(f'Images set aside because they could not be read: {aside}.')
  notes = [*found, *facts.get('notes', ()), *summary['notes'], *proof.get('notes', ())]
  return list(dict.fromkeys(str(note) for note in notes))
