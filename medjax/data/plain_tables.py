"""The cells of a large plain CSV, by column and without an object for every one of them.

Such a table has commas, no quotes, and rows as long as its header, as most of a million rows have.
"""

import itertools

import numpy as np
import pandas as pd

_SEPARATORS = b',\n'
_OTHERS = bytes(set(range(256)) - {*_SEPARATORS})
_WORD = 8  # bytes that are compared at once
_MASKS = np.array([2 ** (8 * length) - 1 for length in range(_WORD + 1)], np.uint64)


def columns(text: str) -> list[pd.Series] | None:
  """Returns the columns of a CSV's rows without its header, as text; None if it is not plain.

  It is not, either, where its last row is empty, or nothing follows the header.
  """
  lines = text.encode().replace(b'\r\n', b'\n')
  lines = lines if lines.endswith(b'\n') else lines + b'\n'
  header = lines.index(b'\n') + 1
  commas, rows = lines.count(b',', 0, header), lines.count(b'\n')
  last = lines[lines.rfind(b'\n', 0, -1) + 1 :]
  if not (commas and rows > 1 and last.strip(_SEPARATORS)) or b'"' in lines or b'\r' in lines:
    return None
  if lines.translate(None, _OTHERS) != (b',' * commas + b'\n') * rows:
    return None
  characters = np.frombuffer(lines, np.uint8)
  ends = np.flatnonzero((characters == ord(',')) | (characters == ord('\n')))
  ends = np.ascontiguousarray(ends[commas:].reshape(-1)[1:].reshape(rows - 1, -1).T)
  starts = np.concatenate([[header], ends[-1, :-1] + 1])
  ascii_text = lines.decode() if lines.isascii() else ''
  words = np.ndarray(len(lines), '<u8', lines + bytes(_WORD), strides=(1,))
  result = []
  for start, stop in itertools.pairwise([starts - 1, *ends]):
    start = start + 1
    length = stop - start
    if length.max() <= _WORD:
      codes, distinct = pd.factorize(words[start] & _MASKS[length])
      cells = [word.decode() for word in distinct.view(f'S{_WORD}').tolist()]
      result.append(pd.Series(cells, dtype=str).take(codes).reset_index(drop=True))
    else:
      pieces = zip(start.tolist(), stop.tolist())
      if ascii_text:  # in which a byte is a character
        cells = [ascii_text[one:other] for one, other in pieces]
      else:
        cells = [lines[one:other].decode() for one, other in pieces]
      result.append(pd.Series(cells, dtype=str))
  return result
