#!/usr/bin/env bash
# Adapters and private training: trained apart, resumed, merged, and refused for another model.
. "$(dirname "$0")/helpers.bash"

for a in 1 2 3 4 5 6; do
    for b in 1 2 3 4 5 6; do
        echo "{\"prompt\":\"$a+$b\",\"completion\":\"$((a + b))\"}"
    done
done >sums.jsonl
text 200 >text
quietly "$loom" prepare --tokenizer byte --out data text
quietly "$loom" train --data data --out base --steps 3 "${tiny[@]}" --set eval_interval=3 --set max_seq_len=64
weights=$(newest base)/model.safetensors
before=$(sha256sum <"$weights")

same=(--chat sums.jsonl --init base --threads 1 --set batch_size=4 --set eval_interval=10 --set learning_rate=1e-2
    --set adapter_rank=2 --set 'adapter_targets=*attn*,*experts*' --set lr_decay_iters=20)
json "$loom" train "${same[@]}" --out whole --steps 20 --json
quietly "$loom" train "${same[@]}" --out halves --steps 10
quietly "$loom" train "${same[@]}" --out halves --steps 20 --resume
for name in adapter_model.safetensors training.safetensors; do
    cmp "$(newest whole)/$name" "$(newest halves)/$name" || fail "straight and resumed differ in $name"
done
[ "$(sha256sum <"$weights")" = "$before" ] || fail "the base model changed"
[ ! -e "$(newest whole)/model.safetensors" ] || fail "a checkpoint of adapters holds all weights"
[ "$(stat -c %s "$(newest whole)/training.safetensors")" -lt "$(stat -c %s "$weights")" ] ||
    fail "the optimizer's state is not that of the adapters alone"

quietly "$loom" train --data data --out other --steps 3 "${tiny[@]}" --set eval_interval=3 --set max_seq_len=64 --seed 9
expect 2 'not the weights that the run halves began with' "$loom" train --chat sums.jsonl --init other --threads 1 \
    --out halves --steps 30 --resume

quietly "$loom" merge --model whole --out merged
quietly "$loom" eval --model whole --data data --json
sed -E 's/"seconds":[^,]*,//' stdout >apart
quietly "$loom" eval --model merged --data data --json
sed -E 's/"seconds":[^,]*,//' stdout | cmp apart - || fail "merged and unmerged differ"
quietly "$loom" eval --model base --data data --json
! sed -E 's/"seconds":[^,]*,//' stdout | cmp -s apart - || fail "the adapter changes nothing"
expect 2 'already holds a model' "$loom" merge --model whole --out merged

# A private run: the noise is found, and each checkpoint tells what has been spent.
quietly "$loom" train --chat sums.jsonl --init base --out private --threads 1 --steps 6 --set batch_size=4 \
    --set eval_interval=3 --set adapter_rank=2 --set dp_clip=1 --set dp_epsilon=8
grep -q '"epsilon"' "$(newest private)/privacy.json" || fail "no privacy.json"
promise=$(newest private)/privacy.json
sed -n -E 's/.*"epsilon": *([0-9.]+).*/\1/p' "$promise" | awk '{ exit !($1 > 7 && $1 <= 8) }' || fail "another epsilon"
for key in epsilon delta sampling_rate not_private; do
    grep -q ">$key<" private/report.html || fail "the report does not state $key"
done
for key in '"steps": *6' '"sampling": *"poisson"' '"not_private": *[["]'; do
    grep -qE "$key" "$promise" || fail "privacy.json without $key"
done
before=$(find private -type f ! -name .lock -exec sha256sum {} + | sort)
expect 2 '60 steps with noise [0-9.]+ would spend epsilon [0-9.]+, more than the dp_epsilon of 8' "$loom" train \
    --chat sums.jsonl --init base --out private --threads 1 --steps 60 --resume
expect 2 'another dp_noise; a resumed run keeps it' "$loom" train --chat sums.jsonl --init base --out private --threads 1 \
    --steps 6 --resume --set dp_noise=0.2
[ "$(find private -type f ! -name .lock -exec sha256sum {} + | sort)" = "$before" ] || fail "a refused run changed its folder"
quietly "$loom" train --chat sums.jsonl --init base --out private --threads 1 --steps 6 --resume
expect 2 '3 steps with noise 0.1 would spend epsilon' "$loom" train --chat sums.jsonl --init base --out new --steps 3 \
    --set dp_clip=1 --set dp_noise=0.1 --set dp_epsilon=1
expect 2 'needs conversations' "$loom" train --data data --init base --out new --set dp_clip=1 --set dp_noise=1
expect 2 'router_bias_rate' "$loom" train --chat sums.jsonl --init base --out new --set dp_clip=1 --set dp_noise=1 \
    --set router_bias_rate=0.01
expect 1 'no noise keeps epsilon' "$loom" train --chat sums.jsonl --init base --out new --set dp_clip=1 \
    --set dp_epsilon=0.00001 --steps 1000000
expect 2 'need a model to start from' "$loom" train --data data --out new --set adapter_rank=2
expect 2 'no matrix called "nonsense"' "$loom" train --chat sums.jsonl --init base --out new --set adapter_rank=2 \
    --set adapter_targets=nonsense
expect 2 'is an adapter itself' "$loom" train --chat sums.jsonl --init whole --out new --set adapter_rank=2
[ ! -e new ] || fail "a refused run left a folder"

# The adapter of one model is not another's.
cp "$(newest other)/model.safetensors" "$weights"
expect 1 'was made for other weights' "$loom" generate --model whole --prompt x --seed 1
mv base gone
expect 1 'is not there' "$loom" generate --model whole --prompt x --seed 1
