#!/usr/bin/env bash
# loom eval --task: a model's answers and recorded ones, and rows that are none.
. "$(dirname "$0")/helpers.bash"

for i in 1 2 3 4; do
    echo "{\"prompt\":\"Line $i: the \",\"answer\":\"$i\"}"
    echo "{\"id\":\"$((i - 1))\",\"response\":\"it is $((i < 4 ? i : 0))\"}" >&3
done >rows.jsonl 3>answers.jsonl

json "$loom" eval --task number --data rows.jsonl --predictions answers.jsonl --json --save out.jsonl --report out.html
has '"value":0.75,'
has '"problems":4'
[ "$(grep -c '"exact_match":true' out.jsonl)" = 3 ] || fail "not three right responses in out.jsonl"
grep -q '75.00 %' out.html || fail "no figure in out.html"
gzip -k rows.jsonl answers.jsonl
json "$loom" eval --task number --data rows.jsonl.gz --predictions answers.jsonl.gz --json # packed rows
has '"value":0.75,'
mkdir folder
cp rows.jsonl.gz folder/
json "$loom" eval --task number --data folder --predictions answers.jsonl --json
has '"value":0.75,'
head -c 60 rows.jsonl.gz >cut.jsonl.gz
expect 1 'cut.jsonl.gz' "$loom" eval --task number --data cut.jsonl.gz --predictions answers.jsonl --json
quietly "$loom" eval --task number --data rows.jsonl --predictions answers.jsonl --limit 3
has '^\|.* all .* 100.00 %'

text 200 >text
quietly "$loom" prepare --tokenizer char --out data text
quietly "$loom" train --data data --out run --steps 3 "${tiny[@]}" --set eval_interval=3
json "$loom" eval --task exact --data rows.jsonl --model run --loops 1,2 --max-tokens 5 --json --samples 2
[ "$(wc -l <stdout)" = 2 ] || fail "not one line for each number of loops"
has '"loops":2,.*"problems":4'

echo 'Line 0: the 0' >worked.txt
json "$loom" eval --task exact --data rows.jsonl --model run --examples worked.txt --max-tokens 5 --json --save shown.jsonl
expect 2 'must be said how many' "$loom" eval --task exact --data rows.jsonl --model run --examples rows.jsonl --json
expect 2 'examples is missing' "$loom" eval --task exact --data rows.jsonl --model run --shots 2 --json
expect 2 'no task "nonsense"' "$loom" eval --task nonsense --data rows.jsonl --predictions answers.jsonl
head -n 3 answers.jsonl >few.jsonl
expect 2 '1 of 4 problems have no response' "$loom" eval --task number --data rows.jsonl --predictions few.jsonl --json
echo '{"id":"0"}' >few.jsonl
expect 2 'row 1: no "response"' "$loom" eval --task number --data rows.jsonl --predictions few.jsonl --json
echo '{"id":"9","response":"1"}' >few.jsonl
expect 2 'row 1: no "id"' "$loom" eval --task number --data rows.jsonl --predictions few.jsonl --json
echo '{"prompt":"x"' >few.jsonl
expect 1 'row 1 is not valid JSON' "$loom" eval --task number --data few.jsonl --predictions answers.jsonl --json
[ ! -e kept.jsonl ] || fail "left over"
echo '{"id":"9","response":"1"}' >few.jsonl
expect 2 'row 1' "$loom" eval --task number --data rows.jsonl --predictions few.jsonl --json --save kept.jsonl
[ ! -e kept.jsonl ] || fail "a failure left a file"
