#!/usr/bin/env bash
# Installs the built package, core alone, into an empty environment outside this checkout, and goes
# through a small study there: train, test, predict, evaluate, export. PYTHON names the interpreter.
#   bash launch/check_wheel.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
unset PYTHONPATH
# Every program runs once: compiling it carelessly saves more than running it slowly costs.
export JAX_PLATFORMS=cpu XDG_CACHE_HOME=$away/cache XLA_FLAGS=--xla_backend_optimization_level=0
MEDJAX_PIP=--no-compile bash "$here/install.sh" "$away/env"
cd "$away"
medjax=$away/env/bin/medjax
"$medjax" main --config=phantom --workdir=run --config.data.settings.images=120 \
  --config.data.settings.image_size=32 --config.data.image_size=32 --config.batch_size=8 \
  --config.steps=6 --config.evaluate_every=3 --config.optimizer.warmup_steps=1 \
  --config.model.settings.width=4 --config.replicates=50 '--config.split.test_floor={}' \
  --config.evaluation.saliency=none
"$medjax" predict --workdir=run --images=run/predictions/test.csv --root=data/phantom \
  --output=again.csv
"$medjax" evaluate --predictions=run/predictions/test.csv --truth=run/predictions/test.csv \
  --operating_points=threshold=0.5 --replicates=50 --output=assessed
"$medjax" export --workdir=run
image=$(find data/phantom -name '*.jpg' | sort | head -n 1)
"$away/env/bin/python" run/export/run.py "$image"
"$away/env/bin/python" - <<'CHECK'
import importlib.metadata
import importlib.util
import pathlib
import sys

import medjax

package = pathlib.Path(medjax.__file__).parent
assert package.is_relative_to(sys.prefix), package
for name in ('py.typed', 'report/report.css', 'configs/chexpert.py', 'configs/search/chest.py'):
  assert (package / name).is_file(), name
files = importlib.metadata.files('medjax')
assert any(path.name == 'LICENSE' for path in files), files
# By name and by the path that they have in a checkout.
assert medjax.load_config('chexpert') == medjax.load_config('configs/chexpert.py')
assert pathlib.Path('run/report/index.html').stat().st_size > 10_000
assert pathlib.Path('again.csv').read_text().count('\n') > 5
# The core brings nothing that only an extra needs.
for name in ('tensorflow', 'torch', 'sklearn', 'onnx', 'mlflow', 'wandb', 'optuna', 'pydicom'):
  assert importlib.util.find_spec(name) is None, name
CHECK
echo "the package works outside its checkout, on $("$away/env/bin/python" --version)"
