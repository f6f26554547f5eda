"""Draws the phantom's dermoscopic pictures as arrays: nothing but the arguments decides a pixel.

Skin reflects light; melanin and blood take some of it away (Beer and Lambert's law, by channel).
How atypical a lesion is, one number from 0 to 1, drives what dermatologists look for: asymmetry, an
irregular border, several colours, and structures that lie off centre. The atypical benign lesion
and the inconspicuous melanoma overlap, so that no reader is perfect. Lengths are in half frames: x
and y run from -1 to 1.

All randomness comes from the generator passed in, so the order of draws is part of the pixels: see
`FORMAT` in skin.py before changing it.
"""

from types import SimpleNamespace

import numpy as np

from medjax.data.phantom.drawing import Marks, grid, smooth, texture

# What a patient's pictures share: uniform between two bounds.
PATIENT = {
  'tan': (0.0, 0.3), 'flush': (0.0, 0.16), 'warm': (-0.05, 0.05), 'light': (0.86, 1.06),
  'hair': (0, 1), 'hair_dark': (0.35, 0.95), 'rim': (0, 1), 'rim_radius': (0.98, 1.25),
  'vignette': (0.05, 0.4), 'freckles': (0, 0.1), 'nevus': (0.35, 0.85), 'style': (0, 1),
  'lines': (0, 0.05), 'tension': (0, 3.14),
}  # fmt: skip
SKIN = np.array([0.94, 0.79, 0.72], np.float32)
# How strongly each takes red, green and blue away.
MELANIN = np.array([0.75, 1.25, 1.6], np.float32)
DEEP_MELANIN = np.array([1.5, 1.25, 0.95], np.float32)
BLOOD = np.array([0.12, 0.9, 0.75], np.float32)
RING = 96  # points around a lesion's outline


def draw_patient(rng: np.random.Generator) -> SimpleNamespace:
  """Draws what all pictures of a patient share: a float for each name in `PATIENT`."""
  return SimpleNamespace(**{name: rng.uniform(*bounds) for name, bounds in PATIENT.items()})


def draw_lesion(
  rng: np.random.Generator, patient: SimpleNamespace, *, malignant: bool
) -> tuple[SimpleNamespace, dict[str, float]]:
  """Draws a lesion's own shape and pigment; returns it and its row of truth.csv."""
  atypical = rng.beta(4, 2.2) if malignant else rng.beta(1.3, 5)

  def grown(least: float, most: float, spread: float = 0.15) -> float:
    """A feature that grows with atypia, loosely."""
    return least + (most - least) * float(np.clip(atypical + rng.normal(0, spread), 0, 1))

  angle = np.linspace(0, 2 * np.pi, RING, endpoint=False)
  asymmetry, border = grown(0.02, 0.3), grown(0.01, 0.1)
  outline = np.ones(RING) + asymmetry * _wave(rng, angle, (1, 2, 3)) * 0.7
  outline += 0.5 * border * _wave(rng, angle, (5, 6, 7, 8, 9, 11, 13))
  # A border that ends abruptly, or runs out in streaks, on one side only.
  side = np.maximum(0, np.cos(angle - rng.uniform(0, 2 * np.pi))) ** 2
  ray = np.maximum(0, np.sin(17 * angle + 2 * np.sin(3 * angle)))
  streaks = max(0.0, grown(-0.3, 0.18)) * side * ray * rng.uniform(0.4, 1, RING)
  colours = max(0, round(grown(-0.8, 3.8)))
  lesion = SimpleNamespace(
    outline=outline + streaks,
    radius=grown(0.36, 0.66) * rng.uniform(0.8, 1.2),
    oval=rng.uniform(0.75, 1.0),
    pigment=patient.nevus * rng.uniform(0.8, 1.2) * (1 + 0.5 * atypical),
    soft=grown(0.35, 0.14),
    network=rng.uniform(0.1, 0.4) if patient.style < 0.6 else 0.0,
    globules=rng.uniform(0.2, 0.5) if patient.style > 0.5 else 0.0,
    centre=rng.uniform(-0.35, 0.5) * (1 - atypical),
    uneven=grown(0.05, 0.75),
    # Patches that only atypical lesions have, off centre.
    patches=[_patch(rng, kind) for kind in rng.permutation(4)[:colours]],
    seed=int(rng.integers(2**32)),
  )
  measured = {'atypical': atypical, 'asymmetry': asymmetry, 'border': border, 'colours': colours}
  return lesion, {name: round(float(value), 3) for name, value in measured.items()}


def draw_picture(
  rng: np.random.Generator, patient: SimpleNamespace, lesion: SimpleNamespace, *, size: int
) -> np.ndarray:
  """Draws one picture of a lesion, u8[size, size, 3], with a pose, light and hairs of its own."""
  p = patient
  across, down = grid(size)
  own = np.random.default_rng(lesion.seed)  # the same in every picture of the lesion
  x, y = _pose(rng, lesion, across, down)
  melanin, deep, blood, scar = _pigment(own, lesion, x, y, size)
  # The skin itself: its tan and flush, furrows and freckles.
  mottle = texture(rng, (12, 12), (size, size))
  along = across * np.cos(p.tension) + down * np.sin(p.tension) + 0.04 * mottle
  furrows = p.lines * np.sin(40 * along) * texture(rng, (9, 9), (size, size))
  melanin = melanin + p.tan + 0.03 * texture(rng, (6, 6), (size, size)) + furrows
  melanin += p.freckles * np.maximum(0, mottle - 1.2)
  blood = blood + p.flush + 0.03 * mottle
  taken = melanin[..., None] * MELANIN + deep[..., None] * DEEP_MELANIN + blood[..., None] * BLOOD
  image = SKIN * np.exp(-np.maximum(taken, 0))
  image = image * (1 - scar[..., None]) + np.array([0.9, 0.84, 0.82], np.float32) * scar[..., None]
  hairs = _hairs(rng, p, size)[..., None]
  image = (
    image * (1 - p.hair_dark * hairs)
    + np.array([0.1, 0.06, 0.03], np.float32) * hairs * p.hair_dark
  )
  return _photograph(rng, p, image, across, down)


