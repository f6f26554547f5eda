"""Draws the phantom's films as arrays: no files, and nothing but the arguments decides a pixel.

A film is a sum of thicknesses (tissue, bone, air taken away) put through a film's S-shaped tone
curve. Lengths are in half frames: x and y run from -1 to 1, y downwards, and the patient's left is
on the image's right. A lateral film has the depth z, front to back, in the place of x.

All randomness comes from the generator passed in, so the order of draws is part of the pixels: see
`FORMAT` in chest.py before changing it.
"""

import math
from types import SimpleNamespace

import numpy as np

from medjax.data.phantom.drawing import smooth, texture

# What a patient's films share: uniform between two bounds, in half frames unless noted.
ANATOMY = {
  'lung_centre': (0.36, 0.44), 'lung_width': (0.29, 0.38), 'apex': (-0.85, -0.68),
  'diaphragm': (0.34, 0.58), 'dome': (0.9, 1.8), 'dome_tilt': (0.01, 0.07),
  'soft_tissue': (0.2, 0.42), 'shoulder': (-1.15, -0.92), 'neck': (0.1, 0.2),
  'heart_x': (0.06, 0.15), 'heart_lift': (0.1, 0.2), 'heart_long': (0.36, 0.52),
  'heart_wide': (0.26, 0.36), 'aorta': (0.06, 0.11), 'mediastinum': (0.06, 0.12),
  'spine_curve': (-0.06, 0.06), 'spine_phase': (-1.5, 1.5), 'spine_bright': (0.03, 0.09),
  'rib_space': (0.15, 0.2), 'rib_slope': (0.1, 0.5), 'rib_arch': (0.2, 0.9), 'rib_phase': (0, 1),
  'rib_bright': (0.03, 0.09), 'rib_width': (0.3, 0.5), 'clavicle_y': (-0.68, -0.52),
  'clavicle_slope': (-0.3, 0.05), 'clavicle_bright': (0.06, 0.13), 'hilum_y': (-0.12, 0.02),
  'vessels': (0.08, 0.16), 'breast': (0.0, 0.14), 'breast_y': (0.15, 0.4), 'depth': (0.5, 0.62),
  'kyphosis': (-0.05, 0.12), 'density': (-0.05, 0.05), 'contrast': (0.9, 1.15), 'mark': (0, 1),
  'mark_x': (0.36, 0.56), 'mark_y': (-0.5, -0.3), 'letter_x': (0.7, 0.9), 'letter_y': (-0.92, -0.6),
}  # fmt: skip
# What a patient's findings look like, or would. Radii are in half frames: a mass of 0.1 is 3.2
# pixels in a film of 64. `bright` is in thickness, of which a lung's air takes 0.58 away: the faint
# end hides among ribs and vessels, so that no reader is perfect.
LESIONS = {
  'mass_radius': (0.1, 0.17), 'mass_bright': (0.17, 0.42), 'pneumonia_wide': (0.14, 0.28),
  'pneumonia_high': (0.14, 0.28), 'pneumonia_bright': (0.13, 0.36), 'edema_bright': (0.05, 0.22),
}  # fmt: skip
GRAIN = (0.01, 0.03)  # of the film's brightness; an image's own
# What differs from image to image of one patient: standard deviations. `turn` is in radians.
JITTER = {
  'shift_x': 0.03, 'shift_y': 0.03, 'turn': 0.03, 'zoom': 0.03, 'breath': 0.03, 'density': 0.035,
  'contrast': 0.05,
}  # fmt: skip


def draw_patient(
  rng: np.random.Generator, *, female: bool
) -> tuple[SimpleNamespace, SimpleNamespace]:
  """Draws what all films of a patient share.

  Returns:
    The anatomy: a float for each name in `ANATOMY`, in half frames unless noted there, and the
    textures `vessel_map`, f32[256, 64] by angle and radius, and `tissue_map`, f32[128, 128].
    The lesions, there or not: a float for each name in `LESIONS`, and the places `mass` and
    `pneumonia`, (x, y, z) in half frames.
  """
  anatomy, lesions = _drawn(rng, ANATOMY), _drawn(rng, LESIONS)
  anatomy.breast *= female
  anatomy.vessel_map = texture(rng, (28, 6), (256, 64))
  anatomy.tissue_map = texture(rng, (14, 14), (128, 128))
  lesions.mass, lesions.pneumonia = _place(rng, anatomy), _place(rng, anatomy)
  return anatomy, lesions


