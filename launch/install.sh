#!/usr/bin/env bash
# Builds the package from this checkout and installs it into an environment of its own, which needs
# the checkout no more. The steps of the Dockerfile; launch/check_wheel.sh tries them.
#   bash launch/install.sh /opt/medjax              the core, for a CPU
#   bash launch/install.sh /opt/medjax gpu,dicom    with extras
# PYTHON names the interpreter; MEDJAX_PIP has flags for pip, such as --no-compile.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: bash launch/install.sh FOLDER [EXTRA,EXTRA…]" >&2
  exit 1
fi
python=${PYTHON:-python3} folder=$(realpath -m "$1") extras=${2:-}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
"$python" -m venv "$built/env"
"$built/env/bin/python" -m pip install --quiet --no-compile build
# The wheel is made from the sdist, so an install tries both.
"$built/env/bin/python" -m build --outdir "$built" . > "$built/log" 2>&1 ||
  { cat "$built/log" >&2; exit 1; }
wheel=$(echo "$built"/*.whl)
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet ${MEDJAX_PIP:-} "$wheel${extras:+[$extras]}"
"$folder/bin/python" -m pip check
