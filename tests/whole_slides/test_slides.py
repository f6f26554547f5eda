"""From slides to an answer, through the commands."""

import csv
import json
import pathlib

import drawn_slides
import numpy as np
import pandas as pd
import pytest
import vouched_runs
from parsed_page import Page
from PIL import Image
from sklearn.metrics import roc_auc_score

from medjax import config as configs
from medjax.config import Config, Data, Model, Optimizer, Split
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.phantom import folder
from medjax.evaluation import predictions, results_file
from medjax.runs import model_file
from medjax.whole_slides import patch_sets, pictures, slide_tables
from medjax.whole_slides import results as slide_results
from medjax.whole_slides.patches import Cutting

CUT = ('--mpp=0.5', '--patch_size=32', '--centre=12', '--tissue=0.5')
PATIENTS = {'v1': 'A', 'v2': 'A', 'v3': 'B', 'v4': 'C', 't1': 'D', 't2': 'D', 't3': 'E', 't4': 'F'}
TUMOUR = ('v1', 'v4', 't2', 't3')


@pytest.fixture(scope='module')
def cut(tmp_path_factory):
  """Eight slides of six patients, cut into patches."""
  root = tmp_path_factory.mktemp('cut')
  for seed, name in enumerate(PATIENTS):
    drawn_slides.node(
      root / 'in', name, seed, name in TUMOUR, outlines=root / 'xml', size=(1000, 900)
    )
  rows = [f'{name},{patient},{int(name in TUMOUR)}' for name, patient in PATIENTS.items()]
  (root / 'facts.csv').write_text('\n'.join(['slide,patient,tumor', *rows]))
  table = slide_tables.find(root / 'in', table_file=root / 'facts.csv', outlines=root / 'xml')
  patch_sets.make(table, root / 'patches', Cutting(0.5, 32, 12, 0.5), workers=2)
  (root / 'patches/phantom.json').write_text('{}')  # They are drawn.
  return root / 'patches'


@pytest.fixture
def run(cut, tmp_path):
  """A work directory with the predictions of a network that is often right."""
  workdir = tmp_path / 'run'
  data = Data('csv', str(cut), ('tumor',), channels=3, settings={'table_file': 'patches.csv'})
  config = Config(data, Model('resnet_tiny'), replicates=100)
  workdir.mkdir()
  (workdir / 'config.json').write_text(json.dumps(configs.to_dict(config)))
  started = model_file.Provenance(ImageFormat(32, 3), (0.5,), (0.25,), 1, None)
  (workdir / 'model.json').write_text(model_file.to_json(started))
  table = pd.read_csv(cut / 'patches.csv')
  rng = np.random.default_rng(0)
  score = np.clip(0.25 + 0.4 * table['tumor'] + rng.normal(0, 0.1, len(table)), 0, 1)
  for part, letter in (('validation', 'v'), ('test', 't')):
    at = table['slide'].str.startswith(letter)
    of_part = predictions.Predictions(
      table['image'][at],
      table['patient'][at],
      ['tumor'],
      score[at].to_numpy()[:, None],
      table['tumor'][at].to_numpy()[:, None],
      np.ones((at.sum(), 1), bool),
    )
    predictions.write(workdir / 'predictions' / f'{part}.csv', of_part)
  sides = table['slide'].str[0].map({'v': 'validation', 't': 'test'})
  split = table[['image', 'patient']].assign(split=sides).to_csv(index=False)
  vouched_runs.write_split(workdir, split)
  (workdir / 'evaluation').mkdir()
  (workdir / 'evaluation' / 'test.json').write_text('{}')
  return vouched_runs.vouch(workdir)


def rows_of(path):
  with path.open() as file:
    return list(csv.DictReader(file))


