"""Draws the phantom's lymph node patches as arrays: nothing but the arguments decides a pixel.

Light passes through haematoxylin, which stains nuclei blue-violet, and eosin, which stains the rest
pink (Beer and Lambert's law, by channel). A node is packed with lymphocytes: small, round, dark,
alike. Tumour cells have nuclei two or three times as wide, uneven in size, shape and stain, crowded
into nests, with cytoplasm around them. What makes it hard: germinal centres, whose cells are larger
and paler than other lymphocytes; and tumour that stays outside the centre.

Lengths are in half frames of a patch of 96 pixels at about 1 µm each: x and y run from -1 to 1.

All randomness comes from the generator passed in, so the order of draws is part of the pixels: see
`FORMAT` in tissue.py before changing it.
"""

from types import SimpleNamespace

import numpy as np

from medjax.data.phantom.drawing import Marks, grid, smooth, texture

# What a slide's patches share: uniform between two bounds.
SLIDE = {
  'haematoxylin': (0.75, 1.35), 'eosin': (0.6, 1.3), 'violet': (-0.14, 0.14), 'pink': (-0.12, 0.12),
  'thick': (-0.08, 0.1), 'focus': (0.05, 0.6), 'packed': (0.5, 1.0), 'lymphocyte': (0.062, 0.078),
  'fibrous': (0, 0.5), 'fat': (0, 0.16), 'tumour_nucleus': (0.115, 0.17),
  'pleomorphic': (0.1, 0.32), 'pale': (0.45, 0.85), 'nucleoli': (0, 1), 'cytoplasm': (0.05, 0.28),
  'follicles': (0.2, 0.5),
}  # fmt: skip
# Optical density of red, green and blue for one part of stain.
HAEMATOXYLIN = np.array([0.65, 0.72, 0.32], np.float32)
EOSIN = np.array([0.1, 0.72, 0.3], np.float32)
OUTLINE = np.linspace(0, 2 * np.pi, 12, endpoint=False)


def draw_slide(rng: np.random.Generator) -> SimpleNamespace:
  """Draws what all patches of a slide share: a float for each name in `SLIDE`."""
  return SimpleNamespace(**{name: rng.uniform(*bounds) for name, bounds in SLIDE.items()})


