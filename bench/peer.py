#!/usr/bin/env python3
"""peer.py - training speed of the same models in PyTorch and in Loom, in turn, in one run.

    bench/peer.py [--loom build/loom] [--rounds 5] [--seconds 4] [--threads 2] [--precision bf16|float32] [--work WORD]
                  [--processor-time] [--memory] [--set KEY=VALUE]

Needs PyTorch (Debian: python3-torch; preload BLIS, libblis4-openmp, where that is faster than the default BLAS). The
models are written here from the equations of docs/design.md's references, as a PyTorch user would write them: forward,
backward, AdamW, with autocast in bf16. --processor-time rates both on one thread by the processor's time, which a busy
machine changes little (set OMP_NUM_THREADS=1 and BLIS_NUM_THREADS=1 with it). The learning rate is 0, and no token
halts: every token runs every loop on both sides. Prints tokens/s of each round, the medians, Loom's median over
PyTorch's and over it in each round; --memory prints instead each side's peak, as a process, over three steps.
"""
import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import tempfile
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


THRESHOLD = 1e9  # of halting: no token reaches it


def attend(q, k, v, mask):
    weights = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
    return F.softmax(weights.masked_fill(mask, float("-inf")), dim=-1) @ v


class GptBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.up, self.down = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x, mask):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.norm_1(x)).split(c, dim=2))
        x = x + self.out(attend(q, k, v, mask).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class Gpt(nn.Module):
    def __init__(self, vocab=65, dim=128, heads=4, layers=4, context=64):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
        self.blocks, self.norm = nn.ModuleList(GptBlock(dim, heads) for _ in range(layers)), nn.LayerNorm(dim)

    def forward(self, ids, mask):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) @ self.tokens.weight.T


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        x = x.float()
        return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * self.weight


