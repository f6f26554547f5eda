"""The report: one HTML file that says what was asked, on whom, the answer, and what weakens it.

It needs no network, no script and no second file, so that it can be mailed, archived and printed.
"""

import itertools
from collections.abc import Mapping, Sequence

from medjax.evaluation import confusion, discrimination, learning, wording
from medjax.evaluation.markup import (
  Markup,
  join,
  one_line,
  page,
  section,
  small,
  style,
  table,
  tag,
  term,
)

APART = ('notes', 'versions', 'warning')  # facts that are not shown in the list of facts


def render(
  *,
  title: str,
  summary: Mapping,
  history: Sequence[Mapping],
  split_proof: Mapping,
  config: Mapping,
  facts: Mapping,
) -> str:
  """Returns the report as the text of one HTML file.

  Args:
    title: of the page, plain text like all that is given here; everything is escaped.
    summary: what `medjax.evaluation.summary.evaluate` returns.
    history: the lines of metrics.jsonl: {'step', 'split': 'train' or 'validation', 'loss', and on
      validation 'auroc_mean' and 'auroc': {label: value}}; absent and NaN values are passed over.
    split_proof: what `medjax.data.splits.proof` returns, or {} where there is none.
    config: the settings as plain types, nested as they like.
    facts: name -> words, shown first in the order given ('source', 'model', 'best step', 'images
      set aside', …), except 'notes', a list of sentences that weaken the answer, and 'versions',
      name -> words, shown last. 'warning' is one sentence that forbids trust in the answer; it
      stands on the first line. Test patients that are in another split warn by themselves.
  """
  sections = (
    confusion.decisions(summary),
    discrimination.label_table(summary),
    discrimination.roc_curves(summary),
    learning.curves(history, str(facts.get('best step', ''))),
    _split(split_proof, list(summary['labels'])),
    _configuration(config),
    _versions(facts),
  )
  first = _first_screen(title, summary, split_proof, facts)
  return page(f'{title} · medjax report', style('report.css'), first, tag('main', *sections))


def _first_screen(title: str, summary: Mapping, proof: Mapping, facts: Mapping) -> Markup:
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
    [term(name, text) for name, text in facts.items() if name not in APART],
    class_='asked',
  )
  weak = _weaknesses(summary, proof, facts)
  weaknesses = tag(
    'section',
    tag('h2', 'What weakens this answer', id='weak'),
    tag('ul', [tag('li', note) for note in weak])
    if weak
    else tag('p', 'Nothing that medjax looks for. It cannot see how the patients were chosen.'),
    class_='weak' if weak else 'weak none',
    aria_labelledby='weak',
  )
  heading = tag(
    'div',
    _banner(proof, facts),
    tag('p', 'medjax evaluation report', class_='eyebrow'),
    tag('h1', title),
  )
  return tag('header', heading, tag('div', tag('div', answer, weaknesses), asked, class_='first'))


def _answers(labels: Sequence[str], summary: Mapping) -> str:
  if len(labels) == 1:
    return f'Test AUROC of {labels[0]}'
  several = wording.things(summary)[1]
  return f'Mean test AUROC of {len(labels)} {several}' if labels else 'Mean test AUROC'


def _decision(summary: Mapping) -> Markup | None:
  classes = summary['classes']
  if classes is None:
    return None
  entries = []
  for name in ('balanced_accuracy', 'quadratic_kappa'):
    if name in classes:
      figure = classes[name]
      value = tag('span', wording.number(figure['value'], 3), class_='number')
      if figure['interval']:
        low, high = (f'{bound:.3f}' for bound in figure['interval'])
        beside = f'{summary["level"]:.0%} interval {low} to {high}'
      else:
        beside = f'{"None" if figure["value"] is None else "No interval"}: {figure["reason"]}.'
      entries.append(
        term(
          wording.capital(wording.CLASS_FIGURES[name]),
          None if figure['value'] is None else value,
          small(beside),
        )
      )
  return tag('dl', entries, class_='decision')


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
  patients, images = (wording.count(size[f'{thing}s'], thing) for thing in ('patient', 'image'))
  words = f'{patients}, {images} in the test set'
  if 'test' not in proof.get('patient_overlap', {}):
    return [f'{words}. Whether they are also in training is not recorded.']
  shared = _shared_with_test(proof)
  if not shared:
    return [f'{words}, none of them in training or validation.']
  return [f'{words}. ', tag('strong', f'Of the patients, {shared}.')]


