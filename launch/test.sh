#!/usr/bin/env bash
# Runs the tests on this machine: makes .venv, installs what is missing, passes its arguments to pytest.
#   bash launch/test.sh            everything but the slow ones
#   bash launch/test.sh -m slow    the slow ones
#   MEDJAX_EXTRA=parity bash launch/test.sh -m deep    the largest networks against timm's
set -euo pipefail
source "$(dirname "$0")/environment.sh" "test${MEDJAX_EXTRA:+,$MEDJAX_EXTRA}"
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal "$@"
