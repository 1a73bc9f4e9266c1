"""`make bench`: statements of 10,000 rows, and a rename of a rare value: `statements.py [PG]`.

The tables, triggers and TVIEWs of run.py; and 336,776 flights of 16 carriers, one of which has 33 of them, joined with their carriers.
Invariant: afterwards the TVIEWs equal their queries; otherwise the run ends with an error and no table.
The tables go to the screen and to a section of docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import sys

import pgbench  # first: finds the others
import build
import page
import scenario
from cluster import Cluster
from pgbench import ROUNDS, SECONDS

HEADING = "## Many rows by one statement"
START = "\\set id random(1, 90000)\n"
WRITES = {
    "title of 10,000 posts": (False, START + "UPDATE posts SET title = 'title ' || random() WHERE id BETWEEN :id AND :id + 9999;"),
    "amount of 10,000 orders": (True, START + "UPDATE orders SET amount = amount + 0.01 WHERE id BETWEEN :id AND :id + 9999;"),
    "10,000 new orders": (True, "INSERT INTO orders (customer, region, amount) SELECT 1 + g % 1000, g % 100, 12.34 FROM generate_series(1, 10000) g;"),
}
FLIGHTS, RARE = 336_776, 33
SKEWED = f"""
CREATE EXTENSION pg_tviews;
CREATE TABLE carriers (code int PRIMARY KEY, name text NOT NULL);
CREATE TABLE flights (id int PRIMARY KEY, carrier int NOT NULL REFERENCES carriers, delay int);
INSERT INTO carriers SELECT i, 'carrier ' || i FROM generate_series(0, 15) i;
INSERT INTO flights SELECT i, CASE WHEN i % {FLIGHTS // RARE} = 7 AND i <= {FLIGHTS // RARE * RARE} THEN 15 ELSE i % 15 END, i % 97 FROM generate_series(1, {FLIGHTS}) i;
CREATE INDEX ON flights (carrier);
CREATE TVIEW flight AS SELECT f.id, jsonb_build_object('id', f.id, 'delay', f.delay, 'carrier', c.name) AS data FROM flights f JOIN carriers c ON c.code = f.carrier;
"""
RENAMES = {
    f"rename the carrier of {RARE} flights": "UPDATE carriers SET name = 'carrier ' || random() WHERE code = 15;",
    f"change {RARE} flights by key": f"UPDATE flights SET delay = (random() * 1000)::int WHERE id = ANY (ARRAY(SELECT {FLIGHTS // RARE} * i + 7 FROM generate_series(0, {RARE - 1}) i));",
}


def measure(cluster):
    """Medians of the median latency in microseconds, by (write, variant)."""
    found = {}
    for number in pgbench.rounds():
        for index, (write, (_, text)) in enumerate(WRITES.items()):
            script = pgbench.script_file(cluster, f"many{index}", text)
            for variant in pgbench.turns(number, scenario.VARIANTS):
                found.setdefault((write, variant), []).append(pgbench.latency(cluster, variant, script))
        cluster.sql("VACUUM posts, orders", "tviews")
        for rename, text in RENAMES.items():
            found.setdefault((rename, "skewed"), []).append(pgbench.latency(cluster, "skewed", pgbench.script_file(cluster, "rename", text)))
    return {key: statistics.median(values) / 1000 for key, values in found.items()}


def section(config, took):
    lines = ["| statement | no view | + triggers by hand | + TVIEW | TVIEW : hand | with TVIEW : no view |", "|---|--:|--:|--:|--:|--:|"]
    for write in WRITES:
        none, hand, tview = (took[write, variant] for variant in scenario.VARIANTS)
        lines.append(f"| {write} | {none:.1f} ms | {hand - none:+.1f} ms | {tview - none:+.1f} ms | {(tview - none) / (hand - none):.2f} | {tview / none:.2f} |")
    rename, by_key = (took[name, "skewed"] for name in RENAMES)
    return f"""{HEADING}

Statements of 10,000 rows, on the tables, triggers and TVIEWs of the first section: median of {ROUNDS} rounds of {SECONDS} s each (one statement at least). Triggers are row triggers. The TVIEWs
were compared with their queries and were equal.

{chr(10).join(lines)}

{FLIGHTS:,} documents of flights with the name of their carrier, of 16 carriers: the one with {RARE} flights is renamed in {rename:.2f} ms; a statement that changes these {RARE} flights by key
takes {by_key:.2f} ms. The ratio is {rename / by_key:.2f}.

{page.measured(config)}, {page.processor()}.
"""


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], "release")
    with Cluster(config, **scenario.SETTINGS, max_wal_size="8GB") as cluster:
        scenario.setup(cluster, scenario.VARIANTS)
        cluster.sql("CREATE DATABASE skewed")
        cluster.sql(SKEWED, "skewed")
        cluster.sql("VACUUM ANALYZE", "skewed")
        took = measure(cluster)
        problems = [scenario.difference(cluster, view) for view in scenario.VIEWS]
        problems += [cluster.difference("flight", "skewed") and "error: TVIEW flight differs"]
        if any(problems):
            sys.exit("\n".join(filter(None, problems)))
    text = section(config, took)
    print(f"\n{text}\n")
    page.write_section(HEADING, text)


if __name__ == "__main__":
    main()
