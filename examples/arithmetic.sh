#!/usr/bin/env bash
# From raw text to a model that answers sums: pretraining on sums and chains of pointers, fine-tuning on a few
# conversations, then on rewards; a few minutes on two cores. SEED, EXAMPLES (conversations), STEPS (of reinforcement)
# and OBJECTIVE ("--set rl_credit=loops", ...) change the run; a folder that holds a pretrained model already keeps it.
#   examples/arithmetic.sh FOLDER
set -euo pipefail
out=${1:?a folder to write} seed=${SEED:-1} examples=${EXAMPLES:-200} steps=${STEPS:-800} name=${NAME:-rewarded}
loom=$(realpath "${LOOM:-build/loom}")
mkdir -p "$out"
cd "$out"

# All 10,000 sums of two numbers below 100, shuffled: 500 to be tested on, which stand nowhere else, 2,000 to be rewarded
# for, some to answer by example. The text is of sums that are not tested, and of permutations of five letters, each with
# three steps from one of them.
awk -v seed="$seed" -v examples="$examples" '
function shuffle(list, n,   i, j, t) {
    for (i = n - 1; i > 0; i--) { j = int((i + 1) * rand()); t = list[i]; list[i] = list[j]; list[j] = t }
}
BEGIN {
    srand(seed)
    for (i = 0; i < 10000; i++) order[i] = i
    shuffle(order, 10000)
    for (i = 0; i < 2500 + examples; i++) {
        a = int(order[i] / 100); b = order[i] % 100
        file = i < 500 ? "test.jsonl" : i < 2500 ? "problems.jsonl" : "chat.jsonl"
        key = i < 2500 ? "answer" : "completion"
        print "{\"prompt\":\"" a "+" b "=\",\"" key "\":\"" a + b "\"}" >file
        if (i < 500) tested[order[i]] = 1
    }
    for (i = 0; i < 20000; i++) {
        do pair = int(10000 * rand()); while (pair in tested)
        print int(pair / 100) "+" pair % 100 "=" int(pair / 100) + pair % 100 >"text"
        if (i % 6) continue
        for (k = 0; k < 5; k++) row[k] = substr("abcde", k + 1, 1)
        shuffle(row, 5)
        line = ""
        for (k = 0; k < 5; k++) { next_of[row[k]] = row[(k + 1) % 5]; line = line row[k] row[(k + 1) % 5] " " }
        one = substr("abcde", int(5 * rand()) + 1, 1); two = next_of[one]; three = next_of[two]
        print line one ">" two ">" three ">" next_of[three] >"text"
    }
}'
if [ ! -e base ]; then
    # Bytes, and one token for each mark of a conversation.
    "$loom" tokenizer train --vocab-size 261 --special '<|system|>' --special '<|user|>' --special '<|assistant|>' \
        --special '<|end|>' --out tokenizer.json text
    "$loom" prepare --tokenizer tokenizer.json --out data text
    "$loom" train --data data --out base --steps 1500 --seed "$seed" --set eval_interval=250 --set sample_tokens=0
fi
# Ten conversations are held out, too few to choose a checkpoint by their loss: only the last one is validated.
[ -e chat ] || "$loom" train --chat chat.jsonl --init base --out chat --steps 300 --seed "$seed" \
    --set learning_rate=3e-3 --set eval_interval=300
# shellcheck disable=SC2086
"$loom" train --task exact --problems problems.jsonl --init chat --out "$name" --steps "$steps" --seed "$seed" \
    --set rl_prompts=16 --set rl_group=16 --set rl_max_tokens=6 --set learning_rate=2e-3 --set min_lr=0 \
    --set batch_size=64 --set eval_interval=50 ${OBJECTIVE:-}
for model in chat "$name"; do
    echo "$model:"
    "$loom" eval --task exact --data test.jsonl --model "$model" --chat
done
echo "$name, right answers to the problems that training holds out, by step:"
sed -nE 's/.*"event": *"eval".*"step": *([0-9]+).*"val_loss": *([-+0-9.e]+).*/\1 \2/p' "$name/metrics.jsonl" |
    awk '{ printf "%5d %5.1f %%\n", $1, 100 * (1 - $2) }'