def draw_film(
  rng: np.random.Generator,
  anatomy: SimpleNamespace,
  lesions: SimpleNamespace,
  *,
  projection: str,
  truth: dict[str, bool],
  size: int,
  exposure: float = 0.0,
) -> tuple[np.ndarray, dict[str, tuple[int, int, int, int]]]:
  """Draws one film of a patient.

  Args:
    rng: the patient's generator; the film's own pose, exposure and grain are drawn from it.
    anatomy, lesions: as `draw_patient` returns them; left as they are.
    projection: 'AP' or 'PA', or '' for a lateral film.
    truth: whether 'Edema', 'Pneumonia' and 'Lung Lesion' are there; others are ignored.
    size: pixels a side.
    exposure: of the scanner beyond the usual, in thickness: above 0 its films are darker.

  Returns:
    The film, u8[size, size], bright where the patient is thick; and by finding, 'Pneumonia' and
    'Lung Lesion' where there, its box: x and y of the upper left pixel, width and height in pixels.
  """
  a = anatomy
  j = SimpleNamespace(**{name: rng.normal(0, spread) for name, spread in JITTER.items()})
  axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
  across, down = axis[None, :], axis[:, None]
  cos, sin = (f(j.turn) * (1 + j.zoom) for f in (math.cos, math.sin))
  x = cos * (across - j.shift_x) + sin * (down - j.shift_y)
  y = cos * (down - j.shift_y) - sin * (across - j.shift_x)
  if projection:
    tissue, air = _frontal(a, x, y, j.breath, 1.1 if projection == 'AP' else 1.0)
  else:
    tissue, air = _lateral(a, x, y, j.breath)
  cloud = texture(rng, (9, 9), (size, size))
  opacity, boxes = _opacity(a, lesions, projection, truth, x, y, air, cloud)
  thickness = tissue - 0.58 * air + opacity + 0.012 * cloud
  thickness += _mark(a, x, y) if projection else _mark(a, a.mark_x - a.depth - x, y)
  light = np.tanh(
    (thickness - (0.48 + exposure) + a.density + j.density) * 2.6 * (a.contrast + j.contrast)
  )
  light += rng.standard_normal((size, size), np.float32) * rng.uniform(*GRAIN)
  light[_letter(a, across, down)] = 0.97
  return (np.clip(0.5 + 0.5 * light, 0, 1) * 255).astype(np.uint8), boxes


def _drawn(rng: np.random.Generator, ranges: dict) -> SimpleNamespace:
  return SimpleNamespace(**{name: rng.uniform(*bounds) for name, bounds in ranges.items()})


def _place(rng: np.random.Generator, a: SimpleNamespace) -> tuple[float, float, float]:
  """A place x, y, z well inside one of the lungs."""
  side, y = int(rng.choice([-1, 1])), rng.uniform(-0.4, 0.25)
  # The heart hides the left lung's lower inner half.
  inner = 0.1 if side > 0 and y > 0 else -0.4
  x = a.lung_centre + 0.1 * y + a.lung_width * rng.uniform(inner, 0.4)
  return side * x, y, rng.uniform(-0.3, 0.2)


