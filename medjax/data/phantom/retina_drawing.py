"""Draws the phantom's retinal photographs as arrays: nothing but the arguments decides a pixel.

Lengths are in half frames: x and y run from -1 to 1, y downwards, the macula near the middle. Eyes
are drawn as right eyes, whose optic disc is on the image's right, and a left eye is mirrored.
Lesions are drawn larger than life, so that 96 pixels a side show them.

The grades are those of the International Clinical Diabetic Retinopathy scale: 1, microaneurysms
only; 2, more than that; 3, haemorrhages in all quadrants; 4, new vessels or preretinal haemorrhage.

All randomness comes from the generator passed in, so the order of draws is part of the pixels: see
`FORMAT` in retina.py before changing it.
"""

from types import SimpleNamespace

import numpy as np

from medjax.data.phantom.drawing import Marks, grid, smooth, texture

LESIONS = ('microaneurysms', 'haemorrhages', 'exudates', 'cotton_wool', 'new_vessels', 'preretinal')
# By grade, how many there are: from, to (inclusive). The ranges overlap, as grades do.
COUNTS = {
  'microaneurysms': ((0, 0), (2, 6), (5, 14), (12, 26), (8, 24)),
  'haemorrhages': ((0, 0), (0, 0), (2, 7), (12, 24), (6, 20)),
  'exudates': ((0, 0), (0, 0), (0, 3), (1, 5), (0, 4)),
  'cotton_wool': ((0, 0), (0, 0), (0, 1), (1, 5), (0, 3)),
  'new_vessels': ((0, 0), (0, 0), (0, 0), (0, 0), (1, 3)),
  'preretinal': ((0, 0), (0, 0), (0, 0), (0, 0), (0, 1)),
}
# What a patient's two photographs share: uniform between two bounds.
PATIENT = {
  'dark': (0, 1), 'hue': (-0.05, 0.05), 'field': (0.92, 1.0), 'cut': (0, 1),
  'vignette': (0.15, 0.5), 'gamma': (0.85, 1.2), 'disc_x': (0.46, 0.58), 'disc_y': (-0.08, 0.06),
  'disc': (0.12, 0.155), 'cup': (0.3, 0.6), 'pale': (0, 1), 'vein': (0.03, 0.042),
  'arch': (0.9, 1.25), 'winding': (0.5, 1.6), 'choroid': (0, 0.09), 'macula': (0.12, 0.3),
  'drusen': (0, 1), 'sheen': (0, 0.08),
}  # fmt: skip
PALE = np.array([0.88, 0.5, 0.27], np.float32)
DARK = np.array([0.6, 0.25, 0.12], np.float32)
DISC = np.array([0.98, 0.82, 0.52], np.float32)
CUP = np.array([1.0, 0.94, 0.76], np.float32)
# What is left of the light, by channel, where a mark is full.
BLOOD = np.array([0.72, 0.4, 0.42], np.float32)
OLD_BLOOD = np.array([0.58, 0.27, 0.3], np.float32)
EXUDATE = np.array([1.0, 0.93, 0.5], np.float32)
COTTON = np.array([0.97, 0.88, 0.68], np.float32)


def draw_patient(rng: np.random.Generator) -> SimpleNamespace:
  """Draws what both eyes share: a float for each name in `PATIENT`, and the vessels' own `seed`."""
  patient = SimpleNamespace(**{name: rng.uniform(*bounds) for name, bounds in PATIENT.items()})
  patient.seed = int(rng.integers(2**32))
  return patient