def test_the_report_answers_for_slides_and_patients(command, run, cut):
  printed = command('slide_report', f'--workdir={run}', '--aggregate=mean', check=True).stdout
  out = run / 'slides/mean'
  slides = {row['slide']: row for row in rows_of(out / 'slides.csv')}
  patches = pd.read_csv(cut / 'patches.csv').set_index('image')
  predicted = pd.concat(pd.read_csv(run / f'predictions/{p}.csv') for p in ('validation', 'test'))
  by_slide = predicted.assign(slide=patches.loc[predicted['image'], 'slide'].to_numpy())
  means = by_slide.groupby('slide')['prob_tumor'].mean()
  assert set(slides) == set(PATIENTS)
  for name, row in slides.items():
    assert float(row['prob_tumor']) == pytest.approx(means[name], abs=1e-5)
    assert row['true_tumor'] == str(int(name in TUMOUR)) and row['patient'] == PATIENTS[name]
    assert int(row['patches']) == (patches['slide'] == name).sum()
  result = json.loads((out / 'slides.json').read_text())
  again = results_file.to_plain(slide_results.read(out / 'slides.json'))
  assert json.loads(json.dumps(again)) == result
  tumour = result['slides']['labels']['tumor']
  tested = [name for name in PATIENTS if name.startswith('t')]
  expected = roc_auc_score([name in TUMOUR for name in tested], means[tested])
  assert tumour['auroc']['value'] == pytest.approx(expected)
  # Decisions follow from the threshold of validation.
  threshold = tumour['operating_points'][0]['threshold']
  assert all(
    (float(r['prob_tumor']) >= threshold) == (r['decided_tumor'] == '1') for r in slides.values()
  )
  patients = {row['patient']: row for row in rows_of(out / 'patients.csv')}
  assert set(patients) == set('ABCDEF')
  highest = max(means['t1'], means['t2'])
  assert float(patients['D']['prob_tumor']) == pytest.approx(highest, abs=1e-5)
  assert {name: row['true_tumor'] for name, row in patients.items()} == dict(
    A='1', B='0', C='1', D='1', E='1', F='0'
  )
  assert result['patients']['labels']['tumor']['patients'] == 3
  assert (
    f'slides: tumor: AUROC {expected:.3f}' in printed and '4 test slides of 3 patients' in printed
  )
  assert 'patients: tumor: AUROC' in printed and '3 test patients' in printed
  assert 'test slides' in ' '.join(result['slides']['notes']) or 'image' not in printed
  assert predictions.read(out / 'predictions/test.csv').images == tested
  page = Page((out / 'index.html').read_text())
  text = page.text()
  assert folder.WARNING in text.partition('medjax evaluation report')[0]
  auroc = tumour['auroc']
  assert f'{auroc["value"]:.3f}' in text and 'The answer for patients' in text
  for name in tested:
    row = slides[name]
    truth, decision = (
      ('negative', 'positive')[int(row[f'{x}_tumor'])] for x in ('true', 'decided')
    )
    # Outlines and heat map of every slide, for there are few, with truth and decision below.
    assert f'truth {truth}, decision {decision} · patient {row["patient"]}' in text
    assert f'{name}{PATIENTS[name]}{row["patches"]}' in text
  drawn = [attributes for tag, attributes in page.elements if tag == 'img']
  assert len(drawn) == 2 * len(tested)
  assert {'labels.csv', 'roc-curve-of-tumor.svg'} <= {p.name for p in out.glob('index_files/*')}


@pytest.mark.slow
def test_heat_maps_show_where(command, run, cut):
  printed = command('slide_report', f'--workdir={run}', '--aggregate=max', check=True).stdout
  maps = run / 'slides/max/heatmaps'
  assert {path.name for path in maps.iterdir()} == {f'{name}.tumor.png' for name in PATIENTS}
  assert '8 heat maps' in printed
  thumbnail = Image.open(cut / 'thumbnails/t2.png')
  pixels = np.asarray(Image.open(maps / 't2.tumor.png')).astype(int)[: thumbnail.height]
  red = pixels[..., 0] - pixels[..., 2]
  patches = pd.read_csv(cut / 'patches.csv')
  patches = patches[patches['slide'] == 't2']
  step = 64
  colour = [
    red[y + 8 : y + step - 8, x + 8 : x + step - 8].mean()
    for x, y in zip(patches['x'], patches['y'])
  ]
  assert thumbnail.size == (1000, 900)  # So that a pixel of it is one of level 0.
  tumour = patches['tumor'].to_numpy() == 1
  assert np.mean(np.array(colour)[tumour] > 0) > 0.8
  assert np.mean(np.array(colour)[~tumour] < 0) > 0.8
  assert np.abs(red[:60, :60]).max() <= 3  # Glass stays grey.


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ((), '--workdir is missing'),
    (('--workdir=tests',), 'not the work directory of a run'),
    (('--workdir=RUN', '--aggregate=maxx'), "did you mean 'max'"),
    (('--workdir=RUN', '--patches=nowhere'), 'nowhere/patches.csv: no such table'),
  ],
)
def test_mistakes_of_the_report_are_one_line(command, run, arguments, words):
  refused = command('slide_report', *(argument.replace('RUN', str(run)) for argument in arguments))
  assert refused.returncode == 1 and words in refused.stderr
  assert refused.stderr.strip().count('\n') == 0


