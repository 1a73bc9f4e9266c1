"""`make bench`: what a single-row write costs with TVIEWs, next to hand-written triggers and to no view at all: `run.py [PG]`.

Three databases of one throw-away cluster hold the same tables: `none`, `hand` (triggers.sql) and `tviews` (tviews.sql). pgbench runs each
write with one client and prepared statements, in rounds that take the variants in turn.
Invariant: afterwards both kinds of views are compared with their queries; a difference ends the run with an error and no table.
The table goes to the screen and to docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import sys

import pgbench  # first: finds the others
import build
import page
import toolchain
from cluster import Cluster
from pgbench import ROUNDS, SECONDS
from scenario import SETTINGS, VARIANTS, VIEWS, WRITES, difference, setup


def measure(cluster):
    """Latencies by (write, variant), one for each round."""
    latencies = {(write, variant): [] for write in WRITES for variant in VARIANTS}
    for number in pgbench.rounds():
        for index, (write, text) in enumerate(WRITES.items()):
            script = pgbench.script_file(cluster, f"write{index}", text)
            for variant in pgbench.turns(number, VARIANTS):
                latencies[write, variant].append(pgbench.latency(cluster, variant, script))
    return latencies


def check(cluster):
    """Views of both kinds must equal their queries; the triggers' tables are compared with the queries of the TVIEWs."""
    for view in VIEWS:
        if problem := difference(cluster, view):
            sys.exit(problem)
        query = cluster.sql(f"SELECT pg_get_viewdef('{view}'::regclass)", "tviews").rstrip(";")
        sides = [f"SELECT t::text FROM {view} t", f"SELECT q::text FROM ({query}) q"]
        for one, other in (sides, sides[::-1]):
            if wrong := int(cluster.sql(f"SELECT count(*) FROM ({one} EXCEPT ALL {other}) x", "hand")):
                sys.exit(f"error: hand-written {view} differs from its query by {wrong} rows")


def table(latencies):
    median = {key: statistics.median(values) for key, values in latencies.items()}
    lines = ["| write | no view | + triggers by hand | + TVIEW | TVIEW : hand |", "|---|--:|--:|--:|--:|"]
    for write in WRITES:
        none, hand, tview = (median[write, variant] for variant in VARIANTS)
        ratio = f"{(tview - none) / (hand - none):.1f}" if hand > none else "–"
        lines.append(f"| {write} | {none:.0f} µs | {hand - none:+.0f} µs | {tview - none:+.0f} µs | {ratio} |")
    return "\n".join(lines)


def strategies(cluster):
    rows = cluster.sql("SELECT format('%s on %s: %s', t.name, s.key, s.value) FROM tviews.tviews t, jsonb_each_text(t.strategies) s ORDER BY 1", "tviews")
    return ", ".join(rows.splitlines())


def text(config, cluster, result):
    settings = ", ".join(f"`{name} = {value}`" for name, value in sorted(SETTINGS.items()))
    return f"""# Benchmarks

What maintaining a view adds to a single-row write, measured by `make bench`: median of {ROUNDS} rounds of {SECONDS} s each, of the median transaction in each; one client
and the server on one core, prepared statements; the three variants take turns within each round. Afterwards all views were compared with their queries and were equal.

{page.picture("writes", "What triggers by hand and TVIEWs add to a write")}

{result}

* **no view**: latency of the statement on tables without any view.
* **+ triggers by hand**: what plpgsql row triggers add (bench/triggers.sql). They touch exactly the affected rows, increment totals, and write unlogged tables.
* **+ TVIEW**: what TVIEWs with the same queries add (bench/tviews.sql). {strategies(cluster)}.
* **TVIEW : hand**: ratio of the two additions.

Tables: 100,000 posts of 10,000 users, 100,000 orders of 1,000 customers, in 100 regions and 50 countries. An order goes into two totals, one of them over
the join with its customer; a customer who moves takes 100 orders along. The triggers lock the rows of other tables that they read, so that they are
exact for several writers, as TVIEWs are.

Conditions: {page.measured(config)}, {page.processor()}, {settings}.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    pgbench.use_one_core()
    with Cluster(config, **SETTINGS) as cluster:
        setup(cluster, VARIANTS)
        latencies = measure(cluster)
        toolchain.say("comparing all views with their queries")
        check(cluster)
        result = table(latencies)
        print(f"\n{result}\n")
        page.write(text(config, cluster, result))


if __name__ == "__main__":
    main()
