#!/usr/bin/env bash
# Runs the main job on this machine: makes .venv, installs what is missing, passes its arguments on.
#   bash launch/local.sh --config=configs/phantom.py --workdir=runs/phantom
# MEDJAX_EXTRA=gpu (or tpu) installs the accelerator's jax; PYTHON names another interpreter.
set -euo pipefail
source "$(dirname "$0")/environment.sh" "${MEDJAX_EXTRA:-}"
exec .venv/bin/python -m medjax.main "$@"