def _shared_with_test(proof: Mapping) -> str:
  overlap = proof.get('patient_overlap', {}).get('test', {})
  return ', '.join(
    f'{number:,} also in {name}' for name, number in overlap.items() if name != 'test' and number
  )


def _banner(proof: Mapping, facts: Mapping) -> Markup | None:
  shared = _shared_with_test(proof)
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


def _split(proof: Mapping, labels: Sequence[str]) -> Markup:
  splits = {name: of for name, of in proof.get('splits', {}).items() if of['images']}
  if not splits:
    return section('Split', tag('p', 'No split proof was given.'))
  sizes = [[name, f'{of["patients"]:,}', f'{of["images"]:,}'] for name, of in splits.items()]
  shares = [
    [label, *(_share(of['labels'].get(label)) for of in splits.values())] for label in labels
  ]
  overlap = proof.get('patient_overlap', {})
  matrix = [
    [one, *(_shared(overlap.get(one, {}).get(other), one == other) for other in splits)]
    for one in splits
  ]
  hashes = [
    term(name.replace('_', ' '), tag('code', proof[name]))
    for name in ('table_sha256', 'split_sha256')
    if name in proof
  ]
  others = [
    name for name in ('seed', 'settings', 'how', 'duplicates') if proof.get(name) not in (None, {})
  ]
  return section(
    'Split, by patient',
    tag('div',
      tag('div', tag('h3', 'Sizes'), table(('Split', 'Patients', 'Images'), sizes)),
      tag('div', tag('h3', 'Patients in common'), table(('', *splits), matrix)),
      class_='pair'),
    tag('h3', 'Prevalence'),
    table(('Label', *splits), shares),
    tag('h3', 'Proof'),
    tag('dl', hashes, [term(*row) for row in _flat({n: proof[n] for n in others})], class_='list'),
    [tag('p', text, class_='quiet') for text in proof.get('not_checked', ())],
  )  # fmt: skip


def _share(of: Mapping | None) -> object:
  if of is None or of['prevalence'] is None:
    return 'unknown'
  patients = of.get('positive_patients')
  return [
    one_line(wording.percent(of['prevalence']), f'{of["positive"]:,} of {of["known"]:,}'),
    None if patients is None else small(wording.count(patients, 'patient')),
  ]


def _shared(number: int | None, same: bool) -> object:
  if number is None:
    return 'not recorded'
  if same:
    return tag('span', f'{number:,}', class_='quiet')
  return tag('strong', f'{number:,}', class_='alarm') if number else '0'


def _configuration(config: Mapping) -> Markup:
  rows = [term(name, text) for name, text in _flat(config)]
  return section(
    'Configuration',
    tag(
      'details',
      tag('summary', wording.count(len(rows), 'setting')),
      tag('dl', rows, class_='list'),
      open='',
    ),
  )


def _versions(facts: Mapping) -> Markup | None:
  versions = facts.get('versions')
  if not versions:
    return None
  rows = [term(name, text) for name, text in versions.items()]
  return section('Versions', tag('dl', rows, class_='list'))


def _flat(settings: Mapping, above: str = '') -> list[tuple[str, str]]:
  rows = []
  for name, value in settings.items():
    if isinstance(value, Mapping) and value:
      rows += _flat(value, f'{above}{name}.')
    elif isinstance(value, list | tuple):
      rows.append((f'{above}{name}', ', '.join(map(str, value)) or wording.DASH))
    else:
      rows.append((f'{above}{name}', wording.DASH if value in (None, '', {}) else str(value)))
  return rows
