#!/usr/bin/env python3
"""peer_tokenizers.py - libloom's tokens against those of tiktoken and tokenizers, one by one.

    tests/peer_tokenizers.py                  a bounded run, as CTest does it; exit code 77 when the peers are missing
    tests/peer_tokenizers.py --full           every book, a million random strings, every code point; about an hour
    tests/peer_tokenizers.py --only o200k     those tokenizers alone whose name has this in it
    tests/peer_tokenizers.py --write-vectors  writes tests/vectors/tokenizers.json, which tests/test_bpe.c always checks

Needs `pip install tiktoken tokenizers`. Rank files and books are looked for in ../shared/data (--data); without them
everything runs with vocabularies that Loom trains itself. LOOM_LIBRARY names the library (build/libloom.so)."""
import argparse
import base64
import json
import os
import pathlib
import random
import sys
import tempfile

try:
    import tiktoken
    import tiktoken_ext.openai_public as published
    import tokenizers
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

import loomlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
RANKS = ["r50k_base", "p50k_base", "p50k_edit", "cl100k_base", "o200k_base", "o200k_harmony"]
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+",
    "digits1": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+",
    "nanochat": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
    r"|\s+(?!\S)|\s+",
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
POINTS = [point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]

# Each string is one way in which a scanner could go wrong.
HOSTILE = [
    "", " ", "\n", "  ", "\n\n", " \n", "\n ", "  \n  ", "  \n  x", "\r\n\r\n  a", "a\n", "a \n", "a  ", "a  b", "\t\tx", "x\t",
    "\u00a0x", "\u3000\u3000x", "\u2028\u2029", "x\u0085\u0085y", "'s", "'S", "''s", "it's IT'S It'Ll", "'ll've're'd'm't", "'l",
    "'r", "'\u017f", "a'\u017fb", "don't", "DON'T", "'sad 'dare", "1", "12", "123", "1234", " 1234567", "\u0661\u0662\u0663\u0664",
    "\u00bd\u2167", "3.14 1,000", "!?!?", " !?", "!\n\n\nx", "!\r\n/", "//\n/", "/*\r\n*/", " ...\n", "-\n-", "CamelCase", "HTTPServer",
    "camelCASE", "ABCdef", "ABCdefGHI", "aB", "Ab", "AB", "\u01c5x", "x\u01c5", "\u01c5", "\u02b0", "A\u02b0B", "\u4e00A", "A\u4e00",
    "A\u4e00B", "\u4e00\u4e00abc", "e\u0301", "\u0301", "\u0301\u0301", "\u0301A", "\u0301AB", " \u0301", " \u0301A", "A\u0301B",
    "AB\u0301C", "ABC\u0301", "\u0301\n", "a\u0301\u0301'S", "\u0e01\u0e33", "\u0915\u094d\u0937", "\U0001f600", "\U0001f468\u200d\U0001f469",
    "\ufeffx", "\u200bx", "x\u0000y", "\u0000\u0000", "\x1b[0m", "<|endoftext|>", "a<|endoftext|>b", "<|fim_prefix|>", "def f(x):\n    return x\n",
    "\tif (a[i] != 0) {\r\n", "x = 'it''s'", "https://a.b/c?d=e&f=1#g", "Stra\u00dfe \u1e9e", "\u0130\u0131", "\ufb05\ufb06 'st", "\U00010400\U00010428",
    "\uffff\ufffe\ufffd", "\U0010ffff", "\ue000", "\u0378", "a" * 40, " " * 40, "\n" * 40, "ab" * 300, "\u0301" * 300, "=" * 200, "9" * 50,
]  # fmt: skip


def differ(name, ours, theirs, text):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    sys.exit(
        f"{name}: token {at}: ours {ours[at : at + 5]}, theirs {theirs[at : at + 5]}, of {ascii(text[:300])}"
        f" ({len(text)} characters)"
    )


class Pair:
    """One of our tokenizers and the peer that it must equal."""

    def __init__(self, name, ours, theirs, decode=None):
        self.name, self.ours, self.theirs, self.decode = name, ours, theirs, decode

    def check(self, text):
        ours, theirs = self.ours.encode(text), self.theirs(text)
        if ours != theirs:
            differ(self.name, ours, theirs, text)
        if self.decode and self.ours.decode_bytes(ours) != self.decode(ours):
            sys.exit(f"{self.name}: other bytes for the tokens of {ascii(text[:300])}")


def hugging(path):
    peer = tokenizers.Tokenizer.from_file(str(path))
    peer.encode_special_tokens = True  # special tokens in the text are plain text
    return lambda text: peer.encode(text, add_special_tokens=False).ids


