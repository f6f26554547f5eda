"""What the pages of folds and of seeds share: several networks on one scale, and their table."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.repeated_result import Network, OverFolds, OverSeeds, Spread
from medjax.evaluation.result import Result
from medjax.report import charts
from medjax.report.figures import figure_bar, figure_words, lowest
from medjax.report.markup import Markup, section, small, table, tag

_WIDTH, _EDGE, _HEIGHT = 132, 4, 16  # pixels, as those of an interval's bar


def spread_words(spread: Spread, digits: int, networks: str) -> str:
  """Returns 'SD 0.012, 0.881 to 0.912 over 5 folds'; `networks` is what there are several of."""
  number = sum(value is not None for value in spread.values)
  if spread.mean is None or spread.low is None or spread.high is None:
    return f'in none of the {len(spread.values)} {networks}'
  low, high = (wording.number(value, digits) for value in (spread.low, spread.high))
  sd = 'no SD' if spread.sd is None else f'SD {wording.number(spread.sd, digits)}'
  return f'{sd}, {low} to {high} over {number} {networks}'


def mean_and_spread(spread: Spread, digits: int, networks: str) -> Markup:
  """Returns the same with the mean, on a quiet line."""
  mean = '' if spread.mean is None else f'mean {wording.number(spread.mean, digits)}, '
  return small(f'{mean}{spread_words(spread, digits, networks)}')


def dots(what: str, spread: Spread, low: float, networks: str) -> Markup | None:
  """Draws every network's value as a dot on a scale from `low` to 1; None without any."""
  values = [value for value in spread.values if value is not None]
  if not values:
    return None

  def place(x: float) -> float:
    return round(_EDGE + (_WIDTH - 2 * _EDGE) * (x - low) / (1 - low), 1)

  middle = _HEIGHT / 2
  half = place(max(low, 0.5))
  return charts.svg(
    _WIDTH,
    _HEIGHT,
    f'{what} in {len(values)} {networks}',
    f'{", ".join(wording.number(value, 3) for value in values)}, each a dot on a scale from '
    f'{low:g} to 1; the tick is what guessing reaches.',
    tag('line', x1=_EDGE, x2=_WIDTH - _EDGE, y1=middle, y2=middle, class_='scale'),
    tag('line', x1=half, x2=half, y1=2, y2=14, class_='baseline'),
    [tag('circle', cx=place(value), cy=middle, r=3, class_='dot faint') for value in values],
  )


def scale(networks: Sequence[Network], result: Result, over: Sequence[OverFolds | OverSeeds]):
  """Returns where a scale starts that shows every AUROC of a page and what guessing reaches."""
  figures = [label.auroc for label in result.labels.values()]
  figures += [result.mean.auroc, *(part.auroc_mean for part in over)]
  figures += [figure for network in networks for figure in network.labels.values()]
  figures += [network.auroc for network in networks]
  return lowest(figures, 0.5)


def networks_table(
  heading: str, first: str, networks: Sequence[Network], low: float, unit: str, explained: str
) -> Markup:
  """Returns the section with a row for each network, linked to its own report."""
  rows = []
  for network in networks:
    tested = [wording.count(network.patients, 'patient')]
    if unit != 'patient':
      tested.append(small(wording.count(network.images, unit)))
    rows.append(
      [
        tag('a', network.name, href=f'../{network.folder}/report/index.html'),
        tested,
        [
          wording.count(network.trained_on, 'patient'),
          small(f'{network.chosen_on:,} more chose checkpoint and thresholds'),
        ],
        [
          *figure_words(network.auroc, 3),
          figure_bar(f'Mean AUROC of {network.name}', network.auroc, low, 0.5),
        ],
        _worst(network.labels),
      ]
    )
  area = 'Mean AUROC' if networks and len(networks[0].labels) > 1 else 'AUROC'
  return section(
    heading,
    table((first, 'Tested on', 'Trained on', area, 'Worst label'), rows, 'cards wide'),
    tag('p', explained, class_='quiet'),
  )


def _worst(labels: dict[str, Figure]) -> list[object]:
  there = {label: figure for label, figure in labels.items() if figure.value is not None}
  if len(there) < 2:
    return [tag('span', wording.DASH, class_='quiet')]
  label = min(there, key=lambda name: there[name].value or 0.0)
  return [label, ' ', *figure_words(there[label], 3)]


def counts(result: Result, label: str) -> Markup:
  """Returns a label's name with how many images and patients are positive."""
  tested = result.labels[label]
  return tag(
    'span',
    label,
    small(f'positive {tested.positives:,} of {wording.count(tested.images, result.unit)}'),
    small(f'{tested.positive_patients:,} of {wording.count(tested.patients, "patient")}'),
  )


def interval(figure: Figure, over: str) -> Markup:
  """Returns the line of a first screen with an interval, and over what it is."""
  if figure.interval is None:
    return tag('p', f'No interval: {figure.reason}.', class_='interval')
  low, high = (wording.number(bound, 3) for bound in figure.interval)
  return tag(
    'p', '95% interval ', tag('b', low), ' to ', tag('b', high), f' {over}', class_='interval'
  )
