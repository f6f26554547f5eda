"""The report's section on the patients: how they came to be tested, and who they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.report import weaknesses
from medjax.report.markup import Markup, one_line, section, small, table, tag

PARTS = {'train': 'Training', 'validation': 'Validation', 'test': 'Test'}
SEXES = {'F': 'Female', 'M': 'Male', 'O': 'Other sex'}
COLUMNS = {'dataset': 'Data set'}
REASONS = 3  # why images were set aside, named; the others are counted
# split → why images of it were set aside → how many.
SetAside = Mapping[str, Mapping[str, int]]


def patients(
  result: Result, proof: Mapping, people: Mapping[str, Mapping], set_aside: SetAside
) -> Markup | None:
  """Returns the section; None where nothing is known of the patients.

  Args:
    result: of the test.
    proof: what `medjax.data.split.by_patient.proof` returns, or {} where there is none.
    people: split → what `medjax.data.split.characteristics.of_rows` says of it.
    set_aside: images that could not be read.
  """
  splits = {n: c for n, c in proof.get('splits', {}).items() if n in PARTS and c['images']}
  if not splits and not any(people.values()):
    return None
  names = list(splits) or [name for name in PARTS if people.get(name)]
  are_named = not weaknesses.is_anyone_unnamed(proof.get('notes', ()))
  return section(
    'The patients',
    tag('h3', 'From the files to the test set') if splits else None,
    _flow(result, proof, splits, set_aside, are_named) if splits else None,
    tag('h3', 'Who they are'),
    table(
      ('', *(PARTS[name] for name in names)),
      [
        *_sizes(splits, are_named),
        *people_rows(names, people, are_named),
        *_prevalence(splits, are_named),
      ],
      'cards people',
    ),
    tag('p', _explained(splits, people), class_='quiet'),
  )


def in_short(people: Mapping[str, Any]) -> list[str]:
  """Returns age and sex of the patients tested in a few words, or that they are not recorded.

  Nothing where it is not known what is recorded.
  """
  if not people:
    return []
  words = []
  age, sex = people.get('age', {}), people.get('counts', {}).get('sex', {})
  if age.get('known'):
    low, high = age['quartiles']
    words.append(
      f'Median age {age["median"]:.0f} years (quartiles {low:.0f} to {high:.0f}'
      f'{_missing(age["missing"])}).'
    )
  if sex.get('known'):
    shares = [
      f'{number:,} {SEXES.get(name, name).lower()}' for name, number in sex['values'].items()
    ]
    more = f', {sex["missing"]:,} not recorded' if sex['missing'] else ''
    words.append(f'{wording.capital(", ".join(shares))}{more}.')
  absent = [
    name for name, known in (('age', age.get('known')), ('sex', sex.get('known'))) if not known
  ]
  if absent:
    words.append(f'{wording.capital(" and ".join(absent))}: not recorded.')
  return words


def _missing(number: int) -> str:
  return f'; {number:,} not recorded' if number else ''


def _flow(
  result: Result,
  proof: Mapping,
  splits: Mapping[str, Mapping],
  set_aside: SetAside,
  are_named: bool,
) -> Markup:
  """Draws the way from the files to what is tested, after STARD's diagram."""

  def _box(what: str, images: int, patients: int | None, unit: str = 'image') -> Markup:
    words = _count(images, patients, unit, are_named)
    return tag('li', tag('b', what), small(words), class_='box')

  def _left_out(what: str, images: int, patients: int | None, why: str = '') -> Markup:
    words = _count(images, patients, 'image', are_named) + (f': {why}' if why else '')
    return tag('li', tag('b', what), small(words), class_='out')

  source, unused = proof.get('source', {}), proof.get('splits', {}).get('unused', {})
  boxes = []
  if source:
    boxes.append(_box('In the source', source['images'], source['patients']))
    if source['of_other_views']:
      boxes.append(
        _left_out(
          'Views that were not asked for', source['of_other_views'],
          source['patients_of_other_views'],
        )
      )  # fmt: skip
  if unused.get('images'):
    boxes.append(_left_out('In no part of the split', unused['images'], unused['patients']))
  arms = []
  for name, counts in splits.items():
    aside = set_aside.get(name, {})
    number = sum(aside.values())
    parts = [_box(PARTS[name], counts['images'], counts['patients'])]
    if number:
      reasons = [f'{count:,} {why}' for why, count in aside.items()]
      parts.append(_left_out('Set aside', number, None, wording.some(reasons, REASONS, '; ')))
    size = {'test': result.test, 'validation': result.validation}.get(name)
    done = {'train': 'Trained on', 'validation': 'Chosen on', 'test': 'Tested'}[name]
    if size is None and number:
      parts.append(_box(done, counts['images'] - number, None))
    elif size is not None and (number or result.unit != 'image'):
      parts.append(_box(done, size.images, size.patients, result.unit))
    if name == 'test':
      parts += _unknown(result)
    arms.append(tag('li', tag('ol', parts)))
  return tag('ol', boxes, tag('li', tag('ul', arms), class_='arms'), class_='flow')


def _count(number: int, patients: int | None, unit: str, are_named: bool) -> str:
  words = wording.count(number, unit)
  if patients is None or unit == 'patient':
    return words
  if not are_named and patients == number:
    return f'{words}, their patients not named'
  words = f'{words} of {wording.count(patients, "patient")}'
  return words if are_named else f'{words} or what stands in for them'


