#!/usr/bin/env bash
# A run that is stopped or killed, and resumed, ends bit for bit as a run without a stop.
. "$(dirname "$0")/helpers.bash"

steps=600
train=("$loom" train --data data "${tiny[@]}" --steps $steps --set eval_interval=40 --set keep_checkpoints=2)

text 60 >text.txt
quietly "$loom" prepare --tokenizer byte --out data text.txt
quietly "${train[@]}" --out straight

# start RUN LINES: trains in the background and waits for so many lines of metrics; the sentences are in ./background.
start() {
    local run=$1
    "${train[@]}" --out "$run" >background.out 2>background </dev/null &
    pid=$!
    until [ "$(cat "$run/metrics.jsonl" 2>/dev/null | wc -l)" -ge "$2" ]; do
        kill -0 $pid 2>/dev/null || fail "$run ended early"
        sleep 0.01
    done
}

# Both signals save, say how to go on, and end with code 1; also where one comes twice in a moment. The 40th line is a step's that a validation follows.
for signal in INT TERM; do
    if [ $signal = INT ]; then start INT 20; else start TERM 40; fi
    kill -$signal $pid
    kill -$signal $pid 2>/dev/null || true
    code=0
    wait $pid || code=$?
    [ $code = 1 ] || fail "SIG$signal: exit code $code"
    tail -n 1 background | grep -qE "^loom: stopped at step [0-9]+ of $steps, .*--resume" || fail "SIG$signal: last words"
    grep -q '"step":'$steps $signal/metrics.jsonl && fail "SIG$signal came too late for the test"
    quietly "${train[@]}" --out $signal --resume
    same_run straight $signal
done

# One process at a time.
start busy 1
expect 1 'another process is at work' "${train[@]}" --out busy --resume
expect 1 'another process is at work' "${train[@]}" --out busy
kill -KILL $pid

# SIGKILL at any moment, again and again.
run=kill
resume=
for ((i = 0; i < 6; i++)); do
    [ ! -e $run/config.json ] || resume=--resume
    "${train[@]}" --out $run $resume >background.out 2>background </dev/null &
    pid=$!
    sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
    sleep 0.$((i % 2))
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
done
# Not every kill is met by chance: one while a file was written, one while a checkpoint took another's place.
mkdir -p $run/checkpoints
touch $run/config.json.tmp-1 $run/checkpoints/best.json.tmp-1
last=$(find $run/checkpoints -name 'step-????????' | sort | tail -n 1)
[ -z "$last" ] || mv "$last" "$last.old"
quietly "${train[@]}" --out $run --resume
same_run straight $run
[ ! -e $run/config.json.tmp-1 ] || fail "a kill left something behind"
rm -rf $run/checkpoints/*.old
ls -A $run/checkpoints | grep -vE '^(step-[0-9]{8}|best\.json)$' && fail "a kill left something behind"

# To resume what has ended changes nothing.
cp straight/metrics.jsonl before
quietly "${train[@]}" --out straight --resume
cmp before straight/metrics.jsonl || fail "resuming a run that has ended changed its metrics"

# A resumed run keeps its settings; a finished one can be lengthened.
expect 2 'another dim' "${train[@]}" --out straight --resume --set dim=32
expect 2 'seed is 1, not 2' "${train[@]}" --out straight --resume --seed 2
expect 2 'preset is loom-small' "${train[@]}" --out straight --resume --preset nanogpt-small
quietly "$loom" train --data data --out straight --resume --steps $((steps + 20))
grep -q '"step":'$((steps + 20)) straight/metrics.jsonl || fail "the run was not lengthened"
expect 1 'nowhere/config.json' "${train[@]}" --out nowhere --resume
text 61 >other.txt
quietly "$loom" prepare --tokenizer byte --out other other.txt
expect 2 'not the tokens' "$loom" train --data other --out straight --resume