def draw_eye(
  rng: np.random.Generator, patient: SimpleNamespace, *, side: str, level: int, size: int
) -> tuple[np.ndarray, dict[str, int]]:
  """Draws one photograph.

  Args:
    rng: the patient's generator; what is the eye's own is drawn from it.
    patient: as `draw_patient` returns it; left as it is.
    side: 'left' or 'right'.
    level: the grade, 0 to 4.
    size: pixels a side.

  Returns:
    The photograph, u8[size, size, 3], and how many of each of `LESIONS` were drawn.
  """
  p = patient
  x, y = grid(size)
  shift_x, shift_y = rng.normal(0, 0.03, 2).tolist()
  x, y = x - shift_x, y - shift_y
  disc_x, disc_y = p.disc_x + rng.normal(0, 0.015), p.disc_y + rng.normal(0, 0.02)
  fovea = np.hypot(x, y - 0.03)
  to_disc = np.hypot(x - disc_x, 0.92 * (y - disc_y))

  image = _background(rng, p, x, y, fovea)
  nerve = smooth((p.disc - to_disc) / 0.045 + 0.5)[..., None]
  cup = smooth((p.cup * p.disc - to_disc) / 0.06 + 0.5)[..., None] * (0.4 + 0.6 * p.pale)
  image = image * (1 - 0.9 * nerve) + DISC * 0.9 * nerve
  image = image * (1 - cup) + CUP * cup

  # Fellow eyes have their large vessels alike and their small ones their own.
  veins, arteries = _vessels(p, rng, disc_x + shift_x, disc_y + shift_y, size)
  off_fovea = smooth((fovea - 0.1) / 0.14)
  for layer, weight in ((veins, 0.95), (arteries, 0.62)):
    image *= 1 - (weight * layer * off_fovea)[..., None] * (1 - BLOOD)

  counts = _counts(rng, level)
  places = SimpleNamespace(disc_x=disc_x + shift_x, disc_y=disc_y + shift_y, size=size)
  for colour, layer in _lesions(rng, p, counts, places):
    layer = layer[..., None]
    # Blood takes light away, exudates and cotton wool cover what is under them.
    image = (
      image * (1 - layer * (1 - colour)) if colour is OLD_BLOOD else _cover(image, layer, colour)
    )

  pixels = _photograph(rng, p, image, grid(size))
  return (pixels if side == 'right' else pixels[:, ::-1]), counts


def _background(rng, p, x, y, fovea):
  size = len(y)
  tint = (1 - p.dark) * PALE + p.dark * DARK + np.array([0, p.hue, 0.5 * p.hue], np.float32)
  light = 1 - p.vignette * (x**2 + y**2) * 0.6 + 0.05 * texture(rng, (5, 5), (size, size))
  # The choroid's vessels show through where there is little pigment.
  light += p.choroid * (1.3 - p.dark) * np.abs(texture(rng, (14, 14), (size, size)))
  image = light[..., None] * tint
  macula = p.macula * np.exp(-((fovea / 0.24) ** 2))[..., None]
  image = image * (1 - macula * np.array([0.55, 0.8, 0.9], np.float32))
  # The young retina's sheen along the arcades.
  sheen = p.sheen * np.exp(-(((np.hypot(x, 1.15 * y) - 0.5) / 0.2) ** 2))
  return image + sheen[..., None] * np.array([0.5, 0.8, 0.7], np.float32)


def _cover(image, layer, colour):
  return image * (1 - layer) + colour * layer


def _photograph(rng, p, image, axes):
  """Puts the field's black rim around it, and the camera's exposure, blur and grain on it."""
  x, y = axes
  size = len(image)
  image = np.clip(image * rng.uniform(0.95, 1.05), 0, None) ** p.gamma
  blur = rng.uniform(0, 0.35) if rng.random() < 0.8 else rng.uniform(0.35, 0.8)
  soft = (np.roll(image, 1, 0) + np.roll(image, -1, 0) + np.roll(image, 1, 1)) / 3
  image = (1 - blur) * image + blur * (soft + np.roll(soft, -1, 1)) / 2
  # Many cameras cut the circle off above and below.
  height = 0.8 if p.cut < 0.5 else 1.0
  inside = np.minimum(p.field - np.hypot(x, y), p.field * height - np.abs(y))
  image *= smooth(inside * size / 4 + 0.5)[..., None]
  noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0.006, 0.018)
  return (np.clip(image + noise * (inside > 0)[..., None], 0, 1) * 255).astype(np.uint8)


