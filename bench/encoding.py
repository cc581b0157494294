#!/usr/bin/env python3
"""bench/encoding.py - encoding and vocabulary training beside tiktoken and tokenizers, on the same text, in one run.

    bench/encoding.py --text FOLDER --ranks FOLDER --gpt2 FOLDER [--rounds 5] [--train 32768]

FOLDER has .txt files; --ranks o200k_base.tiktoken; --gpt2 vocab.bpe, encoder.json and gpt2_tokenizer.json. The peers
take turns in every round, and the medians are shown. Encoding takes one file at a time and leaves its tokens as each
library's own kind of list; tokenizers gets a file cut into pieces of about 16 KiB at line ends, which suits it best.
Training runs on two threads in processes of its own, for the peak of memory."""
import argparse
import base64
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import loomlib  # noqa: E402

PIECE = 16 << 10


def read(path):
    return open(path, encoding="utf-8", newline="").read()


def read_ranks(path):
    return {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in open(path, "rb") if line.strip()}


def pieces_of(text):
    pieces, part, size = [], [], 0
    for line in text.splitlines(keepends=True):
        part.append(line)
        size += len(line)
        if size >= PIECE:
            pieces.append("".join(part))
            part, size = [], 0
    return pieces + (["".join(part)] if part else [])


def loom_encoder(library, path, threads):
    tokenizer = loomlib.Tokenizer(library, path)

    def encode(text, data, pieces):
        ids, count = tokenizer.encode_raw(data, threads)
        library.libc.free(ids)
        return count

    return encode


def tiktoken_encoder(name, arguments):
    import tiktoken
    import tiktoken_ext.openai_public as published

    published.load_tiktoken_bpe = lambda url, **_: read_ranks(arguments.ranks / url.rsplit("/", 1)[1])
    vocabulary = arguments.gpt2
    load = published.data_gym_to_mergeable_bpe_ranks
    published.data_gym_to_mergeable_bpe_ranks = lambda **_: load(
        str(vocabulary / "vocab.bpe"), str(vocabulary / "encoder.json")
    )
    encoding = tiktoken.Encoding(**getattr(published, name)())
    return lambda text, data, pieces: len(encoding.encode_ordinary(text))


def hugging_encoder(path):
    import tokenizers

    peer = tokenizers.Tokenizer.from_file(str(path))
    peer.encode_special_tokens = True
    return lambda text, data, pieces: sum(len(e) for e in peer.encode_batch_fast(pieces, add_special_tokens=False))


def measure(contestants, texts, rounds):
    seconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, encode in contestants.items():
            begin = time.perf_counter()
            for text in texts:
                encode(*text)
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def bench_encoding(library, arguments, texts):
    size = sum(len(data) for _, data, _ in texts)
    o200k, saved = arguments.ranks / "o200k_base.tiktoken", arguments.work / "o200k.json"
    library.save(loomlib.Tokenizer(library, o200k), arguments.work)
    (arguments.work / "tokenizer.json").rename(saved)
    for name, ours, ranks, theirs in [
        ("gpt2", arguments.gpt2 / "vocab.bpe", "gpt2", arguments.gpt2 / "gpt2_tokenizer.json"),
        ("o200k_base", o200k, "o200k_base", saved),
    ]:
        contestants = {
            "loom, 1 thread": loom_encoder(library, ours, 1),
            "loom, 2 threads": loom_encoder(library, ours, 2),
            "tiktoken, 1 thread": tiktoken_encoder(ranks, arguments),
            f"tokenizers, {arguments.peer_threads} thread(s)": hugging_encoder(theirs),
        }
        medians = measure(contestants, texts, arguments.rounds)
        for contestant, seconds in medians.items():
            ratio = medians["loom, 1 thread"] / seconds
            print(f"{name:11} {contestant:24} {size / seconds / 1e6:7.1f} MB/s  {ratio:6.3f} of loom's one thread", flush=True)


TRAIN_LOOM = """
import sys; sys.path.insert(0, {tests!r})
import loomlib
loomlib.Library().train({files!r}, {out!r}, {size}, 2)
"""
TRAIN_PEER = """
from tokenizers import Tokenizer, Regex, models, pre_tokenizers, trainers
peer = Tokenizer(models.BPE())
pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|\\p{{N}}{{1,3}}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
peer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
peer.train({files!r}, trainers.BpeTrainer(vocab_size={size}, special_tokens=["<|endoftext|>"], show_progress=False,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
peer.save({out!r})
"""


def run_training(program, arguments, files, out):
    code = program.format(tests=str(ROOT / "tests"), files=[str(file) for file in files], out=str(out), size=arguments.train)
    begin = time.perf_counter()
    memory = loomlib.peak_memory([sys.executable, "-c", code], env={**os.environ, "RAYON_NUM_THREADS": "2"})
    return time.perf_counter() - begin, memory


def bench_training(arguments, files):
    rows = {"loom": [], "tokenizers": []}
    for _ in range(arguments.train_rounds):
        rows["loom"].append(run_training(TRAIN_LOOM, arguments, files, arguments.work / "loom.json"))
        rows["tokenizers"].append(run_training(TRAIN_PEER, arguments, files, arguments.work / "peer.json"))
    for name, runs in rows.items():
        seconds, memory = (statistics.median(column) for column in zip(*runs))
        print(f"train {arguments.train}: {name:11} {seconds:7.2f} s  {memory:7.0f} MiB at the peak", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["text", "ranks", "gpt2"]:
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", type=int, default=32768, help="the vocabulary's size; 0: no training")
    parser.add_argument("--peer-threads", type=int, default=1, help="of tokenizers, which takes a batch on threads")
    parser.add_argument("--train-rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(arguments.peer_threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in arguments.text.glob("*.txt") if path.name != "SOURCE.txt")
    texts = [(text, text.encode(), pieces_of(text)) for text in map(read, files)]
    if arguments.rounds > 0:
        bench_encoding(loomlib.Library(), arguments, texts)
    if arguments.train > 0:
        bench_training(arguments, files)


main()
