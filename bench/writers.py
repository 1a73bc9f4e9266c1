"""`make bench`, second part: several writers of both tables of a join at the same time: `writers.py [PG]`.

Half of the transactions rename a user, half of them change a post; a TVIEW joins the two. They wait for the disk at commit, which is where
locks that are held until the end of a transaction would show: with `none` and `tviews` (run.py) the same number of clients should gain the same.
Invariant: afterwards the TVIEWs equal their queries; otherwise the run ends with an error and no table.
The table goes to the screen and to a section of docs/reference/benchmarks.md, which run.py has just written. Variables: see pgbench.py.
"""

import statistics
import sys

import pgbench  # first: finds the others
import build
import page
import scenario
from cluster import Cluster
from pgbench import ROUNDS, SECONDS

HEADING = "## Several writers"
SETTINGS = {**scenario.SETTINGS, "synchronous_commit": "on"}
VARIANTS = ["none", "tviews"]
CLIENTS = [1, 2, 4, 8, 16]
WRITES = [scenario.WRITES["user: rename (10 posts)"], scenario.WRITES["post: update the title"]]


def measure(cluster):
    """Transactions per second by (clients, variant), the median of all rounds."""
    rates = {(clients, variant): [] for clients in CLIENTS for variant in VARIANTS}
    for number in pgbench.rounds():
        for clients in CLIENTS:
            for variant in pgbench.turns(number, VARIANTS):
                scripts = [pgbench.script_file(cluster, f"writer{index}", text) for index, text in enumerate(WRITES)]
                rates[clients, variant].append(pgbench.throughput(cluster, variant, scripts, clients))
    return {key: statistics.median(values) for key, values in rates.items()}


def table(rates):
    lines = ["| clients | no view | TVIEWs | TVIEWs : no view |", "|--:|--:|--:|--:|"]
    for clients in CLIENTS:
        none, tviews = (rates[clients, variant] for variant in VARIANTS)
        lines.append(f"| {clients} | {none:,.0f}/s | {tviews:,.0f}/s | {tviews / none:.2f} |")
    return "\n".join(lines)


def section(config, result):
    return f"""{HEADING}

Transactions per second of clients that rename a random user, or change the title of a random post, half and half, and wait for the disk at commit
(`synchronous_commit = on`): the two tables that `post_document` joins. Median of {ROUNDS} rounds of {SECONDS} s each; the variants take turns. Afterwards all
TVIEWs were compared with their queries and were equal.

{page.picture("writers", "Transactions per second of several writers")}

{result}

{page.measured(config)}, {page.processor()}, with which clients and server make do.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    with Cluster(config, **SETTINGS) as cluster:
        scenario.setup(cluster, VARIANTS)
        result = table(measure(cluster))
        for view in scenario.VIEWS:
            if problem := scenario.difference(cluster, view):
                sys.exit(problem)
    print(f"\n{result}\n")
    page.write_section(HEADING, section(config, result))


if __name__ == "__main__":
    main()
