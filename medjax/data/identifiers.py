"""Names of people, readers, studies, lesions and slides: which are none, and which are one.

Tables that went through a spreadsheet, pandas or several hands write one person in several ways:
0007 and 7, 5 and 5.0, P7 and p7, é as one character or as two. As two people they could cross a
split. No rule can tell what was meant, so look-alikes are refused by name, or joined if asked to.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import pandas as pd

from medjax.errors import InputError

Value = TypeVar('Value')

# Without their punctuation and in lower case.
_UNKNOWN = frozenset(
  (
    *('', 'na', 'nan', 'nat', 'none', 'null', 'nil', 'missing', 'undefined', 'blank', 'empty'),
    *('unknown', 'unk', 'notknown', 'notavailable', 'notapplicable', 'noid', 'nopatient'),
    *('anonymous', 'anonymised', 'anonymized', 'anon', 'deidentified', 'unknownpatient'),
  )
)
# What spreadsheets write for what they cannot compute, and C for what is no number.
_ERROR = re.compile(
  r'#(n/?a( n/a)?|(ref|value|name|null|num|div/0|spill|calc|error)[!?])|-?1\.#(ind|qnan|inf)\d*',
  re.IGNORECASE,
)
_DIGIT = re.compile(r'\d')
_PUNCTUATION = re.compile(r'[\W_]+')
_SHORTENED = re.compile(r'\d(\.\d+)?e\+\d\d+', re.IGNORECASE)
_FORMULA = re.compile(r'="(.*)"')  # as spreadsheets keep text
_THOUSANDS = re.compile(r'\d{1,3}(,\d{3})+')
_WHOLE = re.compile(r'(\d+)\.0*')
_DIGITS = frozenset('0123456789')
_AROUND = '\'"` \t\r\n+#-\u2212'
_SEPARATORS = re.compile(r'[\s_/\\:|()#+\u2212-]+')
# Not within a word such as 00a1: identifiers of random letters and digits would look alike.
_LEADING_ZEROS = re.compile(r'(?<![\d.])0+(?=\d+(?!\w))')


def is_unknown(name: str) -> bool:
  """Whether a name says that there is none: '', 'nan', 'N/A', '#REF!', 'unknown', '?', '-'."""
  if _DIGIT.search(name) and '#' not in name:
    return False  # as most names, of which a table has many: none below has a digit but with a #
  return _PUNCTUATION.sub('', name).lower() in _UNKNOWN or bool(_ERROR.fullmatch(name.strip()))


def key(name: str) -> str:
  """Returns what is left of a name without the ways to write it: equal for look-alikes.

  Case, compatible and composed characters and digits of other scripts (Unicode's NFKC and decimal
  values), characters without a picture (category Cf), surrounding quotes and signs, spaces,
  hyphens, underscores, slashes, colons, bars, brackets, plus, minus and number signs between parts,
  a whole number's decimals and commas, and zeros before a number make no difference.
  """
  return _parts(_bare(name))


def _bare(name: str) -> str:
  """Returns a name in lower case and plain characters, without quotes and signs around it."""
  if not name.isascii():
    name = unicodedata.normalize('NFKC', name)
    name = unicodedata.normalize('NFKC', ''.join(map(_plain, name)).casefold())
  if in_formula := _FORMULA.fullmatch(name.strip()):
    name = in_formula[1]
  return name.strip(_AROUND).lower()


def _parts(bare: str) -> str:
  """Returns the parts of a bare name with a space between them, without zeros before a number."""
  if bare.isdigit():
    return bare.lstrip('0') or '0'
  if _THOUSANDS.fullmatch(bare.split('.')[0]):
    bare = bare.replace(',', '')
  if whole := _WHOLE.fullmatch(bare):
    return whole[1].lstrip('0') or '0'
  return _LEADING_ZEROS.sub('', _SEPARATORS.sub(' ', bare).strip())


def _whole(name: str) -> str:
  """Returns the key of a name without its separators: P-007 may be P7, and 123-04-67 1230467."""
  return _parts(_SEPARATORS.sub('', _bare(name)))


def _plain(character: str) -> str:
  category = unicodedata.category(character)
  if category == 'Nd':
    return str(unicodedata.decimal(character))
  return {'Cf': '', 'Pd': '-', 'Pi': '"', 'Pf': '"'}.get(category, character)


def finder(known: Mapping[str, Value]) -> Callable[[str], Value | None]:
  """Returns a function of a name that gives what is known of it, under whatever spelling.

  It gives None for a name that looks like none of those known.
  """
  by_key: dict[str, Value] = {}
  by_whole: dict[str, Value] = {}  # of names with separators, without them
  for name, value in known.items():
    by_key.setdefault(key(name), value)
    if ' ' in key(name):
      by_whole.setdefault(_whole(name), value)

  def find(name: str) -> Value | None:
    own = key(name)
    if own in by_key:
      return by_key[own]
    return by_key.get(_whole(name)) if ' ' in own else by_whole.get(own)

  return find


def look_alikes(names: Iterable[str]) -> list[list[str]]:
  """Returns the groups of names that look like one, each in the order of the names."""
  distinct = list(dict.fromkeys(names.tolist() if isinstance(names, pd.Series) else names))
  if _are_plain(distinct):
    return []
  groups: dict[str, list[str]] = {}
  for name in distinct:
    groups.setdefault(key(name), []).append(name)
  # 1-23 and 12-3 are two, and one of them 123 if that is there.
  joined_to = {text: text for text in groups}
  for separated in [text for text in groups if ' ' in text]:
    for together in {_whole(name) for name in groups[separated]} & joined_to.keys():
      one, other = _end(joined_to, separated), _end(joined_to, together)
      joined_to[one] = other
  together_with: dict[str, list[str]] = {}
  for text, group in groups.items():
    together_with.setdefault(_end(joined_to, text), []).extend(group)
  order = {name: number for number, name in enumerate(distinct)}
  alike = [sorted(group, key=order.__getitem__) for group in together_with.values()]
  return sorted((group for group in alike if len(group) > 1), key=lambda group: order[group[0]])


def _end(joined_to: Mapping[str, str], text: str) -> str:
  while joined_to[text] != text:
    text = joined_to[text]
  return text


def _are_plain(names: list[str]) -> bool:
  """Whether these names, all different, are so alike in form that no two look like one.

  True for what most tables hold: 1, 2 … 17, or patient00001 … patient65240. A million take 0.2 s.
  """
  lines = '\n'.join(['', *names, ''])
  characters = set(lines) - {'\n'}
  letters = {character for character in characters if character.isalpha()}
  separators = characters & {'-', '_'}
  if not lines.isascii() or len(separators) > 1 or not characters <= letters | separators | _DIGITS:
    return False
  if any(letter.isupper() for letter in letters) and any(letter.islower() for letter in letters):
    return False
  if any(f'{one}{other}' in lines for one in separators for other in ('\n', *separators)):
    return False
  if any(f'\n{separator}' in lines for separator in separators):
    return False
  if any(len({name.count(separator) for name in names}) > 1 for separator in separators):
    return False
  if len({len(name) for name in names}) == 1:
    return bool(re.fullmatch(r'\n(?:[^\d\n]*\d*\n)*', lines))
  return not any(f'{before}0' in lines for before in ('\n', *letters, *separators))


Place = Callable[[int], str]  # row → where it is written: 'labels.csv: row 7'


def in_file(path: object) -> Place:
  """Returns the place of the rows of a CSV file, the first of which is its second line."""
  return lambda row: f'{path}: row {row + 2}'


def check_known(names: Sequence[str], what: str, place: Place) -> None:
  """Raises InputError, naming the first row, where one of N names names nobody.

  Also where a spreadsheet has written a long number as 1.23E+11, which several may have become.

  Args:
    names: N; one may be there many times.
    what: they name: 'patient', 'reader'.
    place: of the rows.
  """
  distinct = list(dict.fromkeys(names))
  has_digit = _DIGIT.search
  doubtful = [name for name in distinct if '#' in name or not has_digit(name)]
  if unknown := {name for name in doubtful if is_unknown(name)}:
    rows = [row for row, name in enumerate(names) if name in unknown]
    name = names[rows[0]]
    said = f"'{name}', which names nobody" if name.strip() else 'empty'
    raise InputError(
      f'{place(rows[0])}: the {what} is {said} ({len(rows):,} such rows); fill it in, or leave '
      'these rows out of the table'
    )
  if shortened := next(filter(_SHORTENED.fullmatch, distinct), None):
    raise InputError(
      f"{place(list(names).index(shortened))}: the {what} '{shortened}' is a number that a "
      'spreadsheet has shortened, so that several may be one; export the column as text'
    )


def check_distinct(names: Sequence[str], what: str, place: Place, instead: str = '') -> None:
  """Raises InputError, naming both and their rows, where two of N names look like one.

  Args:
    names: N; one may be there many times.
    what: they name: 'patient', 'reader'.
    place: of the rows.
    instead: what else the user can do, put at the message's end.
  """
  groups = look_alikes(names)
  if not groups:
    return
  one, other = groups[0][:2]
  first, second = (place(list(names).index(name)) for name in (one, other))
  file, _, row = second.rpartition(': ')
  more = f' ({len(groups):,} such {what}s)' if len(groups) > 1 else ''
  raise InputError(
    f'{first} and {row if first.startswith(f"{file}: ") else second}: the {what}s {_quoted(one)} '
    f'and {_quoted(other)} look like one{more}; write the {what} the same way in every row{instead}'
  )


def joined(names: pd.Series) -> pd.Series:
  """Returns the names with every group of look-alikes under its first spelling."""
  first = {name: group[0] for group in look_alikes(names) for name in group}
  return names.map(lambda name: first.get(name, name)) if first else names


def _said(name: str) -> str:
  return f"'{name}', which names nobody" if name.strip() else 'empty'


def _row(place: str, where: str) -> str:
  return place.removeprefix(f'{where}: ')


def _quoted(name: str) -> str:
  """Returns a name between quotes; what two names may differ by without showing it, as escapes."""
  return repr(name) if name.isascii() else f"'{name}' ({ascii(name)[1:-1]})"
