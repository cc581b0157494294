#!/usr/bin/env bash
# Where text may come from, what is broken in it, work that goes on, and a look into the result.
. "$(dirname "$0")/helpers.bash"

rows() {
    local i
    for ((i = $1; i <= $2; i++)); do
        printf '{"text":"Row %d says \\"%d\\" to all who read it.","int_score":%d}\n' $i $((i * i)) $((i % 5))
    done
}

# ---- sources
rows 1 200 >rows.jsonl
json "$loom" prepare --tokenizer byte --out plain --json rows.jsonl
has '"documents":200,"filtered":0,'
gzip -k rows.jsonl
mkdir -p folder/below
cp rows.jsonl.gz folder/below/
echo "not text" >folder/picture.png
for input in rows.jsonl.gz folder 'row*.jsonl' 'fold*'; do
    rm -rf again
    quietly "$loom" prepare --tokenizer plain --out again "$input"
    cmp plain/train-00000.bin again/train-00000.bin || fail "$input gives other tokens"
done
rm -rf again
"$loom" prepare --tokenizer byte --format jsonl --out again - <rows.jsonl >stdout 2>stderr || fail "standard input"
cmp plain/val-00000.doc again/val-00000.doc || fail "standard input gives other documents"
rm -rf again
json "$loom" prepare --tokenizer byte --out again --filter 'int_score >= 3' --json rows.jsonl
has '"documents":80,"filtered":120,'

# A byte order mark, and Parquet on standard input, which DuckDB cannot read as a stream.
rm -rf again
printf '\xEF\xBB\xBF' | cat - rows.jsonl >marked.jsonl
quietly "$loom" prepare --tokenizer byte --out again marked.jsonl
cmp plain/train-00000.bin again/train-00000.bin || fail "a byte order mark gives other tokens"
duckdb=${LOOM_DUCKDB:-duckdb}
if "$duckdb" -version >/dev/null 2>&1; then
    "$duckdb" -batch -c "COPY (SELECT * FROM read_json('rows.jsonl', format='newline_delimited')) TO 'rows.parquet'" >stdout
    rm -rf again
    "$loom" prepare --tokenizer byte --format parquet --out again - <rows.parquet >stdout 2>stderr || fail "Parquet on standard input"
    cmp plain/train-00000.bin again/train-00000.bin || fail "Parquet on standard input gives other tokens"
    grep -q "$(sha256sum rows.parquet | cut -d ' ' -f 1)" again/manifest.json || fail "no hash of standard input"
    expect 1 'rows.parquet has no column "body", but "text", "int_score"$' \
        "$loom" prepare --tokenizer byte --out none --column body rows.parquet

    # One byte that is no text: of a column of text its row group is lost, of one of bytes its row.
    rows 1 5000 >long.jsonl
    "$loom" tokenizer train --vocab-size 300 --out small.json rows.jsonl >stdout 2>stderr
    for column in text 'encode(text)'; do
        "$duckdb" -batch -c "COPY (SELECT $column AS text FROM read_json('long.jsonl', format='newline_delimited'))
            TO 'long.parquet' (COMPRESSION uncompressed, ROW_GROUP_SIZE 2048)" >stdout
        LC_ALL=C sed -i 's/Row 3000 says/Row 3\xff00 says/' long.parquet
        mv long.parquet "broken-${column%%(*}.parquet"
    done
    rm -rf again
    prepare=("$loom" prepare --tokenizer small.json --out again)
    expect 1 'text.parquet, rows 2049 to 4096 cannot be read: .*not valid UTF8' "${prepare[@]}" broken-text.parquet
    json "${prepare[@]}" --on-error skip --json broken-text.parquet
    has '"documents":2952,.*"skipped":2048,'
    rm -rf again
    expect 1 'encode.parquet is not UTF-8: byte 0xFF at offset 5 \(row 3000\)' "${prepare[@]}" broken-encode.parquet
    json "${prepare[@]}" --on-error skip --json broken-encode.parquet
    has '"documents":4999,.*"skipped":1,'
    rm -rf again
    json "$loom" prepare --tokenizer byte --out again --json broken-encode.parquet
    has '"documents":5000,.*"skipped":0,'
fi

