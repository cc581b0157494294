#!/usr/bin/env python3
"""Holds `loom prepare` on Parquet files against PyArrow: the same texts in the same order, or a sentence about a file
that neither can read.

Files: rows shaped as FineWeb-Edu's (text, id, dump, url, ...), written in the ways that the hub's and nanochat's shards
are; and every file of the Apache suite, where ../shared/data/parquet_testing has it. Needs pyarrow and DuckDB's program
(pip install pyarrow duckdb-cli); without them it exits with 77, which CTest counts as skipped.
"""
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit(77)
if not shutil.which(os.environ.get("LOOM_DUCKDB", "duckdb")):
    sys.exit(77)

LOOM = os.environ.get("LOOM", "build/loom")
SUITE = "../shared/data/parquet_testing"
BOOKS = "../shared/data/openstax_ccby"
WAYS = [("snappy", "1.0", True), ("snappy", "2.0", False), ("zstd", "1.0", False), ("zstd", "2.0", True),
        ("gzip", "1.0", True), ("none", "2.0", False)]  # codec, pages, dictionary


def prepare(path, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    return subprocess.run([LOOM, "prepare", "--tokenizer", "byte", "--split", "tail", "--val-fraction", "1e-12",
                           "--out", out, *options, path], capture_output=True, text=True)


def read_split(out, split):
    with open(os.path.join(out, split + "-00000.bin"), "rb") as file:
        text = file.read()[::2]
    with open(os.path.join(out, split + "-00000.doc"), "rb") as file:
        return text, [start for (start,) in struct.iter_unpack("<Q", file.read())]


def documents(out):
    """All documents as bytes: validation is the last token."""
    text, starts = read_split(out, "train")
    tail, more = read_split(out, "val")
    starts += [len(text) + start for start in more]
    text += tail
    return [text[start:end] for start, end in zip(starts, starts[1:] + [len(text)])]


def expect(condition, *what):
    if not condition:
        print("FAILED:", *what)
        sys.exit(1)


def passages():
    """Texts of a few thousand characters: of books where there are some, else made up."""
    books = sorted(glob.glob(os.path.join(BOOKS, "*.txt")))[:6]
    texts = []
    for book in books:
        with open(book, encoding="utf-8") as file:
            text = file.read(300000)
        texts += [text[at:at + 3000] for at in range(0, len(text), 3000)]
    words = "a looped model thinks again \u00e9t\u00e9 \u4e2d\u6587 \U0001f600 \x00 \x1e \x1f \"quote\" 'single' , ; \r\n \t".split(" ")
    draw = random.Random(1)
    texts += [" ".join(draw.choices(words, k=draw.randint(1, 400))) for _ in range(500)]
    return texts


def fineweb(texts):
    draw = random.Random(2)
    n = len(texts)
    return pa.table({
        "text": texts,
        "id": [f"<urn:uuid:{i:08x}>" for i in range(n)],
        "dump": ["CC-MAIN-2024-10"] * n,
        "url": [f"https://example.org/{i}" for i in range(n)],
        "file_path": ["s3://commoncrawl/x.warc.gz"] * n,
        "language": ["en"] * n,
        "language_score": [draw.random() for _ in range(n)],
        "token_count": pa.array([len(t) // 4 for t in texts], pa.int64()),
        "score": [draw.uniform(2, 5) for _ in range(n)],
        "int_score": pa.array([draw.randint(2, 5) for _ in range(n)], pa.int64()),
    })


def check_fineweb(folder):
    texts = passages()
    table = fineweb(texts)
    scores = table["int_score"].to_pylist()
    kept = [t.encode() for t, s in zip(texts, scores) if s >= 3]
    for codec, version, dictionary in WAYS:
        path = os.path.join(folder, "f.parquet")
        pq.write_table(table, path, compression=codec, data_page_version=version, use_dictionary=dictionary,
                       row_group_size=1000 if dictionary else 300, write_statistics=not dictionary)
        run = prepare(path, os.path.join(folder, "out"), "--filter", "int_score >= 3", "--json")
        expect(run.returncode == 0, codec, version, dictionary, run.stderr)
        expect(documents(os.path.join(folder, "out")) == kept, codec, version, dictionary, "other texts")
        expect(json.loads(run.stdout)["filtered"] == len(texts) - len(kept), "filtered", run.stdout)
    return len(WAYS)


def text_columns(path):
    try:
        schema = pq.read_schema(path)
    except Exception:
        return ["a"]
    kinds = pa.string(), pa.binary(), pa.large_string(), pa.large_binary()
    return [field.name for field in schema if field.type in kinds]


def read_column(path, column):
    """The texts as bytes, or None when PyArrow cannot read them."""
    try:
        values = pq.read_table(path, columns=[column])[column].to_pylist()
    except Exception:
        return None
    return [None if v is None else v.encode() if isinstance(v, str) else v for v in values]


def check_suite(folder):
    out = os.path.join(folder, "out")
    same = refused = 0
    for path in sorted(glob.glob(os.path.join(SUITE, "*.parquet"))):
        for column in text_columns(path):
            wanted = read_column(path, column)
            run = prepare(path, out, "--column", column, "--on-error", "skip", "--json")
            if run.returncode != 0:
                expect(run.returncode in (1, 2) and run.stderr.count("\n") == 1, path, column, run.stderr)
                expect(not os.path.exists(out) and not os.path.exists(out + ".partial"), path, "left something")
            usable = [v for v in wanted or [] if v]
            if not usable or run.returncode != 0:
                refused += 1
                continue
            expect(documents(out) == usable[:len(documents(out))], path, column, "other texts")
            expect(json.loads(run.stdout)["skipped"] > 0 or len(documents(out)) == len(usable), path, column, run.stdout)
            same += 1
    return same, refused


def check_broken(folder):
    """A broken page takes its row group with it, and no other row."""
    path, out = os.path.join(folder, "b.parquet"), os.path.join(folder, "out")
    for length, group in ((1, 3), (3000, 0), (3000, 5)):  # in DuckDB's buffer, small rows wait for others
        rows = [f"row {i} ".encode() * length for i in range(60)]
        scores = [3 if i % 10 == 4 and i // 10 in (0, 3, 5) else 2 + 2 * (i % 2) for i in range(60)]
        table = pa.table({"text": [row.decode() for row in rows], "int_score": scores})
        pq.write_table(table, path, row_group_size=10, use_dictionary=False)
        column = pq.ParquetFile(path).metadata.row_group(group).column(0)
        with open(path, "rb") as file:
            data = bytearray(file.read())
        for at in range(column.total_compressed_size - 40, column.total_compressed_size - 20):
            data[column.data_page_offset + at] ^= 0x5A
        broken = os.path.join(folder, "broken.parquet")
        with open(broken, "wb") as file:
            file.write(data)
        run = prepare(broken, out, "--json")
        expect(f"broken.parquet, rows {10 * group + 1} to {10 * group + 10} cannot be read" in run.stderr, run.stderr)
        run = prepare(broken, out, "--on-error", "skip", "--json")
        expect(run.returncode == 0 and json.loads(run.stdout)["skipped"] == 10, run.stdout, run.stderr)
        expect(documents(out) == rows[:10 * group] + rows[10 * group + 10:], length, group, "other texts")
        run = prepare(broken, out, "--on-error", "skip", "--filter", "int_score = 3", "--json")
        told = json.loads(run.stdout or "{}")
        expect((told["skipped"], told["filtered"], told["documents"]) == (10, 48, 2), run.stdout, run.stderr)


with tempfile.TemporaryDirectory() as scratch:
    ways = check_fineweb(scratch)
    check_broken(scratch)
    same, refused = check_suite(scratch) if os.path.isdir(SUITE) else (0, 0)
print(f"peer_parquet: {ways} ways to write FineWeb-Edu's rows, {same} columns of the Apache suite equal, "
      f"{refused} without text that could be compared")