def _opacity(a, lesions, projection, truth, x, y, air, cloud):
  """Returns what the findings add to the thickness, and the boxes of those that have one."""
  opacity = np.zeros_like(air)
  boxes: dict[str, tuple[int, int, int, int]] = {}

  def centred(place):
    return x - (place[0] if projection else place[2]), y - place[1]

  if truth['Edema']:
    wings = np.abs(x) - 0.2 if projection else x - 0.05
    near = smooth(1.1 - np.hypot(wings, y - a.hilum_y) / 0.6)
    opacity += lesions.edema_bright * air * (0.55 + 0.45 * near + 0.2 * cloud)
  if truth['Pneumonia']:
    dx, dy = centred(lesions.pneumonia)
    squared = (dx / lesions.pneumonia_wide) ** 2 + (dy / lesions.pneumonia_high) ** 2
    patch = np.exp(-squared) * smooth(2 * air)
    opacity += lesions.pneumonia_bright * patch * (1 + 0.2 * cloud)
    boxes['Pneumonia'] = _box(patch > 0.3 * patch.max())
  if truth['Lung Lesion']:
    dx, dy = centred(lesions.mass)
    ball = 1 - (dx**2 + dy**2) / lesions.mass_radius**2
    opacity += lesions.mass_bright * np.sqrt(np.maximum(ball, 0))
    boxes['Lung Lesion'] = _box(ball > 0)
  return opacity, boxes


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
  rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
  x, y = int(columns[0]), int(rows[0])
  return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def _frontal(a, x, y, breath, magnified):
  """Returns tissue and air, f32[size, size] in 0..1, seen from the front."""
  x = x - a.spine_curve * np.sin(1.5 * y + a.spine_phase)
  u = np.abs(x)
  arms = 0.7 * smooth(0.1 - 1.6 * y)
  side = a.lung_centre + a.lung_width + a.soft_tissue + 0.1 * y + arms
  top = a.shoulder + 0.25 * u**2 - 0.9 * smooth(1 - (u - a.neck) / 0.28)
  body = smooth((side - u) / 0.24) * smooth((y - top) / 0.28)
  # The lungs are round at the sides and the apex; heart and diaphragm cut into them.
  chest = _chest(a, (u - a.lung_centre - 0.1 * y) / (a.lung_width * (1 + 0.12 * y)), y)
  dome = a.diaphragm + breath + a.dome_tilt * np.sign(x) + a.dome * (u - 0.34) ** 2
  heart_y, long, wide = a.diaphragm - a.heart_lift + breath, a.heart_long, a.heart_wide
  ventricle = _ball(x, y, a.heart_x, heart_y, magnified * long, magnified * wide, 0.75)
  atrium = _ball(x, y, -0.05, heart_y, magnified * 0.17, 0.24)
  heart = 1 - (1 - smooth(1.8 * ventricle)) * (1 - smooth(2 * atrium))
  knob = smooth(2.5 * _ball(x, y, 0.08, -0.28, a.aorta, 1.5 * a.aorta))
  middle = _line(u, magnified * a.mediastinum + 0.06 * smooth(0.7 + 2 * y) + 0.08, 0.14)
  solid = 1 - (1 - heart) * (1 - 0.7 * knob) * (1 - middle)
  below = smooth((y - dome) / 0.15)
  air = smooth(chest / 0.5) * smooth((dome - y) / 0.07 + 0.5) * (1 - 0.95 * solid)

  tissue = body * (0.68 + 0.14 * solid + 0.03 * heart + 0.12 * below)
  tissue += a.breast * smooth(2 * _ball(u, y, 0.46, a.breast_y, 0.36, 0.3))
  tissue += a.spine_bright * body * _line(u, 0.13, 0.08) * _vertebrae(y)
  tissue -= 0.1 * _line(u, 0.06, 0.05) * smooth((-0.25 - y) / 0.1)  # the windpipe
  # Ribs arch down from the spine behind, and come back down and inwards in front.
  behind = y + 0.2 * u - a.rib_arch * (1 - 0.6 * y) * u**2
  ribs = _bands(behind / a.rib_space + a.rib_phase, a.rib_width)
  before = _bands((y + a.rib_slope * u) / (1.3 * a.rib_space), a.rib_width)
  ribs += 0.5 * before * smooth((u - 0.25) / 0.2)
  tissue += a.rib_bright * ribs * _cage(chest, below) * body * smooth((u - 0.08) / 0.1)
  clavicle = y - a.clavicle_y - a.clavicle_slope * u - 0.5 * (u - 0.4) ** 2
  tissue += a.clavicle_bright * _line(clavicle, 0.06, 0.04) * _line(u - 0.45, 0.4, 0.1)
  tissue += 0.12 * body * smooth(2 * _ball(u, y, 0.9, -0.35, 0.24, 0.42, -0.35))  # shoulder blade
  return tissue + _detail(a, u - 0.15, y, body, air, x > 0), air


def _lateral(a, z, y, breath):
  """Returns tissue and air, f32[size, size] in 0..1, seen from the side, facing left."""
  rise = smooth(-0.2 - 1.2 * y)
  breast = 0.8 * a.breast * _line(y - a.breast_y, 1 / 3, 1 / 3)
  front = -a.depth - 0.08 - 0.3 * a.soft_tissue + 0.4 * rise - breast
  back = a.depth + 0.14 + 0.4 * a.soft_tissue + a.kyphosis * np.cos(2 * y) - 0.2 * rise
  body = smooth((z - front) / 0.25) * smooth((back - z) / 0.3)
  chest = _chest(a, (z - 0.04 - 0.1 * rise) / a.depth, y)
  dome = a.diaphragm + breath - 0.05 + 0.3 * z + 0.35 * a.dome * (z + 0.15) ** 2
  heart_y = a.diaphragm - a.heart_lift + breath
  heart = smooth(1.5 * _ball(z, y, -0.24, heart_y, a.heart_long, 0.85 * a.heart_wide, 1.1))
  below = smooth((y - dome) / 0.15)
  air = smooth(chest / 0.5) * smooth((dome - y) / 0.07 + 0.5) * (0.85 - 0.72 * heart)

  shoulders = smooth(-1.2 - 2.5 * y)
  tissue = body * (0.7 + 0.1 * heart + 0.14 * below + 0.18 * shoulders)
  spine = _line(z - back + 0.34 + 0.3 * a.soft_tissue, 0.13, 0.07) * _vertebrae(y)
  tissue += (a.spine_bright + 0.06) * (1 - 0.5 * y) * spine
  tissue += 0.08 * _line(z - front - 0.14, 0.05, 0.04) * _line(y + 0.1, 0.5, 0.25)  # the sternum
  tissue -= 0.1 * _line(z - 0.1 - 0.15 * y, 0.06, 0.05) * smooth((-0.25 - y) / 0.1)
  arch = np.hypot(z - 0.1, y + 0.24) - 1.6 * a.aorta
  tissue += 0.06 * _line(arch, 0.06, 0.05) * smooth(-0.6 - 4 * y)
  ribs = _bands((y + (0.4 + a.rib_slope) * z) / a.rib_space + a.rib_phase, a.rib_width)
  tissue += 0.7 * a.rib_bright * ribs * _cage(chest, below) * body
  return tissue + _detail(a, z - 0.05, y, body, air, 0), air


