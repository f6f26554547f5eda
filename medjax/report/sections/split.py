"""The report's section on the split: who trained, who was tested, and that nobody did both."""

from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.report.markup import Markup, section, table, tag, term
from medjax.report.sections import proof_words

_HASHES = {'table_sha256': 'SHA-256 of the table', 'split_sha256': 'SHA-256 of the split'}


def split(proof: Mapping) -> Markup:
  """Returns the section.

  Args:
    proof: what `medjax.data.split.by_patient.proof` returns, or {} where there is none.
  """
  splits = {name: counts for name, counts in proof.get('splits', {}).items() if counts['images']}
  if not splits:
    return section('Split', tag('p', 'No split proof was given.'))
  overlap = proof.get('patient_overlap', {})
  matrix = [
    [one, *(_shared(overlap.get(one, {}).get(other), one == other) for other in splits)]
    for one in splits
  ]
  hashes = [
    term(words, tag('code', proof[name])) for name, words in _HASHES.items() if name in proof
  ]
  return section(
    'Split, by patient',
    tag('h3', 'Patients in common'),
    table(('', *splits), matrix, 'narrow'),
    tag('h3', 'Proof'),
    tag('dl', [term(*row) for row in proof_words.rows(proof)], hashes, class_='list'),
    [tag('p', text, class_='quiet') for text in proof.get('not_checked', ())],
  )


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
