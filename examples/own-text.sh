#!/bin/sh
# own-text.sh - from a text file of your own to a model that continues it.
#
#   examples/own-text.sh FILE [STEPS]
#
# Writes FILE.loom/data and FILE.loom/run. Run it again with more STEPS to train on.
set -eu
text=$1 steps=${2:-1000} out=$1.loom loom=${LOOM:-build/loom}
[ -d "$out/data" ] || "$loom" prepare --tokenizer byte --out "$out/data" "$text"
resume=
[ -d "$out/run" ] && resume=--resume
"$loom" train --data "$out/data" --out "$out/run" --preset loom-small --steps "$steps" $resume
"$loom" generate --model "$out/run" --max-tokens 400 --temperature 0.8