def read_ranks(path):
    return {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in open(path, "rb") if line.strip()}


def published_pairs(library, data, only):
    folder = data / "tiktoken"
    published.load_tiktoken_bpe = lambda url, **_: read_ranks(folder / url.rsplit("/", 1)[1])
    for name in [name for name in RANKS if only in name]:
        peer = tiktoken.Encoding(**getattr(published, name)())
        ours = loomlib.Tokenizer(library, f"{folder / peer_file(name)}#{name}")
        assert ours.vocab_size == peer.n_vocab, name
        yield Pair(name, ours, peer.encode_ordinary, peer.decode_bytes)
    gpt2 = data / "gpt2_bpe"
    for name in [name for name in ["gpt2_tokenizer.json", "vocab.bpe", "encoder.json"] if only in name]:
        yield Pair(name, loomlib.Tokenizer(library, gpt2 / name), hugging(gpt2 / "gpt2_tokenizer.json"))


def peer_file(name):
    return {"p50k_edit": "p50k_base", "o200k_harmony": "o200k_base"}.get(name, name) + ".tiktoken"


def check_special(library, data):
    """Special tokens that are allowed, and rank files saved as tokenizer.json."""
    text = "".join(f"<|{name}|> it's " for name in ["endoftext", "start", "end", "message", "reserved_200500", "fim_prefix"])
    for name in RANKS:
        peer = tiktoken.Encoding(**getattr(published, name)())
        ours = loomlib.Tokenizer(library, f"{data / 'tiktoken' / peer_file(name)}#{name}")
        if ours.encode(text, all_special=True) != peer.encode(text, allowed_special="all"):
            differ(name + " with special tokens", ours.encode(text, all_special=True), peer.encode(text, allowed_special="all"), text)
        for number in peer._special_tokens.values():
            if number != 200018 and ours.token(number) != peer.decode_single_token_bytes(number):
                sys.exit(f"{name}: the special token {number} differs")


def train(path, files, pattern, vocab_size=2000):
    """A vocabulary that tokenizers trains, as its own tokenizer.json."""
    peer = tokenizers.Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    peer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"],
        show_progress=False,
    )  # fmt: skip
    peer.train_from_iterator((read(file) for file in files), trainer)
    peer.save(str(path))


def read(path):
    return open(path, encoding="utf-8", newline="").read()


def trained_pairs(library, files, folder, only):
    for name, pattern in PATTERNS.items():
        if only not in name:
            continue
        path = pathlib.Path(folder) / f"{name}.json"
        train(path, files, pattern)
        yield Pair(name, loomlib.Tokenizer(library, path), hugging(path))


def check_training(library, files, folder):
    """Loom's training finds the merges of tokenizers', and the file encodes equally there."""
    ours, theirs = pathlib.Path(folder) / "ours.json", pathlib.Path(folder) / "theirs.json"
    library.train(files, ours, 3000)
    train(theirs, files, PATTERNS["gpt4"], 3000)
    merges = [json.loads(read(path))["model"]["merges"] for path in (ours, theirs)]
    if merges[0] != merges[1]:
        differ("training", merges[0], merges[1], "")
    return Pair("trained by Loom", loomlib.Tokenizer(library, ours), hugging(ours))