def test_patches_of_other_slides_are_refused(command, run, cut, tmp_path):
  # The predictions are of patches that this folder does not have.
  (tmp_path / 'patches.csv').write_text(
    'image,patient,slide,tumor\nslides/x.array_record#0,A,x,1\n'
  )
  refused = command('slide_report', f'--workdir={run}', f'--patches={tmp_path}')
  assert refused.returncode == 1
  assert 'validation.csv: row 2' in refused.stderr and 'none of the patches' in refused.stderr


def test_slides_without_places_are_answered_for_without_heat_maps(command, run, cut, tmp_path):
  # As PatchCamelyon's: patches of named slides without a label of their own.
  (tmp_path / 'patches.csv').write_bytes((cut / 'patches.csv').read_bytes())
  printed = command('slide_report', f'--workdir={run}', f'--patches={tmp_path}', check=True).stdout
  assert 'no heat maps' in printed
  slides = {row['slide']: row for row in rows_of(run / 'slides/top_0.05/slides.csv')}
  # A slide with a tumour patch has tumour; all patches of the others are known to have none.
  assert {name: row['true_tumor'] for name, row in slides.items()} == {
    name: str(int(name in TUMOUR)) for name in PATIENTS
  }


@pytest.mark.slow
def test_a_damaged_slide_is_set_aside_and_the_rest_goes_on(command, tmp_path):
  drawn_slides.node(tmp_path / 'in', 'good', 0, False, size=(900, 850))
  (tmp_path / 'in/broken.svs').write_bytes((tmp_path / 'in/good.tif').read_bytes()[:1000])
  flags = (f'--slides={tmp_path / "in"}', f'--output={tmp_path / "out"}', *CUT, '--workers=2')
  printed = command('slides', *flags, check=True).stdout
  assert 'set aside broken: ' in printed and 'broken.svs: cannot be opened as a slide' in printed
  assert '1 slide set aside' in printed and 'no patients are named' in printed
  [aside] = rows_of(tmp_path / 'out/set_aside.csv')
  assert aside['slide'] == 'broken' and 'cannot be opened' in aside['reason']
  assert {row['slide'] for row in rows_of(tmp_path / 'out/patches.csv')} == {'good'}
  assert 'cut before' in command('slides', *flags, check=True).stdout
  # With no slide left, it fails.
  (tmp_path / 'in/good.tif').unlink()
  refused = command('slides', *flags)
  assert refused.returncode == 1 and refused.stderr.startswith('error: none of the 1 slides')
  assert refused.stderr.strip().count('\n') == 0


