#!/usr/bin/env bash
# loom train --chat: from a pretrained model to one that answers; resumed to the same bits; and what is refused.
. "$(dirname "$0")/helpers.bash"

for a in 1 2 3 4 5; do
    for b in 1 2 3 4 5; do
        echo "{\"messages\":[{\"role\":\"user\",\"content\":\"$a+$b\"},{\"role\":\"assistant\",\"content\":\"$((a + b))\"}]}"
    done
done >sums.jsonl
text 200 >text
quietly "$loom" prepare --tokenizer byte --out data text
quietly "$loom" train --data data --out base --steps 3 "${tiny[@]}" --set eval_interval=3 --set max_seq_len=64
same=(--chat sums.jsonl --init base --threads 1 --set batch_size=4 --set eval_interval=20 --set learning_rate=1e-2)
json "$loom" train "${same[@]}" --out chat --steps 60 --json
has '"steps":60,'
[ -s "$(newest chat)/tokenizer_config.json" ] || fail "no chat template"
grep -q '"chat"' chat/config.json || fail "the run does not say what it learned from"
losses chat | awk 'NR == 1 { first = $1 } { last = $1 } END { exit !(NR == 60 && last < 0.7 * first) }' ||
    fail "the loss on the answers did not fall"
json "$loom" generate --model chat --chat --prompt "1+2" --max-tokens 20 --json --seed 1

# Stopped and resumed is the same as straight.
quietly "$loom" train "${same[@]}" --out halves --steps 40 --set lr_decay_iters=60
quietly "$loom" train "${same[@]}" --out halves --steps 60 --resume --set lr_decay_iters=60
quietly "$loom" train "${same[@]}" --out whole --steps 60 --set lr_decay_iters=60
same_run halves whole

# A mark of byte order and lines that end in CR LF, as some editors write them, change nothing.
sed '1s/^/\xEF\xBB\xBF/; s/$/\r/' sums.jsonl >marked.jsonl
quietly "$loom" train --chat marked.jsonl "${same[@]:2}" --out marked --steps 60 --set lr_decay_iters=60
cmp "$(newest marked)/model.safetensors" "$(newest whole)/model.safetensors" || fail "the marked file trains another model"

expect 2 '--init is missing' "$loom" train --chat sums.jsonl --out new
expect 2 'from one of these alone' "$loom" train --chat sums.jsonl --data data --init base --out new
echo '{"messages":[{"role":"robot","content":"x"}]}' >bad.jsonl
expect 2 'bad.jsonl: row 1: the role "robot" is none of' "$loom" train --chat bad.jsonl --init base --out new
echo '{"prompt":"x"' >bad.jsonl
expect 1 'bad.jsonl: row 1 is not valid JSON' "$loom" train --chat bad.jsonl --init base --out new
printf '{"prompt":"%0100d","completion":"x"}\n' 1 >bad.jsonl
expect 2 'row 1: 140 tokens are more than the sequence of 64' "$loom" train --chat bad.jsonl --init base --out new
head -n 20 sums.jsonl >fewer.jsonl
expect 2 'not the conversations that the run chat began with' \
    "$loom" train --chat fewer.jsonl --init base --out chat --resume --steps 70
quietly "$loom" prepare --tokenizer char --out other text
expect 2 'its vocabulary of [0-9]+ tokens is not the 256 of' "$loom" train --data other --init base --out new
[ ! -e new ] || fail "a refused run left a folder"
