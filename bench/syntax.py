"""`make bench`, third part: what the native syntax costs queries that have no TVIEW statement in them: `syntax.py [PG]`.

Servers with pg_tviews.native_syntax on and off run the same queries; a second server with it off shows how far two equal ones differ.
All are restarted in every round: where a process finds its code in memory changes latencies by more than what is looked for.
Invariant: only the servers with the setting on accept CREATE TVIEW; otherwise the run ends with an error and no table.
The table goes to the screen and to the last section of docs/reference/benchmarks.md, which the others have just written. Variables: see pgbench.py.
"""

import contextlib
import statistics
import sys

import pgbench  # first: finds the others
import build
import page
from cluster import Cluster, SqlError
from pgbench import SECONDS
from scenario import SETTINGS

HEADING = "## Queries without TVIEWs"
SERVERS = {"on": "on", "off": "off", "off again": "off"}
COLUMNS = ", ".join(f"t1.{name} AS t1_{name}" for name in "user_id title created_at price value quantity status country".split()) + ", "
WORST = "The quick brown fox jumps over the lazy dog, and the view that others have of it lives on, until it turns up in a table of values. "


def literal(text):
    """The server itself does little with 4 kB of text in a literal: a search in it shows more than in the same text as SQL."""
    return f"SELECT length('{(text * 40)[:4000]}');"


QUERIES = {"SELECT 1": "SELECT 1;", "4 kB, column names": literal(COLUMNS), "4 kB, many v, and view": literal(WORST)}
ROUNDS = 2 * pgbench.ROUNDS


def check(cluster, wanted):
    """The setting must have the effect that is measured."""
    try:
        cluster.sql("BEGIN; CREATE TABLE base (id int PRIMARY KEY); CREATE TVIEW copy AS SELECT id FROM base; ROLLBACK")
        accepted = "on"
    except SqlError:
        accepted = "off"
    if accepted != wanted:
        sys.exit(f"error: native syntax is {accepted}, not {wanted}")


def interpolated(latencies):
    """pgbench logs whole microseconds: the median as if the latencies of one microsecond were spread evenly over it."""
    return statistics.median_grouped(latencies, interval=1)


def measure(clusters):
    """Latencies by (query, server), one for each round."""
    latencies = {(query, name): [] for query in QUERIES for name in clusters}
    for number in pgbench.rounds(ROUNDS):
        for cluster in clusters.values():
            cluster.restart()
        for index, (query, text) in enumerate(QUERIES.items()):
            for name in pgbench.turns(number, list(clusters)):
                script = pgbench.script_file(clusters[name], f"query{index}", text)
                latencies[query, name].append(pgbench.latency(clusters[name], "postgres", script, "simple", interpolated))
    return latencies


def compared(one, other):
    """Median and quartiles of the differences within each round."""
    low, middle, high = statistics.quantiles((a - b for a, b in zip(one, other)), n=4)
    return f"{middle:+.2f} µs ({low:+.2f} … {high:+.2f})"


def table(latencies):
    lines = ["| query | off | on | on − off | off again − off |", "|---|--:|--:|--:|--:|"]
    for query in QUERIES:
        on, off, again = (latencies[query, name] for name in SERVERS)
        lines.append(f"| {query} | {statistics.median(off):.2f} µs | {statistics.median(on):.2f} µs | {compared(on, off)} | {compared(again, off)} |")
    return "\n".join(lines)


def section(config, result):
    return f"""{HEADING}

What `pg_tviews.native_syntax` adds to a query without a TVIEW statement: servers with the setting on and off, simple protocol, median of
{ROUNDS} rounds of {SECONDS} s each, of the median transaction in each; one client and the server on one core. The servers take turns within each round and
are restarted before it.

{result}

* **on − off**: median of the differences within each round, and in parentheses their quartiles.
* **off again − off**: the same for two servers with equal settings: what this measurement cannot tell apart.
* **4 kB**: `SELECT length('…')`, because the server does little with a literal, so that a search in it shows most. The search stops at each `v`:
  {COLUMNS.lower().count("v") / len(COLUMNS):.1%} of the letters in a select list of column names, {WORST.lower().count("v") / len(WORST):.1%} in the other text, which also has the word `view` and so is searched once more.

Both settings have pg_tviews loaded: this is the cost of the syntax alone. {page.measured(config)},
{page.processor()}.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    pgbench.use_one_core()
    with contextlib.ExitStack() as stack:
        clusters = {name: stack.enter_context(Cluster(config, **SETTINGS, **{"pg_tviews.native_syntax": value})) for name, value in SERVERS.items()}
        for name, cluster in clusters.items():
            cluster.sql("CREATE EXTENSION pg_tviews")
            check(cluster, SERVERS[name])
        result = table(measure(clusters))
    print(f"\n{result}\n")
    page.write_section(HEADING, section(config, result))


if __name__ == "__main__":
    main()
