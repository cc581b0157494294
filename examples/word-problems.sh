#!/usr/bin/env bash
# From raw text to a model that answers arithmetic word problems: a tokenizer, pretraining, conversations with worked
# answers, rewards for right numbers, and a page for each; under ten minutes on two cores. Texts of your own join the
# generated ones. SEED, PRESET, SETTINGS (of the model: "--set dim=256 ...") and STEPS (of reinforcement) change the run;
# what the folder holds already is kept.
#   examples/word-problems.sh FOLDER [TEXT...]
set -euo pipefail
out=${1:?a folder to write} seed=${SEED:-1} preset=${PRESET:-loom-small} steps=${STEPS:-300}
settings=${SETTINGS---set dim=128 --set expert_dim=128 --set max_loop_iters=3 --set max_seq_len=160}
loom=$(realpath "${LOOM:-build/loom}")
texts=()
for text in "${@:2}"; do texts+=("$(realpath "$text")"); done
mkdir -p "$out/test"
cd "$out"

# Problems of 1 to 4 steps, each another: 400 to be tested on, 2,000 with the answer alone to be rewarded for, 300
# conversations with the working written out, and 20,000 of these as text.
[ -e stories.txt ] || awk -v seed="$seed" '
function below(n) { return int(n * rand()) }
function step(   kind, n) {
    do {
        kind = below(4); n = kind == 2 ? 2 + below(2) : 1 + below(12)
    } while ((kind == 0 && now + n > 60) || (kind == 1 && n >= now) || (kind == 2 && now * n > 60) || (kind == 3 && now % 2))
    if (kind == 0) { said = who " buys " n " more."; sum = now "+" n; now += n }
    if (kind == 1) { said = who " gives " n " away."; sum = now "-" n; now -= n }
    if (kind == 2) { said = "Then there are " n " times as many."; sum = now "*" n; now *= n }
    if (kind == 3) { said = "Half of them get lost."; sum = now "/2"; now /= 2 }
    question = question " " said; working = working sum "=" now ". "
}
function problem(count,   i, thing) {
    do {
        who = names[1 + below(8)]; thing = things[1 + below(6)]; now = 2 + below(18)
        question = who " has " now " " thing "."; working = ""
        for (i = 0; i < count; i++) step()
        question = question " How many " thing " does " who " have?"; working = working "The answer is " now "."
    } while (question in seen)
    seen[question] = 1
}
function row(key, value) { return "{\"prompt\":\"" question "\",\"" key "\":\"" value "\"}" }
BEGIN {
    srand(seed)
    split("Mia Ben Zoe Tom Ana Leo Ida Max", names, " "); split("apples pens books coins shells cards", things, " ")
    for (i = 0; i < 400; i++) { problem(1 + i % 4); print row("answer", now) >("test/steps-" 1 + i % 4 ".jsonl") }
    for (i = 0; i < 2000; i++) { problem(1 + i % 4); print row("answer", now) >"problems.jsonl" }
    for (i = 0; i < 300; i++) { problem(1 + i % 4); print row("completion", working) >"chat.jsonl" }
    for (i = 0; i < 20000; i++) { problem(1 + i % 4); print question "\n" working "\n" >"stories.txt" }
}'
[ -e tokenizer.json ] || "$loom" tokenizer train --vocab-size 512 --special '<|system|>' --special '<|user|>' \
    --special '<|assistant|>' --special '<|end|>' --out tokenizer.json stories.txt "${texts[@]}"
[ -e data ] || "$loom" prepare --tokenizer tokenizer.json --out data stories.txt "${texts[@]}"
# shellcheck disable=SC2086
[ -e base ] || "$loom" train --data data --out base --preset "$preset" $settings --steps 1000 --seed "$seed" \
    --set eval_interval=250
# What follows starts from the checkpoint with the lowest loss on the conversations that are held out.
[ -e chat ] || "$loom" train --chat chat.jsonl --init base --out chat --steps 300 --seed "$seed" \
    --set learning_rate=3e-3 --set eval_interval=20
[ -e rewarded ] || "$loom" train --task number --problems problems.jsonl --init chat --out rewarded --steps "$steps" \
    --seed "$seed" --set rl_prompts=16 --set rl_group=8 --set rl_max_tokens=48 --set learning_rate=1e-3 \
    --set min_lr=0 --set batch_size=64 --set eval_interval=25
for model in chat rewarded; do
    echo "$model:"
    "$loom" eval --task number --data test --model "$model" --chat --report "$model/answers.html"
done
"$loom" generate --model rewarded --chat --temperature 0 \
    --prompt 'Ana has 7 coins. Ana buys 9 more. Half of them get lost. How many coins does Ana have?'
echo "reports: $out/{base,chat,rewarded}/report.html, $out/{chat,rewarded}/answers.html"
