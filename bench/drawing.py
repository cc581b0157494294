"""drawing.py - plots beside each other in one SVG, for the programs here that draw a figure of docs/.

Colours follow the reader's: light or dark. The kinds of what is drawn are the classes `first`, `second` and `plain`.
"""

WIDTH, HEIGHT = 230, 225  # of one plot
STYLE = """<style>
text{text-anchor:middle;fill:#333}.tick{font-size:10px}.left{text-anchor:start}
path,polyline{fill:none;stroke:#999}polyline,.bar{stroke-width:2}.paper{fill:#fff}.grid{stroke-opacity:.35}
.first{stroke:#c60}.second{stroke:#06c}.plain{stroke:#777;stroke-dasharray:5 4}
circle.first{fill:#c60}circle.second{fill:#06c}circle.plain{fill:#777}
@media (prefers-color-scheme:dark){text{fill:#ccc}.paper{fill:#0d1117}.first{stroke:#f93}circle.first{fill:#f93}
.second{stroke:#5af}circle.second{fill:#5af}.plain{stroke:#aaa}circle.plain{fill:#aaa}}
</style>"""


class Plot:
    """The plot at place `number` from the left, over the ranges xs and ys of what is drawn."""

    def __init__(self, title, number, xs, ys):
        self.left, self.xs, self.ys = WIDTH * number, (min(xs), max(xs)), (min(ys), max(ys))
        self.parts = [f'<text x="{self.left + 115}" y="16">{title}</text>',
                      f'<path d="M{self.left + 15} 34V195H{self.left + 220}"/>']

    def place(self, x, y):
        across = (x - self.xs[0]) / (self.xs[1] - self.xs[0])
        up = (y - self.ys[0]) / (self.ys[1] - self.ys[0])
        return self.left + 25 + 180 * across, 190 - 150 * up

    def line(self, points, kind):
        places = " ".join("{:.1f},{:.1f}".format(*self.place(x, y)) for x, y in points)
        self.parts.append(f'<polyline class="{kind}" points="{places}"/>')

    def dot(self, x, y, kind):
        across, down = self.place(x, y)
        self.parts.append(f'<circle class="{kind}" cx="{across:.1f}" cy="{down:.1f}" r="3.5"/>')

    def interval(self, x, low, high, kind):
        across, bottom = self.place(x, low)
        self.parts.append(f'<path class="bar {kind}" d="M{across:.1f} {bottom:.1f}V{self.place(x, high)[1]:.1f}"/>')

    def mark_x(self, x, text):
        self.parts.append(f'<text class="tick" x="{self.place(x, self.ys[0])[0]:.1f}" y="210">{text}</text>')

    def mark_y(self, y, text):
        """A line across at y, and its value above it."""
        down = self.place(self.xs[0], y)[1]
        self.parts.append(f'<path class="grid" d="M{self.left + 15} {down:.1f}H{self.left + 220}"/>'
                          f'<text class="tick left" x="{self.left + 18}" y="{down - 3:.1f}">{text}</text>')


def key(entries, y):
    """What each kind means, in a row below the plots."""
    return "\n".join(f'<path class="bar {kind}" d="M{20 + 230 * i} {y - 4}h24"/>'
                     f'<text class="left" x="{50 + 230 * i}" y="{y}">{text}</text>'
                     for i, (kind, text) in enumerate(entries))


def write(path, plots, entries=()):
    width, height = WIDTH * max(len(plots), len(entries)), HEIGHT + (30 if entries else 0)
    groups = "\n".join("<g>" + "".join(plot.parts) + "</g>" for plot in plots)
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
                   f'font-size="13">\n{STYLE}\n<rect class="paper" width="{width}" height="{height}"/>\n{groups}\n'
                   f'{key(entries, HEIGHT + 12)}\n</svg>\n')