def _wave(rng, angle, orders):
  """A sum of waves around the outline, of unit variance or so."""
  phases, heights = rng.uniform(0, 2 * np.pi, len(orders)), rng.normal(0, 1, len(orders))
  return (
    sum(h * np.cos(k * angle + f) for k, h, f in zip(orders, heights, phases)) / len(orders) ** 0.5
  )


def _patch(rng, kind):
  angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.75)
  return SimpleNamespace(
    kind=('black', 'blue', 'red', 'white')[kind],
    x=away * np.cos(angle),
    y=away * np.sin(angle),
    radius=rng.uniform(0.3, 0.65),
    strong=rng.uniform(0.5, 1),
  )


def _pose(rng, lesion, across, down):
  """The lesion's own coordinates, in its radius, after a turn, a shift and a change of distance."""
  turn, radius = rng.uniform(0, 2 * np.pi), lesion.radius * rng.uniform(0.88, 1.12)
  dx, dy = across - rng.normal(0, 0.07), down - rng.normal(0, 0.07)
  x = (np.cos(turn) * dx + np.sin(turn) * dy) / radius
  y = (np.cos(turn) * dy - np.sin(turn) * dx) / (radius * lesion.oval)
  return x, y


def _pigment(own, lesion, x, y, size):
  """Returns melanin, deep melanin, blood and scar, f32[size, size] each."""
  far, angle = np.hypot(x, y), np.arctan2(y, x) / (2 * np.pi) % 1.0
  edge = np.interp(
    angle.ravel(), np.linspace(0, 1, RING + 1), np.append(lesion.outline, lesion.outline[:1])
  )
  depth = 1 - far / np.maximum(edge.reshape(far.shape), 0.2)
  inside = smooth(depth / lesion.soft)
  # Noise in the lesion's coordinates, so that it turns with the lesion.
  cloud = _look_up(texture(own, (8, 8), (64, 64)), x, y)
  dots = _look_up(texture(own, (30, 30), (128, 128)), x, y)
  net = np.abs(_look_up(texture(own, (16, 16), (128, 128)), x, y))
  melanin = (
    lesion.pigment
    * inside
    * (1 + lesion.centre * np.exp(-((far / 0.5) ** 2)) + lesion.uneven * 0.6 * cloud)
  )
  melanin += lesion.network * lesion.pigment * inside * (smooth(1 - net / 0.5) - 0.4)
  melanin += lesion.globules * lesion.pigment * inside * smooth((dots - 0.8) / 0.5)
  deep, blood, scar = (np.zeros_like(melanin) for _ in range(3))
  for patch in lesion.patches:
    near = np.hypot(x - patch.x, y - patch.y) / patch.radius + 0.45 * cloud
    spot = patch.strong * smooth((1.1 - near) / 0.9) * inside
    if patch.kind == 'black':
      melanin = melanin + 1.1 * spot
    elif patch.kind == 'blue':
      deep, melanin = deep + 0.75 * spot, melanin * (1 - 0.6 * spot)
    elif patch.kind == 'red':
      blood, melanin = blood + 0.55 * spot, melanin * (1 - 0.6 * spot)
    else:
      scar, melanin = scar + 0.5 * spot, melanin * (1 - 0.8 * spot)
  return np.maximum(melanin, 0), deep, blood + 0.08 * inside, scar


def _look_up(noise, x, y):
  """The noise at places from -1.6 to 1.6, held to its rim outside."""
  rows, columns = (
    np.clip((place / 3.2 + 0.5) * length, 0, length - 1).astype(np.intp)
    for place, length in zip((y, x), noise.shape)
  )
  return noise[rows, columns]


def _hairs(rng, p, size):
  marks = Marks(size)
  count = int(rng.poisson(14 * (p.hair - 0.5))) if p.hair > 0.5 else 0
  if count:
    along = np.linspace(0, 1, 10)
    heading = p.tension + rng.normal(0, 0.5, (count, 1)) + rng.normal(0, 0.8, (count, 1)) * along
    length = rng.uniform(0.6, 2.0, (count, 1))
    xs = rng.uniform(-1.2, 0.8, (count, 1)) + np.cumsum(np.cos(heading), 1) * length / 10
    ys = rng.uniform(-1.2, 0.8, (count, 1)) + np.cumsum(np.sin(heading), 1) * length / 10
    marks.lines(xs, ys, rng.uniform(0.012, 0.026, count))
  return marks.layer()


def _photograph(rng, p, image, across, down):
  """Puts the dermatoscope's light, tint, focus and grain on it, and the black rim of some."""
  size = len(image)
  far = np.hypot(across, down)
  light = p.light * rng.uniform(0.96, 1.04) * (1 - p.vignette * far**2 * 0.5)
  image = image * light[..., None] * np.array([1 + p.warm, 1, 1 - p.warm], np.float32)
  blur = rng.uniform(0, 0.4)
  image = (1 - blur) * image + blur * (np.roll(image, 1, 0) + np.roll(image, -1, 1)) / 2
  if p.rim < 0.25:
    image *= smooth((p.rim_radius - far) * size / 5 + 0.5)[..., None]
  image += rng.standard_normal(image.shape, np.float32) * rng.uniform(0.006, 0.018)
  return (np.clip(image, 0, 1) * 255).astype(np.uint8)
