#!/usr/bin/env bash
# loom train --task: a model that says yes or no by chance learns what is rewarded; stopped and resumed to the same bits.
. "$(dirname "$0")/helpers.bash"

for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    echo "{\"prompt\":\"q$i\",\"completion\":\"yes\"}"
    echo "{\"prompt\":\"q$i\",\"completion\":\"no\"}"
    echo "{\"prompt\":\"q$i\",\"answer\":\"yes\"}" >&3
done >coin.jsonl 3>problems.jsonl
text 200 >text
quietly "$loom" prepare --tokenizer byte --out data text
quietly "$loom" train --data data --out base --steps 3 "${tiny[@]}" --set eval_interval=3 --set max_seq_len=64
quietly "$loom" train --chat coin.jsonl --init base --out coin --steps 150 --threads 1 --set eval_interval=150 \
    --set learning_rate=1e-2

same=(--task exact --problems problems.jsonl --init coin --threads 1 --set rl_prompts=4 --set rl_group=8
    --set rl_max_tokens=14 --set learning_rate=3e-3 --set warmup_iters=0 --set eval_interval=6 --set lr_decay_iters=1000)
for objective in grpo cispo; do
    quietly "$loom" train "${same[@]}" --out "$objective" --steps 30 --set rl_objective=$objective --set rl_updates=2
    losses $objective | awk 'NR <= 2 { first += $1 / 2 } NR > 27 { last += $1 / 3 }
        END { exit !(NR == 30 && last < 0.6 * first) }' || fail "$objective did not learn what is rewarded"
done
quietly "$loom" train "${same[@]}" --out loops --steps 6 --set rl_credit=loops --set adapter_rank=2
[ -s "$(newest loops)/adapter_model.safetensors" ] || fail "no adapter"

# A pull towards the model that it began with, problems asked again, and a price for length.
quietly "$loom" train "${same[@]}" --out pulled --steps 30 --set rl_kl=0.05 --set rl_resample=2 --set rl_overlong=4
losses pulled | awk 'NR <= 2 { first += $1 / 2 } NR > 27 { last += $1 / 3 }
    END { exit !(NR == 30 && last < 0.6 * first) }' || fail "the pulled model did not learn what is rewarded"
quietly "$loom" train "${same[@]}" --out held --steps 30 --set rl_kl=100
losses held | awk 'NR <= 6 { first += $1 / 6 } NR > 24 { last += $1 / 6 } END { exit !(last > 0.6 * first) }' ||
    fail "a strong pull did not hold the model"
quietly "$loom" train "${same[@]}" --out pulled_halves --steps 6 --set rl_kl=0.05 --set rl_resample=2
quietly "$loom" train "${same[@]}" --out pulled_halves --steps 12 --resume
quietly "$loom" train "${same[@]}" --out pulled_whole --steps 12 --set rl_kl=0.05 --set rl_resample=2
same_run pulled_halves pulled_whole
expect 2 'not the weights that the run pulled_halves began with' "$loom" train --task exact --problems problems.jsonl \
    --init base --out pulled_halves --threads 1 --steps 14 --resume

# Programs that hang, crash or start others are wrong answers, and the training goes on.
for i in 1 2 3 4 5 6 7 8; do
    echo "{\"prompt\":\"$i\",\"completion\":\"1\"}"
    case $((i % 4)) in
        0) test='while True: pass' ;;
        1) test='import ctypes; ctypes.string_at(0)' ;;
        2) test='import os, time; os.fork(); os.close(1); os.close(2); time.sleep(100)' ;;
        3) test='import os; os.kill(0, 9)' ;;
    esac
    echo "{\"task_id\":\"$i\",\"prompt\":\"$i\",\"entry_point\":\"print\",\"test\":\"$test\"}" >&3
    echo "{\"task_id\":\"$i\",\"prompt\":\"$i\",\"entry_point\":\"print\",\"test\":\"check = print\"}" >&4
done >one.jsonl 3>hostile.jsonl 4>harmless.jsonl
if [ -x /usr/bin/python3 ]; then
    quietly "$loom" train --chat one.jsonl --init base --out one --steps 100 --threads 1 --set eval_interval=100 \
        --set learning_rate=1e-2
    judged=(--task humaneval --init one --threads 1 --steps 2 --set eval_interval=2 --set rl_prompts=4 --set rl_group=2
        --set rl_max_tokens=12)
    quietly "$loom" train "${judged[@]}" --problems harmless.jsonl --out harmless
    losses harmless | awk '{ wrong += $1 } END { exit !(NR == 2 && wrong < 2) }' || fail "no program ran to its end"
    quietly "$loom" train "${judged[@]}" --problems hostile.jsonl --out hostile --set rl_seconds=0.2
    losses hostile | awk '{ wrong += $1 } END { exit !(NR == 2 && wrong == 2) }' || fail "a hostile program was right"
    quietly "$loom" generate --model hostile --chat --prompt 1 --max-tokens 3 --seed 1
fi

# A gate chooses loops elsewhere; here all of them run, which is said, and no step moves it.
quietly "$loom" train --data data --out gate --steps 3 "${tiny[@]}" --set eval_interval=3 --set max_seq_len=64 \
    --set halting=gate
quietly "$loom" train --chat coin.jsonl --init gate --out gate_chat --steps 3 --threads 1 --set eval_interval=3
grep -q 'runs all 3 loops, and none of them is chosen; the gate stays' stderr || fail "the loops are not told"
quietly "$loom" train "${same[@]}" --init gate_chat --out gate_rewarded --steps 3
grep -q 'runs all 3 loops' stderr || fail "the loops are not told"
expect 2 'halting=gate cannot be trained privately' "$loom" train --chat coin.jsonl --init gate --out new \
    --set dp_clip=1 --set dp_noise=1

quietly "$loom" train "${same[@]}" --out halves --steps 6
quietly "$loom" train "${same[@]}" --out halves --steps 12 --resume
quietly "$loom" train "${same[@]}" --out whole --steps 12
same_run halves whole

sed 's/q3/q33/' problems.jsonl >others.jsonl
expect 2 'others.jsonl: these are not the problems' "$loom" train --task exact --problems others.jsonl --init coin \
    --out halves --steps 12 --resume
expect 2 'rl_overlong 40 is more than rl_max_tokens 14' "$loom" train "${same[@]}" --out new --set rl_overlong=40
expect 2 'go together' "$loom" train --task exact --init coin --out new
expect 2 '--init is missing' "$loom" train --task exact --problems problems.jsonl --out new
expect 2 'no task "nonsense"' "$loom" train --task nonsense --problems problems.jsonl --init coin --out new
expect 2 'from one of these alone' "$loom" train --task exact --problems problems.jsonl --init coin --data data --out new
expect 2 'router_bias_rate 0.1 would move' "$loom" train --task exact --problems problems.jsonl --init coin --out new \
    --set router_bias_rate=0.1
for key in router_sequence_loss router_z_loss; do
    expect 2 "$key 0.1 has no part in a training by rewards" "$loom" train --task exact --problems problems.jsonl \
        --init coin --out new --set $key=0.1
done
expect 2 'loop_sampling=poisson has no part in a training by rewards' "$loom" train --task exact \
    --problems problems.jsonl --init coin --out new --set loop_sampling=poisson
expect 2 'rl_max_tokens 64 are more than the sequence of 64' "$loom" train --task exact --problems problems.jsonl \
    --init coin --out new --set rl_max_tokens=64
expect 1 'the tensor "recurrent.gate.weight" is missing' "$loom" train "${same[@]}" --out new \
    --set halting=gate
[ ! -e new ] || fail "a refused run left a folder"
