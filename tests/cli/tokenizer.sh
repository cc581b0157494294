#!/usr/bin/env bash
# loom tokenizer: a trained vocabulary, text to ids and back, special tokens, and what is refused.
. "$(dirname "$0")/helpers.bash"

text 200 >text.txt
printf 'Der Fuß im Schnee: 漢字 \U1F600\n' >>text.txt
json "$loom" tokenizer train --vocab-size 600 --special '<|pause|>' --out t.json --json text.txt
has '"vocab_size":(3|4|5|600)'
size=$(sed -E 's/.*"vocab_size":([0-9]+).*/\1/' stdout)
quietly "$loom" tokenizer train --vocab-size 600 --special '<|pause|>' --threads 1 --out again.json text.txt
cmp t.json again.json || fail "one thread trains another vocabulary"
mkdir folder
quietly "$loom" tokenizer train --vocab-size 300 --out folder text.txt
quietly "$loom" tokenizer train --vocab-size 258 --special '<|pause|>' --out bytes.json text.txt # nothing but bytes
printf 'a<|pause|>' | "$loom" tokenizer encode --tokenizer bytes.json --allow-special all >stdout || fail "bytes.json"
has '^[0-9]+ 257$'
[ -s folder/tokenizer.json ] || fail "no tokenizer.json in the folder"

# There and back, and the same in JSON.
"$loom" tokenizer encode --tokenizer t.json <text.txt >ids
"$loom" tokenizer decode --tokenizer t.json <ids | cmp - text.txt || fail "decoding gives another text"
"$loom" tokenizer encode --tokenizer t.json --json <text.txt >ids.json
[ "$(tr ' ' , <ids)" = "$(sed -E 's/^\{"tokens":\[(.*)\]\}$/\1/' ids.json)" ] || fail "JSON has other ids"
"$loom" tokenizer decode --tokenizer t.json <ids.json | cmp - text.txt || fail "the ids of --json give another text"
[ "$(echo '[72, 105]' | "$loom" tokenizer decode --tokenizer byte)" = Hi ] || fail "a list of ids"
"$loom" tokenizer encode --tokenizer t.json --threads 2 <text.txt | cmp - ids || fail "two threads give other ids"
[ -z "$("$loom" tokenizer encode --tokenizer t.json </dev/null)" ] || fail "no text has tokens"

# Special tokens are plain text unless they are allowed; they are the last two ids.
special='a<|endoftext|>b<|pause|>'
count() {
    printf '%s' "$special" | "$loom" tokenizer encode --tokenizer t.json "$@" | tr ' ' '\n' | grep -cE "^($((size - 1))|$((size - 2)))$" || true
}
[ "$(count)" = 0 ] || fail "a special token came from plain text"
[ "$(count --allow-special all)" = 2 ] || fail "not all special tokens"
[ "$(count --allow-special '<|pause|>')" = 1 ] || fail "not the one special token"
[ "$(count --allow-special '<|pause|>,<|endoftext|>')" = 2 ] || fail "not the two special tokens"
expect 2 'none of the tokenizer' "$loom" tokenizer encode --tokenizer t.json --allow-special '<|other|>'

# Half a character is U+FFFD, or its byte as it is; an incomplete one does not come out before it is whole.
printf '240 159' | "$loom" tokenizer decode --tokenizer byte >stdout
[ "$(cat stdout)" = $'\uFFFD' ] || fail "half a character: $(od -c stdout)"
printf '240 159' | "$loom" tokenizer decode --bytes --tokenizer byte | cmp - <(printf '\xF0\x9F') || fail "bytes"
printf '240 159 152 128' | "$loom" tokenizer decode --json --tokenizer byte >stdout
has '^\{"text":"😀"\}$'

# Rank files say what is wrong, by line.
printf 'IQ== 0\nIg== 1\nIQ== 2\n' >bad.tiktoken
expect 1 'bad.tiktoken has 3 ranks' "$loom" tokenizer encode --tokenizer bad.tiktoken
expect 1 'bad.tiktoken, line 3: .*twice' "$loom" tokenizer encode --tokenizer 'bad.tiktoken#gpt2'
expect 2 'no encoding "gpt9"' "$loom" tokenizer encode --tokenizer 'bad.tiktoken#gpt9'
printf 'IQ== 0\nIg= 1\n' >bad.tiktoken
expect 1 'line 2: "Ig=" is not base64' "$loom" tokenizer encode --tokenizer 'bad.tiktoken#gpt2'
printf 'IQ==\n' >bad.tiktoken
expect 1 'line 1: not a token' "$loom" tokenizer encode --tokenizer 'bad.tiktoken#gpt2'
expect 1 'bad.tiktoken.*byte 0x00' bash -c "printf 'IQ== 0\n' >bad.tiktoken; '$loom' tokenizer encode --tokenizer bad.tiktoken#gpt2"
head -c 2000 t.json >half.json
expect 1 'half.json is not valid JSON' "$loom" tokenizer encode --tokenizer half.json
sed 's/"normalizer": null/"normalizer": {"type": "NFC"}/' t.json >nfc.json
expect 1 'nfc.json: its "normalizer" "NFC" is not supported' "$loom" tokenizer encode --tokenizer nfc.json
expect 1 'vocab.bpe' "$loom" tokenizer encode --tokenizer vocab.bpe

expect 2 'one action is needed' "$loom" tokenizer
expect 2 '--tokenizer is missing' "$loom" tokenizer encode
expect 2 '"text" belongs to no option' "$loom" tokenizer encode --tokenizer byte text
expect 2 '--vocab-size is missing' "$loom" tokenizer train text.txt
expect 2 '--vocab-size needs a whole number' "$loom" tokenizer train --vocab-size 256 text.txt
expect 2 'no input' "$loom" tokenizer train --vocab-size 300
expect 2 'from 258' "$loom" tokenizer train --vocab-size 257 --special '<|x|>' --out x.json text.txt
expect 1 'missing.txt' "$loom" tokenizer train --vocab-size 300 --out x.json missing.txt
printf 'ab\xC3(' >bad.txt
expect 1 'bad.txt.*(UTF-8|offset 2)' "$loom" tokenizer train --vocab-size 300 --out x.json bad.txt
[ ! -e x.json ] || fail "a failed training wrote a file"
expect 1 'each token needs' bash -c "echo 256 | '$loom' tokenizer decode --tokenizer byte"
