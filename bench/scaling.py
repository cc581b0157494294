#!/usr/bin/env python3
"""scaling.py - what a training step costs against context, loops, experts and batch, beside what its arithmetic says.

    bench/scaling.py [--loom build/loom] [--preset gqa-bench] [--seconds 0.5] [--out docs/scaling.svg]

One thread, by the processor's time. Around one setting of the preset each of the four is varied alone, with no token
halting, so that every loop runs. The arithmetic is `loom bench`'s count of FLOPs; the line through the points is that
count at the rate of the setting in the middle. Prints a table in Markdown and draws the four plots.
"""
import argparse
import json
import math
import subprocess

import drawing

BASE = {"vocab_size": 256, "max_seq_len": 256, "max_loop_iters": 4, "n_experts": 8, "batch_size": 8,
        "act_threshold": 1e9}
AXES = [("context", "max_seq_len", [64, 128, 256, 512, 1024]), ("loops", "max_loop_iters", [1, 2, 4, 8]),
        ("experts", "n_experts", [2, 4, 8, 16, 32]), ("batch", "batch_size", [1, 2, 4, 8, 16])]
SPAN = 8  # the least factor that a plot's seconds range over: what hardly changes is to look so


def measure(options, changes):
    """FLOPs and seconds of one step."""
    settings = {**BASE, **changes}
    words = [options.loom, "bench", "--json", "--preset", options.preset, "--threads", "1", "--processor-time",
             "--seconds", str(options.seconds)]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            row = json.loads(line)
            if row["name"] == "train":
                program.kill()  # the rows behind it are about decoding
                tokens = settings["batch_size"] * settings["max_seq_len"]
                seconds = tokens / row["per_second"]
                return row["flops_per_second"] * seconds, seconds
    raise SystemExit(f"{' '.join(words)}: no training row")


def plot(name, number, points, rate):
    """One plot with both axes logarithmic: what was measured, and what the arithmetic says."""
    xs = [math.log(x) for x, _, _ in points]
    said = [math.log(flops / rate) for _, flops, _ in points]
    measured = [math.log(seconds) for _, _, seconds in points]
    top = max(said + measured)
    down = min(said + measured + [top - math.log(SPAN)])
    drawn = drawing.Plot(name, number, xs, (down, top))
    drawn.line(zip(xs, said), "first")
    for x, y, point in zip(xs, measured, points):
        drawn.dot(x, y, "second")
        drawn.mark_x(x, point[0])
    drawn.mark_y(top, f"{math.exp(top):.2g} s")
    return drawn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loom", default="build/loom")
    parser.add_argument("--preset", default="gqa-bench")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--out", default="docs/scaling.svg")
    options = parser.parse_args()
    flops, seconds = measure(options, {})
    rate, plots = flops / seconds, []
    print("| | | GFLOP a step | seconds | of the arithmetic |\n|---|---|---|---|---|", flush=True)
    for i, (name, key, values) in enumerate(AXES):
        points = [(value, *measure(options, {key: value})) for value in values]
        for value, flops, seconds in points:
            print(f"| {name} | {value} | {flops * 1e-9:.1f} | {seconds:.3f} | {seconds * rate / flops:.2f} |", flush=True)
        plots.append(plot(name, i, points, rate))
    drawing.write(options.out, plots)


if __name__ == "__main__":
    main()
