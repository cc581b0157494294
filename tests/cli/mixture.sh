#!/usr/bin/env bash
# A run on two token folders, shuffled, with documents kept apart: stopped and resumed it ends as one without a stop; its
# record keeps it to its data.
. "$(dirname "$0")/helpers.bash"

text 60 >one.txt
text 90 | tac >two.txt
for name in one two; do
    quietly "$loom" prepare --tokenizer byte --out $name $name.txt
done
quietly "$loom" prepare --tokenizer char --out other one.txt
train=("$loom" train "${tiny[@]}" --set sampling=shuffle --set document_mask=true --set eval_interval=10 --data one
    --data two)

quietly "${train[@]}" --mix 0.7,0.3 --out straight --steps 30
quietly "${train[@]}" --mix 0.7,0.3 --out parts --steps 10 --set lr_decay_iters=30
quietly "${train[@]}" --out parts --resume --steps 20
quietly "${train[@]}" --mix 7,3 --out parts --resume --steps 30
same_run straight parts
grep -q '"val_losses": *\[[0-9.]*, *[0-9.]*\]' straight/metrics.jsonl || fail "no loss of each folder"
grep -q '"share": 0.699951171875' straight/config.json || fail "the shares are not in config.json"
grep -q '"sampling": "shuffle"' straight/config.json || fail "the sampling is not in config.json"
grep -q 'Token folder' straight/report.html || fail "the folders are not in the report"
grep -q '30% of the samples' "$(newest straight)/README.md" || fail "the folders are not in the card"

# What the run's validation said is what eval says, when it keeps documents apart as the run did.
head -c 3000 one.txt >a.txt
tail -c 2000 one.txt >b.txt
quietly "$loom" prepare --tokenizer byte --val-fraction 0.5 --out several a.txt b.txt a.txt b.txt
quietly "$loom" train "${tiny[@]}" --set document_mask=true --set precision=float32 \
    --data several --out masked --steps 200 --set eval_interval=200
want=$(grep '"eval"' masked/metrics.jsonl | tail -n 1 | sed -E 's/.*"val_loss": ?([0-9.]{9}).*/\1/')
json "$loom" eval --model masked --data several --document-mask --json
has "\"loss\":$want"
json "$loom" eval --model masked --data several --json
! grep -q "\"loss\":$want" stdout || fail "eval does not know the mask"

# Another folder, share or order is another run; a mask and a sampling are settings.
quietly "${train[@]}" --out by-tokens --steps 10
cmp -s "$(newest by-tokens)/model.safetensors" straight/checkpoints/step-00000010/model.safetensors &&
    fail "the mix made no difference"
expect 2 'share of the run straight is 0.699951, not 0.5' "${train[@]}" --mix 1,1 --out straight --resume
expect 2 'began with 2 token folders, not 1' "$loom" train --data one --out straight --resume
expect 2 'two: these are not the tokens' "$loom" train --data two --data one --out straight --resume
expect 2 'document_mask' "${train[@]}" --out straight --resume --set document_mask=false
expect 2 'other: its vocabulary' "$loom" train --data one --data other --out new
expect 2 'weight must be above 0, not 0' "${train[@]}" --mix 1,0 --out new
expect 2 'mix has 3 weights for 2 folders' "${train[@]}" --mix 1,1,1 --out new
expect 2 'needs a number.*not "x"' "${train[@]}" --mix 1,x --out new
expect 2 'needs a number.*not ""' "${train[@]}" --mix 1, --out new
expect 2 'sampling' "${train[@]}" --set sampling=sorted --out new
[ ! -e new ] || fail "a refused run left a folder"

# A token folder of an older form.
sed -i 's/"version": 2/"version": 1/' other/manifest.json
expect 1 'version" is 1.*prepare the text again' "$loom" train --data other --out new
