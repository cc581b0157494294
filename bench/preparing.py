#!/usr/bin/env python3
"""bench/preparing.py - from Parquet to token shards beside the encoding alone, and the memory that it takes.

    bench/preparing.py --text FOLDER --tokenizer FILE [--rounds 5] [--threads 2] [--copies 12] [--files 1] [--gigabytes 0]
                       [--processor-time]

FOLDER has .txt files. They are cut into documents of some thousand characters and written, --copies times, as a Parquet
file shaped as FineWeb-Edu's (snappy), and that file --files times. In each round the documents' text is encoded from
memory, and `loom prepare` makes a token folder from the files; the medians are shown: of the time, or with
--processor-time of the seconds that processors worked, DuckDB's among them, which other work on the machine changes
less. With --gigabytes, a folder of links to the Parquet file and the text repeated on standard input, each of so many
gigabytes of text, are prepared once for the peak of memory.
Needs pyarrow and DuckDB's program (pip install pyarrow duckdb-cli)."""
import argparse
import os
import pathlib
import resource
import shutil
import statistics
import sys
import time

import pyarrow
import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import loomlib  # noqa: E402

DOCUMENT = 4000  # characters


def documents_of(folder):
    documents = []
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        documents += [text[at : at + DOCUMENT] for at in range(0, len(text), DOCUMENT)]
    return documents


def write_parquet(documents, path):
    count = len(documents)
    table = pyarrow.table({
        "text": documents,
        "id": [f"<urn:uuid:{i:032x}>" for i in range(count)],
        "url": [f"https://example.org/{i}" for i in range(count)],
        "language": ["en"] * count,
        "score": [3.5] * count,
        "int_score": pyarrow.array([3] * count, pyarrow.int64()),
    })
    pyarrow.parquet.write_table(table, path, compression="snappy", row_group_size=1000)


def seconds(arguments):
    """By the clock, or worked by this process and by all children that have ended, and theirs."""
    if not arguments.processor_time:
        return time.perf_counter()
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def prepare(arguments, inputs, standard_input=None):
    """Seconds, and the peak memory in MiB."""
    out = arguments.work / "tokens"
    shutil.rmtree(out, ignore_errors=True)
    command = [str(ROOT / "build" / "loom"), "prepare", "--tokenizer", str(arguments.tokenizer), "--out", str(out),
               "--threads", str(arguments.threads), *map(str, inputs)]
    begin = seconds(arguments)
    memory = loomlib.peak_memory(command, stdin=standard_input)
    return seconds(arguments) - begin, memory


def bench_speed(arguments, documents, files):
    data = "".join(documents).encode() * len(files)
    library = loomlib.Library()
    tokenizer = loomlib.Tokenizer(library, arguments.tokenizer)
    alone, whole = [], []
    for _ in range(arguments.rounds):
        begin = seconds(arguments)
        ids, _ = tokenizer.encode_raw(data, arguments.threads)
        alone.append(seconds(arguments) - begin)
        library.libc.free(ids)
        whole.append(prepare(arguments, files)[0])
    ratio = statistics.median(b / a for a, b in zip(alone, whole))
    kind = "processor time, " if arguments.processor_time else ""
    print(f"{len(data) / 1e6:.0f} MB, {arguments.threads} threads: {kind}encoding alone {statistics.median(alone):.2f} s, "
          f"from Parquet to shards {statistics.median(whole):.2f} s: {ratio:.2f} times (median of pairs)", flush=True)


def bench_memory(arguments, documents, file):
    text = "".join(documents).encode()
    copies = int(arguments.gigabytes * 1e9 / len(text)) + 1
    folder = arguments.work / "links"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for i in range(copies):
        (folder / f"{i:05}.parquet").symlink_to(file)
    spent, memory = prepare(arguments, [folder])
    print(f"Parquet, {copies * len(text) / 1e9:.2f} GB of text: {spent:.0f} s, peak {memory:.0f} MiB", flush=True)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        with open(writer, "wb") as stream:
            for _ in range(copies):
                stream.write(text)
        os._exit(0)
    os.close(writer)
    spent, memory = prepare(arguments, ["-"], reader)
    print(f"standard input, {copies * len(text) / 1e9:.2f} GB: {spent:.0f} s, peak {memory:.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--gigabytes", type=float, default=0)
    parser.add_argument("--processor-time", action="store_true")
    arguments = parser.parse_args()
    arguments.work = arguments.work.resolve()
    arguments.work.mkdir(parents=True, exist_ok=True)
    documents = documents_of(arguments.text) * arguments.copies
    files = [arguments.work / f"{i}.parquet" for i in range(arguments.files)]
    write_parquet(documents, files[0])
    for file in files[1:]:
        shutil.copy(files[0], file)
    if arguments.rounds > 0:
        bench_speed(arguments, documents, files)
    if arguments.gigabytes > 0:
        bench_memory(arguments, documents, files[0])


main()