# ---- vessels ------------------------------------------------------------------------------------


def _vessels(p, rng, disc_x, disc_y, size):
  """Returns the veins and the arteries, f32[size, size] each."""
  own = int(rng.integers(2**32))
  layers = []
  for kind, width, ray in ((0, p.vein, 0.1), (1, 0.7 * p.vein, -0.12)):
    trunks = np.random.default_rng([p.seed, kind])
    twigs = np.random.default_rng([own, kind])
    # Above and below: the temporal arcade runs around the macula, the nasal vessels straight on.
    up = np.array([-1, -1, 1, 1])
    heading = np.array([1.9, 0.75, 1.9, 0.75]) + ray + trunks.normal(0, 0.1, 4)
    length = np.array([1.55, 0.8, 1.55, 0.8])
    bend = np.array([1.1 * p.arch, 0.1, 1.1 * p.arch, 0.1])
    marks, x, y = Marks(size), np.full(4, disc_x), np.full(4, disc_y)
    width = width * np.array([1, 0.8, 1, 0.8])
    for rng, count, steps in ((trunks, 5, 28), (trunks, 2, 12), (twigs, 0, 8)):
      wander = rng.normal(0, 0.4 / np.sqrt(steps) * p.winding, (len(x), steps))
      headings = heading[:, None] + bend[:, None] * np.linspace(0, 1, steps) + np.cumsum(wander, 1)
      step = (length / steps)[:, None]
      xs = x[:, None] + np.cumsum(np.cos(headings) * step, 1)
      ys = y[:, None] + up[:, None] * np.cumsum(np.sin(headings) * step, 1)
      # A trunk narrows on its way.
      piece_length = 7 if count == 5 else steps
      for start in range(0, steps - 1, piece_length):
        piece = np.s_[:, start : start + piece_length + 1]
        marks.lines(xs[piece], ys[piece], width * (1 - 0.6 * start / steps))
      if not count:
        break
      at = np.linspace(0.15, 0.85, count) + rng.uniform(-0.06, 0.06, (len(x), count))
      parent, place = np.arange(len(x))[:, None], (at * (steps - 1)).astype(int)
      turn = rng.choice([-1, 1], at.shape) * rng.uniform(0.5, 0.95, at.shape)
      x, y = xs[parent, place].ravel(), ys[parent, place].ravel()
      heading, bend = (headings[parent, place] + turn).ravel(), -0.4 * turn.ravel()
      length = (length[:, None] * rng.uniform(0.3, 0.5, at.shape)).ravel()
      width, up = (0.55 * width[:, None] * (1 - 0.5 * at)).ravel(), np.repeat(up, count)
    layers.append(marks.layer())
  return layers


# ---- lesions ------------------------------------------------------------------------------------


def _counts(rng, level):
  return {name: int(rng.integers(low, high + 1)) for name, low, high in (
    (name, *COUNTS[name][level]) for name in LESIONS
  )}  # fmt: skip


