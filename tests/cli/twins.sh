#!/usr/bin/env bash
# loom race --task: a looped model and its dense twins on a generated task and on a task's rows; stopped and gone on with.
. "$(dirname "$0")/helpers.bash"

quietly "$loom" prepare --task story --out train --steps 1-3 --problems 200 --val-problems 30
quietly "$loom" prepare --task story --out test --steps 2-5 --problems 1 --val-problems 40 --seed 2
small=(--preset loom-story --steps 3 --seeds 2 --threads 1 --set dim=16 --set n_heads=2 --set n_kv_heads=2
    --set expert_dim=16 --set batch_size=4 --set eval_interval=3)
json "$loom" race --task train --test test --out race "${small[@]}" --limit 8 --loops given,2 --json
has '"seeds":2,.*"side":"looped".*"side":"equal parameters".*"side":"equal FLOPs"'
has '"loops":-1,"problems":16,"side":"looped","group":"5 steps"'
has '"loops":2,"problems":16,"side":"looped","group":"2 steps"'
has '"loops":0,"problems":16,"side":"equal FLOPs","group":"4 steps"'
for side in looped parameters flops; do
    [ -s race/$side-seed-2/metrics.jsonl ] || fail "no run of $side"
done
grep -q 'equal parameters' race/report.html || fail "no page"
has '"made_by":"muon_lr=0.0025 embedding_lr=0.000625 learning_rate=3.75e-4 head_lr=0.00125 prelude_layers=2 '
has '"made_by":"","best_val_loss"'
grep -qE '"muon_lr": *0.01(0000|,)' race/looped-seed-1/config.json || fail "the looped model's rate is not its preset's"
grep -qE '"muon_lr": *0.0025(0000|,)' race/flops-seed-2/config.json || fail "a twin's rate is not what its preset says"
cp stdout first
rm race/twins.json
json "$loom" race --task train --test test --out race "${small[@]}" --limit 8 --loops given,2 --json
cmp <(sed -E 's/"seconds":[^,]*//g' first) <(sed -E 's/"seconds":[^,]*//g' stdout) || fail "going on answered otherwise"
expect 2 'already holds a race' "$loom" race --task train --out race "${small[@]}"

# What is set for all sides comes before the preset's rates for twins; what is set for them alone before both.
json "$loom" race --task train --test test --out own "${small[@]}" --seeds 1 --limit 4 --set muon_lr=0.03 \
    --set head_lr=0.004 --twin-set head_lr=0.002 --json
has '"made_by":"embedding_lr=0.000625 learning_rate=3.75e-4 head_lr=0.002 prelude_layers=2 '
grep -qE '"muon_lr": *0.0(3|29999)' own/flops-seed-1/config.json || fail "a twin does not heed --set"
grep -qE '"head_lr": *0.004(0000|,)' own/looped-seed-1/config.json || fail "the looped model heeds --twin-set"
grep -qE '"head_lr": *0.002(0000|,)' own/parameters-seed-1/config.json || fail "a twin does not heed --twin-set"

# Rows of a task, to models of text.
text 200 >text
quietly "$loom" prepare --tokenizer byte --out data text
for i in 1 2 3; do
    echo "{\"prompt\":\"Line $i: the \",\"answer\":\"$i\"}"
done >rows.jsonl
quietly "$loom" race --task exact --data data --test rows.jsonl --out rows --preset loom-small --steps 2 --threads 1 \
    --set dim=16 --set n_heads=2 --set n_kv_heads=2 --set ngram_rows=20 --set eval_interval=2
has '^\| equal FLOPs .* all .* exact_match '

expect 2 'has no dense twin' "$loom" race --task train --out new --preset nanogpt-small
expect 2 'has no dense twin' "$loom" race --task story --out new --preset nanogpt-small
expect 2 'there is no setting "nonsense"' "$loom" race --task story --out new --twin-set nonsense=1
expect 2 'twin-set is for the dense sides' "$loom" race --data data --out new --twin-set muon_lr=1
expect 2 'no task "nonsense"' "$loom" race --task nonsense --data data --test rows.jsonl --out new --preset loom-small
expect 2 'given is for generated tasks' "$loom" race --task exact --data data --test rows.jsonl --out new --loops given
expect 1 'missing.jsonl' "$loom" race --task exact --data data --test missing.jsonl --out new
expect 2 'data is no generated task' "$loom" race --task train --test data --out new
expect 2 'are generated' "$loom" race --task story --test test --out new
expect 2 'needs a token folder to train on' "$loom" race --task gsm8k --out new
expect 2 'data is no generated task' "$loom" race --task data --out new --preset loom-small
[ ! -e new ] || fail "a refused race left a folder"
