#!/usr/bin/env bash
# Every instruction set that this processor has, and bf16 where it has it: the reference's numbers, and training.
. "$(dirname "$0")/helpers.bash"
root=$OLDPWD

text 60 >text.txt
short=("${tiny[@]}" --steps 10)
quietly "$loom" prepare --tokenizer char --out data text.txt
expect 2 'LOOM_MACHINE=none.*generic' env LOOM_MACHINE=none "$loom" train --data data --out run "${short[@]}"
machines=$(sed 's/.*processor has //; s/,//g' stderr)
[ ! -e run ] || fail "a machine that is not there left a run"

for machine in $machines; do
    export LOOM_MACHINE=$machine
    quietly "$loom" train --data data --out "run-$machine" "${short[@]}" --set precision=float32
    if [ "$machine" = avx512bf16 ]; then
        quietly "$loom" train --data data --out run-bf16 "${short[@]}" --set precision=bf16
    else
        expect 2 'precision bf16' "$loom" train --data data --out none "${short[@]}" --set precision=bf16
    fi
    quietly "$loom" train --data data --out "run-auto-$machine" "${short[@]}"
    ! grep -q '"precision": *"auto"' "run-auto-$machine/config.json" || fail "precision was left open"
    for folder in "$root"/../shared/fixtures/*/*/; do
        [ -e "$folder/reference.safetensors" ] || continue
        quietly "$loom" verify "$folder"
        [ "$machine" != avx512bf16 ] || quietly "$loom" verify --precision bf16 "$folder"
    done
done
unset LOOM_MACHINE

# The machines' losses are the same but for rounding, and bf16's are near.
loss() { sed -n 's/.*"val_loss":\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" | tail -1; }
expected=$(loss run-generic)
near() { awk -v a="$1" -v b="$expected" -v t="$2" 'BEGIN { d = a - b; exit !(d < t && -d < t) }'; }
for machine in $machines; do
    near "$(loss "run-$machine")" 1e-3 || fail "$machine: validation loss $(loss "run-$machine"), not $expected"
done
[ ! -e run-bf16 ] || near "$(loss run-bf16)" 1e-2 || fail "bf16: validation loss $(loss run-bf16), not $expected"
