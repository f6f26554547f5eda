"""Files that are almost valid: bytes changed, cut, doubled, moved and replaced, by a seed."""

import random
import struct

_NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31,
            2**32 - 1, 2**63 - 1, 2**64 - 1)  # fmt: skip
_FORMS = ('B', '<H', '>H', '<I', '>I', '<Q', '>Q')


def mutated(seed: bytes, others: list[bytes], words: tuple[bytes, ...], chance: random.Random):
  """Returns bytes made of a valid file by one to six changes.

  Args:
    seed: the file.
    others: files of its kind, parts of which may be put into it.
    words: that mean something in such files.
    chance: from which all is drawn.
  """
  data = bytearray(seed)
  for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
    chance.choice(_CHANGES)(data, others, words, chance)
  return bytes(data)


def _place(data, chance):
  # Headers decide most.
  return chance.randrange(min(len(data), 512) if chance.random() < 0.5 else len(data) or 1)


def _bit(data, others, words, chance):
  if data:
    data[_place(data, chance) if len(data) else 0] ^= 1 << chance.randrange(8)


def _byte(data, others, words, chance):
  if data:
    data[_place(data, chance)] = chance.choice((0, 255, 127, 128, 32, 45, chance.randrange(256)))


def _number(data, others, words, chance):
  form = chance.choice(_FORMS)
  size = struct.calcsize(form)
  value = chance.choice(_NUMBERS) % 2 ** (8 * size)
  if len(data) > size:
    at = chance.randrange(min(len(data), 2048) - size + 1) if len(data) > size else 0
    data[at : at + size] = struct.pack(form, value)


def _cut(data, others, words, chance):
  if data:
    del data[_place(data, chance) :]


def _delete(data, others, words, chance):
  if data:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 1, 2, 4, 16, 200))]


def _double(data, others, words, chance):
  if data:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.choice((1, 4, 30, 400))] * chance.choice((1, 1, 3, 50))


def _put(data, others, words, chance):
  other = chance.choice(others)
  begin = chance.randrange(len(other))
  at = _place(data, chance) if data else 0
  data[at : at + chance.choice((0, 8, 64))] = other[begin : begin + chance.choice((4, 30, 300))]


def _word(data, others, words, chance):
  at = _place(data, chance) if data else 0
  data[at : at + chance.choice((0, 0, 1, 4))] = chance.choice(words)


_CHANGES = (_bit, _bit, _byte, _byte, _number, _number, _cut, _delete, _double, _put, _word)
