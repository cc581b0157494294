#!/usr/bin/env bash
# What `make bench-check` calls a loss, with fixed numbers.
. "$(dirname "$0")/helpers.bash"
compare=$OLDPWD/bench/compare

# shares TRAIN ATTENTION: a file's two rows
shares() {
    printf 'small\ttrain\t%s\nsmall\tattention 8x6 forward\t%s\n' "$1" "$2"
}

# lost CODE LINES PATTERN: the comparison of `stored` with `measured` ends with CODE, and so many lines meet the pattern
lost() {
    local code=0
    "$compare" stored measured >out || code=$?
    [ "$code" = "$1" ] || fail "ended with $code where $1 was due: $(cat out)"
    [ "$(grep -c "$3" out)" = "$2" ] || fail "not $2 lines with \"$3\": $(cat out)"
}

shares 0.500 0.400 >stored
shares 0.500 0.400 >measured && lost 0 0 LOST
shares 0.451 0.361 >measured && lost 0 0 LOST # less than a tenth below
shares 0.600 0.500 >measured && lost 0 0 LOST
shares 0.449 0.400 >measured && lost 1 1 'train.*LOST' # more than a tenth
shares 0.500 0.359 >measured && lost 1 1 'attention.*LOST'
shares 0.300 0.200 >measured && lost 1 2 LOST
shares 0.500 0.400 | head -n 1 >measured && lost 1 1 'not measured: small'
{ shares 0.500 0.400 && printf 'small\tnew\t0.1\n'; } >measured && lost 0 0 LOST
code=0
"$compare" stored >out 2>&1 || code=$?
[ "$code" = 2 ] || fail "one file alone was taken"