class Random:
    """Strings of characters of all kinds, of those that the patterns name more often."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.often = list(" \n\r\t'sSdDmMtTlLvVeErR0123456789/.,!?-_aAbBzZ") + list(
            "\u017f\u00a0\u0085\u3000\u2028\u200b\u0301\u0300\u02b0\u4e00\u00df\u00e9\u00c0\u01c5\u0660\u2167"
        )
        self.parts = ["'ll", "'S", "'Re", "  \n", "\r\n", " '", "''ve", "'\u017f", "  \n  ", "ABC", "abc", "123"]

    def text(self):
        choose = self.random.choice
        text = []
        for _ in range(self.random.randint(1, 24)):
            kind = self.random.random()
            if kind < 0.6:
                text.append(choose(self.often))
            elif kind < 0.75:
                text.append(choose(self.parts))
            elif kind < 0.9:
                text.append(chr(self.random.randrange(0x80, 0x3000)))
            else:
                text.append(chr(choose(POINTS)))
        return "".join(text)


def check_points(pair, step):
    """Every code point, alone and behind what could join it."""
    for before in ["", "a'", " ", "A", "1", "\n", "'l"]:
        for start in range(0, len(POINTS), 3000):
            pair.check("|".join(before + chr(point) + "x" for point in POINTS[start : start + 3000 : step]))


def check_bytes(pair, generator):
    """Invalid UTF-8 is what Python makes of it with errors="replace"."""
    for _ in range(200):
        data = bytes(generator.random.choices(b"a \xc3\xa9\xe2\x82\xf0\x9f\x98\x80\xff\xed\xa0\xc0\xf4\x90'\n", k=30))
        ours, theirs = pair.ours.encode(data), pair.theirs(data.decode("utf-8", "replace"))
        if ours != theirs:
            differ(pair.name + " on " + repr(data), ours, theirs, data.decode("utf-8", "replace"))


def check_threads(pair, text):
    data = text.encode() * (1 + 3_000_000 // max(1, len(text.encode())))
    if pair.ours.encode(data, threads=1) != pair.ours.encode(data, threads=4):
        sys.exit(f"{pair.name}: four threads give other tokens than one")


def check_pair(pair, arguments, books, sources):
    generator = Random(arguments.seed)
    for text in HOSTILE:
        pair.check(text)
    for _ in range(1_000_000 if arguments.full else 200):
        pair.check(generator.text())
    check_points(pair, 1 if arguments.full else 2999)
    check_bytes(pair, generator)
    for path in sources:
        pair.check(read(path))
    for path in books if arguments.full else books[:1]:
        pair.check(read(path) if arguments.full else read(path)[:60_000])
    check_threads(pair, read(sources[0]))
    if arguments.full:
        for text in ["a" * 100_000, "\u0301" * 100_000, "ab" * 50_000, " " * 100_000, "\0" * 50_000, "x1" * 50_000]:
            pair.check(text)
    print(f"{pair.name}: equal", flush=True)


def write_vectors(library, data, sources):
    generator = Random(7)
    texts = HOSTILE[:-7] + [generator.text() for _ in range(60)]
    with tempfile.TemporaryDirectory() as folder:
        words = {}
        for name, pattern in PATTERNS.items():
            split = pre_tokenizers.Split(Regex(pattern), "isolated")
            words[name] = {
                "pattern": pattern,
                "sizes": [[len(word.encode()) for word, _ in split.pre_tokenize_str(text)] for text in texts],
            }
        path = pathlib.Path(folder) / "small.json"
        train(path, sources, PATTERNS["o200k"], 600)
        tokenizer = json.loads(read(path))
        encode = hugging(path)
        tokens = [encode(text) for text in texts]
    encodings = {}
    for name in RANKS:
        published.load_tiktoken_bpe = lambda url, **_: read_ranks(data / "tiktoken" / url.rsplit("/", 1)[1])
        peer = tiktoken.Encoding(**getattr(published, name)())
        encodings[name] = {"file": peer_file(name), "tokens": [peer.encode_ordinary(text) for text in texts]}
    vectors = {"texts": texts, "words": words, "tokenizer": tokenizer, "tokens": tokens, "encodings": encodings}
    out = ROOT / "tests" / "vectors" / "tokenizers.json"
    out.parent.mkdir(exist_ok=True)
    text = json.dumps(vectors, separators=(",", ":"))
    for key in vectors:
        text = text.replace(f'"{key}":', f'\n"{key}":', 1)
    out.write_text(text + "\n")
    print(f"{out}: {len(texts)} texts")


def beside_program():
    """The library of the program that CTest names."""
    return pathlib.Path(os.environ["LOOM"]).parent / "libloom.so" if "LOOM" in os.environ else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--write-vectors", action="store_true")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        library = loomlib.Library(os.environ.get("LOOM_LIBRARY") or beside_program())
    except OSError as refused:  # such as one with sanitizers, whose symbols a program must bring
        print(f"skipped: {refused}")
        sys.exit(77)
    sources = sorted((ROOT / "src" / "data").rglob("*.c")) + [ROOT / "README.md", ROOT / "docs" / "design.md"]
    sources = [path for path in sources if path.name != "unicode_table.c"]
    books = sorted((arguments.data / "openstax_ccby").glob("[a-z]*.txt"))
    if arguments.write_vectors:
        return write_vectors(library, arguments.data, sources)
    with tempfile.TemporaryDirectory() as folder:
        files, only = books[:4] if arguments.full else sources[:20], arguments.only
        pairs = list(trained_pairs(library, files, folder, only))
        if only in "trained by Loom":
            pairs.append(check_training(library, files, folder))
        if (arguments.data / "tiktoken").is_dir():
            pairs += published_pairs(library, arguments.data, only)
            if not only:
                check_special(library, arguments.data)
        for pair in pairs:
            check_pair(pair, arguments, books, sources)


main()