def _lesions(rng, p, counts, places):
  """Returns (colour, layer f32[size, size]) of what lies over the retina, the deepest first."""
  size = places.size
  deep, yellow, cotton, blood = Marks(size), Marks(size), Marks(size), Marks(size)
  for x, y in _spread(rng, p, places, int(rng.integers(4, 16)) if p.drusen < 0.15 else 0, 0.35):
    deep.spot(x, y, rng.uniform(0.012, 0.03), rng.uniform(0.2, 0.5))
  for x, y in _spread(rng, p, places, counts['exudates'], 0.45):
    _cluster(rng, yellow, x, y)
  for x, y in _spread(rng, p, places, counts['cotton_wool'], 0.7):
    _blot(rng, cotton, x, y, rng.uniform(0.05, 0.085), 0.75, 1.5)
  for x, y in _spread(rng, p, places, counts['microaneurysms'], 0.7):
    blood.spot(x, y, rng.uniform(0.017, 0.026), rng.uniform(0.65, 1))
  for x, y in _spread(rng, p, places, counts['haemorrhages'], 0.85):
    _blot(rng, blood, x, y, rng.uniform(0.022, 0.05), rng.uniform(0.6, 1), rng.uniform(1, 2))
  for _ in range(counts['new_vessels']):
    _frond(rng, blood, places)
  for x, y in _spread(rng, p, places, counts['preretinal'], 0.6):
    # Blood before the retina settles: a level above, a boat's hull below.
    angle, wide = np.linspace(0, np.pi, 24), rng.uniform(0.16, 0.3)
    blood.shape(x + wide * np.cos(angle), y + 0.55 * wide * np.sin(angle), 0.95)
  return (
    (EXUDATE, 0.7 * deep.layer()),
    (COTTON, cotton.layer(blur=0.03)),
    (EXUDATE, yellow.layer()),
    (OLD_BLOOD, blood.layer(blur=0.006)),
  )


def _spread(rng, p, places, count, reach):
  """Returns places (x, y) of lesions within `reach` of the middle, off the disc."""
  places_drawn: list[tuple[float, float]] = []
  while len(places_drawn) < count:
    radius, angle = reach * np.sqrt(rng.uniform(0.02, 1)), rng.uniform(0, 2 * np.pi)
    x, y = radius * np.cos(angle), 0.85 * radius * np.sin(angle)
    if np.hypot(x - places.disc_x, y - places.disc_y) > p.disc + 0.05:
      places_drawn.append((x, y))
  return places_drawn


def _cluster(rng, marks, x, y):
  """Hard exudates: waxy specks in a patch or around a leaking spot."""
  count, around = int(rng.integers(5, 16)), rng.uniform(0.04, 0.12)
  angles = rng.uniform(0, 2 * np.pi, count)
  radii = around * (
    np.sqrt(rng.random(count)) if rng.random() < 0.5 else rng.normal(1, 0.12, count)
  )
  for dx, dy in zip(radii * np.cos(angles), radii * np.sin(angles)):
    marks.spot(x + dx, y + dy, rng.uniform(0.01, 0.022), rng.uniform(0.7, 1))


def _blot(rng, marks, x, y, radius, value, long):
  """An uneven patch; a flame-shaped one lies along the nerve fibres."""
  angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
  edge = radius * (1 + rng.normal(0, 0.16, 16))
  across, along = edge * np.cos(angle) * long, edge * np.sin(angle)
  lie = np.arctan2(y, x) + np.pi / 2
  xs = x + across * np.cos(lie) - along * np.sin(lie)
  ys = y + across * np.sin(lie) + along * np.cos(lie)
  marks.shape(xs, ys, value)


def _frond(rng, marks, places):
  """New vessels: a tangle of fine loops on the disc or beside an arcade."""
  if rng.random() < 0.5:
    x, y = places.disc_x + rng.normal(0, 0.05), places.disc_y + rng.normal(0, 0.05)
  else:
    x, y = rng.uniform(-0.5, 0.4), rng.choice([-1, 1]) * rng.uniform(0.4, 0.6)
  loops = int(rng.integers(9, 16))
  curl = rng.normal(rng.choice([-0.35, 0.35], (loops, 1)), 0.35, (loops, 14))
  turn = np.cumsum(curl, 1) + rng.uniform(0, 2 * np.pi, (loops, 1))
  reach = rng.uniform(0.018, 0.032, (loops, 1))
  xs, ys = (along + np.cumsum(f(turn) * reach, 1) for along, f in ((x, np.cos), (y, np.sin)))
  marks.lines(xs, ys, np.full(loops, 0.012), 0.9)
