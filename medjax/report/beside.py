"""What lies beside a page for a paper: its figures as SVG files and its numbers as CSV files."""

import csv
import dataclasses
import html
import io
import pathlib
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from medjax.config import names as naming
from medjax.evaluation.contrasts import Comparison
from medjax.evaluation.external.result import Cohorts, ExternalResult, ScoreDistribution, Sites
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import DecisionCurve
from medjax.evaluation.repeated_result import Network, OverFolds, OverSeeds
from medjax.evaluation.result import Result
from medjax.report import markup
from medjax.runtime import files

FOLDER = '_files'  # after the name of the page
SAID = (
  'The figures of this page as SVG and its tables as CSV lie beside it, in the folder of its name '
  f'with {FOLDER} at the end.'
)
_LEGEND = 22  # pixels of one of its lines
_FIGURE = re.compile(r'<figure[^>]*>.*?</figure>', re.S)
_DRAWING = re.compile(r'<svg (?=[^>]*role="(?:group|img)")[^>]*>.*?</svg>', re.S)
_KEY = re.compile(r'<li><svg[^>]*>(.*?)</svg>(.*?)</li>', re.S)


def write(page: pathlib.Path, text: str, tables: Mapping[str, str]) -> None:
  """Writes a page's figures and tables into its folder, in place of what an earlier page left.

  Args:
    page: where the page is.
    text: of the page, from whose figures the files are made.
    tables: name of a file → its text.
  """
  folder = page.with_name(page.stem + FOLDER)
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  for name, content in {**figures(text), **tables}.items():
    try:
      files.write_whole(folder / name, content)
    except OSError as error:
      if not files.name_is_refused(error):
        raise
      files.write_whole(folder / files.short_name(name), content)


def figures(page: str) -> dict[str, str]:
  """Returns name → text of an SVG file for each figure of a page, as it looks on paper."""
  rules = _style()
  drawn: dict[str, str] = {}
  for figure in _FIGURE.findall(page):
    for drawing in _DRAWING.findall(figure):
      label = re.search(r'aria-label="([^"]*)"', drawing)
      title = html.unescape(label.group(1)) if label else 'figure'
      name = markup.identity(title.partition('. ')[0]) or 'figure'
      number = sum(other.startswith(f'{name}.') for other in drawn)
      drawn[f'{name}.{number + 1}.svg' if number else f'{name}.svg'] = _alone(
        drawing, _KEY.findall(figure), rules
      )
  return drawn


def _alone(drawing: str, key: Sequence[tuple[str, str]], rules: str) -> str:
  """Returns a drawing of a page as a file of its own, its key below it."""
  opening, _, inside = drawing.partition('>')
  # What is shown while a mark is pointed at is of no use on paper.
  inside = re.sub(r'<g class="hits">.*(?=</svg>)', '', inside, flags=re.S)
  width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', opening)[0])
  lines = [
    f'<g transform="translate(0 {height + 10 + _LEGEND * at:g})">{shape}'
    f'<text x="34" y="10">{words}</text></g>'
    for at, (shape, words) in enumerate(key)
  ]
  total = height + (10 + _LEGEND * len(key) if key else 0)
  opening = re.sub(r'viewBox="[^"]*"', f'viewBox="0 0 {width:g} {total:g}"', opening)
  body = inside.removesuffix('</svg>') + ''.join(lines)
  return (
    f'{opening} xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{total:g}">'
    f'<style>{rules}</style>{body}</svg>\n'
  )


def _style() -> str:
  """Returns the style sheets' rules on drawings, in the colours of a light page."""
  css = markup.style('report.css', 'sections.css', 'comparison.css', 'reader_section.css')
  colours = dict(re.findall(r'--([\w-]+): ([^;]+);', css[: css.index('@media')]))
  # Programs that draw SVG know no variables and no selectors by state.
  drawings = re.findall(r'^(?:svg|\.boxes) ([^{}]+)\{([^}]*)\}', css, re.M)
  kept = [(names, body) for names, body in drawings if ':' not in names and '[' not in names]
  rules = ''.join(f'{names.strip()}{{{body.strip()}}}' for names, body in kept)
  return re.sub(r'var\(--([\w-]+)\)', lambda match: colours.get(match.group(1), 'none'), rules)


