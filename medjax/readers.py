"""Readers' answers to a reference standard: python -m medjax.readers --readers=reads.csv --output=DIR

The CSV has one row per image and reader with a column for each label (1, 0, empty where not read), or one
row per answer with the columns image, reader, label and value; a column `patient` makes the intervals those
of patients. Written are consensus.csv, readers.csv and agreement.json.
"""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
from absl import flags

from medjax.errors import InputError, check_option
from medjax.runtime import command_line

_READERS = flags.DEFINE_string('readers', None, 'CSV of image, reader and the labels.')
_DEFINITIVE = flags.DEFINE_string(
  'definitive',
  None,
  'CSV of image, labels and test: a more definitive test, which outranks readers.',
)
_CONSENSUS = flags.DEFINE_string('consensus', 'majority', 'majority, share, dawid_skene or staple.')
_TIES = flags.DEFINE_string('ties', 'uncertain', 'uncertain, positive or negative.')
_CLASSES = flags.DEFINE_list(
  'classes', [], 'Where readers choose one of several: their names, grades in rising order.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder for consensus.csv, readers.csv, agreement.json.'
)
ROWS = 20  # of readers.csv that are printed
ESTIMATED = ('dawid_skene', 'staple')
MEASURED = dict.fromkeys(
  ('majority', 'share'),
  'against the majority, in which their own answers count: better than they are',
) | dict.fromkeys(ESTIMATED, 'by estimate, as if their errors were independent given the truth')


def main() -> None:
  """Writes the three files and says what they hold."""
  for flag, value, example in (
    ('--readers', _READERS.value, 'reads.csv'),
    ('--output', _OUTPUT.value, 'readers'),
  ):
    if not value:
      raise InputError(f'{flag} is missing; try {flag}={example}')

  from medjax.data.reference import consensus, reader_table
  from medjax.evaluation.statistics import agreement
  from medjax.runtime import files

  check_option('--consensus', _CONSENSUS.value, consensus.METHODS)
  check_option('--ties', _TIES.value, consensus.TIES)
  classes = [name.strip() for name in _CLASSES.value]
  if classes and (len(classes) < 2 or len(set(classes)) < len(classes)):
    raise InputError(
      f'--classes={",".join(classes)}: give two or more different names, such as --classes=none,mild'
    )
  readings = reader_table.read(pathlib.Path(_READERS.value), classes)
  labels = reader_table.labels_of(readings)
  definitive = None
  if _DEFINITIVE.value:
    definitive = reader_table.read_definitive(pathlib.Path(_DEFINITIVE.value), labels, classes)
  standard = consensus.estimate(
    readings,
    method=_CONSENSUS.value,
    ties=_TIES.value,
    definitive=definitive,
    classes=classes,
  )
  agreed = agreement.summarise(readings, classes=classes)

  output = pathlib.Path(_OUTPUT.value)
  output.mkdir(parents=True, exist_ok=True)
  named = standard.labels
  if classes:
    (grade,) = labels
    codes = named[grade].fillna(-1).astype(int)
    named = named.assign(**{grade: ['' if code < 0 else classes[code] for code in codes]})
  files.write_whole(output / 'consensus.csv', named.to_csv(index=False, float_format='%.6g'))
  files.write_whole(
    output / 'readers.csv', standard.readers.to_csv(index=False, float_format='%.6g')
  )
  files.write_whole(
    output / 'agreement.json', json.dumps(agreed, indent=1, default=dataclasses.asdict) + '\n'
  )
  print('\n'.join(_describe(readings, standard, agreed, definitive, classes)))
  print(
    f'written: {output / "consensus.csv"}, {output / "readers.csv"}, {output / "agreement.json"}'
  )


