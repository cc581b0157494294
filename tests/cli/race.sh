#!/usr/bin/env bash
# Who may race whom: at the vocabularies of real texts Loom's presets have at most the parameters of their baselines. tools/race-pass
# says what it cannot do.
. "$(dirname "$0")/helpers.bash"
pass=$OLDPWD/tools/race-pass

# parameters PRESET VOCABULARY
parameters() {
    "$loom" train --dry-run --preset "$1" --set vocab_size="$2" --json | sed -E 's/^\{"parameters":([0-9]+),.*/\1/'
}

for pair in loom-small:nanogpt-small loom-small:modern-small loom-small:dense-small loom-6m:nanogpt-6m \
    loom-6m:modern-6m loom-6m:dense-6m loom-shakespeare:nanogpt-shakespeare; do
    for vocabulary in 65 256 4096; do
        mine=$(parameters ${pair%:*} $vocabulary) its=$(parameters ${pair#*:} $vocabulary)
        [ "$mine" -le "$its" ] || fail "$pair, vocabulary $vocabulary: $mine parameters against $its"
    done
done

text 1000 >short.txt
expect 2 'no text' "$pass"
SIZE=2m expect 2 'SIZE=2m is not' "$pass" short.txt
if [ -x "${pass%/tools/*}/build/loom" ]; then # which the script runs
    code=0
    OUT=$here/out VAL=0.5 "$pass" short.txt >stdout 2>stderr || code=$?
    [ "$code" = 1 ] && grep -q 'are less than the pass of 1536000' stderr || fail "a short text ended with $code"
fi
