#!/usr/bin/env bash
# Text to tokens to a model to text, with every command's output for people and for programs.
. "$(dirname "$0")/helpers.bash"

text 150 >text.txt
json "$loom" prepare --tokenizer char --out data --json text.txt
has '"vocab_size":[1-9]'
json "$loom" train --data data --out run "${tiny[@]}" --steps 20 --set eval_interval=10 --set precision=float32 --json
has '"stopped":false,"steps":20,"val_loss":[0-9.]+,'
has '"parameters":[1-9]'
[ "$(grep -c '"event":"step"' run/metrics.jsonl)" = 20 ] || fail "not 20 steps in metrics.jsonl"
[ "$(grep -c '"event":"eval"' run/metrics.jsonl)" = 2 ] || fail "not 2 evaluations in metrics.jsonl"

# What training in float32 said of its last checkpoint, loom eval says again: its windows have the same size.
json "$loom" eval --model run/checkpoints/step-00000020 --data data --json
loss=$(sed -E 's/.*"loss":([0-9.]+).*/\1/' stdout)
said=$(grep '"event":"eval"' run/metrics.jsonl | tail -n 1 | sed -E 's/.*"val_loss":([0-9.]+).*/\1/')
awk -v a="$loss" -v b="$said" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-12) }' || fail "eval's loss $loss, training's $said"
json "$loom" eval --model run --data data --loops 1,3,7 --json
[ "$(wc -l <stdout)" = 3 ] || fail "not one line for each number of loops"
has '^\{"loops":7,.*"exit_depth":\[([0-9.e-]+,){6}[0-9.e-]+\]\}$'
quietly "$loom" eval --model run --data data
has '^ +3 +[0-9.]+ '

json "$loom" inspect --model run --json
has '"architecture":"loom",.*"loops":3,"experts":4,'
quietly "$loom" inspect --model run
has '^spectral radius +0\.[0-9]+'

# The same seed writes the same; another does not; without one the seed that was drawn is told.
quietly "$loom" generate --model run --prompt 'Line 1' --max-tokens 60 --seed 7
cp stdout first
grep -q '^Line 1' first || fail "the prompt is not echoed"
quietly "$loom" generate --model run --prompt 'Line 1' --max-tokens 60 --seed 7
cmp first stdout || fail "the same seed writes another text"
quietly "$loom" generate --model run --prompt 'Line 1' --max-tokens 60 --seed 8
! cmp -s first stdout || fail "another seed writes the same text"
quietly "$loom" generate --model run --prompt 'Line 1' --max-tokens 60
seed=$(sed -n 's/^seed //p' stderr)
cp stdout first
quietly "$loom" generate --model run --prompt 'Line 1' --max-tokens 60 --seed "$seed"
cmp first stdout || fail "the seed that was told writes another text"
quietly "$loom" generate --model run --temperature 0 --max-tokens 5 --seed 1
cp stdout first
quietly "$loom" generate --model run --top-k 1 --max-tokens 5 --seed 2
cmp first stdout || fail "greedy and top-k 1 differ"
quietly "$loom" generate --model run --loops 6 --top-p 0.9 --max-tokens 5 --seed 1
printf 'Line 2' | "$loom" generate --model run --prompt - --max-tokens 3 --seed 1 >stdout
has '^Line 2'
json "$loom" generate --model run --prompt 'a "b"' --max-tokens 4 --json
has '"prompt":"a \\"b\\"","text":'
has '"tokens":\[[0-9]+,[0-9]+,[0-9]+,[0-9]+\],"prompt_tokens":5,"completion_tokens":4,'
expect 1 'é|U\+00E9' "$loom" generate --model run --prompt 'Line é' --json --seed 1

quietly "$loom" report run
has '^run/report.html$'
grep -q '</html>' run/report.html || fail "report.html is not whole"

# The baseline has no loop to run.
quietly "$loom" train --data data --out gpt "${tiny_gpt[@]}" --steps 5
quietly "$loom" eval --model gpt --data data
expect 2 'has no loop to run 4 times' "$loom" eval --model gpt --data data --loops 4
expect 2 'has no loop to run 4 times' "$loom" generate --model gpt --loops 4 --seed 1

quietly "$loom" train --dry-run --data data
has '^memory +[0-9.]+ MiB$'
json "$loom" train --dry-run --data data --json
has '"bytes_activations":[1-9]'

json "$loom" race --data data --out race --steps 2 --set batch_size=1 --set eval_interval=1 --set sample_tokens=0 --json
has '"baseline":\{"parameters":[1-9]'
[ -s race/race.json ] && [ -s race/report.html ] || fail "race.json or report.html is missing"
json "$loom" bench --seconds 0.01 --set batch_size=1 --json
has '^\{"name":"train","per_second":[1-9]'
has '^\{"name":"decode batch 1, float32","per_second":[1-9]'
json "$loom" bench --machine --threads 1 --json
has '^\{"name":"multiply-add float32","per_second":[1-9]'
has '^\{"name":"read 256 MiB a thread","per_second":[1-9]'
json "$loom" bench --inference --prompt 5 --precision float32 --seconds 0.01 --threads 1 --json
has '"name":"prefill 5, float32"'
has '"name":"decode batch 1, float32"'
expect 2 'prompt of 64 tokens' "$loom" bench --inference --prompt 64
expect 2 'none of float32' "$loom" bench --inference --precision float3
expect 2 'one thread' "$loom" bench --processor-time --threads 2

json "$loom" eval --model run --data data --precision float32,float32 --json
[ "$(grep -c '^{"precision":"float32","loops":3,"loss":' stdout)" = 2 ] || fail "eval of two precisions"
expect 2 'one format' "$loom" eval --task gsm8k --data x --model run --precision int8,int4
expect 2 'none of float32' "$loom" eval --model run --data data --precision float32x

# ---- tokens that leave early
quietly "$loom" train "${tiny[@]}" --set halting=act --set act_threshold=0.1 --data data --out halting --steps 2
json "$loom" eval --model halting --data data --exit --json
has '"mean_loops":1[,.]'
json "$loom" generate --model halting --exit --max-tokens 5 --seed 1 --json
has '"mean_loops":1[,.}]'
expect 2 'no halting' "$loom" eval --model gpt --data data --exit
expect 2 'no halting' "$loom" generate --model gpt --exit --seed 1

# ---- other precisions of a trained model
for precision in float32 bf16 int8 int4; do
    "$loom" eval --model run --data data --precision $precision --json >stdout 2>stderr && has '"loss":[0-9]' ||
        grep -q 'float32 only' stderr || fail "eval in $precision"
    "$loom" generate --model run --max-tokens 3 --seed 1 --precision $precision --json >stdout 2>stderr ||
        grep -q 'float32 only' stderr || fail "generate in $precision"
done
expect 2 'int16.*none of' "$loom" eval --model run --data data --precision int16