class Swiglu(nn.Module):
    def __init__(self, dim, width):
        super().__init__()
        self.gate, self.up = nn.Linear(dim, width, bias=False), nn.Linear(dim, width, bias=False)
        self.down = nn.Linear(width, dim, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Routed experts, tokens gathered for each expert, and one shared expert."""

    def __init__(self, dim, experts, chosen, width):
        super().__init__()
        self.chosen = chosen
        self.router = nn.Linear(dim, experts, bias=False)
        self.routed = nn.ModuleList(Swiglu(dim, width) for _ in range(experts))
        self.shared = Swiglu(dim, width * chosen)

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        scores, ids = F.softmax(self.router(flat), dim=-1).topk(self.chosen, dim=-1)
        gates, out = scores / scores.sum(-1, keepdim=True), self.shared(flat)
        for e, expert in enumerate(self.routed):
            rows, place = (ids == e).nonzero(as_tuple=True)
            out = out.index_add(0, rows, (expert(flat[rows]) * gates[rows, place].unsqueeze(-1)).to(out.dtype))
        return out.view_as(x)


class Block(nn.Module):
    def __init__(self, dim, heads, kv_heads, feed):
        super().__init__()
        self.heads, self.kv_heads, width = heads, kv_heads, dim // heads
        self.norm_1, self.norm_2, self.feed = RmsNorm(dim), RmsNorm(dim), feed
        self.q, self.out = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.k, self.v = (nn.Linear(dim, kv_heads * width, bias=False) for _ in range(2))

    def rotate(self, x, turns):
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * turns[: x.shape[1], None]).flatten(-2).to(x.dtype)

    def forward(self, x, mask, turns):
        b, t, c = x.shape
        y = self.norm_1(x)
        q, k = self.rotate(self.q(y).view(b, t, self.heads, -1), turns), self.rotate(
            self.k(y).view(b, t, self.kv_heads, -1), turns)
        k, v = (z.repeat_interleave(self.heads // self.kv_heads, dim=2).transpose(1, 2)
                for z in (k, self.v(y).view(b, t, self.kv_heads, -1)))
        x = x + self.out(attend(q.transpose(1, 2), k, v, mask).transpose(1, 2).reshape(b, t, c))
        return x + self.feed(self.norm_2(x))


class LatentBlock(Block):
    """The same block with latent attention."""

    def __init__(self, dim, heads, feed, rank=128, q_rank=192, rope=32, nope=32, value=64):
        super().__init__(dim, heads, heads, feed)
        del self.q, self.k, self.v
        self.rank, self.rope, self.nope, self.value = rank, rope, nope, value
        self.q_down, self.q_norm = nn.Linear(dim, q_rank, bias=False), RmsNorm(q_rank)
        self.q_nope = nn.Linear(q_rank, heads * nope, bias=False)
        self.q_rope = nn.Linear(q_rank, heads * rope, bias=False)
        self.kv_down, self.kv_norm = nn.Linear(dim, rank + rope, bias=False), RmsNorm(rank)
        self.kv_up = nn.Linear(rank, heads * (nope + value), bias=False)
        self.out = nn.Linear(heads * value, dim, bias=False)

    def forward(self, x, mask, turns):
        b, t, c = x.shape
        y = self.norm_1(x)
        latent = self.q_norm(self.q_down(y))
        q = torch.cat([self.q_nope(latent).view(b, t, self.heads, -1),
                       self.rotate(self.q_rope(latent).view(b, t, self.heads, -1), turns)], dim=-1)
        low, rope = self.kv_down(y).split([self.rank, self.rope], dim=-1)
        rope = self.rotate(rope.reshape(b, t, 1, -1), turns).expand(b, t, self.heads, self.rope)
        nope, v = self.kv_up(self.kv_norm(low)).view(b, t, self.heads, -1).split([self.nope, self.value], dim=-1)
        k = torch.cat([nope, rope], dim=-1)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        x = x + self.out(attend(q, k, v, mask).transpose(1, 2).reshape(b, t, -1))
        return x + self.feed(self.norm_2(x))


class Looped(nn.Module):
    def __init__(self, vocab=256, dim=384, heads=6, kv_heads=2, loops=4, experts=8, chosen=2, width=256, rank=16,
                 latent=False):
        super().__init__()
        self.tokens, self.loops, self.dim = nn.Embedding(vocab, dim), loops, dim
        block = (lambda feed: LatentBlock(dim, heads, feed)) if latent else (lambda feed: Block(dim, heads, kv_heads, feed))
        self.prelude, self.coda = (block(Swiglu(dim, dim * 4 // 3)) for _ in range(2))
        self.core, self.norm_in, self.norm = block(Experts(dim, experts, chosen, width)), RmsNorm(dim), RmsNorm(dim)
        self.low, self.high = nn.Linear(dim, rank, bias=False), nn.Parameter(torch.randn(rank, dim) * 0.02)
        self.scale = nn.Parameter(torch.randn(loops, rank) * 0.02)
        self.log_a, self.log_dt = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(1))
        self.b, self.halt = nn.Parameter(torch.full((dim,), 0.1)), nn.Linear(dim, 1)
        half = (32 if latent else dim // heads) // 2
        angles = torch.outer(torch.arange(4096.0), 500000.0 ** (-torch.arange(half) / half))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def index(self, t):
        n = self.dim // 8
        angles = t * 10000.0 ** (-torch.arange(0, n, 2) / n)
        return F.pad(torch.cat([angles.sin(), angles.cos()])[:n], (0, self.dim - n))

    def forward(self, ids, mask):
        e = h = self.prelude(self.tokens(ids), mask, self.turns)
        out, cum = torch.zeros_like(h), torch.zeros(ids.shape)
        a = torch.exp(-torch.exp((self.log_dt + self.log_a).clamp(-20, 20)))
        for t in range(self.loops):
            y = self.core(self.norm_in(h + self.index(t) + e), mask, self.turns)
            y = y + (self.low(y) * self.scale[t]) @ self.high
            h = a * h + self.b * e + y.float()
            p, running = torch.sigmoid(self.halt(h)).squeeze(-1), cum < THRESHOLD
            w = torch.where(cum + p >= THRESHOLD, (1 - cum).clamp(min=0), p) * running
            out, cum = out + w.unsqueeze(-1) * h, cum + p * running
        return self.norm(self.coda(out, mask, self.turns)) @ self.tokens.weight.T


def torch_step(model, vocab, batch, context, bf16):
    """A function that makes one training step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    mask = torch.triu(torch.ones(context, context, dtype=torch.bool), diagonal=1)
    ids = torch.randint(vocab, (batch, context + 1))

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = model(ids[:, :-1], mask)
        loss = F.cross_entropy(logits.float().reshape(-1, vocab), ids[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def torch_rate(model, vocab, batch, context, options):
    clock = time.process_time if options.processor_time else time.perf_counter
    step = torch_step(model, vocab, batch, context, options.precision == "bf16")
    for _ in range(2):
        step()
    begin, steps = clock(), 0
    while clock() - begin < options.seconds:
        step()
        steps += 1
    return steps * batch * context / (clock() - begin)


def loom_command(options, command, preset, settings):
    words = [options.loom, command, "--json", "--preset", preset, "--threads", str(options.threads)]
    for setting in settings + ["learning_rate=0", "min_lr=0", f"precision={options.precision}"] + options.set:
        words += ["--set", setting]
    return words


def loom_rate(options, preset, settings):
    words = loom_command(options, "bench", preset, settings) + ["--seconds", str(options.seconds)]
    words += ["--processor-time"] * options.processor_time
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            row = json.loads(line)
            if row["name"] == "train":
                program.kill()  # the rows behind it are about decoding
                return row["per_second"]
    raise SystemExit(f"{' '.join(words)}: no training row")


def peak_of_child(function, *arguments):
    """The number that the function answers in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(function(*arguments)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        value = float(answer.read())
    os.waitpid(child, 0)
    return value


def torch_memory(make, vocab, batch, context, options):
    step = torch_step(make(), vocab, batch, context, options.precision == "bf16")
    for _ in range(3):
        step()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def watched_peak(words):
    """A program's peak; what the system accounts to a child begins with this process's own."""
    peak = 0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        while program.poll() is None:
            with open(f"/proc/{program.pid}/status") as status:
                peak = max([peak] + [1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM")])
            time.sleep(0.01)
    if program.returncode != 0:
        raise subprocess.CalledProcessError(program.returncode, words)
    return peak


def loom_memory(options, preset, settings, vocab, batch, context):
    alphabet = [chr(0x100 + i) for i in range(vocab)]
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/text.txt", "w") as file:
            file.write("".join(alphabet + random.choices(alphabet, k=20 * context)))
        subprocess.run([options.loom, "prepare", "--tokenizer", "char", "--out", f"{folder}/data", f"{folder}/text.txt"],
                       check=True, capture_output=True)
        settings = [s for s in settings if not s.startswith("vocab_size")] + ["sample_tokens=0"]
        words = loom_command(options, "train", preset, settings)
        return watched_peak(words + ["--data", f"{folder}/data", "--out", f"{folder}/run", "--steps", "3"])


def compare_memory(options, preset, settings, make, vocab, batch, context):
    theirs = peak_of_child(torch_memory, make, vocab, batch, context, options)
    ours = loom_memory(options, preset, settings, vocab, batch, context)
    print(f"  PyTorch {theirs / 2**20:.0f} MiB, Loom {ours / 2**20:.0f} MiB: {ours / theirs:.2f} of it", flush=True)


def compare_speed(options, preset, settings, make, vocab, batch, context):
    model, ours, theirs = make(), [], []
    for _ in range(options.rounds):
        theirs.append(torch_rate(model, vocab, batch, context, options))
        ours.append(loom_rate(options, preset, settings))
    print(f"  PyTorch {[round(x) for x in theirs]}, Loom {[round(x) for x in ours]}")
    a, b = statistics.median(theirs), statistics.median(ours)
    pairs = statistics.median(y / x for x, y in zip(theirs, ours))
    print(f"  medians {a:.0f} and {b:.0f} tokens/s: {b / a:.2f} times; of each round's ratio {pairs:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loom", default="build/loom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--processor-time", action="store_true", help="one thread, by the processor's time")
    parser.add_argument("--set", action="append", default=[], help="a setting of Loom's, as recompute=true")
    parser.add_argument("--memory", action="store_true", help="peak memory in place of speed")
    parser.add_argument("--work", default="", help="small, large, gqa or mla; all of them by default")
    options = parser.parse_args()
    options.threads = 1 if options.processor_time else options.threads
    torch.set_num_threads(options.threads)
    looped = ["vocab_size=256", f"act_threshold={THRESHOLD}"]
    work = [("small: gpt, 4 layers, width 128, 12x64", "nanogpt-small", [], lambda: Gpt(), 65, 12, 64),
            ("large: gpt, 6 layers, width 384, 12x256", "nanogpt-shakespeare", ["batch_size=12", "dropout=0"],
             lambda: Gpt(65, 384, 6, 6, 256), 65, 12, 256),
            ("gqa: looped, width 384, 4 loops, 8 experts, 8x256", "gqa-bench", looped, lambda: Looped(), 256, 8, 256),
            ("mla: the same with latent attention", "mla-bench", looped, lambda: Looped(latent=True), 256, 8, 256)]
    compare = compare_memory if options.memory else compare_speed
    for name, *case in work:
        if name.startswith(options.work):
            print(f"{name}, {options.precision}:")
            compare(options, *case)


if __name__ == "__main__":
    main()
