#!/usr/bin/env bash
# All benchmarks for a GPU in one go, on a machine whose own Python has JAX (CUDA), Flax, optax, Orbax, PyTorch and timm.
#
#     scripts/gpu.sh                 every one, results in runs/gpu/ID.json as they come
#     scripts/gpu.sh G2 G4           some
#     scripts/gpu.sh G1 --config.data=folder:PATH
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
optax:optax orbax.checkpoint:orbax-checkpoint PIL:pillow rich:rich safetensors:safetensors scipy:scipy
tensorboardX:tensorboardX"

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
[ $# -gt 0 ] && [[ $1 != --* ]] || set -- gpu "$@"
STATUS=0
timeout --signal=TERM --kill-after=15 "$LIMIT" \
  "$VENV/bin/python" -m cnn_jax bench "$@" --output="$OUT" --peer_python="$(command -v "$PYTHON")" || STATUS=$?
[ "$STATUS" -ne 124 ] && [ "$STATUS" -ne 137 ] || echo "cut short after $LIMIT s: what was measured stands in $OUT" >&2
exit "$STATUS"
