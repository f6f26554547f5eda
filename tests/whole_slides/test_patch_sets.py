"""Slides become patches: the right ones, with the right labels, whatever happens on the way."""

import json
import os

import drawn_slides
import numpy as np
import pandas as pd
import pytest
from skimage.measure import points_in_poly

from medjax.config import Data
from medjax.data import datasets
from medjax.data.images import decoding
from medjax.errors import InputError
from medjax.whole_slides import outlines, patch_sets, patches, pyramid, slide_tables
from medjax.whole_slides.patches import Cutting, Job

CUTTING = Cutting(mpp=0.5, patch_size=32, centre=12, tissue=0.5)


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
  """Three slides, one with tumour and outlines; returns their folder and what is where."""
  root = tmp_path_factory.mktemp('drawn')
  made = {
    name: drawn_slides.node(root / 'slides', name, seed, tumour, outlines=root / 'outlines')
    for seed, (name, tumour) in enumerate((('n1', False), ('t1', True), ('t2', True)))
  }
  return root, made


@pytest.fixture(scope='module')
def cut(drawn, tmp_path_factory):
  root, _ = drawn
  output = tmp_path_factory.mktemp('cut')
  (root / 'facts.csv').write_text('slide,patient,tumor\nt1,A,1\nn1,A,0\nt2,B,\n')
  table = slide_tables.find(
    root / 'slides', table_file=root / 'facts.csv', outlines=root / 'outlines'
  )
  lines = []
  made = patch_sets.make(table, output, CUTTING, workers=2, progress=lines.append)
  return output, table, made, lines


