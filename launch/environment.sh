# Sourced by the other scripts: goes to the project's folder and brings .venv up to date.
# The first argument is a comma-separated list of extras, possibly empty.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=$1
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "error: medjax needs Python 3.11 or newer; set PYTHON=/path/to/python3.11 (found: $("$python" --version 2>&1))" >&2
  exit 1
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
# Installing again takes seconds even with nothing to do: skip it where neither what says what to
# install nor the extras have changed.
stamp=.venv/installed.$(cat setup.py setup.cfg pyproject.toml | cksum | cut -d' ' -f1).${extras//,/+}
if [ ! -f "$stamp" ]; then
  echo "installing medjax into $PWD/.venv (about 1.3 GB, more with extras, once)" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
  case ",$extras," in *,slow,* | *,onnx,*)
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps jax2onnx==0.17.1 ;;
  esac
  case ",$extras," in *,parity,*)
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
      timm==1.0.31 torchvision==0.16.2 ;;
  esac
  touch "$stamp"
fi
