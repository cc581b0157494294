#!/usr/bin/env bash
# From raw text to a model that answers sums: pretraining, fine-tuning on conversations, then on rewards; a few minutes on
# two cores. SEED, STEPS (of reinforcement) and OBJECTIVE ("--set rl_credit=loops", ...) change the run.
#   examples/arithmetic.sh FOLDER
set -euo pipefail
out=${1:?a folder to write} seed=${SEED:-1} steps=${STEPS:-200}
loom=$(realpath "${LOOM:-build/loom}")
mkdir -p "$out"
cd "$out"

# Text of sums; then all pairs below 30, shuffled: 100 to answer by example, 600 to be rewarded for, 200 to be tested on.
awk -v seed="$seed" 'BEGIN {
    srand(seed)
    for (i = 0; i < 12000; i++) { a = int(30 * rand()); b = int(30 * rand()); print a "+" b "=" a + b >"text" }
    for (i = 0; i < 900; i++) order[i] = i
    for (i = 899; i > 0; i--) { j = int((i + 1) * rand()); t = order[i]; order[i] = order[j]; order[j] = t }
    for (i = 0; i < 900; i++) {
        a = int(order[i] / 30); b = order[i] % 30
        file = i < 100 ? "chat.jsonl" : i < 700 ? "problems.jsonl" : "test.jsonl"
        key = i < 100 ? "completion" : "answer"
        print "{\"prompt\":\"" a "+" b "=\",\"" key "\":\"" a + b "\"}" >file
    }
}'
"$loom" prepare --tokenizer byte --out data text
"$loom" train --data data --out base --steps 400 --seed "$seed" --set eval_interval=100 --set sample_tokens=0
"$loom" train --chat chat.jsonl --init base --out chat --steps 500 --seed "$seed" --set learning_rate=3e-3 \
    --set batch_size=16 --set eval_interval=250
# shellcheck disable=SC2086
"$loom" train --task exact --problems problems.jsonl --init chat --out rewarded --steps "$steps" --seed "$seed" \
    --set rl_max_tokens=12 --set learning_rate=3e-4 --set lr_decay_iters=1000 --set eval_interval=50 \
    --set batch_size=32 ${OBJECTIVE:-}
for model in chat rewarded; do
    echo "$model:"
    "$loom" eval --task exact --data test.jsonl --model "$model" --chat
done
