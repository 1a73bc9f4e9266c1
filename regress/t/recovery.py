"""After a crash the TVIEWs are computed anew before anybody reads them, once each, sources first.

Invariant tested: N readers and the worker cost one computation of a TVIEW together, a reader with a statement_timeout is served in the end, and
a TVIEW that fails does not keep the others from being computed.
Called by `make check`; alone: PG_CONFIG=… regress/t/recovery.py
"""

import signal
import subprocess
import time

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE t (id int PRIMARY KEY, g int, x text);
INSERT INTO t SELECT i, i % 1000, repeat('x', 50) || i FROM generate_series(1, 60000) i;
CREATE TVIEW document AS SELECT id, jsonb_build_object('id', id, 'h', md5(x)) AS d FROM t;
CREATE TVIEW by_group AS SELECT g, count(*) AS n FROM t GROUP BY g;
CREATE TVIEW by_count AS SELECT n, count(*) AS groups FROM by_group GROUP BY n;
CREATE TVIEW staged AS SELECT m, count(*) AS n FROM (SELECT g, max(id) % 10 AS m FROM t GROUP BY g HAVING count(*) > 1) q GROUP BY m;
CREATE TVIEW logged WITH (logged) AS SELECT g, max(id) AS last FROM t GROUP BY g;
CREATE TVIEW one AS SELECT 1 AS one;
CREATE TABLE divisor (d int);
INSERT INTO divisor VALUES (1);
CREATE TABLE few (id int PRIMARY KEY);
INSERT INTO few VALUES (1);
CREATE FUNCTION fragile(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT $1 / d FROM public.divisor); END';
CREATE TVIEW fails AS SELECT id, fragile(id) AS f FROM few;
UPDATE divisor SET d = 0;
CHECKPOINT;
CREATE DATABASE other;
"""
# and how often parts of a TVIEW are computed: its stages are counted for it
UNLOGGED = {"document": "1", "by_group": "1", "by_count": "1", "staged": "3", "one": "1"}


def wait_for(cluster, sql, expected, seconds=60):
    deadline = time.time() + seconds
    while (seen := cluster.sql(sql)) != expected and time.time() < deadline:
        time.sleep(0.05)
    return seen


def recomputed(cluster):
    return dict(line.split("|") for line in cluster.sql("SELECT tview, full_recomputes FROM tviews.stat").splitlines())


OVER = "SELECT count(*) FROM tviews.progress"
DONE = "SELECT count(*) = 5 FROM tviews.stat WHERE full_recomputes > 0 AND tview <> 'fails'::regclass"


def kill_a_backend(cluster):
    """One process dies, and the postmaster starts all others anew."""
    with subprocess.Popen(cluster.psql("-f", "-"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=cluster.env) as session:
        session.stdin.write("SELECT pg_sleep(60);\n")
        session.stdin.flush()
        pid = wait_for(cluster, "SELECT coalesce(max(pid), 0) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()", "t") and cluster.sql(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
        subprocess.run(["kill", "-9", pid], check=True)
        session.stdin.close()
    deadline = time.time() + 60
    while time.time() < deadline:
        try:
            return cluster.sql("SELECT 1")
        except SqlError:
            time.sleep(0.05)
    return None


def main():
    report = Report()
    with Cluster(restart_after_crash="on") as c:
        c.sql(SCHEMA)
        c.sql("CREATE EXTENSION pg_tviews; CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE TVIEW v AS SELECT id FROM t", "other")

        for how, crash in {"a crash of the server": lambda: (c.crash(), c.start()), "a crash of one process": lambda: kill_a_backend(c)}.items():
            crash()
            seen = wait_for(c, DONE, "t")
            report.ok(seen == "t", f"after {how}: computed without a reader", recomputed(c))
            seen = wait_for(c, OVER, "0")
            report.ok(seen == "0", f"after {how}: an end", c.sql("TABLE tviews.progress"))
            counts = recomputed(c)
            report.ok(all(counts[v] == n for v, n in UNLOGGED.items()) and counts["logged"] == "0", f"after {how}: each once", counts)
            for tview in [*UNLOGGED, "logged"]:
                report.attempt(f"after {how}: {tview} is exact", lambda: c.difference(tview) == 0)
            report.ok("TVIEW public.fails was lost and could not be computed anew: division by zero" in c.log.read_text(), f"after {how}: what failed is in the log")
            try:
                report.ok(False, "and fails for its readers", c.sql("TABLE fails"))
            except SqlError as error:
                report.ok("division by zero" in str(error), "and fails for its readers", error)
            seen = c.sql("SELECT full_recomputes FROM tviews.stat", "other")
            report.ok(seen == "1", f"after {how}: in another database, too", seen)

        # readers at the same time
        c.crash()
        c.start()
        readers = [subprocess.Popen(c.psql("-A", "-t", "-c", "SELECT count(*) FROM document"), stdout=subprocess.PIPE, text=True, env=c.env) for _ in range(8)]
        seen = [r.communicate()[0].strip() for r in readers]
        report.ok(seen == ["60000"] * 8, "eight readers", seen)
        wait_for(c, DONE, "t")
        wait_for(c, OVER, "0")
        counts = recomputed(c)
        report.ok(all(counts[v] == n for v, n in UNLOGGED.items()), "one computation", counts)

        # a limit that is shorter than the computation: in the end there is an answer
        c.sql("ALTER ROLE postgres SET statement_timeout = '30ms'")
        c.crash()
        c.start()
        answer, deadline = None, time.time() + 60
        while answer is None and time.time() < deadline:
            try:
                answer = c.sql("SELECT n FROM by_group WHERE g = 7")
            except SqlError:
                time.sleep(0.05)
        report.ok(answer == "60", "readers with a statement_timeout", answer)

        # a server that is stopped while the launcher starts workers, or waits for one, ends
        c.stop()
        ends = []
        for delay in range(10):
            c.start()
            time.sleep(delay / 200)
            c.server.send_signal(signal.SIGINT)
            try:
                ends.append(c.server.wait(60))
            except subprocess.TimeoutExpired:
                c.crash()
        c.server = None
        report.ok(ends == [0] * 10, "a stop soon after the start", ends)

        # no process to be had: readers do the work
        c.start()
        c.sql("ALTER ROLE postgres RESET statement_timeout")
        c.crash()
        with open(c.data / "postgresql.auto.conf", "a") as conf:
            conf.write("max_worker_processes = 1\nmax_logical_replication_workers = 0\n")
        c.start()
        report.ok(c.sql("SELECT count(*) FROM document") == "60000", "without a free slot")
    report.done()


if __name__ == "__main__":
    main()
