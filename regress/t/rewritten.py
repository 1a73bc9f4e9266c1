"""Tables that are written anew while a transaction keeps an older snapshot: to that snapshot they are empty, without an error.

Invariant tested: a flush, a verification or a refresh never computes from such a table: it fails with 40001, or reads with a newer snapshot. ALTER TABLE
does so on all servers, behind a lock; REPACK (CONCURRENTLY) does from 19 on, and readers and writers of the table do not wait for it.
Called by `make check`; alone: PG_CONFIG=… regress/t/rewritten.py
"""

import subprocess
import time

from cluster import Cluster, Report

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE dim (id int PRIMARY KEY, name text, unused int);
INSERT INTO dim SELECT i, 'd' || i % 3, i FROM generate_series(1, 9) i;
CREATE TABLE part (id int, name text, unused int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (5);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (5) TO (20);
INSERT INTO part SELECT * FROM dim;
CREATE TABLE item (id int PRIMARY KEY, dim int NOT NULL, v int);
INSERT INTO item SELECT i, i % 9 + 1, i FROM generate_series(1, 90) i;
CREATE TABLE other (id int);
CREATE TVIEW grouped AS SELECT d.name, count(*) AS n, sum(i.v) AS v FROM item i JOIN dim d ON d.id = i.dim GROUP BY d.name;
CREATE TVIEW keyed AS SELECT i.id, i.v, d.name FROM item i LEFT JOIN dim d ON d.id = i.dim;
CREATE TVIEW staged AS SELECT i.id, i.v FROM item i WHERE i.v > (SELECT avg(length(name)) FROM dim);
CREATE TVIEW over_parts AS SELECT d.name, count(*) AS n, sum(i.v) AS v FROM item i JOIN part d ON d.id = i.dim GROUP BY d.name;
CREATE TVIEW later WITH (refresh = manual) AS SELECT i.id, i.v, d.name FROM item i LEFT JOIN dim d ON d.id = i.dim;
"""
ALL = ["grouped", "keyed", "staged", "over_parts"]
# how a table is written anew, and which: the TVIEWs that read it
ALTER = {"ALTER TABLE": ("ALTER TABLE dim ALTER unused TYPE int USING unused + 1", ALL[:3]),
         "ALTER TABLE of partitions": ("ALTER TABLE part ALTER unused TYPE int USING unused + 1", ["over_parts"])}
REPACK = {"REPACK (CONCURRENTLY)": ("REPACK (CONCURRENTLY) dim", ALL[:3]),
          "REPACK (CONCURRENTLY) of a partition": ("REPACK (CONCURRENTLY) part_2", ["over_parts"])}
# a flush of the TVIEW itself reads its stage only, which is as the snapshot knows it
OF_STAGES = "staged"


class Session:
    """A session that is asked, and answers with the last line, which is the SQLSTATE after an error."""

    def __init__(self, cluster):
        self.process = subprocess.Popen(cluster.psql("-A", "-t", "-v", "VERBOSITY=sqlstate", "-v", "ON_ERROR_STOP=0", "-f", "-"), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=cluster.env)

    def send(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo =\n")
        self.process.stdin.flush()

    def answer(self):
        lines = []
        while (line := self.process.stdout.readline()) not in ("=\n", ""):
            lines.append(line.strip().rpartition("ERROR:")[2].strip())
        return lines[-1] if lines else ""

    def ask(self, sql):
        self.send(sql)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def waiting(cluster, table, mode):
    """Waits until some session waits for a lock of a table."""
    sql = f"SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND mode = '{mode}' AND NOT granted"
    deadline = time.time() + 30
    while cluster.sql(sql) == "0":
        if time.time() > deadline:
            raise RuntimeError(f"nobody waits for {mode} of {table}:\n" + cluster.sql("SELECT query, wait_event_type, wait_event FROM pg_stat_activity"))
        time.sleep(0.02)


def differing(cluster):
    cluster.sql("REFRESH TVIEW later")
    return cluster.sql("SELECT string_agg(tview::text, ' ') FROM tviews.verify_all() WHERE NOT ok")


def snapshot_is_kept(cluster, report, name, command, readers):
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        for tview in readers:
            one = Session(cluster)
            one.ask(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other")
            before = cluster.sql(f"SELECT count(*), sum(v) FROM {tview}")
            cluster.sql(command)
            seen = one.ask(f"SELECT count(*), sum(v) FROM {tview}")
            report.ok(seen == before, f"{name}, {level}: {tview} without own writes", seen)
            one.ask("SAVEPOINT a; INSERT INTO item VALUES (1000, 6, 1000)")
            seen = one.ask(f"SELECT count(*) FROM {tview}")
            right = str(int(before.split("|")[0]) + 1) if tview == OF_STAGES else "40001"
            report.ok(seen == right, f"{name}, {level}: {tview} with own writes", seen)
            one.ask("ROLLBACK TO a")
            seen = one.ask(f"SELECT ok FROM tviews.verify('{tview}')")
            report.ok(seen == "40001", f"{name}, {level}: {tview} compared with its query", seen)
            seen = one.ask("ROLLBACK TO a; UPDATE item SET v = v + 1 WHERE id = 5; COMMIT; SELECT 'committed'")
            report.ok(seen == "committed", f"{name}, {level}: a commit after it", seen)
            one.close()
        report.ok(differing(cluster) == "", f"{name}, {level}: all TVIEWs are right")
        one = Session(cluster)
        one.ask(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other")
        cluster.sql(command)
        seen = one.ask("REFRESH TVIEW later")
        report.ok(seen in ("", "40001"), f"{name}, {level}: REFRESH of a deferred TVIEW", seen)
        one.ask("ROLLBACK; UPDATE item SET v = v + 1 WHERE id = 6; BEGIN; REFRESH TVIEW later; COMMIT")
        one.close()
        report.ok(differing(cluster) == "", f"{name}, {level}: all TVIEWs are right after REFRESH")
        # the transaction's own command is no other one's
        one = Session(cluster)
        if name.startswith("ALTER"):
            one.ask(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other; INSERT INTO item VALUES (1001, 6, 1); {command}")
            seen = one.ask(f"SELECT count(*) > 0 FROM {readers[0]}; INSERT INTO item VALUES (1002, 6, 1); SELECT count(*) > 0 FROM {readers[0]}; COMMIT; SELECT 'committed'")
            report.ok(seen == "committed", f"{name}, {level}: in the same transaction", seen)
            cluster.sql("DELETE FROM item WHERE id > 1000")
        one.close()


def flush_meets_the_end(cluster, report):
    """REPACK waits for its last lock, behind a reader; a flush waits for REPACK. What it then reads is what is there."""
    for table, allowed in (("dim", ["committed"]), ("part_2", ["committed", "40001"])):
        for what in ("UPDATE item SET v = v + 1 WHERE dim = 6", "INSERT INTO item SELECT i, i % 9 + 1, i FROM generate_series(2000, 2600) i"):
            reader, repack, writer = Session(cluster), Session(cluster), Session(cluster)
            # plans are there, so that the flush does not lock the table by making them
            writer.ask("UPDATE item SET v = v + 1 WHERE dim = 7")
            reader.ask(f"BEGIN; SELECT count(*) FROM {table}")
            repack.send(f"REPACK (CONCURRENTLY) {table}")
            waiting(cluster, table, "AccessExclusiveLock")
            writer.ask(f"BEGIN; {what}")
            writer.send("COMMIT; SELECT 'committed'")
            waiting(cluster, table, "AccessShareLock")
            reader.ask("COMMIT")
            repack.answer()
            seen = writer.answer()
            report.ok(seen in allowed, f"a flush that waits for REPACK (CONCURRENTLY) {table}: {what.split()[0]}", seen)
            for session in (reader, repack, writer):
                session.close()
            report.ok(differing(cluster) == "", "and all TVIEWs are right")
            cluster.sql("DELETE FROM item WHERE id >= 2000")


def main():
    report = Report()
    with Cluster(ram=True) as c:
        c.sql(SCHEMA)
        is_19 = int(c.sql("SHOW server_version_num")) >= 190000
        for name, (command, readers) in {**ALTER, **(REPACK if is_19 else {})}.items():
            snapshot_is_kept(c, report, name, command, readers)
        if is_19:
            flush_meets_the_end(c, report)
    report.done()


if __name__ == "__main__":
    main()
