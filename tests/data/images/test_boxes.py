"""Boxes from their files, and where they are in what the network is given: as decoding moves
pixels.
"""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.images import boxes, decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.phantom import chest
from medjax.errors import InputError

# As published: an unquoted header of which three names are empty, and more digits than pixels.
NIH = """Image Index,Finding Label,Bbox [x,y,w,h],,,
00013118_008.png,Atelectasis,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661,,,
00014716_007.png,Infiltrate,686.101694915254,131.543498111162,185.491525423729,313.491525423729,,,
00014716_007.png,Infiltrate,1.0,2.0,3.0,4.0,,,
"""


def boxes_file(folder, text, name='boxes.csv'):
  path = folder / name
  path.write_text(text)
  return path


def square(folder, name, width, height, box, value=255, **settings):
  """Writes a black image with a bright box."""
  x, y, wide, high = box
  pixels = np.zeros((height, width), np.uint8)
  pixels[y : y + high, x : x + wide] = value
  (folder / name).parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(folder / name, **settings)


def bright(pixels):
  """Returns x, y, width and height of what is bright, to a part of a pixel: each is a sum of
  shares.
  """
  shares = pixels[..., 0] / 255
  across, down = shares.max(axis=0), shares.max(axis=1)
  wide, high = across.sum(), down.sum()
  middle_x = (across * (np.arange(len(across)) + 0.5)).sum() / wide
  middle_y = (down * (np.arange(len(down)) + 0.5)).sum() / high
  return middle_x - wide / 2, middle_y - high / 2, wide, high