def _unknown(result: Result) -> list[Markup]:
  """Returns a box of those tested of whom the truth is not known, by label."""
  total = result.test.images
  absent = {label: total - tested.images for label, tested in result.labels.items()}
  absent = {label: number for label, number in absent.items() if number}
  if not absent:
    return []
  if result.classes is not None:
    number = total - result.classes.images
    words = wording.count(number, result.unit)
  else:
    named = [f'{label} {number:,}' for label, number in absent.items()]
    words = f'{wording.plural(result.unit)}, by label: {", ".join(named)}'
  return [tag('li', tag('b', 'Truth not known, left out'), small(words), class_='out')]


def _sizes(splits: Mapping[str, Mapping], are_named: bool) -> list[list[object]]:
  if not splits:
    return []
  stand_ins = None if are_named else small('or what stands in for them')
  return [
    [['Patients', stand_ins], *(f'{counts["patients"]:,}' for counts in splits.values())],
    ['Images', *(f'{counts["images"]:,}' for counts in splits.values())],
  ]


def people_rows(
  names: Sequence[str], people: Mapping[str, Mapping], are_named: bool
) -> list[list[object]]:
  """Returns the rows of a table on who is in each part of a study, a cell for each of `names`.

  Args:
    names: of the parts.
    people: part → what `medjax.data.split.characteristics.of_rows` says of its patients.
    are_named: whether the source names patients.
  """
  parts = [people.get(name) or {} for name in names]
  rows: list[list[object]] = []
  if any('images_per_patient' in part for part in parts):
    stand_ins = None if are_named else small('or what stands in for one')
    rows.append([['Images per patient', stand_ins], *map(_per_patient, parts)])
  if any('age' in part for part in parts):
    rows.append([['Age', small('years, of patients')], *map(_age, parts)])
  columns = list(dict.fromkeys(column for part in parts for column in part.get('counts', {})))
  for column in columns:
    counted = [part.get('counts', {}).get(column) for part in parts]
    values = list(dict.fromkeys(v for one in counted if one for v in one['values']))
    unit = next(one['unit'] for one in counted if one)
    for value in values:
      name = SEXES.get(value, value) if column == 'sex' else value
      first = [name, small(f'{COLUMNS.get(column, column)}, of {wording.plural(unit)}')]
      rows.append([first, *(_share(one, value) for one in counted)])
    if any(one and one['missing'] for one in counted):
      first = ['not recorded', small(f'{COLUMNS.get(column, column)}, of {wording.plural(unit)}')]
      rows.append([first, *(_absent(one) for one in counted)])
  return rows


def _per_patient(part: Mapping) -> object:
  numbers = part.get('images_per_patient')
  if not numbers:
    return 'not recorded'
  return one_line(f'{numbers["median"]:g}', f'{numbers["lowest"]:,} to {numbers["highest"]:,}')


def _age(part: Mapping) -> object:
  age = part.get('age')
  if not age or not age['known']:
    return 'not recorded'
  low, high = age['quartiles']
  spread = '' if age['sd'] is None else f' ± {age["sd"]:.1f}'
  missing = f'not recorded {age["missing"]:,} of {age["known"] + age["missing"]:,}'
  return [
    one_line(f'{age["mean"]:.1f}{spread}', f'median {age["median"]:.0f} ({low:.0f}–{high:.0f})'),
    small(f'range {age["range"][0]:.0f} to {age["range"][1]:.0f}; {missing}'),
  ]


def _share(counted: Mapping | None, value: str) -> object:
  if not counted or not counted['known']:
    return 'not recorded'
  number = counted['values'].get(value, 0)
  share = wording.percent(number / counted['known'])
  return one_line(share, f'{number:,} of {counted["known"]:,}')


def _absent(counted: Mapping | None) -> object:
  if not counted:
    return 'not recorded'
  return one_line(f'{counted["missing"]:,}', f'of {counted["known"] + counted["missing"]:,}')


def _prevalence(splits: Mapping[str, Mapping], are_named: bool) -> list[list[object]]:
  labels = list(dict.fromkeys(label for counts in splits.values() for label in counts['labels']))
  rows: list[list[object]] = []
  for label in labels:
    cells = [_positive(counts, label, are_named) for counts in splits.values()]
    rows.append([[label, small('positive, of images')], *cells])
  return rows


def _positive(counts: Mapping, label: str, are_named: bool) -> object:
  label_counts = counts['labels'].get(label)
  if label_counts is None or label_counts['prevalence'] is None:
    return 'unknown'
  unknown = counts['images'] - label_counts['known']
  words = []
  if are_named and label_counts.get('positive_patients') is not None:
    words.append(wording.count(label_counts['positive_patients'], 'patient'))
  if unknown:
    words.append(f'truth not known of {unknown:,}')
  shares = f'{label_counts["positive"]:,} of {label_counts["known"]:,}'
  return [one_line(wording.percent(label_counts['prevalence']), shares), small('; '.join(words))]


def _explained(splits: Mapping[str, Mapping], people: Mapping[str, Mapping]) -> str:
  words = []
  if any(part.get('age', {}).get('known') for part in people.values()):
    words.append(
      'Age: mean ± standard deviation, then the median with the quartiles; of a patient with '
      'several ages their median. '
    )
  if any(part.get('counts') for part in people.values()):
    words.append('Percentages are of those that are recorded. ')
  if splits and not any(people.values()):
    words.append('Age, sex and the like were not recorded when this split was made. ')
  elif not any('age' in p or 'sex' in p.get('counts', {}) for p in people.values()):
    words.append('The source records neither age nor sex. ')
  if splits:
    words.append('Counts are those of the split, before images were set aside.')
  return ''.join(words)
