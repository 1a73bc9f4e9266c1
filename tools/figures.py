"""Figures of docs/reference/benchmarks.md, as plots.py draws them and house.py compares them. Knows no library.

Invariant: no figure is anywhere but in the tables of that page; a plot says by the digest in it which figures it shows.
"""

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/benchmarks.md"
PLOTS = ROOT / "docs/img"
MARK = re.compile(r"figures:([0-9a-f]{16})")


def number(cell):
    found = re.search(r"-?[\d,]*\.?\d+", cell)
    return float(found[0].replace(",", "")) if found else None


def table(heading, first):
    """Rows, as cells, of the table whose head begins with `first`, in the section under a heading."""
    section = PAGE.read_text().partition(f"\n{heading}\n")[2] if heading else PAGE.read_text()
    lines = section.partition(f"| {first} ")[2].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def writes():
    """What triggers and TVIEWs add to each write, in microseconds."""
    return [(name, number(none), number(hand), number(tview)) for name, none, hand, tview, _ in table(None, "write")]


def writers():
    """Clients, and transactions per second without and with TVIEWs."""
    return [(number(clients), number(none), number(tviews)) for clients, none, tviews, _ in table("## Several writers", "clients")]


def refreshes():
    """For each view milliseconds of a refresh after 0.1, 1, 10 and 50 % have changed, and those of the query."""
    return [(name, *map(number, cells)) for name, *cells in table("## Deferred TVIEWs", "view")]


def documents():
    """Milliseconds of a trigger, of whole rows, of a TVIEW, for each write."""
    return [(name, *map(number, cells[:3])) for name, *cells in table("## Parts of long documents", "write")]


def loads():
    """Seconds of a load, of CREATE TVIEW after it, and of a load with the TVIEW there."""
    return [(name, *map(number, cells[:3])) for name, *cells in table("## Loads", "TVIEW")]


ALL = {"writes": writes, "writers": writers, "refreshes": refreshes, "documents": documents, "loads": loads}


def digest(rows):
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def stale():
    """Plots that show other figures than the page."""
    for name, read in ALL.items():
        path, rows = PLOTS / f"{name}.svg", read()
        shown = MARK.search(path.read_text()) if path.exists() else None
        if not rows or not shown or shown[1] != digest(rows):
            yield f"docs/img/{name}.svg: make plots"