def test_patches_are_those_with_tissue(cut, drawn):
  _, _, made, _ = cut
  for name, (_, tissue, _) in drawn[1].items():
    rows_of_slide = made.patches[made.patches['slide'] == name]
    step = 64  # 32 pixels of 0.5 µm, in pixels of 0.25 µm
    rows, columns = 1000 // step, 1200 // step
    share = tissue[: rows * step, : columns * step].reshape(rows, step, columns, step).mean((1, 3))
    cells = set(zip(rows_of_slide['y'].astype(int) // step, rows_of_slide['x'].astype(int) // step))
    assert cells <= set(zip(*np.nonzero(share > 0.35)))
    assert cells >= set(zip(*np.nonzero(share > 0.65)))
    at = share[rows_of_slide['y'].astype(int) // step, rows_of_slide['x'].astype(int) // step]
    assert np.abs(rows_of_slide['tissue'].astype(float) - at).max() < 0.15
    assert (rows_of_slide['x'].astype(int) % step == 0).all()


def test_images_are_what_the_slide_shows_there(cut, drawn):
  output, _, made, _ = cut
  slide = pyramid.open_slide(drawn[1]['t1'][0])
  for row in made.patches[made.patches['slide'] == 't1'].sample(10, random_state=0).itertuples():
    stored = np.asarray(decoding.whole(output / row.image)).astype(int)
    there = pyramid.read(slide, 0.5, int(row.x) // 2, int(row.y) // 2, 32, 32).astype(int)
    # JPEG, of a picture with noise.
    assert np.abs(stored - there).mean() < 4
    assert np.abs(stored.mean(axis=(0, 1)) - there.mean(axis=(0, 1))).max() < 1


def test_a_patch_is_tumour_if_a_pixel_of_its_centre_is(cut, drawn):
  _, _, made, _ = cut
  polygon = outlines.read(drawn[0] / 'outlines/t1.xml').tumour[0]
  rows_of_slide = made.patches[made.patches['slide'] == 't1']
  # Pixels 10 … 21 of 32, of 2 pixels of level 0 each: their middles.
  middle = (np.arange(10, 22) + 0.5) * 2
  inside = 0
  for row in rows_of_slide.itertuples():
    xs, ys = np.meshgrid(int(row.x) + middle, int(row.y) + middle)
    expected = points_in_poly(np.stack([xs.ravel(), ys.ravel()], 1), polygon).any()
    assert row.tumor == str(int(expected))
    inside += expected
  assert 10 < inside < len(rows_of_slide) - 10
  assert set(made.patches.loc[made.patches['slide'] == 'n1', 'tumor']) == {'0'}


def test_slides_know_patients_and_labels(cut):
  output, _, made, lines = cut
  assert dict(zip(made.slides['slide'], made.slides['patient'])) == {
    'n1': 'A',
    't1': 'A',
    't2': 'B',
  }
  # The table has no label for t2, but its outlines show tumour.
  assert dict(zip(made.slides['slide'], made.slides['tumor'])) == {'n1': '0', 't1': '1', 't2': '1'}
  assert set(made.patches['grouped_by']) == {'patient'}
  assert any(f't1: {(made.patches["slide"] == "t1").sum()} patches' in line for line in lines)
  for name in ('n1', 't1', 't2'):
    assert (output / 'grids' / f'{name}.png').stat().st_size > 1000
    assert (output / 'thumbnails' / f'{name}.png').is_file()


def test_the_csv_source_reads_them(cut):
  output, _, made, _ = cut
  settings = {'table_file': 'patches.csv'}
  table = datasets.read(Data('csv', str(output), ('tumor',), settings=settings))
  assert len(table) == len(made.patches) and set(table['patient']) == {'A', 'B'}
  assert decoding.whole(output / table['image'].iloc[-1]).size == (32, 32)


def test_what_is_done_stays_and_what_is_half_done_is_redone(cut, drawn):
  output, table, made, _ = cut
  record = patches.record_path(output, 't1')
  before = {
    name: patches.record_path(output, name).stat().st_mtime_ns for name in ('n1', 't1', 't2')
  }
  content = record.read_bytes()
  # As a kill leaves it: not marked as done, some of the images missing.
  (output / 'slides/t1.json').unlink()
  record.write_bytes(content[:1000])
  (output / 'slides/.t1.array_record.1234.partial').write_bytes(content[:500])
  lines = []
  again = patch_sets.make(table, output, CUTTING, progress=lines.append)
  assert record.read_bytes() == content
  assert not list((output / 'slides').glob('.*.partial'))
  pd.testing.assert_frame_equal(again.patches, made.patches)
  assert sorted(line.split(':')[0] for line in lines if 'cut before' in line) == ['n1', 't2']
  for name in ('n1', 't2'):
    assert patches.record_path(output, name).stat().st_mtime_ns == before[name]


def test_other_outlines_make_other_patches(drawn, tmp_path):
  _, made = drawn
  path = drawn_slides.asap(tmp_path / 't1.xml', [('_0', drawn_slides.circle((600, 500), 60))])
  job = Job('t1', str(made['t1'][0]), float('nan'), str(path), True)
  first = patches.cut(job, tmp_path / 'out', CUTTING, 0.0)
  assert patches.done(job, tmp_path / 'out', CUTTING, 0.0) == first
  drawn_slides.asap(path, [('_0', drawn_slides.circle((600, 500), 160))])
  assert patches.done(job, tmp_path / 'out', CUTTING, 0.0) is None
  assert patches.cut(job, tmp_path / 'out', CUTTING, 0.0).tumor_patches > first.tumor_patches > 0


@pytest.mark.parametrize(
  ('tumor', 'with_outlines', 'wholly', 'codes'),
  [
    (0.0, False, True, {'0'}),
    (1.0, False, True, {''}),
    (float('nan'), False, True, {''}),
    (1.0, True, True, {'0', '1'}),
    (1.0, True, False, {'', '1'}),
  ],
)
def test_patches_without_label_or_outline_are_unknown(
  drawn, tmp_path, tumor, with_outlines, wholly, codes
):
  root, made = drawn
  outlined = str(root / 'outlines/t1.xml') if with_outlines else ''
  patches.cut(Job('t1', str(made['t1'][0]), tumor, outlined, wholly), tmp_path, CUTTING, 0.0)
  table = pd.read_csv(tmp_path / 'slides/t1.csv', dtype=str, keep_default_na=False)
  assert {code.removesuffix('.0') for code in table['tumor']} == codes


CENTRE = (600, 500)  # about that of the node


@pytest.mark.parametrize(
  ('groups', 'tumor', 'codes', 'slide_label'),
  [
    # The circle is unknown, and tumour may be anywhere.
    (('None',), '1', {''}, '1'),
    (('None',), '', {''}, ''),
    # The rest of the slide has none: its label says so, or its tumour is outlined elsewhere.
    (('None',), '0', {'', '0'}, '0'),
    (('None', '_0'), '1', {'', '0', '1'}, '1'),
    (('None', '_0'), '', {'', '0', '1'}, '1'),
    # Nothing is outlined, or a dot.
    ((), '1', {''}, '1'),
    ((), '', {'0'}, '0'),
    (('dot',), '1', {''}, '1'),
    (('dot',), '', {''}, '1'),
    # An outline without a group that is cut out is no tumour.
    (('None', '_2'), '0', {'0'}, '0'),
  ],
)
def test_outlines_without_a_group_are_unknown(drawn, tmp_path, groups, tumor, codes, slide_label):
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in/t1.tif').symlink_to(drawn[1]['t1'][0])
  circles = {
    'None': ('None', drawn_slides.circle(CENTRE, 150)),
    '_0': ('_0', drawn_slides.circle((CENTRE[0] + 250, CENTRE[1]), 80)),
    '_2': ('_2', drawn_slides.circle(CENTRE, 170)),
    'dot': ('_0', [CENTRE]),
  }
  drawn_slides.asap(tmp_path / 'xml/t1.xml', [circles[group] for group in groups])
  (tmp_path / 'facts.csv').write_text(f'slide,tumor\nt1,{tumor}\n')
  table = slide_tables.find(
    tmp_path / 'in', table_file=tmp_path / 'facts.csv', outlines=tmp_path / 'xml'
  )
  lines = []
  made = patch_sets.make(table, tmp_path / 'out', CUTTING, progress=lines.append)
  assert set(made.patches['tumor']) == codes and made.slides['tumor'].tolist() == [slide_label]
  assert ('1 outline without a group' in lines[0]) == ('None' in groups)
  for code, polygon in (('', 'None'), ('1', '_0')):
    if {'0', code} <= codes:
      x, y = (made.patches[name].astype(int) + 32 for name in ('x', 'y'))  # their middles
      centre = np.mean(circles[polygon][1], axis=0)
      away = np.hypot(x - centre[0], y - centre[1])
      coded = (made.patches['tumor'] == code).to_numpy()
      assert coded[away < 60].all() and not coded[away > 180].any()


def test_another_slide_of_the_same_size_is_cut_anew(drawn, tmp_path):
  path = tmp_path / 't.tif'
  path.write_bytes(drawn[1]['t1'][0].read_bytes())
  job = Job('t', str(path), float('nan'), '', True)
  first = patches.cut(job, tmp_path / 'out', CUTTING, 0.0)
  os.utime(path, (1, 1))
  assert patches.done(job, tmp_path / 'out', CUTTING, 0.0) == first
  content = bytearray(path.read_bytes())
  content[-10] ^= 255
  path.write_bytes(content)
  assert patches.done(job, tmp_path / 'out', CUTTING, 0.0) is None


def test_outlines_of_tumour_on_a_slide_without_are_refused(drawn, tmp_path):
  root, made = drawn
  job = Job('t1', str(made['t1'][0]), 0.0, str(root / 'outlines/t1.xml'), True)
  with pytest.raises(InputError, match=r"t1\.xml: outlines tumour on slide 't1'"):
    patches.cut(job, tmp_path, CUTTING, 0.0)


def test_other_settings_in_the_same_folder_are_refused(cut):
  output, table, _, _ = cut
  with pytest.raises(InputError, match=r'cut with --mpp=0\.5, not 1\.0; take another --output'):
    patch_sets.make(table, output, Cutting(1.0, 32, 12, 0.5))
  before = json.loads((output / 'patches.json').read_text())
  assert before == {'mpp': 0.5, 'patch_size': 32, 'centre': 12, 'tissue': 0.5}


@pytest.mark.parametrize(
  ('cutting', 'words'),
  [
    (Cutting(0.0, 32, 12, 0.5), '--mpp=0.0'),
    (Cutting(0.5, 4, 2, 0.5), '--patch_size=4'),
    (Cutting(0.5, 32, 33, 0.5), '--centre=33'),
    (Cutting(0.5, 32, 12, 0.0), '--tissue=0.0'),
  ],
)
def test_settings_that_make_no_sense_are_named(tmp_path, cutting, words):
  with pytest.raises(InputError, match=words):
    patch_sets.make(pd.DataFrame(), tmp_path / 'out', cutting)
  assert not (tmp_path / 'out').exists()


def _crash(connection, job, *others):
  os._exit(7)


def test_a_reader_that_crashes_sets_its_slide_aside(cut, tmp_path, monkeypatch):
  _, table, _, _ = cut
  monkeypatch.setattr(patch_sets, '_work', _crash)
  with pytest.raises(InputError, match=r'none of the 1 slides could be cut .* \(exit status 7\)'):
    patch_sets.make(table[:1], tmp_path, CUTTING)


def test_glass_alone_gives_no_patch(tmp_path):
  nowhere = np.zeros((300, 300), bool)
  drawn_slides.write(tmp_path / 'in/glass.tif', drawn_slides.draw((300, 300), nowhere, nowhere))
  with pytest.raises(InputError, match=r'no patch of 1 slide is tissue to 50%.*grids'):
    patch_sets.make(slide_tables.find(tmp_path / 'in'), tmp_path / 'out', CUTTING)
  assert (tmp_path / 'out/grids/glass.png').is_file()
