#!/usr/bin/env bash
# A model that chooses its loops: what a gate is taught, what eval and generate tell of it, and what they refuse.
. "$(dirname "$0")/helpers.bash"

quietly "$loom" prepare --task pointer --out pointer --steps 1-6 --problems 60 --val-problems 12
train=("$loom" train --preset loom-gate --data pointer --set dim=16 --set ffn_dim=16 --set batch_size=4 --steps 4
    --set eval_interval=4 --threads 1)
expect 2 'problems of 6 steps need gate_loops 6, not 5' "${train[@]}" --set gate_loops=5 --out few
[ ! -e few ] || fail "a refused run left a folder"
quietly "${train[@]}" --set answer_steps=2 --set max_loop_iters=2 --set gate_loops=6 --out gate
json "$loom" eval --model gate --data pointer --loops given,chosen --json
has '^\{"steps":6,"loops":6,"mean_loops":6.0000,'
has '^\{"steps":6,"loops":"chosen","mean_loops":[1-6]\.[0-9]+,'
quietly "$loom" eval --model gate --data pointer --loops chosen
has '^ +1 +chosen +[1-6]\.[0-9]+ '
json "$loom" generate --model gate --prompt '06:ab' --loops chosen --temperature 0 --max-tokens 2 --seed 1 --json
has '"mean_loops":[1-6](\.[0-9]+)?\}'

# Without the gate the same batches but for its rows; nothing to choose with.
quietly "${train[@]}" --set answer_steps=2 --set max_loop_iters=2 --set halting=none --out fixed
expect 2 'no halting' "$loom" eval --model fixed --data pointer --loops chosen
expect 2 'no halting' "$loom" generate --model fixed --loops chosen --seed 1

# On text: how many loops easy and hard tokens take.
text 60 >text.txt
quietly "$loom" prepare --tokenizer char --out data text.txt
quietly "$loom" train "${tiny[@]}" --set halting=converge --set converge_threshold=0.001 --data data --steps 4 \
    --set eval_interval=4 --out text
json "$loom" eval --model text --data data --loops chosen --json
has '"by_loss":\[\{"below":0\.1[0-9]*,"tokens":[0-9]+,"mean_loops":[0-9.]+\},.*\{"below":null,'
quietly "$loom" eval --model text --data data --loops chosen
has 'tokens of a loss below 0.1: [0-9.]+ loops'

# Who is sure leaves after the first loop: all, where nothing counts as unsure.
quietly "$loom" train "${tiny[@]}" --set halting=converge --set sure_threshold=9 --data data --steps 4 \
    --set eval_interval=4 --out sure
json "$loom" eval --model sure --data data --loops chosen --json
has '"mean_loops":1,"exit_depth":\[1,0,0\]'
