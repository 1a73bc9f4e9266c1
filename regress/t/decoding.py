"""Logical decoding of TVIEWs: what consumers of the WAL see.

Invariant tested: rows of logged TVIEWs come with the transaction that writes their tables, as docs/operate/replication.md says; with REPLICA IDENTITY FULL
old rows are in it, and a copy that a consumer keeps equals the TVIEW; unlogged TVIEWs do not appear.
Called by `make check`; alone: PG_CONFIG=… regress/t/decoding.py
"""

import re

from cluster import Cluster, Report

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE t (id int PRIMARY KEY, a int);
INSERT INTO t SELECT i, i FROM generate_series(1, 5) i;
CREATE LOGGED TVIEW v AS SELECT id, a FROM t;
CREATE LOGGED TVIEW grouped AS SELECT a % 3 AS g, count(*) AS n FROM t GROUP BY 1;
CREATE TVIEW u AS SELECT id, a FROM t;
"""
CHANGES = """
SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL, 'include-xids', '0', 'skip-empty-xacts', '1') WHERE data ~ '^table public\\.(v|grouped|u)'
"""
WRITES = [
    "INSERT INTO t VALUES (6, 6), (7, 7)",
    "BEGIN; UPDATE t SET a = a + 1 WHERE id < 4; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; DELETE FROM t WHERE id = 7; COMMIT",
    "BEGIN; UPDATE t SET a = 0; ROLLBACK",
    "TRUNCATE t; INSERT INTO t VALUES (1, 1), (2, 2)",
]


def main():
    report = Report()
    with Cluster() as c:
        c.sql(SCHEMA)
        c.sql("SELECT pg_create_logical_replication_slot('slot', 'test_decoding')")
        c.sql("UPDATE t SET a = 0 WHERE id = 1; DELETE FROM t WHERE id = 2")
        seen = c.sql(CHANGES)
        report.ok("table public.v: UPDATE: id[integer]:1 a[integer]:0" in seen and "table public.v: DELETE: (no-tuple-data)" in seen,
                  "without an identity, a deleted row is not named", seen)
        report.ok("public.u" not in seen, "an unlogged TVIEW does not appear", seen)

        c.sql("ALTER MATERIALIZED VIEW v REPLICA IDENTITY FULL; ALTER MATERIALIZED VIEW grouped REPLICA IDENTITY FULL")
        copies = {tview: c.sql(f"SELECT {tview}::text FROM {tview}").split() for tview in ("v", "grouped")}
        for number, sql in enumerate(WRITES, 1):
            c.sql(sql)
            for line in c.sql(CHANGES).splitlines():
                follow(copies, line)
            for tview, copy in copies.items():
                stored = c.sql(f"SELECT {tview}::text FROM {tview}").split()
                report.ok(sorted(copy) == sorted(stored), f"writes {number}: a copy of {tview} follows", f"{copy}\n{stored}")

        c.sql("REFRESH TVIEW v WITH NO DATA; REFRESH TVIEW v")
        seen = c.sql(CHANGES)
        report.ok(seen.count("public.v: INSERT") == 2 and "DELETE" not in seen, "populating inserts all rows, and emptying deletes none", seen)
    report.done()


def follow(copies, line):
    """Applies one change to the copy."""
    tview, what, rest = re.match(r"table public\.(\w+): (\w+): (.*)", line).groups()
    rows = ["(" + ",".join(re.findall(r"\]:(\S+)", part)) + ")" for part in rest.split("new-tuple:")]
    if what in ("UPDATE", "DELETE"):
        copies[tview].remove(rows[0])
    if what in ("UPDATE", "INSERT"):
        copies[tview].append(rows[-1])


if __name__ == "__main__":
    main()
