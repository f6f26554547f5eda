"""A finished run on another data set, from the table to external.json, page and predictions."""

import dataclasses
import json
import shutil

import deciding_run
import numpy as np
import pandas as pd
import parsed_page
import pytest
import vouched_runs

import medjax
from medjax.data.images import content
from medjax.data.leakage import other_set
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.external.result import ExternalResult, Sites
from medjax.inference import external, external_set, new_images, reading
from medjax.inference.external import Asked
from medjax.runs import finished as finished_runs
from medjax.runs.layout import Layout

NO_PIXELS = Asked(pixels=False)


@pytest.fixture(scope='module')
def run(finished, tmp_path_factory):
  """A finished run of its own, with what validation chose."""
  workdir = deciding_run.copy(finished[0], tmp_path_factory.mktemp('external') / 'run')
  return finished_runs.open_run(workdir)


def config_of(root, *overrides):
  return medjax.load_config(
    'configs/phantom.py', f'data.root={root}', 'data.settings.images=120',
    'data.settings.image_size=32', 'data.settings.seed=1', *overrides,
  )  # fmt: skip


@pytest.fixture(scope='module')
def written(run, other_root, tmp_path_factory):
  """The folder of an external validation, and what was said."""
  output = tmp_path_factory.mktemp('external') / 'deep' / 'output'
  validated = external.validate_to(run, config_of(other_root), output, Asked(by='view'))
  return output, validated


def test_what_is_written_is_what_was_found(written):
  output, validated = written
  loaded = results_file.load(output / external.RESULT, ExternalResult, 'again')
  assert loaded == validated.result
  beside = {path.name for path in (output / 'index_files').iterdir()}
  assert {'labels.csv', 'prevalence.csv', 'recalibration.csv', 'sites_labels.csv'} <= beside
  labels = pd.read_csv(output / 'index_files' / 'labels.csv', index_col='label')
  edema = validated.result.contrast.labels['Edema']
  assert labels.loc['Edema', 'auroc_external'] == pytest.approx(edema.auroc.one.value)
  assert labels.loc['Edema', 'external_positives'] == edema.one.positives


def test_the_own_test_is_that_of_the_report(run, written):
  _, validated = written
  for label, own in validated.result.own.labels.items():
    test = run.raw_predictions('test')
    index = list(test.labels).index(label)
    assert own.positives == (test.truth[:, index] * test.known[:, index]).sum()
    assert own.auroc.value == pytest.approx(run.result.labels[label].auroc.value)


def test_images_are_predicted_as_predict_does(run, written, other_root):
  output, validated = written
  table = pd.read_csv(output / external.PREDICTIONS)
  assert len(table) == 120 and table['image'].is_unique
  paths = [str(other_root / image) for image in table['image'][:5]]
  new = new_images.predict(run, paths)
  for column in ('prob_Edema', 'raw_Edema', 'decision_Edema'):
    np.testing.assert_allclose(new[column].astype(float), table[column][:5], atol=1e-6)
  assert validated.result.source.images == 120
  truth = pd.read_csv(other_root / 'train.csv').set_index('Path')['Edema']
  name = next(image for image in table['image'] if image.startswith('train'))
  said = truth.get(f'CheXpert-v1.0-small/{name}')
  shown = table.set_index('image').loc[name, 'true_Edema']
  assert (np.isnan(shown) and said == -1) or shown == (0 if np.isnan(said) else said)


def test_the_page_says_it(written):
  output, validated = written
  page = parsed_page.Page((output / 'index.html').read_text())
  text = page.text()
  contrast = validated.result.contrast
  assert 'Generated pictures (a phantom)' in text
  for label, part in contrast.labels.items():
    positives = f'{part.one.positives:,} positive of {part.one.images:,} images'
    assert label in text and positives in text
  assert 'Recalibration: what it would mend' in text and 'By view: each against all others' in text
  assert validated.result.source.frozen_sha256 in text
  assert '120 images' in text and 'compared byte for byte with' in text
  assert 'nan' not in text.lower().split()
  # Two phantoms number their patients alike, as two hospitals may.
  source = validated.result.source
  bear = f'{source.namesakes} of {source.patients} patients of the external set bear names'
  assert source.namesakes > 0 and bear in text
  lines = external.in_words(validated)
  assert any(line.startswith(f'note: {bear}') for line in lines)
  assert lines[0] == 'labels: Lung Lesion = Lung Lesion; Pneumonia = Pneumonia; Edema = Edema'
  assert lines[1].startswith('external AUROC of Edema 0.')


def test_one_label_by_another_name(run, other_root):
  config = config_of(other_root, "data.labels=('Consolidation',)")
  asked = NO_PIXELS._replace(labels=('Consolidation=Pneumonia',))
  found = external.validate(run, config, asked).result
  assert [entry.by for entry in found.mapping] == ['vocabulary', '--labels', 'vocabulary']
  assert found.mapping[1].external == ('Consolidation',)


