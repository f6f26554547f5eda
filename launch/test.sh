#!/usr/bin/env bash
# Runs the tests on this machine: makes .venv, installs what is missing, passes its arguments to pytest.
#   bash launch/test.sh            everything but the slow ones
#   bash launch/test.sh -m slow    the slow ones; with MEDJAX_EXTRA=slow those too that need ONNX, MLflow and the like
#   MEDJAX_EXTRA=slow,parity bash launch/test.sh -m deep    what takes longer still, as the largest networks against timm's
set -euo pipefail
source "$(dirname "$0")/environment.sh" "test${MEDJAX_EXTRA:+,$MEDJAX_EXTRA}"
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal "$@"
