#!/usr/bin/env python3
"""llama2.py - decoding of a dense float32 model of 110 M parameters in llama2.c and in Loom, in turn, one thread each.

    bench/llama2.py --program llama2.c/run [--loom build/loom] [--rounds 5] [--folder DIR]

The program is llama2.c's run.c, built without OpenMP for this processor (cc -Ofast -march=native -o run run.c -lm); its
checkpoint of random weights is written here, into DIR. Both sides are rated by the processor's time, llama2.c by what 64
tokens more cost than 16. Prints each round, the medians, and Loom's over llama2.c's.
"""
import argparse
import json
import os
import resource
import statistics
import struct
import subprocess

import numpy as np

WIDTH, FEED, LAYERS, HEADS, VOCAB, CONTEXT = 768, 2048, 12, 12, 32000, 1024


def write_model(folder):
    """The checkpoint: sizes, then all weights; and a vocabulary of made-up words."""
    block = np.random.default_rng(1).standard_normal(1 << 22, dtype=np.float32) * 0.02
    count = VOCAB * WIDTH + LAYERS * (2 * WIDTH + 4 * WIDTH * WIDTH + 3 * WIDTH * FEED) + WIDTH + CONTEXT * WIDTH // HEADS
    with open(os.path.join(folder, "model.bin"), "wb") as file:
        file.write(struct.pack("7i", WIDTH, FEED, LAYERS, HEADS, HEADS, VOCAB, CONTEXT))
        for begin in range(0, count, block.size):
            file.write(block[: count - begin].tobytes())
    with open(os.path.join(folder, "tokenizer.bin"), "wb") as file:
        file.write(struct.pack("i", 8))
        for i in range(VOCAB):
            file.write(struct.pack("fi", 0.0, 5) + b"%05x" % i)


def processor_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


def their_rate(options):
    command = [options.program, os.path.join(options.folder, "model.bin"), "-z",
               os.path.join(options.folder, "tokenizer.bin"), "-s", "1", "-n"]
    short, long = (processor_seconds(command + [str(tokens)])[0] for tokens in (17, 81))
    return 64 / (long - short)


def our_rate(options):
    command = [options.loom, "bench", "--inference", "--preset", "llama2-bench", "--prompt", "16", "--precision", "float32",
               "--threads", "1", "--processor-time", "--seconds", "2", "--json"]
    rows = map(json.loads, processor_seconds(command)[1].splitlines())
    return next(row["per_second"] for row in rows if row["name"] == "decode batch 1, float32")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--loom", default="build/loom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="build/llama2")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    if not os.path.exists(os.path.join(options.folder, "tokenizer.bin")):
        write_model(options.folder)
    rounds = [(their_rate(options), our_rate(options)) for _ in range(options.rounds)]
    theirs, ours = (statistics.median(side) for side in zip(*rounds))
    print("rounds:", ", ".join(f"{a:.1f} and {b:.1f}" for a, b in rounds))
    print(f"medians: llama2.c {theirs:.1f}, Loom {ours:.1f} tokens/s: {ours / theirs:.2f} times; of each round's ratio "
          f"{statistics.median(b / a for a, b in rounds):.2f}")


if __name__ == "__main__":
    main()
