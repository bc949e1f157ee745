#!/usr/bin/env bash
# On a machine with a GPU: its tests, the benchmark, and the one-layer IWAE of Burda et al. for as long as SECONDS_LEFT
# allows (default 240). Results go to OUT (default outputs/gpu): tests.log, bench.log, iwae.log, results.json.
set -uo pipefail
cd "$(dirname "$0")/../.."
OUT=${OUT:-outputs/gpu}
mkdir -p "$OUT"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$OUT/card.txt"
if [ -d .gpu ]; then # wheels and data, for a machine without a network
  python3 -m pip install -q --no-index --no-deps --target "$HOME/site" .gpu/*.whl
  export PYTHONPATH=$HOME/site:$PWD VAE_DATA_DIR=$PWD/.gpu/data
fi
timeout 240 python3 -m pytest tests/gpu -m gpu -p no:cacheprovider -p no:benchmark --numprocesses 6 >"$OUT/tests.log" 2>&1
echo "tests: exit code $?" | tee -a "$OUT/tests.log"
timeout 120 python3 -m vae_cli.commands.benchmark 3 >"$OUT/bench.log" 2>&1
echo "benchmark: exit code $?" | tee -a "$OUT/bench.log"
run=$OUT/iwae
timeout --signal=INT "${SECONDS_LEFT:-240}" python3 -m vae_cli train experiment=iwae_mnist trainer=gpu dataset.batch_size=20 \
  objective.samples=50 trainer.max_epochs=3280 logger=csv hydra.run.dir="$run" >"$OUT/iwae.log" 2>&1
echo "IWAE: exit code $?" | tee -a "$OUT/iwae.log"
timeout 60 python3 -m vae_cli eval run="$run" ckpt=last evaluate=paper >>"$OUT/iwae.log" 2>&1
cp "$run"/*.json "$run/metrics.csv" "$OUT" 2>/dev/null
tail -n 5 "$OUT"/*.log
