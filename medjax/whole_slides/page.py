"""The page of an answer for whole slides, like that of any other report."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from PIL import Image

from medjax.evaluation import wording
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.final_test import generated, report_files
from medjax.report import beside, run_page
from medjax.report.pictures import data_uri
from medjax.report.sections import slides as sections
from medjax.report.sections.slides import Slide
from medjax.runs.finished import Run
from medjax.runtime import files
from medjax.whole_slides import heat_maps
from medjax.whole_slides.results import SlideResults

PAGE = 'index.html'
_SIDE = 900  # pixels of a picture's longer side on the page


def write(
  directory: pathlib.Path,
  run: Run,
  results: SlideResults,
  test: Predictions,
  counts: Mapping[str, int],
  heat: tuple[Sequence[str], str],
) -> pathlib.Path:
  """Writes index.html beside the tables of an answer; returns where it is.

  Args:
    directory: of the answer, whose heat maps are drawn already.
    run: on patches.
    results: the answer.
    test: predictions of the test slides.
    counts: slide → how many patches.
    heat: name of the heat maps for each label, and what they show in words.
  """
  names, shown = heat
  slides = _slides(results.slides, test, counts)
  drawn = [
    dataclasses.replace(
      slide,
      outlined=_picture(pathlib.Path(results.patches) / 'grids' / f'{slide.name}.png'),
      heat=_picture(
        heat_maps.path(directory / 'heatmaps', slide.name, names[test.labels.index(slide.label)])
      ),
    )
    for slide in sections.chosen(slides)
  ]
  drawn = [slide for slide in drawn if slide.outlined or slide.heat]
  parts = [('Slides', sections.gallery(slides, drawn, shown))]
  if results.patients is not None:
    parts.append(('By patient', sections.by_patient(results.patients)))
  settings, proof = files.read_json(run.layout.config), files.read_json(run.layout.split_proof)
  result = dataclasses.replace(results.slides, aggregate=results.aggregate)
  text = run_page.render(
    title=f'{run.config.model.name} on slides of {pathlib.Path(results.patches).resolve().name}',
    result=result,
    history=(),
    split_proof=proof,
    config=settings,
    facts={
      'source': run.config.data.source,
      'model': run.config.model.name,
      'slides by': f'{wording.aggregate(results.aggregate)} of their patches',
      'patches': results.patches,
      **({} if results.epoch is None else {'epoch of the attention': str(results.epoch)}),
      'warning': generated.of_run(run.config),
      'notes': (),
      'versions': report_files.versions(),
    },
    sections=parts,
  )
  page = directory / PAGE
  files.write_whole(page, text)
  beside.write(page, text, beside.of_result(result))
  return page


def _slides(result: Result, test: Predictions, counts: Mapping[str, int]) -> list[Slide]:
  thresholds = result.thresholds()
  return [
    Slide(
      name=slide,
      patient=str(test.patients[row]),
      label=label,
      patches=counts[slide],
      probability=float(test.probabilities[row, column]),
      threshold=thresholds[label],
      truth=int(test.truth[row, column] == 1) if test.known[row, column] else None,
    )
    for row, slide in enumerate(test.images)
    for column, label in enumerate(test.labels)
  ]


def _picture(path: pathlib.Path) -> str | None:
  """Returns a picture as a data URI, None where there is no such file."""
  if not path.is_file():
    return None
  with Image.open(path) as file:
    picture = file.convert('RGB')
  picture.thumbnail((_SIDE, _SIDE))
  return data_uri(picture, 'jpeg')
