"""The report: one HTML file that says what was asked, on whom, the answer, and what weakens it.

It needs no network, no script and no second file, so that it can be mailed, archived and printed.
"""

from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.evaluation.surest import Example
from medjax.report import beside, checklist
from medjax.report.first_screen import first_screen
from medjax.report.markup import Markup, identity, page, section, style, tag, term
from medjax.report.sections import calibration as calibration_section
from medjax.report.sections import classes as classes_section
from medjax.report.sections import curves as curves_section
from medjax.report.sections import examples as examples_section
from medjax.report.sections import labels as labels_section
from medjax.report.sections import learning as learning_section
from medjax.report.sections import localisation as localisation_section
from medjax.report.sections import operating_points as operating_points_section
from medjax.report.sections import patients as patients_section
from medjax.report.sections import split as split_section
from medjax.report.sections import usefulness as usefulness_section


def render(
  *,
  title: str,
  result: Result,
  history: Sequence[Mapping],
  split_proof: Mapping,
  config: Mapping,
  facts: Mapping,
  sections: Sequence[tuple[str, Markup]] = (),
  pictures: Sequence[Example] = (),
  people: Mapping[str, Mapping] | None = None,
  set_aside: patients_section.SetAside | None = None,
) -> str:
  """Returns the report as the text of one HTML file.

  Args:
    title: of the page, plain text like all that is given here; everything is escaped.
    result: of the test.
    history: the lines of metrics.jsonl: {'step', 'split': 'train' or 'validation', 'loss', and on
      validation 'auroc_mean' and 'auroc': {label: value}}; absent and NaN values are ignored.
    split_proof: what `medjax.data.split.by_patient.proof` returns, or {} where there is none.
    config: the settings as plain types, nested as they like.
    facts: name -> words, shown first in the order given ('source', 'model', 'best step', 'images
      set aside', …), except 'notes', a list of sentences that weaken the answer, and 'versions',
      name -> words, shown last. 'warning' is what forbids trust in the answer; it stands on
      the first line. Test patients that are in another split warn by themselves.
    sections: (name, section) of what stands after calibration, such as 'Subgroups', 'Readers' and
      'Localisation' (names that the checklist knows); the name is for the contents.
    pictures: images to show, with what was drawn of them.
    people: split → what `medjax.data.split.characteristics.of_rows` says of its patients; None
      takes what the proof holds.
    set_aside: split → why images could not be read → how many.
  """
  if people is None:
    splits = split_proof.get('splits', {})
    people = {name: counts.get('characteristics', {}) for name, counts in splits.items()}
  chosen = config.get('evaluation', {})
  method = str(chosen.get('calibration', ''))
  heat_maps = localisation_section.METHODS.get(chosen.get('saliency'), 'heat maps')
  parts = [
    ('Patients', patients_section.patients(result, split_proof, people, set_aside or {})),
    ('Decision', classes_section.decisions(result)),
    (wording.capital(wording.things(result)[1]), labels_section.label_table(result)),
    ('Operating points', operating_points_section.operating_points(result)),
    ('Curves', curves_section.curves(result)),
    (
      'Calibration',
      None if result.is_of_ranks else calibration_section.calibration(result, method),
    ),
    ('Usefulness', usefulness_section.usefulness(result)),
    *sections,
    ('Levels and ensembles', labels_section.variants(result)),
    (
      'Examples',
      examples_section.section(pictures, heat_maps, result.unit, wording.against_rest(result))
      if pictures
      else None,
    ),
    (
      'Learning',
      learning_section.curves(history, str(facts.get('best step', ''))) if history else None,
    ),
    ('Split', split_section.split(split_proof)),
  ]
  parts = [(name, content) for name, content in parts if content is not None]
  end = [('Configuration', _configuration(config)), ('Versions', _versions(facts))]
  end = [(name, content) for name, content in end if content is not None]
  names = [name for name, _ in (*parts, *end)]
  explained = any(picture.heat for picture in pictures)
  checked = checklist.items(result, split_proof, config, facts, names, explained)
  parts += [('Checklist', checklist.section(checked)), *end]
  first = first_screen(title, result, split_proof, facts, people.get('test', {}))
  body = [tag('div', content, id=identity(name), class_='part') for name, content in parts]
  css = style('report.css', 'sections.css', 'reader_section.css')
  contents = _contents([name for name, _ in parts])
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  return page(f'{title} · medjax report', css, first, contents, tag('main', body), footer)


def _contents(names: Sequence[str]) -> Markup:
  links = [tag('li', tag('a', name, href=f'#{identity(name)}')) for name in names]
  return tag('nav', tag('ul', links), class_='contents', aria_label='Contents')


def _configuration(config: Mapping) -> Markup:
  rows = [term(name, text) for name, text in split_section.flat(config)]
  return section(
    'Configuration',
    tag(
      'details',
      tag('summary', wording.count(len(rows), 'setting')),
      tag('dl', rows, class_='list'),
      open='',
    ),
  )


def _versions(facts: Mapping) -> Markup | None:
  versions = facts.get('versions')
  if not versions:
    return None
  rows = [term(name, text) for name, text in versions.items()]
  return section('Versions', tag('dl', rows, class_='list'))
