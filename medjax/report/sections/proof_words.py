"""The proof of a split in words: how each part came to be, and what was compared."""

from collections.abc import Mapping

from medjax.evaluation import wording

_FROM = {
  'drawn': 'drawn by patient',
  'official': 'official, by the publisher or a split of your own',
  'official and drawn': "the publisher's own where there is one, else drawn by patient",
}


def rows(proof: Mapping) -> list[tuple[str, str]]:
  """Returns (what, in words) of a split's proof; of what it does not hold there is nothing."""
  settings, how = proof.get('settings', {}), proof.get('how', {})
  entries = [
    (wording.capital(side), _side(how.get(side, {}), settings, side))
    for side in ('test', 'validation')
    if side in how or side in settings
  ]
  if entries:
    entries.append(('Training', 'all patients that are left'))
  if proof.get('seed') is not None:
    entries.append(('Seed of the draw', str(proof['seed'])))
  if settings.get('file'):
    entries.append(('File of the split', str(settings['file'])))
  if settings.get('date'):
    entries.append(('Split by date', str(settings['date'])))
  return entries + _duplicates(proof.get('duplicates', {}))


def _side(how: Mapping, settings: Mapping, side: str) -> str:
  """Returns how the test or validation set came to be."""
  asked, origin = settings.get(side), str(how.get('from', ''))
  words = [_FROM.get(origin, origin or 'not recorded')]
  if origin == 'folds':
    whose = 'by patient' if how['name'] == str(how['fold']) else f"the site '{how['name']}'"
    words = [f'fold {how["fold"]} of {how["folds"]}, counted from 0: {whose}']
  elif origin == 'drawn' and isinstance(asked, int | float):
    size = f'{asked:.0%} of the patients' if 0 < asked < 1 else f'{asked:,} patients'
    words.append(size)
  elif asked not in (None, ''):
    words.append(f'asked for: {asked}')
  if floor := how.get('floor'):
    named = [f'{label} {number:,}' for label, number in floor.items()]
    words.append(f'at least so many patients with: {", ".join(named)}')
  if 'enriched' in how:
    enriched = ', '.join(how['enriched'])
    words.append(f'enriched to reach that: {enriched}' if enriched else 'nothing was enriched')
  of_rest = how.get('like') == 'rest'
  if matched := how.get('matched'):
    where = 'among all who are not tested' if of_rest else 'in the test set'
    words.append(f'as frequent as {where}: {", ".join(matched)}')
  if rationed := how.get('rationed'):
    than = 'their share' if of_rest else 'the test set'
    words.append(f'fewer positives than {than}, kept for training: {", ".join(rationed)}')
  if how.get('stand_ins'):
    words.append(
      f'{wording.count(how["stand_ins"], "patient")} with other labels, where patients with the '
      f'labels {"wanted" if of_rest else "of the test set"} ran out'
    )
  if sets := how.get('sets'):
    words.append('; '.join(f'{name} {_FROM.get(kind, kind)}' for name, kind in sets.items()))
  return '; '.join(words)


def _duplicates(duplicates: Mapping) -> list[tuple[str, str]]:
  entries = []
  if 'images_listed_twice' in duplicates:
    entries.append(('Images listed twice', f'{duplicates["images_listed_twice"]:,}'))
  if identical := duplicates.get('identical_images'):
    named = [f'{sides} {number:,}' for sides, number in identical.items()]
    entries.append(('Images that are byte for byte those of another side', ', '.join(named)))
  return entries