def test_what_cannot_be_mapped_is_said(run, other_root, tmp_path):
  table = pd.DataFrame({'image': [f'{n}.jpg' for n in range(8)], 'patient': np.arange(8) // 2})
  films = sorted(other_root.rglob('*.jpg'))
  for name, film in zip(table['image'], films):
    shutil.copy(film, tmp_path / name)
  table.assign(Edema=[0, 0, 1, 1, 0, 0, 1, 1]).to_csv(tmp_path / 'labels.csv', index=False)
  config = medjax.Config(
    data=medjax.config.Data(
      'csv', str(tmp_path), ('Edema',), settings={'table_file': 'labels.csv'}
    ),
    model=medjax.config.Model('resnet_tiny'),
  )
  validated = external.validate(run, config, NO_PIXELS)
  assert list(validated.result.labels) == ['Edema']
  assert any(
    note.startswith('Not tested: Pneumonia, because config.data.labels of the other set does not')
    for note in validated.result.notes
  )
  assert any('not tested: Lung Lesion:' in line for line in external.in_words(validated))
  assert 'prob_Edema' in validated.decided and 'prob_Pneumonia' not in validated.decided


def test_mistakes_are_one_line(run, phantom_root, other_root, tmp_path):
  own = config_of(phantom_root, 'data.settings.seed=0')
  cases = [
    (own, NO_PIXELS, 'is the set that .* was trained and tested on'),
    (config_of(other_root, "data.labels=('Fracture',)", 'data.source=phantom_skin'), NO_PIXELS,
     'no label in common: the run has Lung Lesion'),
    (config_of(other_root), NO_PIXELS._replace(by='sit'), '--by=sit: the images have no such'),
    (config_of(other_root), NO_PIXELS._replace(part='tests'), r"--part is 'tests'.*did you mean"),
  ]  # fmt: skip
  for config, asked, said in cases:
    with pytest.raises(InputError, match=said) as error:
      external.validate_to(run, config, tmp_path / 'never', asked)
    assert '\n' not in str(error.value)
  with pytest.raises(InputError, match='is the work directory of a run'):
    external.validate_to(run, own, run.workdir, NO_PIXELS)


def test_a_training_image_among_others_is_refused_or_said(run, phantom_root, other_root, tmp_path):
  root = tmp_path / 'with_one'
  shutil.copytree(other_root, root)
  split = pd.read_csv(run.layout.split)
  trained = split.loc[split['split'] == 'train', 'image'].iloc[0]
  replaced = next(root.rglob('view1_frontal.jpg'))
  shutil.copy(phantom_root / trained, replaced)
  with pytest.raises(InputError, match=r'is byte for byte .* \(1 of 120 images trained'):
    external.validate(run, config_of(root), NO_PIXELS)
  found = external.validate(run, config_of(root), NO_PIXELS._replace(allow_training_images=True))
  assert found.result.source.seen == 1
  assert any('Not a test on new patients: 1 image' in line for line in found.result.warnings)


def test_who_trained_the_weights_is_refused_too(run, other_root, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(run.workdir, workdir)
  film = next(other_root.rglob('view1_frontal.jpg'))
  seen = {
    'image': 'gone.jpg', 'patient': 'x', 'split': 'train', 'root': '/gone',
    'sha256': content.digest(film),
  }  # fmt: skip
  pd.DataFrame([seen]).to_csv(workdir / 'pretrained_on.csv', index=False)
  vouched_runs.vouch(workdir)
  opened = dataclasses.replace(run, layout=Layout(workdir))
  with pytest.raises(InputError, match=r'/gone/gone\.jpg, which trained this model'):
    external.validate(opened, config_of(other_root), NO_PIXELS)


def test_two_kinds_of_pages_do_not_replace_each_other(run, other_root, written, tmp_path):
  with pytest.raises(InputError, match=r'holds external.json, whose page this would replace'):
    external.sites_of_test(run, 'sex', written[0])


def test_a_part_of_the_other_set(run, other_root):
  found = external.validate(run, config_of(other_root), NO_PIXELS._replace(part='train')).result
  assert found.source.part == 'train' and 60 < found.source.images < 120
  assert found.external.test.images == found.source.images


def test_images_that_cannot_be_read_are_set_aside_where_the_config_says(run, other_root, tmp_path):
  root = tmp_path / 'broken'
  shutil.copytree(other_root, root)
  broken = next(root.rglob('view1_frontal.jpg'))
  broken.write_bytes(b'no picture')
  said = rf'{broken.name}.*; mend it, or set config\.data\.broken=set_aside'
  with pytest.raises(InputError, match=said):
    external.validate(run, config_of(root), NO_PIXELS)
  found = external.validate(run, config_of(root, 'data.broken=set_aside'), NO_PIXELS)
  assert list(found.result.source.unreadable) == [broken.relative_to(root).as_posix()]
  assert found.result.external.test.images == 119
  assert any('1 image of the external set could not be read' in n for n in found.result.notes)


def test_the_first_image_that_cannot_be_read_ends_it(run, other_root, tmp_path, monkeypatch):
  root = tmp_path / 'broken'
  shutil.copytree(other_root, root)
  for film in root.rglob('*.jpg'):
    film.write_bytes(film.name.encode())
  monkeypatch.setattr(external, '_predict', lambda *_: pytest.fail('predicted'))
  with pytest.raises(InputError, match=r'; mend it, or set config\.data\.broken=set_aside'):
    external.validate(run, config_of(root), Asked())
  monkeypatch.undo()
  size = reading.size_of_batch
  monkeypatch.setattr(reading, 'size_of_batch', lambda *asked: min(8, size(*asked)))
  monkeypatch.setattr(reading, 'predict', stopping_after_one(reading.predict))
  with pytest.raises(InputError, match=r'; mend it, or set config\.data\.broken=set_aside'):
    external.validate(run, config_of(root), NO_PIXELS)


def stopping_after_one(predict):
  def one_batch(*asked, **settings):
    yield next(predict(*asked, **settings))
    pytest.fail('went on')

  return one_batch


def test_what_nothing_can_be_told_of_is_refused_before_any_image_is_opened(
  run, other_root, monkeypatch
):
  monkeypatch.setattr(other_set, 'find', lambda *_, **__: pytest.fail('looked at images'))
  monkeypatch.setattr(external, '_predict', lambda *_: pytest.fail('predicted'))
  config = config_of(other_root, "data.labels=('Edema',)")
  empty = external_set.read(run, config, (), 'all')
  empty = empty._replace(truth=np.zeros_like(empty.truth))
  monkeypatch.setattr(external_set, 'read', lambda *_: empty)
  with pytest.raises(InputError, match='nothing to tell apart'):
    external.validate(run, config, NO_PIXELS)


def test_a_negative_is_assumed_where_its_own_label_is_blank_and_counts(run, other_root):
  def note(blank):
    notes = external_set.read(run, config_of(other_root, f'data.blank={blank}'), (), 'all').notes
    return [note for note in notes if 'not mentioned' in note]

  assert not note('ignore')
  names = run.config.data.labels
  tables = [pd.read_csv(other_root / name) for name in ('train.csv', 'valid.csv')]
  table = pd.concat(tables)[list(names)]
  # One label's blanks count as negatives; the others' stay unknown, so nobody assumed them.
  policy = {name: 'zeros' if name == 'Edema' else 'ignore' for name in names}
  assumed = table['Edema'].isna().sum()
  share = assumed / (assumed + (table == 0).to_numpy().sum())
  assert 0.01 < share < 0.99
  (only,) = note(policy)
  assert f'set, {share:.0%} are findings' in only


def test_sites_of_the_own_test(run, tmp_path):
  sites = external.sites_of_test(run, 'sex', tmp_path / 'sites')
  assert results_file.load(tmp_path / 'sites' / external.SITES, Sites, 'again') == sites
  test = run.raw_predictions('test')
  counts = test.about['sex'].value_counts()
  assert {site.value: site.images for site in sites.sites} == counts.to_dict()
  text = parsed_page.Page((tmp_path / 'sites' / 'index.html').read_text()).text()
  assert 'By sex: each against all others' in text and 'no other was trained' in text


def test_from_python_and_by_the_command(command, run, other_root, tmp_path):
  opened = medjax.open_run(run.workdir)
  config = config_of(other_root)
  found = opened.external(config, {'Edema': 'Edema'}, pixels=False)
  assert str(found).startswith('labels: Lung Lesion = Lung Lesion')
  assert {'prob_Edema', 'decision_Edema', 'true_Edema', 'view'} <= set(found.predictions)
  assert found.report(tmp_path / 'page.html').is_file()
  with pytest.raises(InputError, match=r'^by=sit: the images have no such column'):
    opened.external(config, by='sit', pixels=False)
  with pytest.raises(InputError, match='config: str given'):
    opened.external('configs/phantom.py')
  assert opened.by_site('view').column == 'view'
  printed = command(
    'external', f'--workdir={run.workdir}', '--config=configs/phantom.py',
    f'--config.data.root={other_root}', '--config.data.settings.images=120',
    '--config.data.settings.image_size=32', '--config.data.settings.seed=1', '--nopixels',
    f'--output={tmp_path / "out"}', check=True,
  ).stdout  # fmt: skip
  assert str(found).splitlines()[1] in printed
  answer = json.loads((tmp_path / 'out' / 'external.json').read_text())
  value = answer['contrast']['mean']['auroc']['one']['value']
  assert value == found.result.contrast.mean.auroc.one.value
  failed = command('external', f'--workdir={run.workdir}')
  assert failed.returncode == 1 and failed.stderr.startswith('error: --output is missing')
