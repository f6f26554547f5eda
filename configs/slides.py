r"""Has it spread? Patches of whole slides that medjax.slides cut, such as those of Camelyon16.

Command:  python -m medjax.slides --source=camelyon16 --slides=data/CAMELYON16 \
              --output=data/slides --mpp=1
          python -m medjax.main --config=configs/slides.py --workdir=runs/slides
          python -m medjax.slide_report --workdir=runs/slides --aggregate=top:0.05
          python -m medjax.attention --workdir=runs/slides
          configs/slides.py:NETWORK takes any network of `python -m medjax.models`.
Data:     Camelyon16 (Ehteshami Bejnordi et al. 2017, JAMA 318:2199), about 700 GB, free (CC0), from
          https://camelyon17.grand-challenge.org/Data/; unpack training/lesion_annotations.zip and
          testing/lesion_annotations.zip where they lie. Slides of your own:
          --slides=DIR --table=slides.csv --outlines=DIR in place of --source=camelyon16.
Split:    the published test slides where there are any, else a fifth of the patients.
Published, not ours: per slide, AUROC 0.994 by the challenge's best entry and 0.966 by a pathologist
          without time constraint (same paper, abstract).
"""

from medjax.config import Config, Data, Loss, Model, Optimizer, Sampling, Split
from medjax.config.published import fine_tuned


def get_config(arg: str = '') -> Config:
  """Returns the config; `arg` names another network of medjax.models."""
  config = Config(
    data=Data(
      source='csv',
      root='data/slides',
      labels=('tumor',),
      image_size=96,
      channels=3,
      modality='histopathology',
      blank='ignore',
      workers=8,
      settings={'table_file': 'patches.csv'},
    ),
    split=Split(test='official or 0.2', validation=0.2, seed=0),
    # Tumour is in a few percent of patches.
    sampling=Sampling('balanced', label='tumor'),
    augment='histopathology',
    model=Model(arg or 'resnet50'),
    loss=Loss('binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=1e-4, warmup_steps=500),
    batch_size=128,
    steps=20_000,
    evaluate_every=1_000,
    precision='bfloat16',
    seed=0,
  )
  return fine_tuned(config)