# ---- a look into the result
json "$loom" inspect --data plain --json
has '"train_documents":1[0-9]{2},"val_documents":[0-9]+,.*"lengths":\[\{"from":32,"documents":200\}\]'
quietly "$loom" inspect --data plain --documents 2
has '^validation +[0-9]+ tokens \([0-9]+\) in [0-9]+ documents$'
has '^document 100, [0-9]+ tokens: "Row '
expect 2 'either --model' "$loom" inspect --data plain --model run
expect 1 'nothing' "$loom" inspect --data nothing

# ---- wrong use, and what is broken
prepare=("$loom" prepare --tokenizer byte --out out)
expect 2 '"score" is not NAME OP VALUE' "${prepare[@]}" --filter score rows.jsonl
expect 2 '--on-error is stop or skip' "${prepare[@]}" --on-error ask rows.jsonl
expect 2 'must be auto, tail or document' "${prepare[@]}" --split odd rows.jsonl
expect 2 'must be auto, text, jsonl or parquet' "${prepare[@]}" --format csv rows.jsonl
expect 2 'standard input can only be read once' "$loom" prepare --tokenizer char --out out -
expect 2 'no file or folder matches nothing-' "${prepare[@]}" 'nothing-*.txt'
cp rows.jsonl rows.json
expect 2 'rows.json: a .json file may hold rows .* --format jsonl' "${prepare[@]}" rows.json
quietly "${prepare[@]}" --format jsonl rows.json
cmp plain/train-00000.bin out/train-00000.bin || fail "rows.json gives other tokens"
rm -rf out rows.json
echo text >some.txt
expect 2 'some.txt is plain text.* the filter' "${prepare[@]}" --filter 'int_score >= 3' some.txt
expect 2 'some.txt is plain text.* the column' "${prepare[@]}" --column body some.txt
mkfifo pipe.txt
expect 2 'pipe.txt is not a regular file; .* read as -' "${prepare[@]}" pipe.txt
rm pipe.txt
expect 2 'an output folder' "$loom" prepare --tokenizer byte --out '' rows.jsonl
expect 2 'splits them into 1 and 0|splits them into [0-9]+ and 0.*by tail' "${prepare[@]}" --filter 'int_score = 1' --val-fraction 1e-9 rows.jsonl
expect 1 'row 1: its text is null' bash -c "echo '{\"text\":null}' | '$loom' prepare --tokenizer byte --format jsonl --out out -"
printf 'ab\xFF' >bytes.txt
"$loom" tokenizer train --vocab-size 300 --out small.json rows.jsonl >stdout 2>stderr
expect 1 'bytes.txt is not UTF-8: byte 0xFF at offset 2$' "$loom" prepare --tokenizer small.json --out out bytes.txt
{ rows 1 9; echo '{"text":'; rows 10 30; } >bad.jsonl
expect 1 'bad.jsonl, row 10: it is not JSON' "${prepare[@]}" bad.jsonl
json "${prepare[@]}" --on-error skip --json bad.jsonl
has '"documents":30,.*"skipped":1,'
grep -q '"skipped_first": \[' out/manifest.json && grep -q 'bad.jsonl, row 10' out/manifest.json || fail "no named row"
rm -rf out
LOOM_DUCKDB=/nowhere/duckdb expect 1 'pip install duckdb-cli' "${prepare[@]}" --format parquet rows.jsonl
[ ! -e out ] && [ ! -e out.partial ] || fail "a failed preparation left its folder"

# ---- stopped by a signal, it goes on to the same bytes
for ((i = 0; i < 60; i++)); do cat rows.jsonl; done >many.jsonl
for ((i = 0; i < 40; i++)); do cat many.jsonl; done >more.jsonl
quietly "$loom" prepare --tokenizer byte --out whole more.jsonl
for delay in 0.1 0.2 0.3; do
    "$loom" prepare --tokenizer byte --out pieces more.jsonl >stdout 2>stderr </dev/null &
    pid=$!
    sleep $delay
    kill -INT $pid 2>/dev/null || true
    code=0
    wait $pid || code=$?
    pid=
    [ $code != 0 ] || break # it was through before the signal came
    grep -q 'the same command goes on' stderr || [ $code -gt 128 ] || fail "a stopped preparation: $code"
done
[ -e pieces ] || quietly "$loom" prepare --tokenizer byte --out pieces more.jsonl
for file in manifest.json train-00000.bin train-00000.doc val-00000.bin val-00000.doc tokenizer.json; do
    cmp whole/$file pieces/$file || fail "$file differs after a stop"
done
[ "$(ls whole | wc -l)" = "$(ls pieces | wc -l)" ] || fail "files are left over"
