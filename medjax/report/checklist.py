"""Which items of two reporting checklists this run documents, and which are left to its authors.

CLAIM, the Checklist for Artificial Intelligence in Medical Imaging: Mongan, Moy and Kahn,
Radiology:
Artificial Intelligence 2020;2(2):e200029, items as numbered in its 2024 update: Tejani et al.,
Radiology: Artificial Intelligence 2024;6(4):e240300, 44 items. STARD-AI: Sounderajah et al., Nature
Medicine 2025;31:3283-3289, 40 items, some of which have parts. Items are given in our own words.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.report import first_screen, markup, weaknesses
from medjax.report.markup import Markup, identity, table, tag

HERE, PARTLY, YOURS = 'documented here', 'partly', 'yours to write'
SOURCES = (
  'CLAIM: Mongan, Moy and Kahn, Radiology: Artificial Intelligence 2020;2(2):e200029, numbered as '
  'in the 2024 update, Tejani et al., 2024;6(4):e240300. STARD-AI: Sounderajah et al., Nature '
  'Medicine 2025;31:3283–3289. The items are in our words; journals want them in theirs.'
)
_FIRST = 'First screen'


class Item(NamedTuple):
  """What a study should say.

  Attributes:
    topic: the part of a paper where it belongs.
    claim, stard: numbers of the items, none where a checklist does not ask.
    asks: what is asked, in short.
    status: HERE, PARTLY or YOURS.
    words: what is documented, or what is left to write.
    where: names of parts of the report, as in its contents.
  """

  topic: str
  claim: tuple[str, ...]
  stard: tuple[str, ...]
  asks: str
  status: str
  words: str
  where: tuple[str, ...]


def items(
  result: Result,
  proof: Mapping,
  config: Mapping,
  facts: Mapping,
  names: Sequence[str],
  explained: bool,
) -> list[Item]:
  """Returns every item of both checklists once, in the order of a paper.

  Args:
    result, proof, config, facts: as `medjax.report.run_page.render` has them.
    names: of the parts that the report has, as in its contents.
    explained: whether examples have heat maps.
  """
  entries: list[Item] = []
  topic = ''

  def say(
    claim: str, stard: str, asks: str, status: str, words: str, *where: str, unless: bool = False
  ) -> None:
    """Adds an item; `unless` says that what would document it is missing from this run."""
    links = () if unless else tuple(name for name in where if name in (_FIRST, *names))
    entries.append(
      Item(
        topic,
        tuple(claim.split()),
        tuple(stard.split()),
        asks,
        YOURS if unless else status,
        'This run does not record it.' if unless else words,
        links,
      )
    )

  labels = result.labels
  points = [point for label_result in labels.values() for point in label_result.operating_points]
  chosen = wording.chosen(points)
  stated = any(point.at_prevalence for point in points)
  splits = bool(proof.get('splits'))
  settings = bool(config.get('data'))
  shared = first_screen.shared_with_test(proof)
  overlap = proof.get('patient_overlap', {})
  shared_elsewhere = any(
    number for one in overlap for other, number in overlap[one].items() if other != one
  )
  subgroups, readers, boxes = (name in names for name in ('Subgroups', 'Readers', 'Localisation'))
  variants, pictures = 'Levels and ensembles' in names, 'Examples' in names
  # The table of labels or classes.
  figures = next(name for name in names if name in ('Labels', 'Classes', 'Grades'))

  topic = 'Title, abstract, introduction'
  say('1', '1', 'Title: an AI study, of which kind, with a measure of accuracy', YOURS,
      'The network and the figure to name stand on the first screen.')  # fmt: skip
  say('2', '2', 'Structured summary', YOURS, 'The first screen has its results.')
  say('3', '3', 'Background, intended use, place in the workflow', YOURS, '')
  say('4', '4', 'Aims and hypotheses', PARTLY,
      'The question asked is here; hypotheses are yours.', _FIRST)  # fmt: skip

  topic = 'Design and data'
  say('5', '5', 'Prospective or retrospective', YOURS, '')
  say('6', '', 'Goal of the study', YOURS, 'Such as a new model, feasibility, non-inferiority.')
  say('', '6', 'Approval by an ethics committee', YOURS, 'Or why none was needed.')
  say('7', '11', 'Sources of the data', PARTLY,
      'The source is named; whether it is routine care or a public set, you know.', _FIRST,
      unless='source' not in facts and not settings)  # fmt: skip
  say('8', '7', 'Inclusion and exclusion, of patients and of images', PARTLY,
      'Views kept and images set aside are here; by what the patients were chosen is yours.',
      _FIRST, 'Configuration', unless=not settings)  # fmt: skip
  say('', '8 9 10', 'How, where and when patients were found; in series or not', YOURS,
      '')  # fmt: skip
  say('9', '', 'Preprocessing of the images', HERE, 'From the file to the network’s input.',
      _FIRST, 'Configuration', unless=not settings)  # fmt: skip
  say('13', '14', 'How the images were acquired, and preprocessing', PARTLY,
      'Preprocessing is here; the acquisition is yours.', _FIRST, 'Configuration',
      unless=not settings)  # fmt: skip
  say('', '13', 'Devices that captured the data; versions of the software', PARTLY,
      'The versions are here; the devices are yours.', 'Versions',
      unless='Versions' not in names)  # fmt: skip
  say('10', '', 'Selection of subsets of the data', PARTLY,
      'Views, floors of positives and seeds are here; what was selected before is yours.',
      'Split', 'Configuration', unless=not (settings and splits))  # fmt: skip
  say('11', '', 'De-identification', YOURS, '')
  say('12', '20', 'How missing data were handled', HERE,
      'Labels not mentioned, images set aside, truth not known.', _FIRST, 'Configuration',
      unless=not settings)  # fmt: skip
  say('', '19', 'How indeterminate results were handled', HERE,
      'Uncertain labels: left out of the test, and what training made of them.', 'Configuration',
      unless=not settings)  # fmt: skip

  topic = 'Reference standard'
  standard = 'reference standard' in facts
  say('14', '16a', 'Definition, so that it can be repeated', PARTLY if standard else YOURS,
      'How answers became labels is here; the rest is yours.' if standard
      else 'Who or what says that a finding is there.',
      *([_FIRST] if standard else []))  # fmt: skip
  say('15', '16b', 'Why this one', YOURS, '')
  say('16', '12', 'Who annotated, with what experience, in which setting', YOURS,
      '')  # fmt: skip
  say('17', '', 'Annotation of the test set', YOURS, 'Whether it is read better than the rest.')
  say('18', '', 'Variability between and within annotators', PARTLY,
      'How far readers agree is here; variability within one is yours.', 'Readers',
      unless=not readers)  # fmt: skip
  say('', '16c', 'From when on the reference standard counts as positive', YOURS,
      '')  # fmt: skip
  say('', '17a', 'What the reader of the index test knew', HERE,
      f'The network is given the image alone; thresholds were {chosen}.',
      'Operating points', unless=not (settings and chosen))  # fmt: skip
  say('', '17b', 'What the assessors of the reference standard knew', YOURS,
      '')  # fmt: skip

  topic = 'Partitions'
  say('19', '', 'How data were assigned to partitions', HERE,
      'Settings, seed, sizes and hashes.', 'Split', 'Patients', unless=not splits)  # fmt: skip
  unnamed = weaknesses.is_anyone_unnamed(_all_notes(result, proof, facts))
  if shared:
    level = f'The test is not disjoint from training: of its patients, {shared}.'
  elif shared_elsewhere:
    level = 'Training and validation are not disjoint; the matrix says by how many patients.'
  elif unnamed:
    level = 'By what stands in for patients: some are not named, so overlap cannot be ruled out.'
  else:
    level = 'By patient, with the matrix of patients in common.'
  say('20', '', 'The level at which partitions are disjoint',
      PARTLY if shared_elsewhere or unnamed else HERE, level, 'Split',
      unless=not splits)  # fmt: skip
  say('21', '22', 'Intended sample size, and how it was found', YOURS,
      'How many there are is here; why so many is yours, and medjax.plan says what a given width '
      'of an interval takes.')  # fmt: skip

  topic = 'Model and training'
  say('22', '15a', 'The model, so that it can be repeated', PARTLY,
      'Its name, settings and input are here; its layers are in medjax’s code of this version.',
      _FIRST, 'Configuration', unless=not settings)  # fmt: skip
  say('23', '', 'Software, with versions', HERE, 'Libraries and versions.', 'Versions',
      unless='Versions' not in names)  # fmt: skip
  say('24', '', 'Initial parameters', HERE, 'Where the weights started from.', _FIRST,
      unless='weights' not in facts)  # fmt: skip
  say('', '15d', 'Who is to use it, with what expertise', YOURS, '')
  say('25', '15b', 'How it was trained and developed, with sizes', HERE,
      'Every setting, the learning curves, the size of each split.', 'Configuration', 'Learning',
      'Split', unless=not (settings and splits))  # fmt: skip
  say('26', '', 'How the final model was chosen', HERE,
      'The last one: no validation had a mean AUROC to choose by.'
      if facts.get('best step') == 'the last one'
      else 'The checkpoint with the highest mean AUROC on validation.'
      + (f' Settings: by {facts["settings chosen by"]}.' if 'settings chosen by' in facts else ''),
      'Learning',
      unless='best step' not in facts)  # fmt: skip
  say('27', '', 'Ensembles', HERE,
      'Reported beside the single model.' if result.variants else 'None: a single model.',
      'Levels and ensembles' if result.variants else 'Configuration',
      unless=not (settings or result.variants))  # fmt: skip

  topic = 'Evaluation'
  say('28', '18', 'Measures of performance, and how they were estimated', HERE,
      f'{_measures(result, bool(chosen or result.classes))}, each by its name.', figures,
      'Operating points', 'Calibration', 'Usefulness')  # fmt: skip
  say('29', '', 'Uncertainty and significance', HERE,
      f'{wording.capital(result.method)}, {result.replicates:,} replicates.', _FIRST,
      unless=not result.replicates)  # fmt: skip
  say('', '15c', 'Thresholds: which, why, set beforehand or explored', HERE,
      f'{wording.capital(chosen)}.', 'Operating points',
      unless=not chosen)  # fmt: skip
  say('30', '21', 'Robustness; variability of the accuracy', PARTLY,
      'Between subgroups, levels or ensembles; noise and other scanners are yours.', 'Subgroups',
      'Levels and ensembles', unless=not (subgroups or variants))  # fmt: skip
  say('31', '', 'Explanations, and how they were checked', HERE if boxes else PARTLY,
      'Heat maps, scored against boxes around the findings.' if boxes
      else 'Heat maps of examples, not checked against readers.', 'Examples', 'Localisation',
      unless=not (explained or boxes))  # fmt: skip
  say('32', '', 'Evaluation on internal data', HERE, 'A test set of the same source.', _FIRST,
      'Split', unless=not splits)  # fmt: skip
  say('33', '29', 'Testing on external data, and how these differ', YOURS,
      'This report is of one test set; whether another hospital’s, you know.')  # fmt: skip
  say('34', '36', 'Registration of the study', YOURS, 'Number and registry.')
  say('', '23', 'Errors, bias and fairness: how they were assessed', PARTLY,
      'Gaps between subgroups with intervals; which matter is yours.', 'Subgroups',
      unless=not subgroups)  # fmt: skip

  topic = 'Results'
  say('35', '24', 'How many were included and excluded; the flow of patients', PARTLY,
      'From the source to the test set, as a diagram; the way into the source is yours.',
      'Patients', unless=not splits)  # fmt: skip
  say('36', '25', 'Demographic and clinical characteristics of each partition', PARTLY,
      'Those that the source records, and the labels, of every split; others are yours.',
      'Patients', unless='Patients' not in names)  # fmt: skip
  say('', '26a 26b', 'Severity of disease; other diagnoses', PARTLY,
      f'How often each label is in {"each split" if splits else "the test set"}; how grave it was '
      'is yours.', *(['Patients'] if splits else []), figures,
      unless=len(labels) < 2)  # fmt: skip
  say('', '27', 'Time and treatment between index test and reference standard', YOURS,
      '')  # fmt: skip
  say('', '28', 'Whether the test set is like those it is meant for', PARTLY,
      'PPV and NPV are reported at another prevalence too; whether patients are alike is yours.',
      'Operating points', unless=not stated)  # fmt: skip
  say('37', '', 'Performance on every partition, with uncertainty', PARTLY,
      'Test with intervals, validation beside it without; of training the loss alone.'
      if 'best step' in facts else 'Test with intervals, validation beside it without.', figures,
      'Learning', unless=not result.validation or not result.replicates)  # fmt: skip
  say('38', '31', 'Diagnostic accuracy, with its precision', HERE,
      f'{result.confidence:.0%} intervals, or why a figure has none.',
      _FIRST, figures, 'Operating points', unless=not result.mean.auroc.interval)  # fmt: skip
  say('', '30', 'Index test by reference standard, counted', HERE,
      ' '.join([*(['Counts at every threshold.'] if chosen else []),
                *(['The confusion matrix.'] if result.classes else [])]),
      *(['Operating points'] if chosen else []), 'Decision',
      unless=not (chosen or result.classes))  # fmt: skip
  say('39', '', 'Analysis of the failures', PARTLY,
      'The worst misses and false alarms are shown; why they failed is yours.', 'Examples',
      unless=not pictures)  # fmt: skip
  say('', '32', 'Adverse events', YOURS, 'A run on stored images has none of its own.')

  topic = 'Discussion and the rest'
  say('40', '33', 'Limitations', PARTLY, 'What weakens the answer, as far as software can see.',
      _FIRST)  # fmt: skip
  say('41', '34', 'What it means for practice', YOURS, '')
  say('', '35', 'Ethics of its use, and fairness', YOURS, '')
  say('42', '37', 'Where the protocol can be read', YOURS, '')
  say('43', '40a', 'Where software, model and data can be had', YOURS,
      'python -m medjax.export writes a model that others can run.')  # fmt: skip
  say('', '40b', 'Whether outputs are stored and can be audited', HERE,
      'The work directory keeps every prediction, the split and its hashes.', 'Split',
      unless=not splits)  # fmt: skip
  say('44', '38', 'Funding, and the part of those who fund', YOURS, '')
  say('', '39', 'Commercial interests', YOURS, '')
  return entries


def _measures(result: Result, are_decided: bool) -> str:
  kinds = ['decisions'] * are_decided + ['calibration'] * (not result.is_of_ranks)
  useful = [tested.usefulness for tested in result.labels.values()]
  kinds += ['net benefit'] * any(part and part.decision_curve for part in useful)
  return ' and '.join(filter(None, [', '.join(['Ranking', *kinds[:-1]]), *kinds[-1:]]))


def _all_notes(result: Result, proof: Mapping, facts: Mapping) -> list[str]:
  return [*result.notes, *proof.get('notes', ()), *facts.get('notes', ())]


def section(entries: Sequence[Item]) -> Markup:
  """Returns the section with a row for each of `items`, and how many are documented."""
  rows, topic = [], ''
  for item in entries:
    heading, topic = (item.topic if item.topic != topic else None), item.topic
    links = [
      [', ' if at else None, tag('a', name, href=f'#{_place(name)}')]
      for at, name in enumerate(item.where)
    ]
    rows.append(
      [
        [tag('small', heading, class_='topic') if heading else None, item.asks],
        ', '.join(item.claim) or wording.DASH,
        ', '.join(item.stard) or wording.DASH,
        tag('span', wording.capital(item.status), class_=f'status {identity(item.status)}'),
        [item.words, ' ' if links else None, links],
      ]
    )
  return markup.section(
    'Checklist for a paper: CLAIM and STARD-AI',
    tag(
      'p',
      _tally(entries, 'claim', 'CLAIM'),
      ' ',
      _tally(entries, 'stard', 'STARD-AI'),
      class_='lead',
    ),
    table(('Item', 'CLAIM', 'STARD-AI', 'Here', 'Where, or what is left'), rows, 'cards checks'),
    tag('p', SOURCES, class_='quiet'),
  )


def _place(name: str) -> str:
  return 'first' if name == _FIRST else identity(name)


def _tally(entries: Sequence[Item], which: str, name: str) -> str:
  numbers = [sum(len(getattr(i, which)) for i in entries if i.status == s) for s in (HERE, PARTLY)]
  total = sum(len(getattr(item, which)) for item in entries)
  rest = total - sum(numbers)
  what = 'items' if which == 'claim' else 'items and parts of items'
  return (
    f'Of the {total} {what} of {name}, {numbers[0]} are documented here and {numbers[1]} partly; '
    f'{rest} are yours to write.'
  )
