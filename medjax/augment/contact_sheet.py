"""A sheet of small pictures in rows and columns."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

_GAP, _HEADING = 4, 18
_LEAST_SIDE = 96  # of a picture on the sheet, pixels


def draw(pictures: np.ndarray, headings: Sequence[str]) -> Image.Image:
  """Returns the sheet of uint8[rows, columns, H, W, 1 or 3], a heading over each column.

  Small pictures are enlarged by a whole factor, pixel by pixel.
  """
  rows, columns, height, width, _ = pictures.shape
  enlarged = -(-_LEAST_SIDE // min(height, width))
  pictures = pictures.repeat(enlarged, axis=2).repeat(enlarged, axis=3)
  height, width = height * enlarged + _GAP, width * enlarged + _GAP
  sheet = Image.new('RGB', (columns * width + _GAP, rows * height + _GAP + _HEADING), 'white')
  pen = ImageDraw.Draw(sheet)
  for column, heading in enumerate(headings):
    pen.text((_GAP + column * width, _GAP), heading, fill='black')
    for row in range(rows):
      picture = np.broadcast_to(pictures[row, column], (*pictures.shape[2:4], 3))
      corner = (_GAP + column * width, _HEADING + _GAP + row * height)
      sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), corner)
  return sheet
