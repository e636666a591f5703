#!/usr/bin/env python3
"""Draws what a timeline of `vhbm record --timeline` holds, as an SVG for a page.

Every slice and counter of the file that lies in the time that is shown is drawn, where the trace-event
format says that it lies; nothing else is. It is no picture of Perfetto, which shows more and can be asked.

    python3 tools/bench/draw_timeline.py run.json timeline.svg --from-ms 500 --to-ms 700
"""
import argparse
import json
import sys
from html import escape

WIDTH, LABELS, ROW, GAP, COUNTER = 1000, 190, 18, 4, 40
COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#bab0ac"]


class Timeline:
    def __init__(self, events):
        self.processes, self.tracks, self.slices, self.counters = {}, {}, {}, {}
        for event in events:
            key = (event["pid"], event.get("tid"))
            if event["ph"] == "M" and event["name"] == "process_name":
                self.processes[event["pid"]] = event["args"]["name"]
            elif event["ph"] == "M" and event["name"] == "thread_name":
                self.tracks[key] = event["args"]["name"]
            elif event["ph"] == "X":
                self.slices.setdefault(key, []).append((event["ts"], event["ts"] + event["dur"], event["name"]))
            elif event["ph"] == "C":
                self.counters.setdefault((event["pid"], event["name"]), []).append((event["ts"], event["args"]))

    def nested(self, key):
        """The track's slices with how deep each lies; those that overlap without lying inside are a mistake."""
        open_until, laid = [], []
        for begin, end, name in sorted(self.slices.get(key, []), key=lambda one: (one[0], -one[1])):
            while open_until and open_until[-1] <= begin + 1e-3:
                open_until.pop()
            if open_until and end > open_until[-1] + 1e-3:
                sys.exit(f"{self.tracks.get(key, key)}: '{name}' at {begin} us overlaps what it does not lie in")
            laid.append((begin, end, name, len(open_until)))
            open_until.append(end)
        return laid


class Drawing:
    def __init__(self, begin, end):
        self.begin, self.end, self.y, self.parts, self.colours = begin, end, 24, [], {}

    def x(self, at):
        return LABELS + (min(max(at, self.begin), self.end) - self.begin) / (self.end - self.begin) * (WIDTH - LABELS)

    def text(self, x, y, words, more=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>')

    def colour(self, name):
        word = " ".join(word for word in name.split(" ") if not word.isdigit())
        return self.colours.setdefault(word, COLOURS[len(self.colours) % len(COLOURS)])

    def axis(self):
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 60000)
                    if (self.end - self.begin) / 1e3 / s <= 10)
        first = int(self.begin / 1e3 / step) + 1
        for tick in range(first, int(self.end / 1e3 / step) + 1):
            x = self.x(tick * step * 1e3)
            self.parts.append(f'<line x1="{x:.1f}" y1="18" x2="{x:.1f}" y2="HEIGHT" stroke="#ddd"/>')
            self.text(x, 12, f"{tick * step} ms", 'text-anchor="middle"')

    def title(self, words):
        self.y += GAP
        self.text(0, self.y + 12, words, 'font-weight="bold"')
        self.y += ROW

    def track(self, label, laid):
        shown = [one for one in laid if one[1] > self.begin and one[0] < self.end]
        if not shown:
            return
        self.text(8, self.y + 12, label)
        for begin, end, name, depth in shown:
            x, width = self.x(begin), max(self.x(end) - self.x(begin), 0.4)
            y = self.y + depth * (ROW - 2)
            self.parts.append(f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 4}" '
                              f'fill="{self.colour(name)}"/>')
            if width > 6.2 * len(name) + 6:
                self.text(x + 3, y + 11, name, 'fill="#fff"')
        self.y += max(depth for *_, depth in shown) * (ROW - 2) + ROW

    def counter(self, label, values):
        most = max(sum(one.values()) for _, one in values) or 1
        names = [name for name in values[0][1] if any(one[name] for _, one in values)]
        self.text(8, self.y + 12, label)
        self.text(8, self.y + 26, f"up to {most / (1 << 20):.0f} MiB")
        values = values + [(self.end, values[-1][1])]
        for (begin, one), (end, _) in zip(values, values[1:]):
            if end <= self.begin or begin >= self.end:
                continue
            bottom = self.y + COUNTER
            for name in names:
                height = one[name] / most * COUNTER
                bottom -= height
                self.parts.append(f'<rect x="{self.x(begin):.2f}" y="{bottom:.2f}" height="{height:.2f}" '
                                  f'width="{self.x(end) - self.x(begin):.2f}" fill="{self.colour(name)}"/>')
        self.y += COUNTER + GAP

    def legend(self):
        x, self.y = LABELS, self.y + 2 * GAP
        for word, colour in self.colours.items():
            length = 16 + 6.4 * len(word) + 14
            if x + length > WIDTH:
                x, self.y = LABELS, self.y + ROW
            self.parts.append(f'<rect x="{x:.1f}" y="{self.y}" width="11" height="11" fill="{colour}"/>')
            self.text(x + 15, self.y + 10, word)
            x += length
        self.y += ROW

    def written(self):
        height = self.y + GAP
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
                f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
                + "\n".join(self.parts).replace("HEIGHT", str(height)) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("timeline", help="as vhbm record --timeline writes it")
    parser.add_argument("svg")
    parser.add_argument("--from-ms", type=float, default=0)
    parser.add_argument("--to-ms", type=float, required=True)
    arguments = parser.parse_args()
    with open(arguments.timeline) as file:
        timeline = Timeline(json.load(file)["traceEvents"])
    drawing = Drawing(arguments.from_ms * 1e3, arguments.to_ms * 1e3)
    drawing.axis()
    for process in sorted(timeline.processes):
        drawing.title(timeline.processes[process])
        for key in sorted(key for key in timeline.tracks if key[0] == process):
            drawing.track(timeline.tracks[key], timeline.nested(key))
        for (owner, name), values in timeline.counters.items():
            if owner == process and name.startswith("bytes in"):
                drawing.counter(name, values)
    drawing.legend()
    with open(arguments.svg, "w") as file:
        file.write(drawing.written())


if __name__ == "__main__":
    main()
