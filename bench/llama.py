#!/usr/bin/env python3
"""llama.py - prefill and decoding of models of the same shape and random weights in llama.cpp and in Loom, in turn.

    bench/llama.py [--loom build/loom] [--shape dense|experts] [--rounds 5] [--threads 2] [--precision int4,int8,bf16]
                   [--prefill 128] [--decode 32] [--folder DIR] [--processor-time]

Needs llama-cpp-python (PyPI), whose build takes llama.cpp for this processor. The files that llama.cpp reads are written
here, into DIR: 1.1 B parameters of Llama's shape (2.2 GB in bf16) or 288 M with eight experts, two for each token, in the
formats Q4_0, Q8_0 and BF16; Loom's side are the presets llama-bench and mixtral-bench. Every round runs both sides.
--processor-time rates both on one thread by the processor's time, which a busy machine changes little. Prints the medians
and Loom's median over llama.cpp's, and over it in each round.
"""
import argparse
import json
import os
import statistics
import struct
import subprocess
import time

import numpy as np

SHAPES = {
    "dense": {"preset": "llama-bench", "width": 2048, "layers": 22, "heads": 32, "kv_heads": 4, "feed": 5632,
              "vocab": 32000, "experts": 0, "chosen": 0},
    "experts": {"preset": "mixtral-bench", "width": 1024, "layers": 8, "heads": 16, "kv_heads": 4, "feed": 1024,
                "vocab": 32000, "experts": 8, "chosen": 2},
}
# GGUF's number of each format; elements and bytes of one of its blocks.
FORMATS = {"float32": (0, 1, 4), "bf16": (30, 1, 2), "int8": (8, 32, 34), "int4": (2, 32, 18)}


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def field(key, value):
    if isinstance(value, str):
        return string(key) + struct.pack("<I", 8) + string(value)
    return string(key) + (struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value))


def tensors(shape):
    """Names and sizes, the innermost first; vectors and routers stay float32, as llama.cpp wants them."""
    width, kv = shape["width"], shape["width"] // shape["heads"] * shape["kv_heads"]
    feed, experts = shape["feed"], [shape["experts"]] if shape["experts"] else []
    suffix = "_exps" if experts else ""
    yield "token_embd.weight", [width, shape["vocab"]]
    for i in range(shape["layers"]):
        yield f"blk.{i}.attn_norm.weight", [width]
        yield f"blk.{i}.attn_q.weight", [width, width]
        yield f"blk.{i}.attn_k.weight", [width, kv]
        yield f"blk.{i}.attn_v.weight", [width, kv]
        yield f"blk.{i}.attn_output.weight", [width, width]
        yield f"blk.{i}.ffn_norm.weight", [width]
        if experts:
            yield f"blk.{i}.ffn_gate_inp.weight", [width] + experts
        yield f"blk.{i}.ffn_gate{suffix}.weight", [width, feed] + experts
        yield f"blk.{i}.ffn_up{suffix}.weight", [width, feed] + experts
        yield f"blk.{i}.ffn_down{suffix}.weight", [feed, width] + experts
    yield "output_norm.weight", [width]
    yield "output.weight", [width, shape["vocab"]]


