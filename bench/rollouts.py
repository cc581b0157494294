#!/usr/bin/env python3
"""rollouts.py - how fast 64 answers are drawn at once, in PyTorch and in Loom, in turn, in one run, on one thread.

    bench/rollouts.py [--build build] [--rounds 5] [--work small|large] [--prompt 64] [--answer 64]
                      [--group 8] [--precision float32|bf16] [--reference FILE]

Needs PyTorch, as peer.py does, and build/bench_rollout (ninja -C build bench_rollout). The looped model of peer.py draws
tokens behind a prompt for each of 64 rows, with a cache for each loop: one token of every row a pass, as a
PyTorch user would write it. Loom answers each of 64 / GROUP prompts GROUP times, as training with rewards does; PyTorch
reads 64 prompts. Rates are by the processor's time, which a busy machine changes little; OMP_NUM_THREADS=1
and BLIS_NUM_THREADS=1 go with it. --precision is PyTorch's (Loom's is bf16 where the processor has it). --reference FILE measures OpenMythos' own generate
in its place: FILE is open_mythos/main.py of its repository.
"""
import argparse
import importlib.util
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

import peer

ROWS, VOCAB = 64, 256


class CachedBlock(peer.Block):
    """A block that keeps keys and values of every call of a pass: the loop's calls one after another."""

    def begin(self, calls, heads, tokens, width, dtype):
        shape = (ROWS, heads, tokens, width)
        self.cache = [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in range(calls)]
        self.past, self.call = 0, 0

    def forward(self, x, mask, turns):
        b, t, c = x.shape
        y = self.norm_1(x)
        q = self.rotate(self.q(y).view(b, t, self.heads, -1), turns).transpose(1, 2)
        k = self.rotate(self.k(y).view(b, t, self.kv_heads, -1), turns).transpose(1, 2)
        v = self.v(y).view(b, t, self.kv_heads, -1).transpose(1, 2)
        keys, values = self.cache[self.call]
        self.call += 1
        keys[:, :, self.past:self.past + t], values[:, :, self.past:self.past + t] = k, v
        k, v = (z[:, :, :self.past + t].repeat_interleave(self.heads // self.kv_heads, dim=1) for z in (keys, values))
        x = x + self.out(peer.attend(q, k.to(q.dtype), v.to(q.dtype), mask).transpose(1, 2).reshape(b, t, c))
        return x + self.feed(self.norm_2(x))


def cached(model):
    """The same model with blocks that remember."""
    for block in (model.prelude, model.core, model.coda):
        block.__class__ = CachedBlock
    return model


def draw(model, loops, options, dtype):
    blocks = (model.prelude, model.core, model.coda)
    for block, calls in zip(blocks, (1, loops, 1)):
        block.begin(calls, block.kv_heads, options.prompt + options.answer, model.dim // block.heads, dtype)
    all_turns, past = model.turns, 0
    ids = torch.randint(VOCAB, (ROWS, options.prompt))
    for _ in range(options.answer):
        seen = ids.shape[1]
        mask = torch.triu(torch.ones(seen, past + seen, dtype=torch.bool), diagonal=past + 1)
        model.turns = all_turns[past:]
        for block in blocks:
            block.past, block.call = past, 0
        logits = model(ids, mask)[:, -1].float()
        past += seen
        ids = torch.multinomial(F.softmax(logits, dim=-1), 1)
    model.turns = all_turns


@torch.no_grad()
def torch_rate(model, loops, options):
    bf16, begin = options.precision == "bf16", time.process_time()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        draw(model, loops, options, torch.bfloat16 if bf16 else torch.float32)
    return ROWS * options.answer / (time.process_time() - begin)


def reference(file, sizes, tokens):
    """OpenMythos' own model of these sizes."""
    spec = importlib.util.spec_from_file_location("reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.MythosConfig(
        vocab_size=sizes["vocab"], dim=sizes["dim"], n_heads=sizes["heads"], n_kv_heads=sizes["kv_heads"],
        max_seq_len=tokens, max_loop_iters=sizes["loops"], prelude_layers=1, coda_layers=1, attn_type="gqa",
        n_experts=sizes["experts"], n_shared_experts=1, n_experts_per_tok=sizes["chosen"], expert_dim=sizes["width"],
        lora_rank=sizes["rank"], act_threshold=1.0)
    return module.OpenMythos(config).eval()


@torch.no_grad()
def reference_rate(model, loops, options):
    bf16, begin = options.precision == "bf16", time.process_time()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        model.generate(torch.randint(VOCAB, (ROWS, options.prompt)), options.answer, n_loops=loops, top_k=0)
    return ROWS * options.answer / (time.process_time() - begin)


def loom_rate(options, preset, settings):
    command = [f"{options.build}/bench_rollout", preset, "1", str(options.prompt), str(options.answer),
               str(options.group)] + settings
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", default="", help="small or large; both by default")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--group", type=int, default=8, help="answers to a prompt in Loom; 1: none share theirs")
    parser.add_argument("--reference", help="open_mythos/main.py of OpenMythos' repository")
    options = parser.parse_args()
    torch.set_num_threads(1)
    small = dict(vocab=VOCAB, dim=128, heads=4, kv_heads=4, loops=3, experts=8, chosen=2, width=112, rank=4)
    large = dict(vocab=VOCAB, dim=384, heads=6, kv_heads=2, loops=4, experts=8, chosen=2, width=256, rank=16)
    work = [("small: openmythos-small, width 128, 3 loops, 8 experts", "openmythos-small", small),
            ("large: gqa-bench, width 384, 4 loops, 8 experts", "gqa-bench", large)]
    for name, preset, sizes in work:
        if not name.startswith(options.work):
            continue
        model = reference(options.reference, sizes, options.prompt + options.answer) if options.reference else cached(peer.Looped(**sizes)).eval()
        rate = reference_rate if options.reference else torch_rate
        ours, theirs = [], []
        rate(model, sizes["loops"], options)
        for _ in range(options.rounds):
            theirs.append(rate(model, sizes["loops"], options))
            ours.append(loom_rate(options, preset, ["act_threshold=1"]))
        a, b = statistics.median(theirs), statistics.median(ours)
        print(f"{name}: PyTorch {options.precision} {[round(x) for x in theirs]}, Loom {[round(x) for x in ours]}")
        print(f"  medians {a:.0f} and {b:.0f} tokens/s: {b / a:.1f} times", flush=True)


if __name__ == "__main__":
    main()
