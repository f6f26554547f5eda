"""What is exported of a trained run: a StableHLO program, its weights, and a model card."""

import importlib.resources
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import export
from safetensors.numpy import save

from medjax.evaluation import assessment, frozen, predictions
from medjax.evaluation.assessment import Assessment
from medjax.final_test import report_files
from medjax.inference import export_calibration, model_card
from medjax.models.pretrained import fit
from medjax.models.published import weights_of
from medjax.runs import averaging, finished
from medjax.runs.finished import Trained
from medjax.runtime import files

PLATFORMS = ('cpu', 'cuda', 'tpu')
_CROP_MODES = {'pad': 'border', 'crop': 'center', 'stretch': 'squash'}  # timm's words


def write(workdir: pathlib.Path, directory: pathlib.Path) -> list[pathlib.Path]:
  """Writes the export of a finished run into `directory` and returns the files.

  Raises:
    InputError: the run is not finished.
  """
  run = finished.open_run(workdir)
  result = model_card.read_figures(workdir)
  chosen = frozen.read(workdir, run.config.data.labels)
  if averaging.averages(run.config.evaluation):
    alone = _single_model(workdir, run)
    result, chosen = result | alone.summary, chosen | {'levels': alone.frozen}
  card = model_card.render(workdir, run, result)
  directory.mkdir(parents=True, exist_ok=True)
  program = stablehlo(run, chosen['levels']['image']['calibration'])
  tensors, scheme = published_tensors(run)
  contents = {
    'model.stablehlo': bytes(program.mlir_module_serialized),
    'model.safetensors': save(tensors, metadata=_metadata(run, workdir, scheme)),
    'config.json': json.dumps(description(run), indent=2) + '\n',
    frozen.NAME: json.dumps(chosen, indent=2) + '\n',
    'run.py': _runner(run, program),
    'README.md': card,
  }
  for name, content in contents.items():
    files.write_whole(directory / name, content)
  return [directory / name for name in contents]


def _single_model(workdir: pathlib.Path, run: Trained) -> Assessment:
  """Assesses the one checkpoint that is exported: what the run has frozen is of its average."""
  config, settings = run.config, run.config.evaluation
  parts = (
    predictions.read(report_files.beside_path(workdir, averaging.SINGLE, part))
    for part in ('validation', 'test')
  )
  return assessment.assess(
    *parts,
    head=config.model.head,
    calibration=settings.calibration,
    rules=settings.operating_points,
    prevalence=settings.prevalence,
    level=settings.level,
    aggregate=settings.aggregate,
    replicates=config.replicates,
    seed=config.seed,
  )


def _metadata(run: Trained, workdir: pathlib.Path, scheme: str) -> dict[str, str]:
  """The naming, and by what the weights are known for those of the run beside them.

  An export is for others to have, so whom the weights were trained on stays in the work directory.
  """
  split = files.read_json(workdir / 'split.json')['split_sha256']
  return {'format': 'pt', 'names': scheme, 'step': str(run.step), 'split_sha256': split}


def stablehlo(run: Trained, calibration: Mapping[str, Any]) -> export.Exported:
  """Returns the program uint8[batch, H, W, C] → calibrated probabilities f32[batch, L].

  Args:
    run: whose weights it includes.
    calibration: from medjax.evaluation.calibration.fit, of single images.
  """
  variables = jax.tree.map(jnp.asarray, run.variables)
  (batch,) = export.symbolic_shape('batch')
  images = jax.ShapeDtypeStruct((batch, *run.started.image_format.shape), jnp.uint8)

  def predict(images: jax.Array) -> jax.Array:
    probabilities = run.learner.eval_step(variables, images)
    return export_calibration.apply(calibration, probabilities, run.config.data.labels)

  return export.export(jax.jit(predict), platforms=PLATFORMS)(images)


def published_tensors(run: Trained) -> tuple[dict[str, np.ndarray], str]:
  """Returns the weights by published names in torch's layouts, and the naming scheme: timm's if any."""
  names = getattr(run.learner.network, 'names', None) or {'medjax': ()}
  scheme = 'timm' if 'timm' in names else next(iter(names))
  leaves = traverse_util.flatten_dict(run.variables, sep='/')
  tensors = {
    fit.published_name(path.partition('/')[2], names[scheme]): np.ascontiguousarray(
      fit.to_torch(np.asarray(leaf), path)
    )
    for path, leaf in leaves.items()
  }
  return tensors, scheme


def description(run: Trained) -> dict[str, Any]:
  """Returns the architecture and preprocessing in the format of timm's config.json."""
  image_format, labels = run.started.image_format, list(run.config.data.labels)
  channels, size = image_format.channels, image_format.size
  outputs = len(labels) - (run.config.model.head == 'ordinal')
  network = run.learner.network
  of_timm = getattr(network, 'timm_settings', {})
  return {
    'architecture': _timm_name(run.config.model.name),
    'settings': run.config.model.settings,
    'model_args': {theirs: getattr(network, ours) for ours, theirs in of_timm.items()},
    'num_classes': outputs,
    'label_names': labels,
    'head': run.config.model.head,
    'pretrained_cfg': {
      'num_classes': outputs,
      'input_size': [channels, size, size],
      # timm's transformers are then built for this size; its other networks refuse the argument.
      'fixed_input_size': hasattr(network, 'patch_size'),
      'interpolation': image_format.interpolation,
      'crop_pct': 1.0,
      'crop_mode': _CROP_MODES[image_format.fit],
      'mean': _for_each(run.started.normalisation.mean, channels),
      'std': _for_each(run.started.normalisation.std, channels),
    },
  }


def _timm_name(network: str) -> str:
  """timm adds the image size to the names of some networks: vit_small_patch16_224."""
  _, _, tag = weights_of(network).rpartition('/')
  return tag.partition('.')[0] or network


def _for_each(values: tuple[float, ...], channels: int) -> list[float]:
  return list(values) * channels if len(values) == 1 else list(values)


def _runner(run: Trained, program: export.Exported) -> str:
  source = (
    importlib.resources.files('medjax.inference')
    .joinpath('export_run_template.py')
    .read_text('utf-8')
  )
  facts = {
    'IMAGES': run.started.image_format.in_words,
    'IMAGE_SHAPE': run.started.image_format.shape,
    'LABELS': tuple(run.config.data.labels),
    'PLATFORMS': tuple(program.platforms),
    'CALLING_CONVENTION': program.calling_convention_version,
  }
  for name, value in facts.items():
    source = source.replace(f'\n{name} = None', f'\n{name} = {value!r}')
  return source
