"""Slides drawn for the tests: tissue and tumour on glass, as tiled pyramids for OpenSlide."""

import numpy as np
import tifffile
from PIL import Image

GLASS = (243, 243, 245)


def disc(size, centre, radius):
  """bool[H, W], a disc in a picture of size (width, height)."""
  y, x = np.mgrid[: size[1], : size[0]] + 0.5
  return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


def draw(size, tissue, tumour, seed=0):
  """uint8[H, W, 3]: pink tissue, darker and more violet where it is tumour, on glass with noise."""
  rng = np.random.default_rng(seed)
  pixels = np.empty((size[1], size[0], 3))
  pixels[:] = GLASS
  pixels[tissue] = (222, 140, 185)
  # Nuclei: in tumour larger and more of them.
  nuclei = rng.random((size[1] // 4 + 1, size[0] // 4 + 1)) < 0.12
  crowded = rng.random((size[1] // 6 + 1, size[0] // 6 + 1)) < 0.5
  spread = np.kron(nuclei, np.ones((4, 4), bool))[: size[1], : size[0]]
  dense = np.kron(crowded, np.ones((6, 6), bool))[: size[1], : size[0]]
  pixels[tissue & spread] = (110, 60, 140)
  pixels[tumour & tissue] = (190, 120, 190)
  pixels[tumour & tissue & dense] = (80, 40, 120)
  return np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)


def write(path, pixels, mpp=0.25, levels=(1, 2, 4), unit='CENTIMETER'):
  """Writes a generic tiled TIFF, each level the mean of the pixels it stands for."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tifffile.TiffWriter(path) as file:
    for number, factor in enumerate(levels):
      height, width = pixels.shape[0] // factor * factor, pixels.shape[1] // factor * factor
      level = np.asarray(Image.fromarray(pixels[:height, :width]).reduce(factor))
      resolution = 1e4 / (mpp * factor) if unit == 'CENTIMETER' else mpp
      file.write(
        level,
        tile=(128, 128),
        photometric='rgb',
        subfiletype=int(number > 0),
        resolution=(resolution, resolution),
        resolutionunit=unit,
        metadata=None,
      )
  return path


def asap(path, polygons):
  """Writes an ASAP file; `polygons` are pairs (group, points)."""
  path.parent.mkdir(parents=True, exist_ok=True)
  lines = ['<?xml version="1.0"?>', '<ASAP_Annotations>', '\t<Annotations>']
  for number, (group, points) in enumerate(polygons):
    lines.append(
      f'<Annotation Name="Annotation {number}" Type="Polygon" PartOfGroup="{group}" '
      'Color="#F4FA58">'
    )
    lines.append('<Coordinates>')
    # Not in order: the attribute says it.
    for order, (x, y) in reversed(list(enumerate(points))):
      lines.append(f'<Coordinate Order="{order}" X="{x}" Y="{y}" />')
    lines += ['</Coordinates>', '</Annotation>']
  lines += ['\t</Annotations>', '<AnnotationGroups>', '</AnnotationGroups>', '</ASAP_Annotations>']
  path.write_text('\n'.join(lines))
  return path


def circle(centre, radius, points=48):
  """Points on a circle."""
  angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
  return [(centre[0] + radius * np.cos(a), centre[1] + radius * np.sin(a)) for a in angles]


def node(folder, name, seed, tumour, mpp=0.25, outlines=None, size=(1200, 1000)):
  """Writes a slide of one lymph node, with tumour or without, and its outlines."""
  rng = np.random.default_rng(seed)
  centre = (size[0] / 2 + rng.uniform(-40, 40), size[1] / 2 + rng.uniform(-40, 40))
  tissue = disc(size, centre, 380)
  where, radius = (centre[0] + rng.uniform(-90, 90), centre[1] + rng.uniform(-90, 90)), 170
  tumour_mask = disc(size, where, radius) if tumour else np.zeros_like(tissue)
  path = write(folder / f'{name}.tif', draw(size, tissue, tumour_mask, seed), mpp)
  if tumour and outlines:
    asap(outlines / f'{name}.xml', [('Tumor', circle(where, radius))])
  return path, tissue, tumour_mask
