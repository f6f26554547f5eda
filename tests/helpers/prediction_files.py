"""Predictions of another program and their truth, as CSVs."""

import numpy as np
import pandas as pd

LABELS = ('Mass', 'Edema')


def made(folder, name, patients, seed, better=1.0):
  """Writes NAME.csv of probabilities and NAME_truth.csv; returns both as one table."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), 2)
  ill = np.repeat(rng.random((patients, 2)) < (0.4, 0.2), 2, axis=0)
  noise = rng.normal(size=ill.shape)
  table = pd.DataFrame({'image': [f'{name}{i}.png' for i in range(len(patient))]})
  for column, label in enumerate(LABELS):
    score = better * 1.5 * ill[:, column] - 1 + noise[:, column]
    table[f'prob_{label}'] = np.round(1 / (1 + np.exp(-score)), 3)
  truth = table[['image']].assign(
    Edema=ill[:, 1].astype(int),
    Mass=ill[:, 0].astype(int),
    patient=[f'{name}-{number}' for number in patient],
    sex=np.where(patient % 2, 'F', 'M'),
  )
  table.to_csv(folder / f'{name}.csv', index=False)
  truth.sample(frac=1, random_state=0).to_csv(folder / f'{name}_truth.csv', index=False)
  return table.merge(truth, on='image')


def write(folder):
  """Writes t.csv (test), v.csv (validation), readers.csv and worse.csv; returns the tables."""
  tables = {name: made(folder, name, 90, seed) for seed, name in enumerate(('t', 'v'))}
  rng = np.random.default_rng(2)
  rows = [
    f'{image},{reader},{mass if rng.random() < 0.85 else 1 - mass}'
    for image, mass in zip(tables['t']['image'], tables['t']['Mass'])
    for reader in ('ann', 'bo', 'cy')
  ]
  (folder / 'readers.csv').write_text('\n'.join(['image,reader,Mass', *rows]))
  worse = tables['t'][['image', 'prob_Mass', 'prob_Edema']].copy()
  for label in LABELS:
    worse[f'prob_{label}'] = rng.permutation(worse[f'prob_{label}'])
  worse.to_csv(folder / 'worse.csv', index=False)
  return tables