def of_result(result: Result) -> dict[str, str]:
  """Returns the CSV files of a report: labels, operating points, subgroups, decisions."""
  mean = {'label': 'mean', **_row(result.mean)}
  labels = [{'label': label, **_row(tested)} for label, tested in result.labels.items()]
  points = [
    {'label': label, **_row(point)}
    for label, tested in result.labels.items()
    for point in tested.operating_points
  ]
  groups = [
    {'column': column, 'value': group.value, 'label': label, **_row(tested)}
    for column, values in result.subgroups.items()
    for group in values
    for label, tested in group.labels.items()
  ]
  tables = {'labels.csv': [*labels, mean], 'operating_points.csv': points, 'subgroups.csv': groups}
  useful = {label: tested.usefulness for label, tested in result.labels.items()}
  tables['of_1000.csv'] = [
    {'label': label, **_row(row)}
    for label, part in useful.items()
    if part is not None
    for row in part.of_thousand
  ]
  tables['decision_curves.csv'] = [
    row
    for label, part in useful.items()
    if part is not None and part.decision_curve is not None
    for row in _points(label, part.decision_curve)
  ]
  if result.classes is not None:
    tables['decision.csv'] = [_row(result.classes)]
    tables['confusion_matrix.csv'] = [
      {'truth': label, **dict(zip(result.classes.labels, counts))}
      for label, counts in zip(result.classes.labels, result.classes.confusion)
    ]
  return {name: _csv(rows) for name, rows in tables.items() if rows}


def _points(label: str, curve: DecisionCurve) -> list[dict[str, Any]]:
  columns = {
    'threshold': curve.threshold,
    'net_benefit': curve.model.value,
    'net_benefit_low': curve.model.low,
    'net_benefit_high': curve.model.high,
    'treat_all': curve.treat_all,
    'standardised': curve.standardised,
    'avoided_per_100': curve.avoided.value,
    'avoided_per_100_low': curve.avoided.low,
    'avoided_per_100_high': curve.avoided.high,
  }
  return [{'label': label, **dict(zip(columns, row))} for row in zip(*columns.values())]


def of_people(proof: Mapping, people: Mapping[str, Mapping]) -> dict[str, str]:
  """Returns the CSV file on who is in each part of a split, if anything is known."""
  rows = []
  for part, counts in proof.get('splits', {}).items():
    values: dict[str, Any] = {'patients': counts['patients'], 'images': counts['images']}
    values |= _flat(people.get(part) or {})
    values |= _flat({'label': counts['labels']})
    rows += [{'part': part, 'what': name, 'value': value} for name, value in values.items()]
  return {'patients.csv': _csv(rows)} if rows else {}


def of_comparison(comparison: Comparison) -> dict[str, str]:
  """Returns the CSV file of a comparison, a row for each label and one for the mean."""
  rows = [{'label': 'mean', **_row(comparison.mean)}]
  rows += [{'label': label, **_row(contrast)} for label, contrast in comparison.labels.items()]
  return {'comparison.csv': _csv(rows)}


def of_external(result: ExternalResult) -> dict[str, str]:
  """Returns the CSV files of an external validation."""
  tables: dict[str, list[dict[str, Any]]] = _of_contrast(result.contrast, ('external', 'own_test'))
  tables['mapping.csv'] = [
    {**_row(entry), 'external': ' or '.join(entry.external)} for entry in result.mapping
  ]
  tables['recalibration.csv'] = [
    {'label': label, **_row(way)}
    for label, part in result.labels.items()
    for way in part.recalibration.ways
  ]
  tables['recalibrated_points.csv'] = [
    {'label': label, 'how': way.how, **_row(point)}
    for label, part in result.labels.items()
    for way in part.recalibration.ways
    for point in way.operating_points
  ]
  tables['prevalence.csv'] = [
    {
      _called(column, ('external', 'own_test')): value
      for column, value in {'label': label, **_row(part.prevalence)}.items()
    }
    for label, part in result.labels.items()
  ]
  tables['predictive_values.csv'] = [
    {'label': label, **_row(values)}
    for label, part in result.labels.items()
    for values in part.prevalence.predictive_values
  ]
  tables['scores.csv'] = [
    {'label': label, **row}
    for label, part in result.labels.items()
    if part.scores is not None
    for row in _bins(part.scores)
  ]
  subgroups = of_result(result.external).get('subgroups.csv')
  texts = {name: _csv(rows) for name, rows in tables.items() if rows}
  texts |= {'subgroups.csv': subgroups} if subgroups else {}
  return texts | (of_sites(result.sites) if result.sites else {})


