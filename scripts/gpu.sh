#!/usr/bin/env bash
# All benchmarks for a GPU, and then the claims at the papers' scale, in one go, on a machine whose own Python has JAX
# (CUDA), Flax, optax, Orbax, PyTorch and timm.
#
#     scripts/gpu.sh                 every one, results in runs/gpu/ID.json and runs/gpu/claims/NAME.json as they come
#     scripts/gpu.sh G2 G4           some benchmarks
#     scripts/gpu.sh degradation     some claims; all-claims are all that have a form at the paper's scale
#     scripts/gpu.sh G1 --config.data=folder:PATH
#
# CIFAR10 and MNIST say where a claim finds its images, folder:PATH, where TFDS has not prepared them. A claim that was
# cut short goes on from the cells that stand in runs/gpu/claims.
#
# What that Python lacks (ml-collections, grain, jaxtyping, ...) is installed beside it in .venv-gpu: from the folder
# wheels/ if there is one, for machines without a network, else from the package index. `scripts/gpu.sh --missing` there
# prints what is lacking; to fill the folder, on a machine with a network and the same version of Python:
#
#     python3.12 -m pip wheel --wheel-dir wheels --constraint requirements.lock NAMES
#
# PyTorch's compiled kernels are kept in runs/gpu-cache, so that a second call, after one that was cut short, spends its
# time on measuring.
#
# PYTHON chooses the interpreter, LIMIT the seconds after which the run is ended (570), OUT where results go.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
LIMIT=${LIMIT:-570}
OUT=${OUT:-runs/gpu}
VENV=${VENV:-.venv-gpu}
# What training and these benchmarks import; distributions are named where the module is called otherwise.
NEEDED="absl:absl-py flax:flax grain:grain jax:jax jaxtyping:jaxtyping ml_collections:ml-collections numpy:numpy
optax:optax orbax.checkpoint:orbax-checkpoint pandas:pandas PIL:pillow pyarrow:pyarrow rich:rich
safetensors:safetensors scipy:scipy tensorboardX:tensorboardX"

missing() {
  "$1" - $NEEDED <<'PY'
import importlib.util, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
pairs = [word.split(":") for word in sys.argv[1:]]
print(*(distribution for module, distribution in pairs if not there(module)))
PY
}

if [ "${1:-}" = --missing ]; then
  missing "$PYTHON"
  exit
fi
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv --system-site-packages "$VENV"
LACKING=$(missing "$VENV/bin/python")
if [ -n "$LACKING" ]; then
  FROM=()
  [ -d wheels ] && FROM=(--no-index --find-links wheels)
  # The versions that are there stay: a newer JAX without its CUDA plugin would run on the CPU.
  "$VENV/bin/python" -m pip freeze --disable-pip-version-check | grep -E '^[A-Za-z0-9_.-]+==' > "$VENV/there.txt" || true
  # shellcheck disable=SC2086 - several names
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "${FROM[@]}" --constraint "$VENV/there.txt" $LACKING
fi
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-.45}  # PyTorch is on the same card
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$PWD/runs/gpu-cache/inductor}

BENCHMARKS=() CLAIMS=() OPTIONS=()
for WORD in "$@"; do
  case $WORD in
    --*) OPTIONS+=("$WORD") ;;
    gpu | G[0-9]) BENCHMARKS+=("$WORD") ;;
    *) CLAIMS+=("${WORD/#all-claims/all}") ;;
  esac
done
[ ${#BENCHMARKS[@]} -gt 0 ] || [ ${#CLAIMS[@]} -gt 0 ] || { BENCHMARKS=(gpu) CLAIMS=(all); }

STATUS=0 CUT=
cnn_jax() {  # until the time is over
  timeout --signal=TERM --kill-after=15 $((LIMIT > SECONDS ? LIMIT - SECONDS : 1)) "$VENV/bin/python" -m cnn_jax "$@"
}
note() {  # the status of what ran
  [ "$1" -eq 0 ] || STATUS=$1
  [ "$1" -ne 124 ] && [ "$1" -ne 137 ] || CUT=yes
}

if [ ${#BENCHMARKS[@]} -gt 0 ]; then
  cnn_jax bench "${BENCHMARKS[@]}" "${OPTIONS[@]}" --output="$OUT" --peer_python="$(command -v "$PYTHON")" || note $?
fi
if [ ${#CLAIMS[@]} -gt 0 ]; then
  mkdir -p "$OUT/claims"
  # A line for each: its name, and where its images are.
  "$VENV/bin/python" - "${CLAIMS[@]}" > "$OUT/claims/list" <<'PY'
import os, sys
from cnn_jax.sweep.grid import read_experiment
from cnn_jax.sweep.ledger import chosen, find_experiments
for question in chosen(find_experiments(), sys.argv[1:], "gpu"):
    data = read_experiment(question.experiment("gpu"))[0].config.data
    print(question.name, os.environ.get(data.removeprefix("tfds:").upper()) or data)
PY
  while read -r NAME DATA; do
    [ $((LIMIT - SECONDS)) -gt 20 ] || CUT=yes
    [ -z "$CUT" ] || break
    cnn_jax claims --run "$NAME" --preset=gpu --config.data="$DATA" "${OPTIONS[@]}" \
      --workdir="$OUT/claims" --output="$OUT/claims" < /dev/null || note $?
  done < "$OUT/claims/list"
fi
[ -z "$CUT" ] || echo "cut short after $LIMIT s: what was measured stands in $OUT" >&2
exit "$STATUS"
