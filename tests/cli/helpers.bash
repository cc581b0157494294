# What the command-line tests share. Each runs in a folder of its own, which goes when it ends.
set -euo pipefail
export LC_ALL=C.UTF-8
loom=$(realpath "${LOOM:-build/loom}")
here=$(mktemp -d "${TMPDIR:-/tmp}/loom-cli-XXXXXX")
pid= # of a command in the background
clean_up() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    wait
    rm -rf "$here"
}
trap clean_up EXIT
cd "$here"

# Settings of a model that trains in a moment.
tiny=(--set dim=16 --set n_heads=2 --set n_kv_heads=1 --set max_seq_len=16 --set max_loop_iters=3 --set n_experts=4
    --set expert_dim=8 --set lora_rank=2 --set batch_size=2 --set sample_tokens=20 --threads 1)
tiny_gpt=(--preset nanogpt-small --set n_layer=1 --set n_head=2 --set n_embd=16 --set block_size=16 --set batch_size=2
    --set sample_tokens=0 --threads 1)

fail() {
    echo "$(basename "$0"): $*" >&2
    [ ! -s stderr ] || sed 's/^/    /' stderr >&2
    exit 1
}

# expect CODE PATTERN COMMAND...: the command ends with CODE, and standard error is one sentence that the pattern meets.
expect() {
    local wanted=$1 pattern=$2 code=0
    shift 2
    "$@" >stdout 2>stderr </dev/null || code=$?
    [ $code = "$wanted" ] || fail "exit code $code, not $wanted: $*"
    [ "$(wc -l <stderr)" = 1 ] || fail "not one sentence: $*"
    grep -qE -- "$pattern" stderr || fail "no \"$pattern\" in the sentence: $*"
    [ ! -s stdout ] || fail "a failure wrote to standard output: $*"
}

# quietly COMMAND...: the command succeeds; its output is in stdout and stderr.
quietly() {
    "$@" >stdout 2>stderr </dev/null || fail "exit code $?: $*"
}

# json COMMAND...: succeeds, and every line of its standard output is one JSON object.
json() {
    quietly "$@"
    [ -s stdout ] || fail "no output: $*"
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys
for line in sys.stdin:
    assert isinstance(json.loads(line), dict)' <stdout 2>stderr || fail "not JSON: $*"
    else
        ! grep -qvE '^\{"[a-z_]+":.*\}$' stdout || fail "not JSON: $*"
    fi
}

# has PATTERN: standard output of the last command has a line with it.
has() {
    grep -qE -- "$1" stdout || fail "no \"$1\" in: $(head -c 400 stdout)"
}

# text LINES: some text without a secret.
text() {
    local i
    for ((i = 1; i <= $1; i++)); do
        echo "Line $i: the \"square\" of $i is $((i * i)), and its cube is $((i * i * i))."
    done
}

# losses RUN: the loss of each step, one a line.
losses() {
    grep '"event": *"step"' "$1/metrics.jsonl" | sed -E 's/.*"loss": *([-+0-9.eE]+).*/\1/'
}

newest() {
    ls -d "$1"/checkpoints/step-* | tail -n 1
}

# same_run A B: both ended with the same weights, optimizer and metrics, times aside.
same_run() {
    local name run
    for name in model.safetensors training.safetensors; do
        cmp "$(newest "$1")/$name" "$(newest "$2")/$name" || fail "$1 and $2 differ in $name"
    done
    for run in "$1" "$2"; do
        sed -E 's/"(seconds|tokens_per_second)": ?[^,}]*,?//g' "$run/metrics.jsonl" >"$run.numbers"
    done
    cmp "$1.numbers" "$2.numbers" || fail "$1 and $2 differ in metrics.jsonl"
}