def _describe(
  readings: pd.DataFrame,
  standard,
  agreed: dict,
  definitive: pd.DataFrame | None,
  classes: list[str],
) -> list[str]:
  """Returns the result in plain lines."""
  images, readers = readings['image'].nunique(), readings['reader'].nunique()
  lines = [f'{images:,} images, {readers:,} readers, {len(readings):,} rows']
  if definitive is not None:
    unread = (~definitive['image'].isin(readings['image'])).sum()
    lines.append(f'definitive: {len(definitive):,} images, {unread:,} of which no reader read')
  counts, agreements, reasons = [], [], []
  for label, figures in agreed['labels'].items():
    counts.append({'label': label, **_counts(standard.labels[label], classes)})
    alpha = figures['krippendorff']['ordinal' if classes else 'nominal']
    pairs = [pair['quadratic_kappa' if classes else 'kappa'] for pair in figures['cohen']]
    values = [pair['value'] for pair in pairs if pair['value'] is not None]
    agreements.append(
      {
        'label': label,
        'Fleiss': _figure(figures['fleiss']),
        'Krippendorff': _figure(alpha),
        'Cohen, pairs': f'{min(values):.3f} … {max(values):.3f}' if values else '-',
      }
    )
    for name, figure in (('Fleiss', figures['fleiss']), ('Krippendorff', alpha)):
      if figure['reason']:
        reasons.append(f'{label}, {name}: {figure["reason"]}')
  rates = standard.readers
  shown = [
    {
      'reader': row.reader,
      'label': row.label,
      'reads': f'{row.reads:,}',
      'sensitivity': _rate(row.sensitivity),
      'specificity': _rate(row.specificity),
    }
    for row in rates.head(ROWS).itertuples()
  ]
  more = [f'… and {len(rates) - ROWS:,} more rows in readers.csv'] if len(rates) > ROWS else []
  most = max(figures['reads_per_image'][1] for figures in agreed['labels'].values())
  few = []
  if _CONSENSUS.value in ESTIMATED and most < 3 and definitive is None:
    few = [f'no image has three reads ({most} at most): too few to tell readers and truth apart']
  kinds = ' (alpha is ordinal, pairs are weighted quadratically)' if classes else ''
  return [
    *lines,
    '',
    f'consensus: {_CONSENSUS.value}, ties {_TIES.value}',
    *_table(counts),
    '',
    f'agreement beyond chance; 95 % intervals by {agreed["method"]}{kinds}',
    *_table(agreements),
    *reasons,
    '',
    f'readers {MEASURED[_CONSENSUS.value]}',
    *_table(shown),
    *more,
    *few,
    '',
  ]


def _counts(column: pd.Series, classes: list[str]) -> dict[str, str]:
  values = column.to_numpy(np.float64)
  if classes:
    counts = {name: values == code for code, name in enumerate(classes)}
  else:
    counts = {'positive': values > 0.5, 'negative': (values >= 0) & (values < 0.5)}
  half = (values == 0.5) & (not classes)
  counts |= {'uncertain': (values == -1) | half, 'unknown': np.isnan(values)}
  return {name: f'{which.sum():,}' for name, which in counts.items()}


def _table(rows: list[dict[str, str]]) -> list[str]:
  """Returns the rows under their names, columns as wide as they need, numbers to the right."""
  names = list(rows[0])
  widths = [max(len(text) for text in (name, *(row[name] for row in rows))) for name in names]
  return [
    '  '.join(
      f'{text:<{width}}' if name in ('label', 'reader') else f'{text:>{width}}'
      for name, text, width in zip(names, cells, widths)
    )
    for cells in (names, *(row.values() for row in rows))
  ]


def _rate(value: float) -> str:
  return '-' if np.isnan(value) else f'{value:.3f}'


def _figure(figure: dict) -> str:
  if figure['value'] is None:
    return '-'
  interval = figure['interval']
  return f'{figure["value"]:.3f}' + (
    f' ({interval[0]:.3f} to {interval[1]:.3f})' if interval else ''
  )


if __name__ == '__main__':
  command_line.run(main)