@pytest.mark.slow
def test_a_slide_of_unknown_resolution_is_named_until_it_is_stated(command, tmp_path):
  pixels = drawn_slides.draw(
    (900, 850), drawn_slides.disc((900, 850), (450, 420), 300), np.zeros((850, 900), bool)
  )
  drawn_slides.write(tmp_path / 'in/silent.tif', pixels, 1, unit='NONE')
  flags = (f'--slides={tmp_path / "in"}', f'--output={tmp_path / "out"}', *CUT)
  refused = command('slides', *flags)
  assert refused.returncode == 1 and 'silent.tif: has no resolution' in refused.stderr
  assert '--slide_mpp=0.25' in refused.stderr
  command('slides', *flags, '--slide_mpp=0.25', check=True)
  [slide] = rows_of(tmp_path / 'out/slides.csv')
  assert slide['mpp_x'] == '0.25' and int(slide['patches']) > 40


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ((), '--slides is missing'),
    (('--slides=tests',), '--output is missing'),
    (('--slides=nowhere', '--output=OUT'), 'nowhere: no such folder'),
    (('--slides=tests', '--output=OUT'), 'tests: holds no slides'),
    (('--slides=tests', '--output=OUT', '--source=camelyon'), "did you mean 'camelyon16'"),
  ],
)
def test_mistakes_are_one_line(command, tmp_path, arguments, words):
  refused = command(
    'slides', *(argument.replace('OUT', str(tmp_path / 'out')) for argument in arguments)
  )
  assert refused.returncode == 1 and words in refused.stderr
  assert refused.stderr.strip().count('\n') == 0 and not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_camelyon16_in_miniature(command, tmp_path):
  """Slides in the published layout → patches → a run → has it spread, aggregated and learned."""
  root, size = tmp_path / 'CAMELYON16', (900, 850)
  for number in range(1, 9):
    drawn_slides.node(root / 'training/normal', f'normal_{number:03}', number, False, size=size)
    drawn_slides.node(
      root / 'training/tumor', f'tumor_{number:03}', 50 + number, True, size=size,
      outlines=root / 'training/lesion_annotations',
    )  # fmt: skip
  lines = []
  for number in range(1, 9):
    tumour = number % 2 == 1
    drawn_slides.node(
      root / 'testing/images', f'test_{number:03}', 90 + number, tumour, size=size,
      outlines=root / 'testing/lesion_annotations',
    )  # fmt: skip
    lines.append(f'test_{number:03},{"Tumor,IDC,Macro" if tumour else "Normal,None,None"}')
  (root / 'testing/reference.csv').write_text('\n'.join(lines))
  command(
    'slides', '--source=camelyon16', f'--slides={root}', f'--output={tmp_path / "patches"}', *CUT,
    '--workers=2', check=True,
  )  # fmt: skip
  workdir = tmp_path / 'run'
  command(
    'main', '--config=configs/slides.py:resnet_tiny', f'--workdir={workdir}',
    f'--config.data.root={tmp_path / "patches"}', '--config.data.image_size=32',
    '--config.data.workers=0', '--config.model.pretrained=', '--config.model.settings.width=4',
    '--config.batch_size=32', '--config.steps=60',
    '--config.evaluate_every=30', '--config.optimizer.warmup_steps=5',
    '--config.optimizer.learning_rate=0.003', '--config.precision=float32',
    '--config.replicates=100', '--config.split.validation=0.375', check=True,
  )  # fmt: skip
  command('slide_report', f'--workdir={workdir}', '--aggregate=top:0.1', check=True)
  printed = command('attention', f'--workdir={workdir}', '--epochs=20', check=True).stdout
  split = {row['image']: row['split'] for row in rows_of(workdir / 'split.csv')}
  for method in ('top_0.1', 'attention'):
    out = workdir / 'slides' / method
    rows = rows_of(out / 'slides.csv')
    assert {row['slide'] for row in rows if row['split'] == 'test'} == {
      f'test_{number:03}' for number in range(1, 9)
    }
    # The slides that chose are those of the run's own split.
    validation_slides = {row['slide'] for row in rows if row['split'] == 'validation'}
    assert validation_slides == {
      pathlib.Path(image.split('#')[0]).stem.removesuffix('.array_record')
      for image, part in split.items()
      if part == 'validation'
    }
    result = json.loads((out / 'slides.json').read_text())
    assert result['slides']['labels']['tumor']['auroc']['value'] > 0.85
    assert result['patients'] is None  # No patients are named: every slide counts as one.
    assert any(
      'No patient identifiers in test: every slide' in n for n in result['slides']['notes']
    )
    assert len(list((out / 'heatmaps').iterdir())) == len(rows)
  assert 'is the best on validation' in printed
  history = (workdir / 'slides/attention/metrics.jsonl').read_text().splitlines()
  assert len(history) == 20


def test_the_config_is_whole():
  config = configs.load('configs/slides.py')
  assert isinstance(config.split, Split) and isinstance(config.optimizer, Optimizer)
  assert config.data.source == 'csv' and config.data.channels == 3


def test_the_scale_of_a_heat_map_can_be_read():
  boxes, values = np.array([[0, 0, 100, 100]]), np.array([0.5])
  large = pictures.heat(Image.new('RGB', (2000, 1000)), boxes, values, (0, 1), 'share')
  # Shown 900 pixels wide, its letters are as high as those of a page.
  assert (large.height - 1000) / 3.6 * 900 / 2000 > 20
  small = pictures.heat(Image.new('RGB', (100, 50)), boxes / 2, values, (0, 1), 'share')
  assert small.width >= 800  # A small slide is enlarged, its patches with it.
  pixels = np.asarray(small)
  assert (pixels[10, 10] == pixels[390, 390]).all() and (pixels[10, 10] != pixels[10, 700]).any()
