#!/usr/bin/env bash
# A domain learned on top of pretraining, beside learning it from scratch: what the same loss costs. The pretrained model
# has never seen the domain's text. SEED and STEPS (of pretraining) change the run; about three minutes on one core.
#   examples/domain.sh FOLDER DOMAIN.txt TEXT...
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: examples/domain.sh FOLDER DOMAIN.txt TEXT..." >&2; exit 2; }
out=$1 domain=$(realpath "$2") seed=${SEED:-1} steps=${STEPS:-3000}
texts=()
for text in "${@:3}"; do texts+=("$(realpath "$text")"); done
loom=$(realpath "${LOOM:-build/loom}")
mkdir -p "$out"
cd "$out"

[ -e tokenizer.json ] || "$loom" tokenizer train --vocab-size 1024 --out tokenizer.json "${texts[@]}"
[ -e general ] || "$loom" prepare --tokenizer tokenizer.json --out general "${texts[@]}"
[ -e domain ] || "$loom" prepare --tokenizer tokenizer.json --out domain "$domain"
[ -e base ] || "$loom" train --data general --out base --steps "$steps" --seed "$seed" --set eval_interval=500 \
    --set sample_tokens=0
# From scratch with the preset's own recipe, 300 steps; then the pretrained model at a third of its rates.
"$loom" train --data domain --out scratch --seed "$seed" --set sample_tokens=0
"$loom" train --data domain --out tuned --init base --preset loom-small --seed "$seed" --set sample_tokens=0 \
    --set learning_rate=1e-3 --set embedding_lr=0.03 --set head_lr=3e-3 --set muon_lr=0.01

echo "before any step on the domain:"
"$loom" eval --model base --data domain
# Both runs' validations as "loss step flops"; then the least loss from scratch and what it took to get there on each way.
for run in scratch tuned; do
    sed -nE 's/.*"event": *"eval".*"step": *([0-9]+).*"flops": *([-+0-9.e]+).*"val_loss": *([-+0-9.e]+).*/\3 \1 \2/p' \
        $run/metrics.jsonl >$run.losses
done
awk 'NR == FNR { if (!best || $1 < best) { best = $1; step = $2; flops = $3 } next }
    $1 <= best && !found { found = 1; printf "from scratch: loss %.4f at step %d, %.4g FLOPs\n", best, step, flops
        printf "on top of pretraining: loss %.4f at step %d, %.4g FLOPs: %.1f %% of them\n", $1, $2, $3, 100 * $3 / flops }
    END { if (!found) { printf "from scratch: loss %.4f; pretraining never got there\n", best; exit 1 } }' \
    scratch.losses tuned.losses