@pytest.mark.parametrize('fit', ['pad', 'crop', 'stretch'])
@pytest.mark.parametrize(
  ('width', 'height'), [(200, 200), (300, 200), (200, 300), (201, 77), (64, 64), (40, 30)]
)
def test_boxes_move_as_decoding_moves_the_pixels(tmp_path, fit, width, height):
  box = (width * 3 // 8, height * 3 // 8, width // 3, height // 4)
  square(tmp_path, 'a.png', width, height, box)
  table = ','.join(map(str, box))
  read = boxes.read(boxes_file(tmp_path, f'image,label,x,y,width,height\na.png,Mass,{table}\n'))
  result = boxes.in_input(read, tmp_path, ['a.png'], ImageFormat(64, 1, fit))
  assert list(result['row']) == [0] and list(result['label']) == ['Mass']
  wanted = bright(decoding.decode(tmp_path / 'a.png', ImageFormat(64, 1, fit=fit)))
  # Interpolation blurs an edge, by which its middle does not move; Pillow's rounding of sides does.
  np.testing.assert_allclose(result[list(boxes.SIDES)].to_numpy()[0], wanted, atol=0.35)


def test_boxes_of_a_strip_lie_on_its_line(tmp_path):
  square(tmp_path, 'a.png', 300, 2, (100, 0, 100, 2))
  read = boxes.read(boxes_file(tmp_path, 'image,label,x,y,width,height\na.png,Mass,100,0,100,2\n'))
  result = boxes.in_input(read, tmp_path, ['a.png'], ImageFormat(60, 1))
  wanted = bright(decoding.decode(tmp_path / 'a.png', ImageFormat(60, 1)))
  np.testing.assert_allclose(result[list(boxes.SIDES)].to_numpy()[0], wanted, atol=0.5)


def test_the_size_of_a_film_that_needs_a_range_is_found_by_it(tmp_path):
  Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(tmp_path / 'a.png')
  read = boxes.read(boxes_file(tmp_path, 'image,label,x,y,width,height\na.png,Mass,16,16,32,32\n'))
  result = boxes.in_input(read, tmp_path, ['a.png'], ImageFormat(32, 1, intensity='0..4095'))
  np.testing.assert_allclose(result[list(boxes.SIDES)].to_numpy(), [[8, 8, 16, 16]])


def test_what_is_cut_away_is_left_out_or_shortened(tmp_path):
  square(tmp_path, 'a.png', 200, 100, (0, 0, 1, 1))
  lines = ['a.png,Mass,0,10,40,20', 'a.png,Mass,0,10,80,20', 'a.png,Mass,190,0,10,100']
  read = boxes.read(boxes_file(tmp_path, '\n'.join(['image,label,x,y,width,height', *lines])))
  result = boxes.in_input(read, tmp_path, ['a.png'], ImageFormat(50, 1, 'crop'))
  # The middle 100 columns are left, of which the second box covers the first 30, at half the size.
  np.testing.assert_allclose(result[list(boxes.SIDES)].to_numpy(), [[0, 5, 15, 10]])


def test_a_turned_image_has_its_boxes_as_it_is_shown(tmp_path):
  # Rotated to be shown upright: 100 wide and 200 high.
  exif = Image.Exif()
  exif[0x0112] = 6
  square(tmp_path, 'a.jpg', 200, 100, (20, 30, 40, 50), quality=95, exif=exif)
  shown = bright(decoding.decode(tmp_path / 'a.jpg', ImageFormat(200, 1)))
  # Of 100 × 200 in 200 × 200 padding takes 50 on the left.
  sides = ','.join(str(round(side)) for side in (shown[0] - 50, *shown[1:]))
  read = boxes.read(boxes_file(tmp_path, f'image,label,x,y,width,height\na.jpg,Mass,{sides}\n'))
  result = boxes.in_input(read, tmp_path, ['a.jpg'], ImageFormat(200, 1))
  np.testing.assert_allclose(result[list(boxes.SIDES)].to_numpy()[0], shown, atol=1)
  assert shown[3] < shown[2] + 1  # 50 wide and 40 high now.


def test_of_chestxray14_boxes_are_in_pixels_of_1024(tmp_path):
  read = boxes.read(boxes_file(tmp_path, NIH, 'BBox_List_2017.csv'))
  assert list(read['label']) == ['Atelectasis', 'Infiltration', 'Infiltration']
  np.testing.assert_array_equal(
    read[list(boxes.SIDES)].to_numpy()[0],
    [225.084745762712, 547.019216763771, 86.7796610169491, 79.1864406779661],
  )
  # In folders, of another size, and without the image file at hand.
  there = ['images/00000001_000.png', 'images_001/images/00014716_007.png']
  result = boxes.in_input(read, tmp_path, there, ImageFormat(256, 1))
  assert list(result['row']) == [1, 1]
  np.testing.assert_allclose(result[list(boxes.SIDES)].to_numpy()[1], [0.25, 0.5, 0.75, 1])


def test_of_the_phantom_boxes_hold_the_planted_findings(phantom_root):
  read = boxes.read(boxes.find(phantom_root))
  truth = pd.read_csv(phantom_root / 'truth.csv')
  assert set(read['label']) == set(chest.BOXED)
  for label in chest.BOXED:
    assert (read['label'] == label).sum() == truth[label].sum()
  films = ['/'.join(path.split('/')[1:]) for path in truth['Path']]
  result = boxes.in_input(read, phantom_root, films, ImageFormat(64, 1))
  assert len(result) == len(read)
  row, label, *sides = result.iloc[0]
  at = [f'{label} {side}' for side in boxes.SIDES]
  np.testing.assert_allclose(sides, 2 * truth.loc[row, at].to_numpy(float))  # films of 32 pixels


def test_files_are_found_by_their_names(tmp_path):
  assert boxes.find(tmp_path) is None
  path = boxes_file(tmp_path, NIH, 'BBox_List_2017.csv')
  assert boxes.find(tmp_path) == path


def test_anybodys_truth_is_no_file_of_boxes(tmp_path):
  boxes_file(tmp_path, 'image,Mass\na.png,1\n', 'truth.csv')
  assert boxes.find(tmp_path) is None
  path = boxes_file(tmp_path, 'image,label,x,y,width,height\na.png,Mass,1,2,3,4\n')
  assert boxes.find(tmp_path) == path


def test_images_are_matched_by_the_ends_of_their_paths(tmp_path):
  for name in ('a/1.png', 'b/1.png', 'b/11.png'):
    square(tmp_path, name, 8, 8, (0, 0, 1, 1))
  header = 'image,label,x,y,width,height\n'
  box_of = lambda image: boxes.read(boxes_file(tmp_path, f'{header}{image},Mass,1,1,2,2\n'))  # noqa: E731
  there = ['a/1.png', 'b/1.png', 'b/11.png']
  for image, rows in (('b/1.png', [1]), ('11.png', [2]), ('x/y/a/1.png', [0]), ('2.png', [])):
    assert list(boxes.in_input(box_of(image), tmp_path, there, ImageFormat(8, 1))['row']) == rows
  with pytest.raises(
    InputError, match=r"row 2: '1\.png' may be 'a/1\.png' or 'b/1\.png'; give its folder"
  ):
    boxes.in_input(box_of('1.png'), tmp_path, there, ImageFormat(8, 1))


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('image,label,x,y,width\na.png,Mass,1,2,3\n', "no column 'height'"),
    ('image,label,x,y,width,height\na.png,,1,2,3,4\n', "row 2, column 'label': the label is empty"),
    (
      'image,label,x,y,width,height\na.png,Mass,1,2,3,0\n',
      "row 2, column 'height': '0' is no height",
    ),
    ('image,label,x,y,width,height\na.png,Mass,1,2,,4\n', "row 2, column 'width': '' is no width"),
    ('image,label,x,y,width,height\na.png,Mass,1,nan,3,4\n', "row 2, column 'y': 'nan' is no y"),
    (
      'image,label,x,y,width,height\na.png,Mass,one,2,3,4\n',
      "row 2, column 'x': 'one' is no number",
    ),
  ],
)
def test_bad_files_are_named(tmp_path, text, words):
  with pytest.raises(InputError, match=words):
    boxes.read(boxes_file(tmp_path, text))


def test_boxes_in_pixels_of_another_image_are_refused(tmp_path):
  square(tmp_path, 'a.png', 100, 80, (0, 0, 1, 1))
  read = boxes.read(boxes_file(tmp_path, 'image,label,x,y,width,height\na.png,Mass,60,70,30,40\n'))
  with pytest.raises(
    InputError, match=r'boxes\.csv: row 2: the box lies outside .* 100 × 80 pixels'
  ):
    boxes.in_input(read, tmp_path, ['a.png'], ImageFormat(64, 1))
