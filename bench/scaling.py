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

BASE = {"vocab_size": 256, "max_seq_len": 256, "max_loop_iters": 4, "n_experts": 8, "batch_size": 8,
        "act_threshold": 1e9}
AXES = [("context", "max_seq_len", [64, 128, 256, 512, 1024]), ("loops", "max_loop_iters", [1, 2, 4, 8]),
        ("experts", "n_experts", [2, 4, 8, 16, 32]), ("batch", "batch_size", [1, 2, 4, 8, 16])]


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


def plot(name, points, rate, left):
    """One plot with both axes logarithmic, 220 wide."""
    xs = [math.log(x) for x, _, _ in points]
    ys = [math.log(v) for _, flops, seconds in points for v in (flops / rate, seconds)]
    low, high = min(ys), max(ys)

    def place(x, y):
        across = (math.log(x) - xs[0]) / (xs[-1] - xs[0])
        up = (math.log(y) - low) / (high - low)
        return f"{left + 20 + 180 * across:.1f},{190 - 150 * up:.1f}"

    line = " ".join(place(x, flops / rate) for x, flops, _ in points)
    dots = "".join('<circle cx="{}" cy="{}" r="4"/>'.format(*place(x, s).split(",")) for x, _, s in points)
    labels = "".join('<text x="{}" y="210" class="tick">{}</text>'.format(place(x, s).split(",")[0], x)
                     for x, _, s in points)
    ends = f'<text x="{left + 12}" y="34" class="tick">{math.exp(high):.2g} s</text>'
    return (f'<g><text x="{left + 110}" y="16">{name}</text>{ends}<polyline points="{line}"/>{dots}{labels}'
            f'<path d="M{left + 10} 40V195H{left + 215}"/></g>')


def draw(plots):
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 225" font-family="sans-serif" font-size="13">\n'
            "<style>text{text-anchor:middle;fill:#333}.tick{font-size:10px}polyline,path{fill:none;stroke:#999}"
            "polyline{stroke:#c60;stroke-width:2}circle{fill:#036}</style>\n"
            '<rect width="920" height="225" fill="white"/>\n' + "\n".join(plots) + "\n</svg>\n")


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
        plots.append(plot(name, points, rate, 230 * i))
    with open(options.out, "w") as file:
        file.write(draw(plots))


if __name__ == "__main__":
    main()
