#!/usr/bin/env bash
# Bad input gets one clear sentence, and nothing is lost or half written.
. "$(dirname "$0")/helpers.bash"

text 60 >text.txt
train=("$loom" train --data data "${tiny[@]}")

# ---- text
: >empty.txt
mkdir empty
printf 'ab\xff\xfecd' >broken.txt
expect 1 'missing.txt' "$loom" prepare --tokenizer byte --out data missing.txt
expect 1 'text.txt/below' "$loom" prepare --tokenizer byte --out data text.txt/below
expect 2 'empty' "$loom" prepare --tokenizer byte --out data empty.txt
expect 2 'empty' "$loom" prepare --tokenizer byte --out data empty
expect 1 'broken.txt.*offset 2' "$loom" prepare --tokenizer char --out data broken.txt
expect 1 'missing.json' "$loom" prepare --tokenizer missing.json --out data text.txt
if [ "$(id -u)" != 0 ]; then
    cp text.txt secret.txt
    chmod 000 secret.txt
    expect 1 'secret.txt' "$loom" prepare --tokenizer byte --out data secret.txt
fi
[ ! -e data ] || fail "a failed preparation left its folder"
quietly "$loom" prepare --tokenizer char --out data text.txt
expect 2 'data' "$loom" prepare --tokenizer char --out data text.txt

# ---- settings
expect 2 'no setting "dimm"' "${train[@]}" --out run --set dimm=16
expect 2 'no setting "n_layer"' "${train[@]}" --out run --set n_layer=2
expect 2 'dim.*"wide"|wide' "${train[@]}" --out run --set dim=wide
expect 2 'dim' "${train[@]}" --out run --set dim=16.5
expect 2 'learning_rate' "${train[@]}" --out run --set learning_rate=nan
expect 2 'attn_type' "${train[@]}" --out run --set attn_type=gqaa
expect 2 'dim 15' "${train[@]}" --out run --set dim=15
expect 2 'n_experts' "${train[@]}" --out run --set n_experts_per_tok=5
expect 2 '[0-9]' "${train[@]}" --out run --set dim=6 --set n_heads=2
expect 2 'seq_len 17' "${train[@]}" --out run --set seq_len=17
expect 2 'tokens' "${train[@]}" --out run --set max_seq_len=1000000 --set seq_len=1000000
expect 2 'no preset "loom-smal"' "${train[@]}" --out run --preset loom-smal
expect 1 'missing' "$loom" train --data missing --out run
expect 1 'text.txt' "$loom" train --data text.txt --out run
expect 1 'empty' "$loom" train --data empty --out run
[ ! -e run/config.json ] || fail "a refused training left a run"

# ---- a training that diverges keeps its last checkpoint
code=0
"${train[@]}" --out wild --steps 200 --set eval_interval=1 --set learning_rate=1000 --set warmup_iters=0 \
    --set optimizer=adamw --set embedding_lr=0 --set head_lr=0 --set min_lr=1000 --set grad_clip=0 \
    --set weight_decay=1000 >stdout 2>stderr || code=$?
[ $code = 1 ] || fail "a diverging training: exit code $code"
tail -n 1 stderr | grep -qE 'step [0-9]+: .*not a finite number' || fail "a diverging training: last words"
quietly "$loom" inspect --model wild
"$loom" inspect --model wild | grep -q 'step-00000001$' || fail "a diverging training: not the last good checkpoint"

# ---- a model that cannot be read
quietly "${train[@]}" --out run --steps 10
folder=run/checkpoints/step-00000010
break_model() {
    rm -rf broken
    cp -r $folder broken
}
break_model
truncate -s 2000 broken/model.safetensors
expect 1 'broken/model.safetensors' "$loom" inspect --model broken
expect 1 'broken/model.safetensors' "$loom" generate --model broken --seed 1
break_model
truncate -s -1 broken/model.safetensors
expect 1 'broken/model.safetensors' "$loom" eval --model broken --data data
printf '\0\0\0\0\0\0\0\200{}' >broken/model.safetensors
expect 1 'broken/model.safetensors' "$loom" inspect --model broken
break_model
sed -i 's/"dim": *16/"dim": 32/' broken/config.json
expect 1 'broken/model.safetensors' "$loom" inspect --model broken
break_model
sed -i 's/"dim"/"dimm"/' broken/config.json
expect 2 'broken/config.json' "$loom" inspect --model broken
break_model
rm broken/model.safetensors
expect 1 'broken/model.safetensors' "$loom" inspect --model broken
expect 1 'missing' "$loom" inspect --model missing
expect 1 'empty' "$loom" inspect --model empty
quietly "$loom" prepare --tokenizer byte --out bytes text.txt
expect 2 'bytes: its vocabulary of 256' "$loom" eval --model run --data bytes
tr a-z b-za <text.txt >shifted.txt
quietly "$loom" prepare --tokenizer char --out shifted shifted.txt
expect 2 'shifted: ' "$loom" eval --model run --data shifted
expect 1 'empty' "$loom" report empty

# ---- a full disk: here a limit on the size of a file
limited() {
    (ulimit -f "$1" && shift && "$@")
}
expect 1 'bytes2.*(large|space)' limited 1 "$loom" prepare --tokenizer byte --out bytes2 text.txt
[ ! -e bytes2 ] || fail "a full disk left half a token folder"
code=0
limited 24 "${train[@]}" --out full --steps 30 --set eval_interval=10 >stdout 2>stderr </dev/null || code=$?
[ $code = 1 ] && grep -qE '^loom: .*full/.*(large|space)' stderr || fail "a full disk: exit code $code"
quietly "${train[@]}" --out full --steps 30 --set eval_interval=10 --resume
quietly "${train[@]}" --out straight --steps 30 --set eval_interval=10
same_run full straight
[ "$(ls full/checkpoints | wc -l)" = "$(ls straight/checkpoints | wc -l)" ] || fail "a full disk left something behind"
if [ -e /dev/full ]; then
    code=0
    "$loom" inspect --model run >/dev/full 2>stderr || code=$?
    [ $code = 1 ] && grep -q 'cannot write standard output' stderr || fail "standard output full: exit code $code"
fi

# ---- the sizes of a model of a trillion parameters, in a process that may have 1 GB (a sanitizer reserves more)
small() {
    (ulimit -v 1000000 && "$@")
}
if small "$loom" --version >/dev/null 2>&1; then
    json small "$loom" train --dry-run --preset mythos-1t --json
    has '"parameters":[0-9]{12}'
    for preset in $("$loom" help train | sed -n '/^Presets/,$ s/^  \([a-z0-9-]*\) .*/\1/p'); do
        json small "$loom" train --dry-run --preset "$preset" --data data --json
    done
fi
