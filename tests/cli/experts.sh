#!/usr/bin/env bash
# Routers of every kind train; a sequence loss evens their load; eval tells which experts were chosen.
. "$(dirname "$0")/helpers.bash"

text 120 >text.txt
quietly "$loom" prepare --tokenizer char --out data text.txt
train=("$loom" train "${tiny[@]}" --data data --steps 40 --set eval_interval=40 --set sample_tokens=0
    --set router_bias_rate=0)

for kind in softmax sigmoid switch mixtral; do
    quietly "${train[@]}" --set router=$kind --out $kind
done
cmp -s "$(newest softmax)/model.safetensors" "$(newest mixtral)/model.safetensors" || fail "mixtral is not softmax"
for kind in sigmoid switch; do
    ! cmp -s "$(newest softmax)/model.safetensors" "$(newest $kind)/model.safetensors" || fail "$kind is softmax"
done
expect 2 'router' "${train[@]}" --set router=hash --out hash

# evenness RUN: millionths of an even load over the busiest expert's, over all steps.
evenness() {
    grep '"event": *"step"' "$1/metrics.jsonl" | sed -E 's/.*"expert_imbalance": *([0-9.]+).*/\1/' |
        awk '{ sum += $1 } END { printf "%d\n", 1e6 * NR / sum }'
}
quietly "${train[@]}" --set router_sequence_loss=1 --set router_z_loss=0.001 --out even
[ "$(evenness even)" -gt "$(evenness softmax)" ] || fail "evenness $(evenness even), without $(evenness softmax)"

json "$loom" eval --model even --data data --experts --json
has '"experts":\{"by_loop":[0-9.e-]+,"by_kind":[0-9.e-]+,"again":\[0,'
quietly "$loom" eval --model even --data data --experts --loops 1,2
has '^  loop 2  '
has '^  digit  '
has 'the loop before chose the same in [0-9.]+ %'
