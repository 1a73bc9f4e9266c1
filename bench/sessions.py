"""`make bench`: long transactions, and the memory of a backend: `sessions.py [PG]`.

A transaction of writes that are each read back, in two isolation levels, with a block that catches errors around each; and statements that change very many rows, or open very many
blocks, with a work_mem of 4 MB.
Invariant: afterwards the TVIEWs equal their queries; otherwise the run ends with an error and no table.
The tables go to the screen and to a section of docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import sys

import pgbench  # first: finds the others
import build
import page
from backend import Backend
from cluster import Cluster
from scenario import SETTINGS

HEADING = "## Long transactions and memory"
WRITES, LARGE, MIDDLE, BLOCKS = 3000, 3_000_000, 300_000, 20_000
ROUNDS = min(pgbench.ROUNDS, 3)
TABLES = f"""
CREATE EXTENSION pg_tviews;
CREATE TABLE account (id int PRIMARY KEY, branch int NOT NULL, balance int NOT NULL);
INSERT INTO account SELECT i, i % 100, i FROM generate_series(1, 10000) i;
CREATE TVIEW branch AS SELECT branch, count(*) AS accounts, sum(balance) AS balance FROM account GROUP BY branch;
CREATE TABLE watched (id int PRIMARY KEY, branch int NOT NULL, balance int NOT NULL);
INSERT INTO watched SELECT * FROM account;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER nothing AFTER UPDATE ON watched REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION nothing();
CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO large SELECT i, i FROM generate_series(1, {LARGE}) i;
CREATE TVIEW large_view AS SELECT id, n + 1 AS n FROM large;
CREATE TABLE middle (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO middle SELECT i, i FROM generate_series(1, {MIDDLE}) i;
CREATE TVIEW middle_view WITH (mode = full) AS SELECT id, n + 1 AS n FROM middle;
"""
LOOP = """DO $$ DECLARE seen bigint; BEGIN FOR i IN 1..{count} LOOP
  BEGIN UPDATE account SET balance = balance + 1 WHERE id = i % 10000 + 1; {read} EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"""
READ = "SELECT balance INTO seen FROM branch WHERE branch = i % 100;"
MEMORY = {
    f"UPDATE of all {LARGE:,} rows, keyed": "UPDATE large SET n = n + 1",
    f"one row of {MIDDLE:,}, mode = full": "UPDATE middle SET n = n + 1 WHERE id = 7",
    f"{BLOCKS:,} blocks that catch errors": LOOP.format(count=BLOCKS, read=""),
    "the same without TVIEW, with a trigger that has transition tables and does nothing": LOOP.format(count=BLOCKS, read="").replace("account", "watched"),
}


def levels(cluster):
    """Milliseconds of a transaction of writes and reads, by level."""
    found = {}
    with Backend(cluster, "postgres") as backend:
        for number in pgbench.rounds(ROUNDS):
            for level in pgbench.turns(number, ["READ COMMITTED", "REPEATABLE READ"]):
                took = backend.timed(f"BEGIN ISOLATION LEVEL {level}; {LOOP.format(count=WRITES, read=READ)}; COMMIT")
                found.setdefault(level, []).append(took)
                cluster.sql("VACUUM account, branch")
    return {level: statistics.median(values) for level, values in found.items()}


def memory(cluster):
    """Peak and rest in MB, by statement."""
    found = {}
    for what, sql in MEMORY.items():
        with Backend(cluster, "postgres") as backend:
            backend.run("SET work_mem = '4MB'; UPDATE account SET balance = balance WHERE id = 1; UPDATE large SET n = n + 1 WHERE id = 1; SELECT count(*) FROM middle_view")
            found[what] = backend.peak(sql)
    return found


def section(config, took, grown):
    first, second = took["READ COMMITTED"], took["REPEATABLE READ"]
    lines = ["| work_mem = 4 MB | grows by at most | keeps |", "|---|--:|--:|"]
    lines += [f"| {what} | {peak:.0f} MB | {rest:.1f} MB |" for what, (peak, rest) in grown.items()]
    return f"""{HEADING}

{WRITES:,} writes, each read back from the total that it changes, within one block that catches errors each, in one transaction (bench/sessions.py): {first:.0f} ms in READ COMMITTED, {second:.0f} ms in
REPEATABLE READ, which is {second / first:.2f} times as much. Medians of {ROUNDS}.

What the memory of the backend grows by, anonymous pages as Linux counts them; of each block with a write the server keeps 8 kB until the end of the transaction, when the table has a trigger with
transition tables, as TVIEWs have:

{chr(10).join(lines)}

{page.measured(config)}, {page.processor()}. All TVIEWs were compared with their queries and were equal.
"""


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], "release")
    with Cluster(config, **SETTINGS, max_wal_size="8GB") as cluster:
        cluster.sql("SET client_min_messages = error;" + TABLES)
        cluster.sql("VACUUM ANALYZE")
        took, grown = levels(cluster), memory(cluster)
        if cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") != "t":
            sys.exit("error: TVIEWs differ from their queries")
    text = section(config, took, grown)
    print(f"\n{text}\n")
    page.write_section(HEADING, text)


if __name__ == "__main__":
    main()
