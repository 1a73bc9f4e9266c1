"""`make bench`, third part: TVIEWs that follow later: `deferred.py [PG]`.

What writers pay, next to no view and to TVIEWs that are exact at commit; and how long a refresh takes after some rows have changed, next to
REFRESH MATERIALIZED VIEW of the same query.
Invariant: after each refresh the TVIEWs equal their queries; otherwise the run ends with an error and no table.
Variables: see pgbench.py.
"""

import statistics
import sys
import time

import pgbench  # first: finds the others
import build
import page
import scenario
from cluster import Cluster
from pgbench import ROUNDS, SECONDS

HEADING = "## Deferred TVIEWs"
VARIANTS = ["none", "deferred", "tviews"]
WRITES = ["post: update the title", "order: change the amount", "order: insert"]
BULK = "\\set id random(1, 90000)\nUPDATE orders SET amount = amount + 0.01 WHERE id BETWEEN :id AND :id + 9999;"
CLIENTS = 8
SHARES = [0.001, 0.01, 0.1, 0.5]
TOUCHED = {"post_document": ("posts", "title = title || '.'"), "region_total": ("orders", "amount = amount + 1"), "country_total": ("orders", "amount = amount + 1")}


def writers(cluster):
    """Latency of one client, and throughput of several, by (write, variant)."""
    scripts = {write: pgbench.script_file(cluster, f"deferred{i}", scenario.WRITES[write]) for i, write in enumerate(WRITES)}
    scripts["10,000 orders by one statement"] = pgbench.script_file(cluster, "bulk", BULK)
    found = {}
    for number in pgbench.rounds():
        for write, script in scripts.items():
            for variant in pgbench.turns(number, VARIANTS):
                found.setdefault((write, variant, 1), []).append(pgbench.latency(cluster, variant, script))
                if write in WRITES:
                    found.setdefault((write, variant, CLIENTS), []).append(pgbench.throughput(cluster, variant, [script], CLIENTS))
                cluster.sql("SELECT tviews.refresh_all()" if variant == "deferred" else "SELECT 1", variant)
    return {key: statistics.median(values) for key, values in found.items()}


def timed(cluster, sql):
    before = time.perf_counter()
    cluster.sql(sql, "deferred")
    return (time.perf_counter() - before) * 1000


def refreshes(cluster):
    """Milliseconds of REFRESH by (view, share of changed rows, whether of a TVIEW)."""
    for view in scenario.VIEWS:
        cluster.sql(f"SELECT format('CREATE MATERIALIZED VIEW plain_{view} AS %s', pg_get_viewdef('{view}'::regclass)) \\gexec", "deferred")
    found = {}
    for _ in pgbench.rounds(3):
        for view, (table, change) in TOUCHED.items():
            for share in SHARES:
                rows = int(100_000 * share)
                cluster.sql(f"UPDATE {table} SET {change} WHERE id IN (SELECT 1 + (random() * 99999)::int FROM generate_series(1, {rows}))", "deferred")
                found.setdefault((view, share, True), []).append(timed(cluster, f"REFRESH TVIEW {view}"))
                found.setdefault((view, share, False), []).append(timed(cluster, f"REFRESH MATERIALIZED VIEW plain_{view}"))
                if rows := cluster.difference(view, "deferred"):
                    sys.exit(f"error: TVIEW {view} differs from its query by {rows} rows")
            cluster.sql("SELECT tviews.refresh_all()", "deferred")
    return {key: statistics.median(values) for key, values in found.items()}


def section(config, wrote, took):
    lines = ["| write | no view | deferred | at commit | deferred : no view | the same, 8 clients |", "|---|--:|--:|--:|--:|--:|"]
    for write in [*WRITES, "10,000 orders by one statement"]:
        none, deferred, commit = (wrote[write, variant, 1] for variant in VARIANTS)
        many = f"{wrote[write, 'none', CLIENTS] / wrote[write, 'deferred', CLIENTS]:.2f}" if write in WRITES else "–"
        lines.append(f"| {write} | {none:,.0f} µs | {deferred:,.0f} µs | {commit:,.0f} µs | {deferred / none:.2f} | {many} |")
    times = ["| view | " + " | ".join(f"{share:.1%} changed" for share in SHARES) + " | REFRESH MATERIALIZED VIEW |", "|---" + "|--:" * (len(SHARES) + 1) + "|"]
    for view in TOUCHED:
        plain = statistics.median(took[view, share, False] for share in SHARES)
        times.append(f"| {view} | " + " | ".join(f"{took[view, share, True]:.0f} ms" for share in SHARES) + f" | {plain:.0f} ms |")
    table, refresh = "\n".join(lines), "\n".join(times)
    return f"""{HEADING}

What a writer pays for TVIEWs with `refresh = manual`, whose changes it logs, next to the same tables without a view and with TVIEWs that are exact at commit
(bench/deferred.sql): median of {ROUNDS} rounds of {SECONDS} s each, one client and the server on one core; the last column is the ratio of the throughputs of {CLIENTS} clients.

{table}

REFRESH after so many of the 100,000 rows of a table have changed, rows chosen at random, with the client's round trip; the last column is the same query as an ordinary
materialized view. Medians of 3 rounds; after each refresh the TVIEW was compared with its query and was equal.

{page.picture("refreshes", "Time of a refresh, by the part that has changed")}

{refresh}

{page.measured(config)}, {page.processor()}.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    pgbench.use_one_core()
    with Cluster(config, **scenario.SETTINGS) as cluster:
        scenario.setup(cluster, VARIANTS)
        wrote, took = writers(cluster), refreshes(cluster)
        text = section(config, wrote, took)
        print(f"\n{text}\n")
        page.write_section(HEADING, text)


if __name__ == "__main__":
    main()
