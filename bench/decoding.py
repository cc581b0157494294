#!/usr/bin/env python3
"""decoding.py - decoding speed of the looped models of peer.py in PyTorch and in Loom, in turn, in one run.

    bench/decoding.py [--loom build/loom] [--rounds 5] [--seconds 2] [--threads 2] [--precision bf16] [--work gqa|mla]
                      [--processor-time]

Needs what peer.py needs. Both sides go on from a prompt of 32 tokens, 1 or 8 sequences at once, with a cache of every
loop's keys and values (latent attention: of its latents, which PyTorch's side raises anew for each token, as the public
code does). PyTorch runs in float32, which is its faster side here. --precision is Loom's.
"""
import argparse
import json
import statistics
import subprocess
import time

import torch

from peer import LatentBlock, Looped, attend

PROMPT = 32


def keys_of(block, y, turns, cache, slot, begin):
    """Queries of the new tokens; keys and values of all, (B,H,T,D)."""
    b, t, _ = y.shape
    turn = lambda x: block.rotate(x, turns[begin:])
    if isinstance(block, LatentBlock):
        latent = block.q_norm(block.q_down(y))
        q = torch.cat([block.q_nope(latent).view(b, t, block.heads, -1),
                       turn(block.q_rope(latent).view(b, t, block.heads, -1))], dim=-1)
        low, rope = block.kv_down(y).split([block.rank, block.rope], dim=-1)
        new = (block.kv_norm(low), turn(rope.reshape(b, t, 1, -1)))
    else:
        q = turn(block.q(y).view(b, t, block.heads, -1))
        new = (turn(block.k(y).view(b, t, block.kv_heads, -1)), block.v(y).view(b, t, block.kv_heads, -1))
    if slot in cache:
        new = tuple(torch.cat(pair, dim=1) for pair in zip(cache[slot], new))
    cache[slot] = new
    if isinstance(block, LatentBlock):
        nope, v = block.kv_up(new[0]).view(b, new[0].shape[1], block.heads, -1).split([block.nope, block.value], dim=-1)
        k = torch.cat([nope, new[1].expand(-1, -1, block.heads, -1)], dim=-1)
    else:
        k, v = (z.repeat_interleave(block.heads // block.kv_heads, dim=2) for z in new)
    return (z.transpose(1, 2) for z in (q, k, v))


def run_block(block, x, turns, cache, slot, begin):
    b, t, _ = x.shape
    q, k, v = keys_of(block, block.norm_1(x), turns, cache, slot, begin)
    mask = torch.ones(t, k.shape[2], dtype=torch.bool).triu(diagonal=k.shape[2] - t + 1)
    x = x + block.out(attend(q, k, v, mask).transpose(1, 2).reshape(b, t, -1))
    return x + block.feed(block.norm_2(x))


def run_model(model, ids, cache, begin):
    """The logits of the last tokens; the cache grows."""
    e = h = run_block(model.prelude, model.tokens(ids), model.turns, cache, "prelude", begin)
    out, cum = torch.zeros_like(h), torch.zeros(ids.shape)
    a = torch.exp(-torch.exp((model.log_dt + model.log_a).clamp(-20, 20)))
    for t in range(model.loops):
        y = run_block(model.core, model.norm_in(h + model.index(t) + e), model.turns, cache, t, begin)
        y = y + (model.low(y) * model.scale[t]) @ model.high
        h = a * h + model.b * e + y
        p, running = torch.sigmoid(model.halt(h)).squeeze(-1), cum < 0.99
        w = torch.where(cum + p >= 0.99, (1 - cum).clamp(min=0), p) * running
        out, cum = out + w.unsqueeze(-1) * h, cum + p * running
    x = run_block(model.coda, out, model.turns, cache, "coda", begin)
    return model.norm(x[:, -1]) @ model.tokens.weight.T


@torch.no_grad()
def torch_rate(model, batch, options):
    """Behind the prompt 32 tokens are decoded again and again, as in loom bench --inference."""
    clock = time.process_time if options.processor_time else time.perf_counter
    seconds, tokens = 0, 0
    while seconds < options.seconds:
        cache = {}
        run_model(model, torch.randint(256, (batch, PROMPT)), cache, 0)
        begin = clock()
        for i in range(32):
            run_model(model, torch.randint(256, (batch, 1)), cache, PROMPT + i)
        seconds += clock() - begin
        tokens += 32 * batch
    return tokens / seconds


def loom_rates(options, preset):
    command = [options.loom, "bench", "--inference", "--json", "--preset", preset, "--set", "vocab_size=256", "--prompt",
               str(PROMPT), "--seconds", str(options.seconds), "--threads", str(options.threads), "--precision",
               options.precision] + ["--processor-time"] * options.processor_time
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = {row["name"]: row["per_second"] for row in map(json.loads, lines)}
    return {batch: rows[f"decode batch {batch}, {options.precision}"] for batch in (1, 8)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loom", default="build/loom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bf16", "int8", "int4"], default="bf16")
    parser.add_argument("--work", choices=["gqa", "mla"], help="both by default")
    parser.add_argument("--processor-time", action="store_true", help="one thread, by the processor's time")
    options = parser.parse_args()
    options.threads = 1 if options.processor_time else options.threads
    torch.set_num_threads(options.threads)
    for work in ("gqa", "mla"):
        if options.work not in (None, work):
            continue
        model, rounds = Looped(latent=work == "mla").eval(), []
        for _ in range(options.rounds):
            rounds.append(({batch: torch_rate(model, batch, options) for batch in (1, 8)},
                           loom_rates(options, work + "-bench")))
        for batch in (1, 8):
            a, b = ([side[batch] for side in sides] for sides in zip(*rounds))
            ratio, each = statistics.median(b) / statistics.median(a), statistics.median(y / x for x, y in zip(a, b))
            print(f"{work} batch {batch}, {options.precision}: PyTorch {statistics.median(a):.0f}, Loom "
                  f"{statistics.median(b):.0f} tokens/s: {ratio:.1f} times; of each round's ratio {each:.1f}", flush=True)


if __name__ == "__main__":
    main()
