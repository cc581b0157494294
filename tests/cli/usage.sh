#!/usr/bin/env bash
# The program's own words: version, help, and what wrong use gets.
. "$(dirname "$0")/helpers.bash"

quietly "$loom" --version
has '^loom [0-9]+\.[0-9]+\.[0-9]+$'
quietly "$loom" help
commands=$(sed -n 's/^  \([a-z]*\) .*/\1/p' stdout)
[ "$(wc -w <<<"$commands")" -ge 11 ] || fail "not 11 commands: $commands"
quietly "$loom" --help
for command in $commands; do
    quietly "$loom" help "$command"
    has "^Usage: loom $command "
    cp stdout help
    quietly "$loom" "$command" --help
    cmp help stdout || fail "two helps of $command"
    expect 2 "loom $command: .*--nonsense" "$loom" "$command" --nonsense
done
quietly "$loom" help train
has 'loom-small .*nanogpt|^  loom-small '
has '^  mythos-1t '
has 'docs/config.md'

code=0
"$loom" >stdout 2>stderr || code=$?
[ $code = 2 ] && [ ! -s stdout ] && grep -q '^Usage: loom' stderr || fail "no command: $code"
expect 2 'did you mean train' "$loom" trian
expect 2 'no command "frobnicate"' "$loom" frobnicate
expect 2 'no command "frobnicate"' "$loom" help frobnicate
expect 2 'no command "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"' \
    "$loom" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

expect 2 '--data is missing' "$loom" train --out run
expect 2 '--out is missing' "$loom" train --data data
expect 2 '"extra" belongs to no option' "$loom" train --data data --out run extra
expect 2 '--steps needs a whole number' "$loom" train --data data --out run --steps 0
expect 2 '--steps needs a whole number' "$loom" train --data data --out run --steps 1e3
expect 2 '--seed needs a whole number' "$loom" train --data data --out run --seed -1
expect 2 '--set needs key=value' "$loom" train --data data --out run --set dim
expect 2 '--data is missing' "$loom" race --out race
expect 2 '--seeds needs a whole number' "$loom" race --data data --out race --seeds 0
expect 2 '--model is missing' "$loom" eval --data data
expect 2 '--data is missing' "$loom" eval --model run
expect 2 '--data is missing: the file' "$loom" eval --model run --task gsm8k
expect 2 'either --model or --predictions' "$loom" eval --model run --predictions p --task gsm8k --data d
expect 2 '--task is missing' "$loom" eval --data data --predictions p
expect 2 '--loops needs a whole number' "$loom" eval --model run --data data --loops 1,x
expect 2 '--loops needs a whole number' "$loom" eval --model run --data data --loops 1,,2
expect 2 '--model is missing' "$loom" generate
expect 2 '--loops needs a whole number' "$loom" generate --model run --loops 0
expect 2 '--temperature needs a number' "$loom" generate --model run --temperature -1
expect 2 '--top-p needs a number' "$loom" generate --model run --top-p 1.5
expect 2 'either --model' "$loom" inspect
expect 2 'no preset "nonsense"' "$loom" bench --preset nonsense
expect 2 '--tokenizer is missing' "$loom" prepare --out data text
