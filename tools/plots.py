"""Draws the plots of docs/img from the figures of docs/reference/benchmarks.md. Called by `make plots`.

Invariant: two runs over the same figures write the same bytes.
"""

import sys

import figures
import toolchain

sys.path.insert(0, str(toolchain.matplotlib()))
import matplotlib  # noqa: E402

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

matplotlib.rcParams.update({"svg.hashsalt": "pg_tviews", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "axes.spines.top": False,
                            "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "grid.color": "#dddddd", "legend.frameon": False})
GREY, BLUE, ORANGE, GREEN = "#8c8c8c", "#2a6fb0", "#d9822b", "#3a8f5c"


def bars(axes, names, series, horizontal=True):
    """Groups of bars; series: (label, colour, values)."""
    width = 0.8 / len(series)
    for n, (label, colour, values) in enumerate(series):
        places = [i + (n - (len(series) - 1) / 2) * width for i in range(len(names))]
        drawn = axes.barh(places, values, width, label=label, color=colour)
        axes.bar_label(drawn, fmt="%g", padding=2, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.legend()


def writes(rows):
    figure, axes = pyplot.subplots(figsize=(9, 4.6), layout="constrained")
    names, none, hand, tview = zip(*rows)
    bars(axes, names, [("without a view", GREY, none), ("added by triggers by hand", ORANGE, hand), ("added by TVIEWs", BLUE, tview)])
    axes.set_xlabel("µs for a write of one row")
    return figure


def writers(rows):
    figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    clients, none, tviews = zip(*rows)
    for label, colour, values in (("without a view", GREY, none), ("with TVIEWs", BLUE, tviews)):
        axes.plot(clients, values, marker="o", color=colour, label=label)
        for x, y in zip(clients, values):
            axes.annotate(f"{y:,.0f}", (x, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(clients, [f"{n:g}" for n in clients])
    axes.set_ylim(0, max(none) * 1.12)
    axes.set_xlabel("clients, on two cores")
    axes.set_ylabel("transactions a second")
    axes.legend(loc="center right")
    return figure


def refreshes(rows):
    figure, axes = pyplot.subplots(figsize=(7, 3.8), layout="constrained")
    changed = ["0.1 %", "1 %", "10 %", "50 %"]
    for (name, *times, query), colour in zip(rows, (BLUE, ORANGE, GREEN)):
        axes.plot(changed, times, marker="o", color=colour, label=f"{name}: refresh")
        axes.plot(changed, [query] * 4, linestyle="--", color=colour, label=f"{name}: the whole query")
    axes.set_yscale("log")
    axes.set_xlabel("rows changed since the last refresh")
    axes.set_ylabel("ms")
    axes.legend(fontsize=8, ncols=2)
    return figure


def documents(rows):
    figure, axes = pyplot.subplots(figsize=(9, 2.8), layout="constrained")
    names, trigger, whole, tview = zip(*rows)
    bars(axes, names, [("jsonb_set in a trigger", ORANGE, trigger), ("whole rows", GREY, whole), ("TVIEW", BLUE, tview)])
    axes.set_xscale("log")
    axes.set_xlabel("ms for a write (logarithmic)")
    return figure


def loads(rows):
    figure, axes = pyplot.subplots(figsize=(9, 2.6), layout="constrained")
    names, load, create, loaded = zip(*rows)
    places = range(len(names))
    axes.barh([p - 0.2 for p in places], load, 0.38, color=GREY, label="load, without TVIEWs")
    axes.barh([p - 0.2 for p in places], create, 0.38, left=load, color=BLUE, label="then CREATE TVIEW")
    axes.barh([p + 0.2 for p in places], loaded, 0.38, color=ORANGE, label="load, with the TVIEW there, suspended")
    axes.set_yticks(list(places), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max(max(loaded), *(a + b for a, b in zip(load, create))) * 1.7)
    axes.set_xlabel("seconds for a million rows")
    axes.legend(loc="center right", fontsize=8)
    return figure


DRAW = {"writes": writes, "writers": writers, "refreshes": refreshes, "documents": documents, "loads": loads}


def main():
    figures.PLOTS.mkdir(exist_ok=True)
    for name, read in figures.ALL.items():
        rows = read()
        path = figures.PLOTS / f"{name}.svg"
        figure = DRAW[name](rows)
        figure.savefig(path, metadata={"Date": None, "Creator": None, "Description": f"figures:{figures.digest(rows)}"})
        pyplot.close(figure)
        path.write_text("".join(line.rstrip() + "\n" for line in path.read_text().splitlines()))
        toolchain.say(f"written to docs/img/{name}.svg")


if __name__ == "__main__":
    main()