def random_block(kind, elements, random):
    """Random weights of a standard deviation of about 0.02, as bytes."""
    if kind == "float32":
        return (random.standard_normal(elements, dtype=np.float32) * 0.02).tobytes()
    if kind == "bf16":
        return ((random.standard_normal(elements, dtype=np.float32) * 0.02).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    blocks = elements // 32
    scales = np.full((blocks, 1), 0.02 / (64 if kind == "int8" else 4), np.float16).view(np.uint8)
    return np.hstack([scales, random.integers(0, 256, (blocks, FORMATS[kind][2] - 2), np.uint8)]).tobytes()


def write_model(path, shape, kind):
    random, entries, offset = np.random.default_rng(1), [], 0
    for name, sizes in tensors(shape):
        plain = len(sizes) == 1 or "gate_inp" in name
        number, elements, size = FORMATS["float32" if plain else kind]
        length = int(np.prod(sizes)) // elements * size
        entries.append((name, sizes, number, offset, length, plain))
        offset += (length + 31) // 32 * 32
    fields = [field("general.architecture", "llama"), field("llama.block_count", shape["layers"]),
              field("llama.context_length", 2048), field("llama.embedding_length", shape["width"]),
              field("llama.feed_forward_length", shape["feed"]), field("llama.attention.head_count", shape["heads"]),
              field("llama.attention.head_count_kv", shape["kv_heads"]), field("llama.vocab_size", shape["vocab"]),
              field("llama.attention.layer_norm_rms_epsilon", 1e-6), field("llama.rope.freq_base", 10000.0),
              field("llama.rope.dimension_count", shape["width"] // shape["heads"]), field("tokenizer.ggml.model", "none")]
    if shape["experts"]:
        fields += [field("llama.expert_count", shape["experts"]), field("llama.expert_used_count", shape["chosen"])]
    with open(path + ".partial", "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(entries), len(fields)) + b"".join(fields))
        for name, sizes, number, offset, _, _ in entries:
            file.write(string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, number, offset))
        file.write(b"\0" * (-file.tell() % 32))
        big, small = random_block(kind, 1 << 22, random), random_block("float32", 1 << 14, random)
        for _, _, _, _, length, plain in entries:
            block = small if plain else big
            for begin in range(0, length, len(block)):
                file.write(block[:length - begin])
            file.write(b"\0" * (-length % 32))
    os.rename(path + ".partial", path)


class Peer:
    """One model in llama.cpp."""

    def __init__(self, path, options):
        import llama_cpp
        self.api, self.options = llama_cpp, options
        model = llama_cpp.llama_model_default_params()
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = 512
        context.n_threads = context.n_threads_batch = options.threads
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), model)
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        self.clock = time.process_time if options.processor_time else time.perf_counter
        self.rates()

    def decode(self, tokens):
        array = (self.api.llama_token * len(tokens))(*tokens) # the batch points into it
        if self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(tokens))):
            raise RuntimeError("llama.cpp could not decode")

    def rates(self):
        """Tokens/s of a prompt and behind it; the cache begins empty."""
        prefill, count = self.options.prefill, self.options.decode
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        begin = self.clock()
        self.decode([(7 * i + 1) % 32000 for i in range(prefill)])
        middle = self.clock()
        for i in range(count):
            self.decode([(11 * i + 5) % 32000])
        return {"prefill": prefill / (middle - begin), "decode": count / (self.clock() - middle)}


def loom_rates(options, preset, kinds):
    command = [options.loom, "bench", "--inference", "--json", "--preset", preset, "--prompt", str(options.prefill),
               "--threads", str(options.threads), "--seconds", str(options.seconds), "--precision", ",".join(kinds)]
    command += ["--processor-time"] * options.processor_time
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = {row["name"]: row["per_second"] for row in map(json.loads, lines)}
    return {kind: {"prefill": rows[f"prefill {options.prefill}, {kind}"], "decode": rows[f"decode batch 1, {kind}"]}
            for kind in kinds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loom", default="build/loom")
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--precision", default="int4,int8,bf16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=int, default=128)
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3, help="about how long a row of Loom's takes")
    parser.add_argument("--folder", default="build/llama")
    parser.add_argument("--processor-time", action="store_true", help="one thread, by the processor's time")
    options = parser.parse_args()
    options.threads = 1 if options.processor_time else options.threads
    shape, kinds = SHAPES[options.shape], options.precision.split(",")
    os.makedirs(options.folder, exist_ok=True)
    peers = {}
    for kind in kinds:
        path = os.path.join(options.folder, f"{options.shape}-{kind}.gguf")
        if not os.path.exists(path):
            write_model(path, shape, kind)
        peers[kind] = Peer(path, options)
    rounds = []
    for _ in range(options.rounds):
        theirs = {kind: peers[kind].rates() for kind in kinds}
        ours = loom_rates(options, shape["preset"], kinds)
        rounds.append((theirs, ours))
        print("round:", ", ".join(f"{kind} {what} {theirs[kind][what]:.1f} and {ours[kind][what]:.1f}"
                                  for kind in kinds for what in ("prefill", "decode")), flush=True)
    for kind in kinds:
        for what in ("prefill", "decode"):
            a, b = ([side[kind][what] for side in sides] for sides in zip(*rounds))
            ratio, each = statistics.median(b) / statistics.median(a), statistics.median(y / x for x, y in zip(a, b))
            print(f"{options.shape} {kind} {what}: llama.cpp {statistics.median(a):.1f}, Loom {statistics.median(b):.1f} "
                  f"tokens/s: {ratio:.2f} times; of each round's ratio {each:.2f}", flush=True)


if __name__ == "__main__":
    main()