def _chest(a, across, y):
  """1 deep inside a lung, 0 on its wall, negative outside; `across` is -1 and 1 at its sides."""
  return 1 - np.abs(across) ** 3 - (np.maximum(0.1 - y, 0) / (0.1 - a.apex)) ** 2.5


def _cage(chest, below):
  """How much of the ribs is seen: to a little outside the lungs, and faintly over the belly."""
  return smooth(chest / 0.3 + 1) * (1 - 0.75 * below)


def _vertebrae(y):
  return 0.85 + 0.15 * np.cos(45 * y)


def _detail(a, x, y, body, air, side):
  """A patient's own vessels, which run out from the hilum at x = 0 and fade, and soft tissue."""
  r, angle = np.hypot(x, y - a.hilum_y), np.arctan2(y - a.hilum_y, x) / (2 * np.pi) + 0.5
  streaks = 1 - 2 * np.abs(_look_up(a.vessel_map, (angle + side) / 2, r))
  vessels = smooth(streaks) * smooth((0.6 - r) / 0.5) + 1.2 * _line(r, 0.22, 0.2)
  tissue = _look_up(a.tissue_map, y / 3 + 0.5, x / 3 + 0.5)
  return a.vessels * air * vessels + 0.025 * body * tissue


def _mark(a, x, y):
  """What some patients wear in all of their films: a pacemaker, leads or nipple markers."""
  bright = np.zeros_like(x)
  if a.mark < 0.12:
    box = np.maximum(np.abs(x - a.mark_x) / 0.11, np.abs(y - a.mark_y) / 0.09)
    wire = x - a.mark_x + 0.45 * np.sin(2.2 * (y - a.mark_y))
    bright += 0.7 * _line(box, 1, 0.2)
    bright += 0.4 * _line(wire, 0.03, 0.015) * (y > a.mark_y) * (y < a.mark_y + 0.8)
  elif a.mark < 0.3:
    for at_x, at_y in ((-0.5, -0.45), (a.mark_x, a.mark_y), (0.55, 0.35)):
      wire = x - at_x + 0.25 * (y - at_y) ** 2
      bright += 0.5 * smooth(3 * _ball(x, y, at_x, at_y, 0.045, 0.045))
      bright += 0.12 * _line(wire, 0.024, 0.012) * (y > at_y)
  elif a.mark < 0.4:
    bright += 0.4 * smooth(3 * _ball(np.abs(x), y, a.mark_x, 0.3, 0.035, 0.035))
  return bright


def _letter(a, across, down):
  """Where the technician's L stands, bool[size, size]; it does not move with the patient."""
  x, y = across - a.letter_x, down - a.letter_y
  upright = (np.abs(x) < 0.012) & (np.abs(y) < 0.05)
  return upright | ((np.abs(y - 0.05) < 0.012) & (np.abs(x - 0.025) < 0.037))


def _line(off, half, soft):
  """1 where `off` is about 0, 0 from `half` on to either side, fading over the last `soft`."""
  return smooth((half - np.abs(off)) / soft)


def _ball(x, y, at_x, at_y, long, wide, turn=0.0):
  """1 at an ellipse's centre, 0 on its rim, negative outside; `turn` is in radians."""
  cos, sin = math.cos(turn), math.sin(turn)
  dx, dy = x - at_x, y - at_y
  return 1 - ((cos * dx + sin * dy) / long) ** 2 - ((cos * dy - sin * dx) / wide) ** 2


def _bands(phase, width):
  """A bone's profile in every period of `phase`: `width` of it, brighter at its edges."""
  off = np.abs(phase - np.floor(phase) - 0.5) / (0.5 * width)
  return smooth((1 - off) / 0.35) * (0.7 + 0.5 * off**2)


def _look_up(texture, row, column):
  """The texture's values at `row` and `column`, both from 0 to 1 and held to the rim outside."""
  rows, columns = (
    np.clip(place * size, 0, size - 1).astype(np.intp)
    for place, size in zip((row, column), texture.shape)
  )
  return texture[rows, columns]
