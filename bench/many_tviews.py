"""`make bench`: twenty TVIEWs on one table, and the first writes of a session: `many_tviews.py [PG]`.

Databases with the tables of schema.sql and no TVIEW, one, or twenty of a kind: totals of orders, or documents of posts with their author.
Invariant: afterwards all TVIEWs equal their queries; otherwise the run ends with an error and no table.
The tables go to the screen and to a section of docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import sys

import pgbench  # first: finds the others
import build
import page
import scenario
from backend import Backend
from cluster import Cluster
from pgbench import ROUNDS, SECONDS

HEADING = "## Many TVIEWs"
MANY = 20
KINDS = {
    "totals": ("CREATE TVIEW v{i} AS SELECT region, count(*) AS orders, sum(amount) AS amount FROM orders WHERE customer <> {i} GROUP BY region;",
               "UPDATE orders SET amount = amount + 0.01 WHERE id = :id", "orders"),
    "documents": ("CREATE TVIEW v{i} AS SELECT p.id, jsonb_build_object('n', {i}, 'title', p.title, 'author', u.name) AS data FROM posts p JOIN users u ON u.id = p.user_id;",
                  "UPDATE posts SET title = 'title ' || random() WHERE id = :id", "posts"),
}
COUNTS = [0, 1, MANY]
MAINTENANCE = ["ANALYZE {table}", "VACUUM {table}", "ANALYZE v1", "VACUUM v1"]


def setup(cluster):
    cluster.sql("CREATE DATABASE plain")
    cluster.sql((scenario.HERE / "schema.sql").read_text() + "CREATE EXTENSION pg_tviews", "plain")
    for kind, (create, _, _) in KINDS.items():
        for count in COUNTS:
            cluster.sql(f"CREATE DATABASE {kind}{count} TEMPLATE plain")
            cluster.sql("SET client_min_messages = error;" + "".join(create.format(i=i) for i in range(1, count + 1)), f"{kind}{count}")
            cluster.sql("VACUUM ANALYZE", f"{kind}{count}")


def warm(cluster):
    """Latency in microseconds by (kind, count)."""
    found = {}
    for number in pgbench.rounds():
        for kind, (_, write, _) in KINDS.items():
            script = pgbench.script_file(cluster, kind, f"\\set id random(1, 100000)\n{write};")
            for count in pgbench.turns(number, COUNTS):
                found.setdefault((kind, count), []).append(pgbench.latency(cluster, f"{kind}{count}", script))
    return {key: statistics.median(values) for key, values in found.items()}


def first(cluster):
    """Milliseconds of single writes by (kind, number of TVIEWs, what came before)."""
    found = {}
    for _ in pgbench.rounds(ROUNDS):
        for kind, (_, write, table) in KINDS.items():
            for count in (0, MANY):
                name = f"{kind}{count}"
                with Backend(cluster, name) as backend:
                    # as a client does that looks around first
                    backend.run("SELECT count(*) FROM pg_class")
                    took = {"new connection": backend.timed(write.replace(":id", "17"))}
                    for number in range(20):
                        backend.run(write.replace(":id", str(100 + number)))
                    took["warm"] = statistics.median(backend.timed(write.replace(":id", str(200 + number))) for number in range(20))
                    for maintenance in MAINTENANCE if count else MAINTENANCE[:2]:
                        cluster.sql(maintenance.format(table=table), name)
                        took[maintenance.format(table="the table")] = backend.timed(write.replace(":id", "300"))
                        backend.run(write.replace(":id", "301"))
                for before, milliseconds in took.items():
                    found.setdefault((kind, count, before), []).append(milliseconds)
    return {key: statistics.median(values) for key, values in found.items()}


def idle(cluster):
    """MB that a connection to a database with many TVIEWs has of its own, next to one without, before it writes."""
    sizes = {}
    for count in (0, MANY):
        with Backend(cluster, f"totals{count}") as backend:
            backend.run("SELECT count(*) FROM users")
            sizes[count] = backend.memory()
    return sizes[MANY] - sizes[0]


def section(config, took, single, memory):
    lines = [f"| one row, warm | no TVIEW | one TVIEW adds | {MANY} TVIEWs add | {MANY} : one |", "|---|--:|--:|--:|--:|"]
    for kind in KINDS:
        none, one, many = (took[kind, count] for count in COUNTS)
        lines.append(f"| {kind} | {none:.0f} µs | {one - none:.0f} µs | {many - none:.0f} µs | {(many - none) / (one - none):.1f} |")
    lines += ["", "| single writes | " + " | ".join(f"{kind}: no TVIEW | {MANY}" for kind in KINDS) + " |", "|---|" + "--:|--:|" * len(KINDS)]
    for before in dict.fromkeys(before for _, _, before in single):
        cells = [f"{single[key]:.2f} ms" if (key := (kind, count, before)) in single else "–" for kind in KINDS for count in (0, MANY)]
        lines.append(f"| {before if before in ('new connection', 'warm') else 'after ' + before} | {' | '.join(cells)} |")
    return f"""{HEADING}

One row of a table that {MANY} TVIEWs of a kind read, each of which the row concerns (bench/many_tviews.py): latency of one client, median of {ROUNDS} rounds of {SECONDS} s each; then single writes of a
session, with psql's way to the server and back; the server itself forgets what it knows of a table after ANALYZE and VACUUM. All TVIEWs were compared with their queries and were equal. A connection that has not written has {memory:.1f} MB more of its own than one to a
database without TVIEWs.

{chr(10).join(lines)}

{page.measured(config)}, {page.processor()}.
"""


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], "release")
    with Cluster(config, **scenario.SETTINGS, max_wal_size="8GB") as cluster:
        setup(cluster)
        took, single, memory = warm(cluster), first(cluster), idle(cluster)
        for kind in KINDS:
            if cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", f"{kind}{MANY}") != "t":
                sys.exit(f"error: {kind} differ from their queries")
    text = section(config, took, single, memory)
    print(f"\n{text}\n")
    page.write_section(HEADING, text)


if __name__ == "__main__":
    main()
