#!/usr/bin/env bash
# On a machine with a GPU: its tests, steps of one training alone and of 64 together, the one-layer IWAE of Burda et al.
# for IWAE_SECONDS (default 60), and the benchmark in ROUNDS rounds (default 1). Each part ends after a time of its own,
# together within nine minutes. Logs and results go to OUT (default outputs/gpu).
set -uo pipefail
cd "$(dirname "$0")/../.."
OUT=${OUT:-outputs/gpu}
mkdir -p "$OUT"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$OUT/card.txt"
if [ -d .gpu ]; then # wheels and data, for a machine without a network
  python3 -m pip install -q --no-index --no-deps --target "$HOME/site" .gpu/*.whl
  export PYTHONPATH=$HOME/site:$PWD VAE_DATA_DIR=$PWD/.gpu/data
fi
runs=$(mktemp -d)

timeout 130 python3 -m pytest tests/gpu -m gpu -p no:cacheprovider -p no:benchmark --numprocesses 6 >"$OUT/tests.log" 2>&1
echo "tests: exit code $?" >>"$OUT/tests.log"
grep -E "^(E  |FAILED|ERROR)|(passed|failed|exit code)" "$OUT/tests.log" | tail -n 30

train=(python3 -m vae_cli train trainer=gpu trainer.max_epochs=3 trainer.limit_batches=100 logger=csv figures=[] evaluate.samples=2)
timeout 40 "${train[@]}" hydra.run.dir="$runs/alone" >"$OUT/together.log" 2>&1
timeout 40 "${train[@]}" trainer.capture=false hydra.run.dir="$runs/eager" >>"$OUT/together.log" 2>&1
for run in alone eager; do
  echo "$run: $(tail -n 1 "$runs/$run/metrics.csv" | tr , ' ')"
done | tee -a "$OUT/together.log"
timeout 100 python3 -m tests.gpu.joint_steps 64 trainer=gpu 2>&1 | grep "steps of" | tee -a "$OUT/together.log"

timeout --signal=INT "${IWAE_SECONDS:-60}" python3 -m vae_cli train experiment=iwae_mnist trainer=gpu dataset.batch_size=20 \
  objective.samples=50 trainer.max_epochs=3280 logger=csv hydra.run.dir="$runs/iwae" >"$OUT/iwae.log" 2>&1
timeout 40 python3 -m vae_cli eval run="$runs/iwae" ckpt=last evaluate=paper >>"$OUT/iwae.log" 2>&1
cp "$runs/iwae/metrics.csv" "$OUT/iwae.csv"
grep -E "^epoch|iw_log" "$OUT/iwae.log" | tail -n 3

timeout 150 python3 -m vae_cli.commands.benchmark "${ROUNDS:-1}" >"$OUT/bench.log" 2>"$OUT/bench.err"
echo "benchmark: exit code $?"
grep -v '^ *$' "$OUT/bench.log"
