"""What a DICOM header's free text may become in a table: words of the standard, or a digest.

Anybody can type anything into a header, a patient's name too; of what is no word known here nothing
but a digest goes on, which tells devices apart and says nothing else.
"""

import hashlib
import re

# View Position, PS3.3 C.8.1.3 (CR), C.8.11.5 (DX) and C.8.11.7 (mammography), and words in use.
VIEWS = frozenset((
  *('AP', 'PA', 'LL', 'RL', 'RLD', 'LLD', 'RLO', 'LLO', 'RAO', 'LAO', 'RPO', 'LPO'),
  *('LATERAL', 'LAT', 'FRONTAL', 'OBLIQUE', 'ANTERIOR', 'POSTERIOR', 'LORDOTIC', 'AXIAL'),
  *('DECUBITUS', 'AP AXIAL'),
  *('CC', 'MLO', 'ML', 'LM', 'LMO', 'SIO', 'ISO', 'FB', 'XCCL', 'XCCM', 'XCC', 'AT', 'CV'),
))  # fmt: skip
_SIDES = ('L', 'R', 'B', 'U')  # Image Laterality, PS3.3 C.7.3.1
# What a manufacturer's name begins with → what it is called here.
_MAKERS = {
  'agfa': 'Agfa', 'aperio': 'Aperio', 'barco': 'Barco', 'canon': 'Canon',
  'carestream': 'Carestream', 'carl zeiss': 'Zeiss', 'zeiss': 'Zeiss', 'del medical': 'Del Medical',
  'esaote': 'Esaote', 'fischer': 'Fischer', 'fuji': 'Fujifilm', 'ge ': 'GE', 'gems': 'GE',
  'general electric': 'GE', 'hamamatsu': 'Hamamatsu', 'heidelberg': 'Heidelberg',
  'hitachi': 'Hitachi', 'hologic': 'Hologic', 'lorad': 'Hologic', 'imaging dynamics': 'IDC',
  'kodak': 'Kodak', 'eastman kodak': 'Kodak', 'konica': 'Konica Minolta', 'leica': 'Leica',
  'lumisys': 'Lumisys', 'mindray': 'Mindray', 'nidek': 'Nidek', 'philips': 'Philips',
  'samsung': 'Samsung', 'shimadzu': 'Shimadzu', 'siemens': 'Siemens', 'swissray': 'Swissray',
  'topcon': 'Topcon', 'toshiba': 'Toshiba', 'varian': 'Varian', 'vieworks': 'Vieworks',
  'united imaging': 'United Imaging', 'vidar': 'Vidar',
}  # fmt: skip
_UID = re.compile(r'[\d.]{1,64}', re.ASCII)


def digest(text: str) -> str:
  """Returns eight digits that are the same for the same text, '' for none."""
  return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ''


def view(text: str) -> str:
  """Returns a view of the standard in its spelling, another as 'view 1a2b3c4d'."""
  word = ' '.join(text.upper().replace('_', ' ').split())
  return word if word in VIEWS or not word else f'view {digest(word)}'


def side(text: str) -> str:
  """Returns L, R, B or U, '' for any other text."""
  word = text.strip().upper()
  return word if word in _SIDES else ''


def identifier(text: str) -> str:
  """Returns a UID as it is, and a digest of what is none (PS3.5 9.1)."""
  return text if _UID.fullmatch(text) or not text else f'no UID {digest(text)}'


def length(text: str) -> str:
  """Returns a number of pixels, '' for any other text."""
  return text if text.isascii() and text.isdigit() else ''


def scanner(maker: str, model: str, known: frozenset[str] = frozenset()) -> str:
  """Returns what tells a device from others.

  Args:
    maker: Manufacturer.
    model: Manufacturer's Model Name.
    known: devices, as maker and model with a space between, that are named as they are.
  """
  device = ' '.join(f'{maker} {model}'.split())
  if device in known or not device:
    return device
  folded = f'{maker.casefold().strip()} '
  name = next((name for start, name in _MAKERS.items() if folded.startswith(start)), 'scanner')
  return f'{name} {digest(device)}'
