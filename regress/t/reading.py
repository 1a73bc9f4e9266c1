"""Every way of reading a TVIEW sees the transaction's own writes, and the contents after a crash, or says that it cannot.

Invariant tested: no statement reads a TVIEW that lacks a change which it would see in the base table: COPY, cursors, EXPLAIN ANALYZE, parallel
workers that run a function, a foreign table that leads back to the same database, and a snapshot that is older than the contents.
Called by `make check`; alone: PG_CONFIG=… regress/t/reading.py
"""

import subprocess
import time

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE EXTENSION postgres_fdw;
CREATE TABLE item (id int PRIMARY KEY, grp int NOT NULL, amount int NOT NULL);
INSERT INTO item SELECT i, i % 10, 1 FROM generate_series(1, 10000) i;
CREATE TABLE probe (id int PRIMARY KEY, grp int NOT NULL);
INSERT INTO probe SELECT i, i % 10 FROM generate_series(1, 20000) i;
CREATE TVIEW total AS SELECT grp, sum(amount) AS total FROM item GROUP BY grp;
CREATE TVIEW grand AS SELECT sum(total) AS total FROM total;
CREATE FUNCTION total_of(g int) RETURNS numeric LANGUAGE plpgsql STABLE PARALLEL SAFE AS 'BEGIN RETURN (SELECT total FROM total WHERE grp = g); END';
VACUUM ANALYZE;
"""

# a transaction that has changed group 3 from 1000 to 2000 reads
WRITTEN = "BEGIN; UPDATE item SET amount = 2 WHERE grp = 3; "
PARALLEL = "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; "
COUNT = "SELECT count(*) FROM probe WHERE total_of(grp) = 2000"
OWN_WRITES = {
    "COPY of a query": ("COPY (SELECT total FROM total WHERE grp = 3) TO STDOUT", "2000"),
    "a cursor": ("DECLARE c CURSOR FOR SELECT total FROM total WHERE grp = 3; FETCH ALL FROM c", "2000"),
    "EXPLAIN ANALYZE and a read": ("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT FROM total WHERE total = 2000 \\g /dev/null\nSELECT total FROM total WHERE grp = 3", "2000"),
    "a function in parallel workers": (PARALLEL + "SET LOCAL parallel_leader_participation = off; " + COUNT, "2000"),
    "the same with the leader": (PARALLEL + COUNT, "2000"),
    "a TVIEW of a TVIEW": ("SELECT total FROM grand", "11000"),
}

LOOPBACK = """
CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '5432', dbname 'postgres');
CREATE USER MAPPING FOR postgres SERVER self OPTIONS (user 'postgres', password_required 'false');
CREATE FOREIGN TABLE far (grp int, total numeric) SERVER self OPTIONS (table_name 'total');
"""


def fails(cluster, sql):
    """The SQLSTATE with which a script fails, or its output."""
    try:
        return cluster.sql("\\set VERBOSITY sqlstate\n" + sql)
    except SqlError as error:
        return str(error).rpartition("ERROR:")[2].strip()


def older_snapshot(cluster, isolation, between="SELECT count(*) FROM total"):
    """What a transaction reads whose snapshot was taken before another session did `between`."""
    reader = subprocess.Popen(cluster.psql("-A", "-t", "-v", "VERBOSITY=sqlstate", "-f", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=cluster.env)
    reader.stdin.write(f"BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM item \\g /dev/null\nSELECT pg_advisory_lock(1), pg_sleep(1.5) \\g /dev/null\n")
    reader.stdin.write("SELECT total FROM total WHERE grp = 3;\nCOMMIT;\n")
    reader.stdin.flush()
    while cluster.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1") == "0":
        time.sleep(0.02)
    cluster.sql(between)
    return reader.communicate()[0].strip().rpartition("ERROR:")[2].strip()


def after_a_crash(cluster):
    cluster.crash()
    cluster.start()


def main():
    report = Report()
    with Cluster() as c:
        c.sql(SCHEMA)
        version = int(c.sql("SHOW server_version_num")) // 10000
        own = dict(OWN_WRITES)
        if version >= 18:
            own["COPY"] = ("COPY grand TO STDOUT", "11000")
        for way, (read, expected) in own.items():
            seen = fails(c, f"{WRITTEN} {read};\nROLLBACK")
            report.ok(seen == expected, f"own writes: {way}", seen)
        seen = fails(c, f"{WRITTEN} {PARALLEL} SET LOCAL parallel_leader_participation = off; SAVEPOINT a; {COUNT}; ROLLBACK TO a; {COUNT};\nROLLBACK").split()
        report.ok(seen == ["2000", "2000"], "own writes: parallel workers, twice", seen)

        # another transaction, which the foreign server's connection has, sees committed rows
        c.sql(LOOPBACK.format(host=c.directory))
        seen = fails(c, f"{WRITTEN} SELECT total FROM far WHERE grp = 3;\nROLLBACK")
        report.ok(seen == "1000", "a foreign table of the same database sees what it would see of a table", seen)
        c.sql("UPDATE item SET amount = 3 WHERE grp = 3")
        seen = fails(c, "SELECT total FROM far WHERE grp = 3")
        report.ok(seen == "3000", "and what is committed", seen)

        after_a_crash(c)
        seen = fails(c, f"BEGIN; {PARALLEL} SET LOCAL parallel_leader_participation = off; SELECT count(*) FROM probe WHERE total_of(grp) = 3000; COMMIT")
        report.ok(seen in ("55000", "2000"), "after a crash, parallel workers", seen)
        after_a_crash(c)
        # its transaction is REPEATABLE READ
        while (seen := fails(c, "SELECT total FROM far WHERE grp = 3")) == "40001":
            time.sleep(0.05)
        report.ok(seen == "3000", "after a crash, a foreign table", seen)
    # readers are the first to notice: no process is left for the recovery
    with Cluster(max_worker_processes="1", max_logical_replication_workers="0", max_parallel_workers="0") as c:
        c.sql(SCHEMA + "UPDATE item SET amount = 3 WHERE grp = 3;")
        for isolation, expected in {"READ COMMITTED": "3000", "REPEATABLE READ": "40001", "SERIALIZABLE": "40001"}.items():
            after_a_crash(c)
            seen = older_snapshot(c, isolation)
            report.ok(seen == expected, f"recomputed after the snapshot of {isolation}", seen)
            seen = fails(c, f"BEGIN ISOLATION LEVEL {isolation}; SELECT total FROM total WHERE grp = 3; COMMIT")
            report.ok(seen == "3000", f"a later snapshot of {isolation}", seen)
        seen = older_snapshot(c, "REPEATABLE READ", "CREATE TABLE meanwhile (); UPDATE item SET amount = 4 WHERE grp = 4")
        report.ok(seen == "3000", "a snapshot that is older than a flush", seen)

        if version >= 18:
            after_a_crash(c)
            seen = fails(c, "COPY grand TO STDOUT")
            report.ok(seen == "15000", "after a crash, COPY", seen)
    report.done()


if __name__ == "__main__":
    main()
