"""The report's section on the split: who trained, who was tested, and that nobody did both."""

from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.report.markup import Markup, one_line, section, small, table, tag, term


def split(proof: Mapping, labels: Sequence[str]) -> Markup:
  """Returns the section.

  Args:
    proof: what `medjax.data.split.by_patient.proof` returns, or {} where there is none.
    labels: whose prevalence in each split is shown.
  """
  splits = {name: counts for name, counts in proof.get('splits', {}).items() if counts['images']}
  if not splits:
    return section('Split', tag('p', 'No split proof was given.'))
  sizes = [
    [name, f'{counts["patients"]:,}', f'{counts["images"]:,}'] for name, counts in splits.items()
  ]
  shares = [
    [label, *(_share(counts['labels'].get(label)) for counts in splits.values())]
    for label in labels
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
    tag('dl', hashes, [term(*row) for row in flat({n: proof[n] for n in others})], class_='list'),
    [tag('p', text, class_='quiet') for text in proof.get('not_checked', ())],
  )  # fmt: skip


def _share(counts: Mapping | None) -> object:
  if counts is None or counts['prevalence'] is None:
    return 'unknown'
  patients = counts.get('positive_patients')
  return [
    one_line(
      wording.percent(counts['prevalence']), f'{counts["positive"]:,} of {counts["known"]:,}'
    ),
    None if patients is None else small(wording.count(patients, 'patient')),
  ]


def _shared(number: int | None, same: bool) -> object:
  if number is None:
    return 'not recorded'
  if same:
    return tag('span', f'{number:,}', class_='quiet')
  return tag('strong', f'{number:,}', class_='alarm') if number else '0'


def flat(settings: Mapping, above: str = '') -> list[tuple[str, str]]:
  """Returns nested settings as pairs of a dotted name and words."""
  rows = []
  for name, value in settings.items():
    if isinstance(value, Mapping) and value:
      rows += flat(value, f'{above}{name}.')
    elif isinstance(value, list | tuple):
      rows.append((f'{above}{name}', ', '.join(map(str, value)) or wording.DASH))
    else:
      rows.append((f'{above}{name}', wording.DASH if value in (None, '', {}) else str(value)))
  return rows
