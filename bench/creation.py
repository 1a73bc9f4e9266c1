"""`make bench`: CREATE TVIEW and tviews.rebuild next to CREATE and REFRESH MATERIALIZED VIEW of the same query: `creation.py [PG]`.

Invariant: afterwards each TVIEW equals its query; otherwise the run ends with an error and no table. Both are made with the same settings, in turns.
The table goes to the screen and to docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import sys

import pgbench  # first: finds the others
import build
import page
from backend import Backend
from cluster import Cluster
from scenario import SETTINGS

HEADING = "## Creation"
ROUNDS = min(pgbench.ROUNDS, 5)
TABLES = """
CREATE EXTENSION pg_tviews;
CREATE TABLE sale (id int PRIMARY KEY, product int NOT NULL, quantity int NOT NULL, price numeric(12, 2));
CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO sale SELECT i, i % 10000, i::bigint * 7919 % 1000003, i % 1000 / 10.0 FROM generate_series(1, 1000000) i;
INSERT INTO product SELECT i, 'product ' || i FROM generate_series(0, 9999) i;
CREATE INDEX ON sale (product);
"""
VIEWS = {
    "sums and counts": "SELECT product, count(*) AS sales, sum(quantity) AS quantity, sum(price) AS price FROM sale GROUP BY product",
    "averages": "SELECT product, avg(quantity) AS quantity FROM sale GROUP BY product",
    "extrema": "SELECT product, min(quantity) AS least, max(quantity) AS most FROM sale GROUP BY product",
    "sums over a join": "SELECT p.name, count(*) AS sales, sum(s.price) AS price FROM sale s JOIN product p ON p.id = s.product GROUP BY p.name",
    "a join": "SELECT s.id, s.quantity, p.name FROM sale s JOIN product p ON p.id = s.product",
    "documents": "SELECT s.id, jsonb_build_object('id', s.id, 'quantity', s.quantity, 'product', jsonb_build_object('name', p.name)) AS data "
                 "FROM sale s JOIN product p ON p.id = s.product",
}


def once(backend, query, found):
    found.setdefault("create matview", []).append(backend.timed(f"CREATE MATERIALIZED VIEW m AS {query}"))
    found.setdefault("create", []).append(backend.timed(f"CREATE TVIEW v AS {query}"))
    found.setdefault("refresh matview", []).append(backend.timed("REFRESH MATERIALIZED VIEW m"))
    found.setdefault("rebuild", []).append(backend.timed("SELECT tviews.rebuild('v')"))
    if backend.run("SELECT ok FROM tviews.verify('v')") != "t":
        sys.exit(f"error: TVIEW differs from {query}")
    backend.run("DROP MATERIALIZED VIEW m; DROP TVIEW v")


def section(config, found):
    lines = ["| query over 1,000,000 rows | CREATE MATERIALIZED VIEW | CREATE TVIEW | ratio | REFRESH MATERIALIZED VIEW | tviews.rebuild | ratio |", "|---|--:|--:|--:|--:|--:|--:|"]
    for view, took in found.items():
        plain, create, refresh, rebuild = (statistics.median(took[what]) for what in ("create matview", "create", "refresh matview", "rebuild"))
        lines.append(f"| {view} | {plain:.0f} ms | {create:.0f} ms | {create / plain:.2f} | {refresh:.0f} ms | {rebuild:.0f} ms | {rebuild / refresh:.2f} |")
    table = "\n".join(lines)
    return f"""{HEADING}

CREATE TVIEW makes the rows, the state of the aggregates and the indexes by which a flush finds rows; tviews.rebuild computes all rows anew and compares them with the stored ones, which are
equal here (bench/creation.py). Medians of {ROUNDS} rounds, in which they take turns; each TVIEW was compared with its query and was equal.

{table}

{page.measured(config)}, {page.processor()}, the server's usual settings for parallel queries.
"""


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], "release")
    found = {}
    with Cluster(config, **SETTINGS, max_wal_size="8GB") as cluster:
        cluster.sql(TABLES)
        cluster.sql("VACUUM ANALYZE")
        cluster.sql("CHECKPOINT")
        with Backend(cluster, "postgres") as backend:
            backend.run("SET client_min_messages = error")
            for _ in pgbench.rounds(ROUNDS):
                for view, query in VIEWS.items():
                    once(backend, query, found.setdefault(view, {}))
    text = section(config, found)
    print(f"\n{text}\n")
    page.write_section(HEADING, text)


if __name__ == "__main__":
    main()
