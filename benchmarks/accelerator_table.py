"""What benchmarks/accelerator.py measured, as Markdown."""

import argparse
from typing import Any


def table(results: dict[str, Any], options: argparse.Namespace) -> str:
  """Returns the results as Markdown."""

  def number(value: float | None, format_: str = ',.0f') -> str:
    return '' if value is None else format(value, format_)

  sides = [
    side for of_network in results['networks'].values() for side in of_network.values() if side
  ]
  devices = ', '.join(dict.fromkeys(side['device'] for side in sides))
  versions = ', '.join(dict.fromkeys(side['versions'] for side in sides))
  lines = [
    f'{devices}; {versions}; bfloat16, batches of {options.batch_size} images of '
    f'{options.image_size} px',
    '',
    '| | medjax, images/s | PyTorch | ratio | of the peak | GB here, there '
    '| compiling, cached, there, s | evaluation, there |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for name, of_network in results['networks'].items():
    ours, theirs = (of_network[side] or {} for side in ('medjax', 'PyTorch'))
    ratio = ours['training'] / theirs['training'] if ours and theirs else None
    compiling = [side.get('compiling_cold') for side in (ours, theirs)]
    compiling.insert(1, ours.get('compiling_cached'))
    lines.append(
      f'| {name} | {number(ours.get("training"))} | {number(theirs.get("training"))} '
      f'| {number(ratio, ".2f")} | {number(ours.get("share_of_peak"), ".0%")} '
      f'| {number(ours.get("gigabytes"), ".1f")}, {number(theirs.get("gigabytes"), ".1f")} '
      f'| {", ".join(number(value, ".0f") for value in compiling)} '
      f'| {number(ours.get("evaluation"))}, {number(theirs.get("evaluation"))} |'
    )
  own = (results['own'] or {}).get('images_per_second')
  lines += ['', f'The whole loop; its step alone does {number(own)} images/s:', '']
  lines += ['| images from | images/s | of its own step |', '|---|---|---|']
  for name, speed in results['loop'].items():
    share = speed / own if speed and own else None
    lines.append(f'| {name} | {number(speed)} | {number(share, ".2f")} |')
  images, seconds = results['predict']['images'], results['predict']['seconds']
  if seconds:
    lines += ['', f'`medjax.predict`: {images:,} images in {seconds:.0f} s, its start included']
  if results['left_out']:
    lines += ['', f'Not measured, for want of time: {", ".join(results["left_out"])}']
  return '\n'.join(lines) + '\n'
