"""TVIEWs refreshed by schedule: workers of databases, errors and pauses, kills of workers, of backends and of the server, DROP DATABASE.

Invariant tested: whatever is killed, each change is followed once; writers go on meanwhile, and at the end every TVIEW equals its query.
Called by `make check`; alone: PG_CONFIG=… regress/t/schedule.py
"""

import subprocess
import threading
import time

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, country int NOT NULL);
CREATE TABLE sale (id serial PRIMARY KEY, customer int NOT NULL, amount int NOT NULL);
CREATE INDEX ON sale (customer);
INSERT INTO customer SELECT i, i % 5 FROM generate_series(1, 50) i;
CREATE TVIEW line WITH (refresh = deferred, schedule = '1s') AS SELECT s.id, s.amount, c.country FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW total WITH (refresh = deferred, schedule = 'calculated', logged) AS SELECT country, count(*) AS n, sum(amount) AS amount FROM line GROUP BY country;
CREATE TVIEW report WITH (refresh = deferred, schedule = '*/1 * * * * *') AS SELECT n > 5 AS many, count(*) AS countries FROM total GROUP BY n > 5;
CREATE TVIEW at_commit AS SELECT country, count(*) AS n FROM line GROUP BY country;
CREATE TVIEW by_hand WITH (refresh = manual) AS SELECT customer, count(*) AS n FROM sale GROUP BY customer;
"""
TVIEWS = ["line", "total", "report", "at_commit", "by_hand"]
WRITE = """
INSERT INTO sale (customer, amount) SELECT 1 + (random() * 49)::int, (random() * 100)::int FROM generate_series(1, 3);
UPDATE sale SET amount = amount + 1 WHERE id % 17 = (random() * 16)::int;
UPDATE customer SET country = (random() * 4)::int WHERE id = 1 + (random() * 49)::int;
DELETE FROM sale WHERE id % 31 = (random() * 30)::int;
BEGIN; INSERT INTO sale (customer, amount) VALUES (1, 1); SAVEPOINT a; DELETE FROM sale WHERE id % 13 = 1; ROLLBACK TO a; UPDATE sale SET customer = 2 WHERE id % 29 = 3; COMMIT;
"""
WORKER = "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'pg_tviews scheduler' AND datname = current_database()"


def wait_for(cluster, sql, expected, seconds=60, database="postgres"):
    deadline = time.time() + seconds
    while (seen := cluster.sql(sql, database)) != expected and time.time() < deadline:
        time.sleep(0.1)
    return seen == expected


class Writers:
    """Sessions that write all the while; errors of a server that goes down are theirs to expect."""

    def __init__(self, cluster, count):
        self.cluster, self.over, self.rounds = cluster, False, 0
        self.threads = [threading.Thread(target=self.write) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self):
        while not self.over:
            done = subprocess.run(self.cluster.psql("-f", "-"), input=WRITE * 5, capture_output=True, text=True, env=self.cluster.env)
            self.rounds += done.returncode == 0
            if done.returncode:
                time.sleep(0.2)

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join()


def is_exact(cluster, report, when):
    """All has been followed, without a refresh by hand but of the one that has no other."""
    cluster.sql("REFRESH TVIEW by_hand")
    behind = "SELECT count(*) FROM tviews.staleness WHERE rows_behind > 0 AND NOT paused"
    report.ok(wait_for(cluster, behind, "0"), f"{when}: all changes are followed", cluster.sql("TABLE tviews.staleness"))
    differences = {tview: cluster.difference(tview) for tview in TVIEWS}
    report.ok(not any(differences.values()), f"{when}: every TVIEW equals its query", differences)


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SCHEMA)
        report.ok(wait_for(cluster, WORKER.replace("coalesce(max(pid), 0)", "count(*)"), "1"), "a worker comes with the first TVIEW that has a schedule")
        cluster.sql(WRITE * 3)
        is_exact(cluster, report, "after some writes")
        history = "SELECT string_agg(DISTINCT initiator || ' ' || action || ' ' || status, ', ') FROM tviews.refresh_history WHERE tview::text <> 'by_hand'"
        report.ok(cluster.sql(history) == "schedule incremental ok", "the history says who refreshed, and how", cluster.sql(history))

        writers = Writers(cluster, 3)
        try:
            for number in range(4):
                pid = cluster.sql(WORKER)
                if pid != "0":
                    subprocess.run(["kill", "-TERM", pid], check=False)
                time.sleep(0.7)
                cluster.sql("REFRESH TVIEW report")
            report.ok(wait_for(cluster, WORKER.replace("coalesce(max(pid), 0)", "count(*)"), "1"), "a worker that was ended comes back")
            for mode in ["TERM", "KILL"]:
                pid = cluster.sql("SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'client backend' AND query LIKE 'UPDATE%' AND pid <> pg_backend_pid()")
                if pid != "0":
                    subprocess.run(["kill", f"-{mode}", pid], check=False)
                time.sleep(2)
            deadline = time.time() + 60
            while not cluster._ready() and time.time() < deadline:
                time.sleep(0.1)
        finally:
            writers.stop()
        report.ok(writers.rounds > 5, "sessions wrote all the while", writers.rounds)
        is_exact(cluster, report, "after kills of workers and backends")

        writers = Writers(cluster, 3)
        try:
            time.sleep(1.5)
            cluster.crash()
            cluster.start()
            time.sleep(2)
            cluster.restart()
            time.sleep(1)
        finally:
            writers.stop()
        is_exact(cluster, report, "after a crash of the server and a restart")

        cluster.sql("ALTER TVIEW line SET (refresh = commit); INSERT INTO sale (customer, amount) VALUES (1, 1)")
        report.ok(cluster.difference("line") == 0, "exact at commit, after ALTER TVIEW")
        cluster.sql("ALTER TVIEW line SET (refresh = deferred, schedule = '1s'); INSERT INTO sale (customer, amount) VALUES (1, 1)")
        is_exact(cluster, report, "after ALTER TVIEW there and back")

        # errors
        cluster.sql("ALTER SYSTEM SET pg_tviews.max_refresh_errors = 2")
        cluster.sql("SELECT pg_reload_conf(); CREATE TABLE n (id int PRIMARY KEY, n int); CREATE TVIEW part WITH (refresh = deferred, schedule = '1s') AS SELECT id, 100 / n AS p FROM n; INSERT INTO n VALUES (1, 0)")
        state = "SELECT errors, paused, last_error FROM tviews.staleness WHERE tview = 'part'::regclass"
        report.ok(wait_for(cluster, state, "2|t|division by zero"), "a TVIEW that fails again and again is paused", cluster.sql(state))
        cluster.sql("INSERT INTO sale (customer, amount) VALUES (2, 2)")
        is_exact(cluster, report, "beside a TVIEW that is paused")
        cluster.sql("UPDATE n SET n = 7; SELECT tviews.resume('part')")
        report.ok(wait_for(cluster, "SELECT p FROM part", "14"), "after resume() it has followed")
        failed = "SELECT count(*), min(error) FROM tviews.refresh_history WHERE tview = 'part'::regclass AND status = 'failed'"
        report.ok(cluster.sql(failed) == "2|division by zero", "errors are in the history", cluster.sql(failed))
        cluster.sql("SELECT tviews.pause('line')")
        cluster.sql("INSERT INTO sale (customer, amount) VALUES (3, 3)")
        time.sleep(2.5)
        report.ok(cluster.sql("SELECT rows_behind > 0 FROM tviews.staleness WHERE tview = 'line'::regclass") == "f", "a TVIEW that is paused follows when another one needs it")
        cluster.sql("SELECT tviews.pause('report'), tviews.pause('total')")
        cluster.sql("INSERT INTO sale (customer, amount) VALUES (3, 3)")
        time.sleep(2.5)
        report.ok(cluster.sql("SELECT rows_behind FROM tviews.staleness WHERE tview = 'line'::regclass") == "1", "a TVIEW that is paused is left alone")

        # the log is emptied when all have followed
        cluster.sql("SELECT tviews.resume(t) FROM unnest(ARRAY['line', 'total', 'report']::regclass[]) t")
        sizes = "SELECT sum(pg_relation_size(first) + pg_relation_size(second)) < 3000000 FROM tviews.log"
        for _ in range(6):
            cluster.sql("UPDATE sale SET amount = amount + 1; INSERT INTO sale (customer, amount) SELECT 1, 1 FROM generate_series(1, 5000)")
            cluster.sql("REFRESH TVIEW by_hand")
            time.sleep(1.2)
        report.ok(wait_for(cluster, sizes, "t"), "logs that all have followed are emptied", cluster.sql("SELECT source::regclass, pg_relation_size(first), pg_relation_size(second) FROM tviews.log"))
        is_exact(cluster, report, "after logs were emptied")

        # databases
        cluster.sql("CREATE DATABASE other")
        cluster.sql("CREATE EXTENSION pg_tviews; CREATE TABLE t (a int); CREATE TVIEW v WITH (refresh = deferred, schedule = '1s') AS SELECT a, count(*) FROM t GROUP BY a", "other")
        report.ok(wait_for(cluster, WORKER.replace("coalesce(max(pid), 0)", "count(*)"), "1", database="other"), "each database has a worker of its own")
        report.attempt("a database whose worker is at work can be copied", lambda: cluster.sql("CREATE DATABASE third TEMPLATE other") == "")
        try:
            cluster.sql("ALTER DATABASE other RENAME TO fourth; DROP DATABASE third; DROP DATABASE fourth")
            report.ok(True, "databases can be renamed and dropped")
        except SqlError as error:
            report.ok(False, "databases can be renamed and dropped", error)
        cluster.sql("DROP SCHEMA public CASCADE")
        report.ok(cluster.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tviews'") == "0", "the extension goes with its TVIEWs")
    report.done()


if __name__ == "__main__":
    main()
