"""The model card of a finished run: what it is, on whom it was tested, how well, and what for.

After Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv 1810.03993.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medjax import __version__
from medjax.config import Config
from medjax.config.published import NETWORKS, OURS
from medjax.data.phantom import folder
from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.inference import markdown
from medjax.report import weaknesses
from medjax.runs import averaging, model_file
from medjax.runs.finished import Run
from medjax.runs.model_file import Provenance
from medjax.runtime import files
from medjax.training import fine_tuning


def render(
  run: Run, result: Result, formats: Sequence[str] = ('stablehlo',), uses: Sequence[str] = ()
) -> str:
  """Returns the card as Markdown.

  Args:
    run: a finished run.
    result: of its test, the figures those of its best checkpoint by itself.
    formats: that the program is exported in.
    uses: further sections, one on the use of a format each.
  """
  proof = files.read_json(run.layout.split_proof)
  caveats = _caveats(result, proof)
  if averaging.averages(run.config.evaluation):
    reported = result.facts.get('reported', 'several predictions')
    caveats += (
      f'\n- This is one checkpoint of an average ({markdown.text(reported)}), and its figures and '
      "thresholds are its own: those of the run's report are of the average."
    )
  sections = (
    f'# {markdown.text(_title(run.config))}',
    _details(run.config, run.model_file, run.network.steps[0]),
    _use(run, formats, uses),
    _intended_use(run),
    _data(run, proof),
    _metrics(result, run.config.evaluation.calibration),
    caveats,
  )
  return '\n\n'.join(sections) + '\n'


def _title(config: Config) -> str:
  data = config.data
  warning = folder.warning_of(data.source, data.root, data.settings)
  return f'{config.model.name}: {", ".join(data.labels)}' + (f'. {warning}' if warning else '')


def _details(config: Config, started: Provenance, step: int) -> str:
  optimizer, sampling = config.optimizer.filled(), config.sampling.mixture or config.sampling.name
  average = f', evaluated as a moving average of decay {optimizer.ema}' if optimizer.ema else ''
  kinds = {
    'sigmoid': 'a probability for each label, on its own',
    'softmax': 'probabilities of exclusive classes, which sum to 1',
    'ordinal': 'probabilities of grades in rising order, which sum to 1',
  }
  return '## Model\n\n' + markdown.items(
    f'Network: {config.model.name}{_settings(config.model.settings)}, {started.parameters:,} '
    f'parameters; checkpoint of step {step:,}',
    f'Input: {started.image_format.in_words}; mean {list(started.mean)}, standard deviation '
    f'{list(started.std)} of pixels in [0, 1]',
    f'Output: {kinds[config.model.head]}: {", ".join(config.data.labels)}',
    f'Started from: {model_file.in_words(started)}',
    f'Training: {fine_tuning.in_words(config.model)}, {config.steps:,} steps of '
    f'{config.batch_size} images, '
    f'{optimizer.name} at {optimizer.learning_rate:g}{average}, loss {config.loss.name}'
    f'{_settings(config.loss.settings)}, augmentation {config.augment}, sampling {sampling}, '
    f'{config.precision}, seed {config.seed}',
    f'Made with: medjax {__version__}',
  )


_IN_TIMM = """In timm, which does not calibrate, `picture` of run.py fits a file into the square
as the run did; timm itself pads with the mean:

```python
import timm
from run import picture

network = timm.create_model('local-dir:.', pretrained=True).eval()
settings = timm.data.resolve_model_data_config(network)
logits = network(timm.data.create_transform(**settings)(picture('film.png'))[None])
```"""


def _use(run: Run, formats: Sequence[str], uses: Sequence[str]) -> str:
  sections = ['## Use']
  if {'stablehlo', 'onnx'} & {*formats}:
    sections += ['```\npython run.py film.png\n```', 'For arrays, see the top of run.py.']
  named = run.config.model.name
  if 'stablehlo' in formats and named in NETWORKS and named not in OURS:
    sections.append(_IN_TIMM)
  return '\n\n'.join([*sections, *uses])


def _intended_use(run: Run) -> str:
  labels = markdown.text(', '.join(run.config.data.labels))
  return '## Intended use\n\n' + (
    'Research on images like those it was tested on (below), read at the thresholds below, which '
    'were chosen on validation. Not a medical device: it has not been shown to be safe or useful '
    'in care. Out of scope: other views, devices, populations and prevalences than those of the '
    f'test set, until tested there, and findings other than {labels}.'
  )


def _data(run: Run, proof: Mapping[str, Any]) -> str:
  splits = proof['splits']
  rows = []
  for name in ('train', 'validation', 'test'):
    part = splits[name]
    shares = [wording.percent(count['prevalence']) for count in part['labels'].values()]
    rows.append([name, f'{part["patients"]:,}', f'{part["images"]:,}', *shares])
  labels = list(splits['test']['labels'])
  return '## Data\n\n' + '\n\n'.join(
    (
      f'Source {markdown.text(run.config.data.source)}; no patient is in two splits. SHA-256 of '
      f'the table `{proof["table_sha256"]}`, of the split `{proof["split_sha256"]}`.',
      markdown.table(
        ['split', 'patients', 'images', *(f'{label} positive' for label in labels)], rows
      ),
      f'Uncertain labels: {markdown.text(run.config.data.uncertain)} in training, left out of '
      f'evaluation; not mentioned: {markdown.text(run.config.data.blank)} in both.',
    )
  )


def _metrics(result: Result, calibration: str) -> str:
  confidence = f'{result.confidence:.0%}'
  rows = []
  for label, label_result in result.labels.items():
    point = label_result.operating_points[0]
    figures = (label_result.auroc, label_result.auprc, point.sensitivity, point.specificity)
    words = [wording.plain(figure, 3) for figure in figures]
    rows.append([label, *words, wording.number(point.threshold, 4)])
  mean = result.mean
  rows.append(['mean', wording.plain(mean.auroc, 3), wording.plain(mean.auprc, 3), '', '', ''])
  header = ['label', 'AUROC', 'AUPRC', 'sensitivity', 'specificity', 'threshold']
  parts = [
    f'On {result.test.images:,} test images of {result.test.patients:,} patients, with '
    f'{confidence} intervals ({result.method}, {result.replicates:,} replicates).',
    markdown.table(header, rows),
    'Probabilities are as the exported program gives them'
    + ('' if calibration == 'none' else f', calibrated on validation (calibration: {calibration})')
    + ', and thresholds are of those.',
  ]
  if result.unit != 'image':
    parts.append(
      f'Figures and thresholds are of the {result.unit}, whose probability is made of those '
      f'of its images (aggregation: {result.aggregate}); the calibration of either stands in '
      'frozen.json.'
    )
  if result.classes:
    parts.append(
      markdown.items(
        *(
          f'{wording.capital(words)}: {wording.plain(figure, 3)}'
          for _, words, figure in wording.class_figures(result.classes)
        )
      )
    )
  return '## Metrics\n\n' + '\n\n'.join(parts)


def _caveats(result: Result, proof: Mapping[str, Any]) -> str:
  facts = {**result.facts, 'notes': result.study_notes}
  notes = weaknesses.of_run(result, proof, facts)
  return '## What weakens these figures\n\n' + markdown.items(
    *(map(weaknesses.without_example, notes) if notes else ['Nothing that medjax looks for.'])
  )


def _settings(settings: Mapping[str, Any]) -> str:
  return (
    f' ({", ".join(f"{name}={value}" for name, value in settings.items())})' if settings else ''
  )
