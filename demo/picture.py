"""A run of the demo as a picture of a terminal: `make demo | python3 demo/picture.py` writes docs/img/demo.svg.

Invariant: the picture has the lines of that run, as they were printed.
"""

import sys
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP = 7.8, 18, 18, 52
COLOURS = {"TVIEW": "#8fb8e8", "write,": "#8fb8e8", "tviews.verify": "#8fd19e", "make": "#e8c38f"}


def main():
    output = sys.stdin.read()
    lines = ["$ make demo", "", *output[output.index("\npg_tviews "):].strip().splitlines()]
    width, height = LEFT * 2 + max(map(len, lines)) * WIDTH, TOP + len(lines) * HEIGHT
    shown = []
    for n, line in enumerate(lines):
        colour = next((value for word, value in COLOURS.items() if line.lstrip("$ ").startswith(word)), "#e6e6e6")
        shown.append(f'  <text x="{LEFT}" y="{TOP + n * HEIGHT}" fill="{colour}" xml:space="preserve">{escape(line)}</text>')
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="13" role="img">
  <title>One run of make demo</title>
  <rect width="100%" height="100%" rx="8" fill="#1e2228"/>
  <circle cx="20" cy="18" r="6" fill="#e0645c"/><circle cx="40" cy="18" r="6" fill="#e0b24f"/><circle cx="60" cy="18" r="6" fill="#5fb36a"/>
""" + "\n".join(shown) + "\n</svg>\n"
    (Path(__file__).resolve().parents[1] / "docs/img/demo.svg").write_text(svg)


if __name__ == "__main__":
    main()
