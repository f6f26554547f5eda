"""A reference standard and its readers in plain lines, for a terminal."""

import numpy as np
import pandas as pd

from medjax.data.reference import consensus
from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.readers.reference import READERS, Reference

ROWS = 20  # of readers.csv that are shown
MEASURED = dict.fromkeys(
  ('majority', 'share'),
  'against the majority, in which their own answers count: better than they are',
) | dict.fromkeys(
  consensus.ESTIMATED, 'by estimate, as if their errors were independent given the truth'
)


def describe(reference: Reference) -> list[str]:
  """Returns the result in plain lines."""
  agreed, graded = reference.agreement, bool(reference.classes)
  kinds = ' (alpha is ordinal, pairs are weighted quadratically)' if graded else ''
  counts = [
    {'label': label, **_counts(reference.standard.labels[label], reference.classes)}
    for label in agreed.labels
  ]
  return [
    *_sizes(reference),
    '',
    f'consensus: {reference.method}, ties {reference.ties}',
    *_table(counts),
    '',
    f'agreement beyond chance; 95 % intervals by {agreed.method}{kinds}',
    *_agreement(reference),
    '',
    f'readers {MEASURED[reference.method]}',
    *_readers(reference),
    '',
  ]


def _sizes(reference: Reference) -> list[str]:
  readings, definitive = reference.readings, reference.definitive
  images, readers = readings['image'].nunique(), readings['reader'].nunique()
  lines = [f'{images:,} images, {readers:,} readers, {len(readings):,} rows']
  if definitive is not None:
    unread = (~definitive['image'].isin(readings['image'])).sum()
    lines.append(f'definitive: {len(definitive):,} images, {unread:,} of which no reader read')
  return lines


def _agreement(reference: Reference) -> list[str]:
  """Returns a table of all labels, and why figures do not exist."""
  rows, reasons = [], []
  for label, of_label in reference.agreement.labels.items():
    alpha = of_label.krippendorff.ordinal or of_label.krippendorff.nominal
    pairs = [pair.quadratic_kappa or pair.kappa for pair in of_label.cohen]
    values = [pair.value for pair in pairs if pair.value is not None]
    rows.append(
      {
        'label': label,
        'Fleiss': _figure(of_label.fleiss),
        'Krippendorff': _figure(alpha),
        'Cohen, pairs': f'{wording.number(min(values), 3)} … {wording.number(max(values), 3)}'
        if values
        else '-',
      }
    )
    for name, figure in (('Fleiss', of_label.fleiss), ('Krippendorff', alpha)):
      if figure.reason:
        reasons.append(f'{label}, {name}: {figure.reason}')
  return [*_table(rows), *reasons]


def _readers(reference: Reference) -> list[str]:
  """Returns a table of the first readers, and what weakens it."""
  rates = reference.standard.readers
  rows = [
    {
      'reader': row.reader,
      'label': row.label,
      'reads': f'{row.reads:,}',
      'sensitivity': _rate(row.sensitivity),
      'specificity': _rate(row.specificity),
    }
    for row in rates.head(ROWS).itertuples()
  ]
  lines = _table(rows)
  if len(rates) > ROWS:
    lines.append(f'… and {len(rates) - ROWS:,} more rows in {READERS}')
  most = max(of_label.reads_per_image[1] for of_label in reference.agreement.labels.values())
  if reference.method in consensus.ESTIMATED and most < 3 and reference.definitive is None:
    lines.append(
      f'no image has three reads ({most} at most): too few to tell readers and truth apart'
    )
  return [*lines, *(f'note: {note}' for note in reference.standard.notes)]


def _counts(column: pd.Series, classes: tuple[str, ...]) -> dict[str, str]:
  values = column.to_numpy(np.float64)
  if classes:
    counts = {name: values == code for code, name in enumerate(classes)}
  else:
    counts = {'positive': values > 0.5, 'negative': (values >= 0) & (values < 0.5)}
  half = (values == 0.5) & (not classes)
  counts |= {'uncertain': (values == -1) | half, 'unknown': np.isnan(values)}
  return {name: f'{chosen.sum():,}' for name, chosen in counts.items()}


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
  return '-' if np.isnan(value) else wording.number(value, 3)


def _figure(figure: Figure) -> str:
  if figure.value is None:
    return '-'
  interval = figure.interval
  words = (
    f' ({wording.number(interval[0], 3)} to {wording.number(interval[1], 3)})' if interval else ''
  )
  return f'{wording.number(figure.value, 3)}{words}'
