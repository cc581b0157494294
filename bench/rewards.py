#!/usr/bin/env python3
"""rewards.py - the curves of docs/finetuning.md: right answers against steps of rewards.

    bench/rewards.py [--loom build/loom] [--out docs/rewards.svg] FOLDER...

FOLDER is one that examples/arithmetic.sh has filled with NAME=last and with NAME=loops, one for each seed. A curve is
the share of right answers to the problems that a run of rewards holds out, from its metrics.jsonl. A dot with its 95 %
interval, and the broken line, are of the 500 problems for testing: the best checkpoints with rewards, and the model
after conversations. Prints a table in Markdown and draws one plot for each folder.
"""
import argparse
import json
import subprocess

import drawing

RUNS = [("last", "first"), ("loops", "second")]


def tested(options, folder, name):
    """The share of right answers among the problems for testing, and its interval."""
    words = [options.loom, "eval", "--task", "exact", "--data", f"{folder}/test.jsonl", "--model", f"{folder}/{name}",
             "--chat", "--json"]
    rows = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    return next(row for row in map(json.loads, rows) if row["group"] == "all")


def curve(folder, name):
    """(step, share right) at each validation."""
    with open(f"{folder}/{name}/metrics.jsonl") as file:
        rows = [json.loads(line) for line in file]
    return [(row["step"], 1 - row["val_loss"]) for row in rows if row["event"] == "eval"]


def seed_of(folder):
    with open(f"{folder}/last/config.json") as file:
        return json.load(file)["seed"]


def draw(options, folder, number):
    curves = {name: curve(folder, name) for name, _ in RUNS}
    end = max(step for points in curves.values() for step, _ in points)
    drawn = drawing.Plot(f"seed {seed_of(folder)}", number, (0, end), (0, 1))
    before = tested(options, folder, "chat")
    for level in (0.5, 1):
        drawn.mark_y(level, f"{100 * level:.0f} %")
    for step, text in ((0, "0"), (end // 2, end // 2), (end, f"{end} steps")):
        drawn.mark_x(step, text)
    drawn.line([(0, before["value"]), (end, before["value"])], "plain")
    row = [f"{100 * before['value']:.1f} %"]
    for i, (name, kind) in enumerate(RUNS):
        after, at = tested(options, folder, name), end * (1 + 0.02 * (2 * i + 1))
        drawn.line(curves[name], kind)
        drawn.interval(at, after["low"], after["high"], kind)
        drawn.dot(at, after["value"], kind)
        row.append(f"{100 * after['value']:.1f} %")
    print(f"| {seed_of(folder)} | " + " | ".join(row) + " |", flush=True)
    return drawn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loom", default="build/loom")
    parser.add_argument("--out", default="docs/rewards.svg")
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    options = parser.parse_args()
    print("| seed | conversations | rewards, credit to the last loop | to every loop |\n|---|---|---|---|")
    plots = [draw(options, folder, i) for i, folder in enumerate(options.folders)]
    drawing.write(options.out, plots, [("plain", "after conversations"), ("first", "GRPO"), ("second", "RLTT")])


if __name__ == "__main__":
    main()