def draw_patch(
  rng: np.random.Generator, slide: SimpleNamespace, *, tumour: str, size: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws one patch.

  Args:
    rng: the slide's generator.
    slide: as `draw_slide` returns it; left as it is.
    tumour: 'nowhere', 'elsewhere' (outside the central third) or 'centre'.
    size: pixels a side.

  Returns:
    The patch, u8[size, size, 3], and where tumour is, bool[size, size].
  """
  s = slide
  x, y = grid(size)
  warp = texture(rng, (6, 6), (size, size))
  nest = _nest(rng, tumour, x, y, warp)
  follicle = _somewhere(rng, s.follicles, x, y, warp, (0.4, 1.0))
  fibres = _somewhere(rng, s.fibrous, x, y, warp, (0.2, 0.6))
  fat = _somewhere(rng, s.fat, x, y, 0.25 * warp, (0.3, 0.7))

  # Cytoplasm and matrix: pale between lymphocytes, pinker in tumour, pinkest in fibres.
  eosin = 0.3 + 0.06 * texture(rng, (24, 24), (size, size)) + s.cytoplasm * nest + 0.06 * follicle
  strands = np.sin(26 * (x * rng.normal() + y * rng.normal()) + 2.5 * warp)
  eosin += fibres * (0.45 + 0.16 * strands)
  nuclei, chromatin, nucleoli = Marks(size), Marks(size), Marks(size)
  _lymphocytes(rng, s, nuclei, (nest, follicle, fibres, fat))
  if nest.max() > 0.5:
    _tumour_cells(rng, s, nuclei, chromatin, nucleoli, nest)
  layer = nuclei.layer()
  grain = 1 + 0.16 * texture(rng, (size // 2, size // 2), (size, size))
  haematoxylin = (
    0.12 + 1.15 * layer * grain * (1 - 0.55 * chromatin.layer()) + 0.8 * nucleoli.layer()
  )
  empty = smooth(2 * fat - 0.4)
  haematoxylin, eosin = haematoxylin * (1 - empty), eosin * (1 - 0.97 * empty) * (1 - 0.5 * layer)
  return _scan(rng, s, haematoxylin, eosin), (nest > 0.5) & (empty < 0.5)


def _nest(rng, tumour, x, y, warp):
  """How far inside tumour each pixel is, 0 to 1; above a half is tumour."""
  nest = np.zeros((len(y), len(y)), np.float32)
  if tumour == 'nowhere':
    return nest
  # The central third is a third of a half frame around the middle.
  if tumour == 'centre':
    angle, away, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5), rng.uniform(0.3, 1.4)
  else:
    angle, away, radius = rng.uniform(0, 2 * np.pi), rng.uniform(1.1, 1.4), rng.uniform(0.4, 0.7)
  far = np.hypot(x - away * np.cos(angle), y - away * np.sin(angle)) + 0.1 * warp
  nest = smooth((radius - far) / 0.16 + 0.5)
  if tumour == 'elsewhere':
    nest *= np.maximum(np.abs(x), np.abs(y)) > 0.45
  return nest


def _somewhere(rng, chance, x, y, warp, radii):
  if rng.random() >= chance:
    return np.zeros((len(y), len(y)), np.float32)
  at_x, at_y, radius = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(*radii)
  return smooth((radius - np.hypot(x - at_x, y - at_y) - 0.15 * warp) / 0.2 + 0.5)


def _lymphocytes(rng, s, nuclei, regions):
  xs, ys = _scattered(rng, 0.155, s.packed)
  nest, follicle, fibres, fat = (_at(region, xs, ys) for region in regions)
  # A few lymphocytes wander into a nest; fibres hold few, drawn-out nuclei.
  kept = rng.random(len(xs)) > np.maximum.reduce([0.94 * nest, 0.75 * fibres, 1.2 * fat])
  size = s.lymphocyte * rng.normal(1, 0.08, len(xs)) * (1 + 0.45 * (follicle > 0.5))
  dark = rng.uniform(0.75, 1, len(xs)) * (1 - 0.3 * (follicle > 0.5))
  long = np.where(fibres > 0.5, 2.4, 1.15)
  _nuclei(rng, nuclei, xs[kept], ys[kept], size[kept], long[kept], dark[kept], uneven=0.05)


def _tumour_cells(rng, s, nuclei, chromatin, nucleoli, nest):
  # Crowded: closer together than they are wide.
  xs, ys = _scattered(rng, 1.7 * s.tumour_nucleus, 0.97)
  kept = _at(nest, xs, ys) > 0.55
  xs, ys = xs[kept], ys[kept]
  size = s.tumour_nucleus * np.exp(rng.normal(0, s.pleomorphic, len(xs)))
  long, dark = rng.uniform(1, 1.6, len(xs)), rng.uniform(0.6, 1, len(xs)) * s.pale
  angle = _nuclei(rng, nuclei, xs, ys, size, long, dark, uneven=0.1 + 0.25 * s.pleomorphic)
  # Vesicular: chromatin gathers at the membrane, with a nucleolus inside.
  vesicular = rng.random(len(xs)) < 0.6
  _nuclei(
    rng,
    chromatin,
    xs[vesicular],
    ys[vesicular],
    0.62 * size[vesicular],
    long[vesicular],
    np.full(vesicular.sum(), 0.8),
    uneven=0.1,
    angle=angle[vesicular],
  )
  seen = vesicular & (rng.random(len(xs)) < s.nucleoli)
  for x, y, radius in zip(xs[seen].tolist(), ys[seen].tolist(), (0.2 * size[seen]).tolist()):
    nucleoli.spot(x, y, max(radius, 0.016))


def _scattered(rng, step, share):
  """Places on a jittered grid, so that cells crowd without lying on each other; x and y f32[K]."""
  axis = np.arange(-1 - step, 1 + step, step)
  xs, ys = (values.ravel() for values in np.meshgrid(axis, axis))
  ys = ys + (np.arange(len(xs)) % len(axis) % 2) * step / 2
  kept = rng.random(len(xs)) < share
  jitter = rng.normal(0, 0.2 * step, (2, len(xs)))
  return (xs + jitter[0])[kept], (ys + jitter[1])[kept]


def _at(region, xs, ys):
  size = len(region)
  rows, columns = (
    np.clip((place + 1) / 2 * size, 0, size - 1).astype(np.intp) for place in (ys, xs)
  )
  return region[rows, columns]


def _nuclei(rng, marks, xs, ys, size, long, dark, *, uneven, angle=None):
  """Draws nuclei of radius `size`, `long` times as long as wide; returns how each is turned."""
  angle = rng.uniform(0, 2 * np.pi, len(xs)) if angle is None else angle
  edge = size[:, None] * (1 + rng.normal(0, uneven, (len(xs), len(OUTLINE))))
  stretch = np.sqrt(long)[:, None]
  along, across = edge * np.cos(OUTLINE) * stretch, edge * np.sin(OUTLINE) / stretch
  cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
  outlines_x = xs[:, None] + along * cos - across * sin
  outlines_y = ys[:, None] + along * sin + across * cos
  marks.shapes(outlines_x, outlines_y, dark)
  return angle


def _scan(rng, s, haematoxylin, eosin):
  """Stains, lights and scans the section: u8[size, size, 3]."""
  thick = 1 + s.thick + rng.normal(0, 0.05)
  blue = HAEMATOXYLIN * s.haematoxylin * (1 + s.violet * np.array([-1, 0.3, 1], np.float32))
  pink = EOSIN * s.eosin * (1 + s.pink * np.array([1, 0, -1], np.float32))
  density = haematoxylin[..., None] * blue + eosin[..., None] * pink
  image = 0.96 * np.exp(-1.25 * thick * np.maximum(density, 0))
  soft = (
    np.roll(image, 1, 0) + np.roll(image, -1, 0) + np.roll(image, 1, 1) + np.roll(image, -1, 1)
  ) / 4
  image = (1 - s.focus) * image + s.focus * soft
  image += rng.standard_normal(image.shape, np.float32) * 0.012
  return (np.clip(image, 0, 1) * 255).astype(np.uint8)