def of_sites(sites: Sites) -> dict[str, str]:
  """Returns the CSV files of figures by site."""
  tables: dict[str, list[dict[str, Any]]] = {}
  for site in sites.sites:
    first = {sites.column: site.value, 'all_images': site.images, 'all_patients': site.patients}
    for name, rows in _of_contrast(site.contrast, ('here', 'others')).items():
      tables.setdefault(f'sites_{name}', []).extend({**first, **row} for row in rows)
  return {name: _csv(rows) for name, rows in tables.items() if rows}


def _of_contrast(contrast: Cohorts, names: tuple[str, str]) -> dict[str, list[dict[str, Any]]]:
  """Returns name of a file → its rows, whose columns say which sample a figure is of."""
  labels = [{'label': label, **_row(part)} for label, part in contrast.labels.items()]
  points = [
    {'label': label, **_row(point)}
    for label, part in contrast.labels.items()
    for point in part.operating_points
  ]
  tables = {
    'labels.csv': [*labels, {'label': 'mean', **_row(contrast.mean)}],
    'operating_points.csv': points,
  }
  if contrast.classes:
    tables['decision.csv'] = [
      {'figure': name, **_row(compared)} for name, compared in contrast.classes.items()
    ]
  return {
    name: [{_called(column, names): value for column, value in row.items()} for row in rows]
    for name, rows in tables.items()
  }


def _called(column: str, names: tuple[str, str]) -> str:
  """Returns the name of a column with that of the sample for 'one' and 'other'."""
  for word, name in zip(('one', 'other'), names):
    column = re.sub(rf'(?<![^_]){word}(?![^_])', name, column)
  return column


def _bins(scores: ScoreDistribution) -> list[dict[str, Any]]:
  columns = {
    'from': scores.edges[:-1],
    'to': scores.edges[1:],
    'external_positives': scores.external_positives,
    'external_negatives': scores.external_negatives,
    'own_positives': scores.own_positives,
    'own_negatives': scores.own_negatives,
  }
  return [dict(zip(columns, row)) for row in zip(*columns.values())]


def of_networks(
  networks: Sequence[Network], labels: Mapping[str, OverFolds | OverSeeds]
) -> dict[str, str]:
  """Returns the CSV files of folds or seeds: every network, and their spread by label."""
  rows = [
    {
      'network': network.name,
      **{name: getattr(network, name) for name in ('images', 'patients', 'trained_on')},
      'label': label,
      'auroc': auroc.value,
      **dict(zip(('auroc_low', 'auroc_high'), auroc.interval or (None, None))),
      'threshold': network.thresholds.get(label),
    }
    for network in networks
    for label, auroc in {**network.labels, 'mean': network.auroc}.items()
  ]
  spread = [
    {'label': label, **{n: v for n, v in _row(over).items() if not n.endswith('_values')}}
    for label, over in labels.items()
  ]
  return {'networks.csv': _csv(rows), 'spread.csv': _csv(spread)}


def _row(value: Any) -> dict[str, Any]:
  """Returns the numbers and words of a dataclass by name, those inside it after its name."""
  row: dict[str, Any] = {}
  for field in dataclasses.fields(value):
    name, content = field.name, getattr(value, field.name)
    if isinstance(content, Figure):
      low, high = content.interval or (None, None)
      row |= {name: content.value, f'{name}_low': low, f'{name}_high': high}
      if content.reason:
        row[f'{name}_reason'] = content.reason
    elif dataclasses.is_dataclass(content):
      row |= {f'{name}_{inner}': part for inner, part in _row(content).items()}
    elif content is None or isinstance(content, int | float | str):
      row[name] = content
  return row


def _flat(values: Mapping[str, Any], above: str = '') -> dict[str, Any]:
  flat: dict[str, Any] = {}
  for name, value in values.items():
    if isinstance(value, Mapping):
      flat |= _flat(value, f'{above}{name}: ')
    elif isinstance(value, list):
      flat |= {f'{above}{name} {at}': part for at, part in enumerate(value, 1)}
    else:
      flat[f'{above}{name}'] = value
  return flat


def _told(value: Any) -> Any:
  return f"'{value}" if isinstance(value, str) and naming.is_formula(value) else value


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
  """Returns rows as text; a cell is empty where a row has no such value.

  Nothing reads these tables but people and their spreadsheets: what one would take for a formula
  gets an apostrophe before it.
  """
  rows = [{name: _told(value) for name, value in row.items()} for row in rows]
  names = list(dict.fromkeys(name for row in rows for name in row))
  text = io.StringIO()
  writer = csv.DictWriter(text, names, restval='', lineterminator='\n')
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()
