#!/usr/bin/env bash
# One training on a Cloud TPU: a VM with its chips, or all hosts of a pod slice, by the same command
# on every host. Data and --workdir lie where every host reaches them.
#   gcloud compute tpus tpu-vm ssh NAME --worker=all --command='cd medjax && bash launch/tpu.sh \
#     --config=chexpert --config.data.root=/mnt/data/CheXpert-v1.0-small --workdir=/mnt/runs/chexpert'
# After a preemption the same command goes on from the last checkpoint.
set -euo pipefail
source "$(dirname "$0")/environment.sh" tpu
exec .venv/bin/python -m medjax.main --coordinator=auto "$@"
