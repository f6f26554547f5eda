"""Pictures of a slide for a person to check: the grid of its patches, and a heat map over it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_KEPT, _TUMOUR = (0, 70, 220), (255, 120, 0)
_OUTLINE = (0, 0, 0)
_LEAST_CELL = 6  # pixels; the lines of smaller cells would hide what is in them
_LEAST_TEXT = 14  # pixels of the letters below a heat map
_LEAST_SIDE = 800  # pixels of the longer side of a heat map: small slides are enlarged
# From blue over yellow to red: ColorBrewer's RdYlBu, which colour-blind readers can read.
_COLOURS = np.array(
  [(49, 54, 149), (116, 173, 209), (224, 243, 248), (254, 224, 144), (244, 109, 67), (165, 0, 38)]
)


def grid(
  picture: Image.Image,
  cells: np.ndarray,
  step: float,
  tumour: np.ndarray,
  polygons: Sequence[np.ndarray],
) -> Image.Image:
  """Draws the patches that were kept over a slide: tumour orange, all others blue.

  Args:
    picture: RGB, of the slide.
    cells: int[N, 2], column and row of each patch.
    step: of the grid, pixels of the picture.
    tumour: f32[N], 1 where it is.
    polygons: f64[V, 2] each, outlines in pixels of the picture.
  """
  cover = Image.new('RGBA', picture.size)
  draw = ImageDraw.Draw(cover)
  for (column, row), label in zip(cells, tumour):
    colour = _TUMOUR if label == 1 else _KEPT
    box = (column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1)
    if step < _LEAST_CELL:
      draw.rectangle(_whole(box), fill=(*colour, 90))
    else:
      width = 2 if step >= 4 * _LEAST_CELL else 1
      draw.rectangle(_whole(box), fill=(*colour, 30), outline=(*colour, 255), width=width)
  for polygon in polygons:
    if len(polygon) > 1:
      draw.line([*map(tuple, polygon), tuple(polygon[0])], fill=(*_OUTLINE, 255), width=2)
  return Image.alpha_composite(picture.convert('RGBA'), cover).convert('RGB')


def heat(
  picture: Image.Image,
  boxes: np.ndarray,
  values: np.ndarray,
  limits: tuple[float, float],
  caption: str,
) -> Image.Image:
  """Colours the patches of a slide by a value of each, over the slide in grey, with a scale below.

  Args:
    picture: RGB, of the slide.
    boxes: f64[N, 4], left, top, right and bottom in pixels of the picture.
    values: f[N].
    limits: the values of the two ends of the scale.
    caption: what the values are.
  """
  enlarged = max(1, -(-_LEAST_SIDE // max(picture.size)))
  if enlarged > 1:
    picture = picture.resize([side * enlarged for side in picture.size], Image.Resampling.BICUBIC)
    boxes = boxes * enlarged
  low, high = limits
  shares = np.clip((np.asarray(values, np.float64) - low) / max(high - low, 1e-12), 0, 1)
  cover = Image.new('RGBA', picture.size)
  draw = ImageDraw.Draw(cover)
  for box, colour in zip(boxes, _coloured(shares)):
    draw.rectangle(_whole((box[0], box[1], box[2] - 1, box[3] - 1)), fill=(*colour, 150))
  mapped = Image.alpha_composite(picture.convert('L').convert('RGBA'), cover).convert('RGB')
  return _with_scale(mapped, limits, caption)


def _whole(box: Sequence[float]) -> tuple[int, int, int, int]:
  left, top, right, bottom = (round(edge) for edge in box)
  return left, top, max(left, right), max(top, bottom)


def _coloured(shares: np.ndarray) -> list[tuple[int, int, int]]:
  places = np.linspace(0, 1, len(_COLOURS))
  channels = [np.interp(shares, places, _COLOURS[:, channel]) for channel in range(3)]
  return [tuple(round(value) for value in colour) for colour in zip(*channels)]


def _with_scale(picture: Image.Image, limits: tuple[float, float], caption: str) -> Image.Image:
  # Letters as large as the picture asks for: at the width of a page they are still read.
  text = max(_LEAST_TEXT, max(picture.size) // 36)
  font = ImageFont.load_default(text)
  bar, left = 14 * text, 4 * text
  page = Image.new(
    'RGB', (max(picture.width, bar + 2 * left), picture.height + round(3.6 * text)), 'white'
  )
  page.paste(picture)
  top = picture.height + 2 * text
  colours = np.array(_coloured(np.linspace(0, 1, bar)), np.uint8)
  page.paste(Image.fromarray(np.broadcast_to(colours, (text, bar, 3)).copy()), (left, top))
  draw = ImageDraw.Draw(page)
  draw.text((left, top - round(1.5 * text)), caption, fill='black', font=font)
  lowest = f'{limits[0]:.3g}'
  gap = text // 3
  draw.text(
    (left - gap - draw.textlength(lowest, font), top - text // 8), lowest, fill='black', font=font
  )
  draw.text((left + bar + gap, top - text // 8), f'{limits[1]:.3g}', fill='black', font=font)
  return page
