"""Counters of tviews.stat across sessions and restarts, the time spent waiting, and a server that does not preload the library."""

import re
import subprocess
import time

from cluster import Cluster, Report, SqlError

FLUSHES = "SELECT flushes FROM tviews.stat"


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql("""CREATE EXTENSION pg_tviews;
                       CREATE TABLE a (id int PRIMARY KEY, v int);
                       CREATE TABLE b (id int PRIMARY KEY, v int);
                       CREATE TVIEW ab AS SELECT a.id, a.v, b.v AS w FROM a LEFT JOIN b ON a.id = b.id;
                       INSERT INTO a VALUES (1, 1)""")
        report.ok(cluster.sql(FLUSHES) == "1", "counters outlive a session", cluster.sql(FLUSHES))

        # the two sides of a join exclude each other between flush and commit
        with subprocess.Popen(cluster.psql("-f", "-"), stdin=subprocess.PIPE, text=True, env=cluster.env) as first:
            first.stdin.write("BEGIN; INSERT INTO a VALUES (2, 2); SELECT tviews.flush() \\g /dev/null\nSELECT pg_sleep(1) \\g /dev/null\nCOMMIT;")
            first.stdin.close()
            while cluster.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0":
                time.sleep(0.02)
            cluster.sql("SET pg_tviews.log_min_flush_duration = 0; INSERT INTO b VALUES (2, 2)")
        times = cluster.sql("SELECT lock_wait_time > 100, lock_wait_time < 1100, flush_time > lock_wait_time, flushes FROM tviews.stat")
        report.ok(times == "t|t|t|3", "waiting for a lock is counted", times)

        log = cluster.log.read_text()
        line = re.search(r"LOG:  flush of TVIEW public.ab took [\d.]+ ms\n.*DETAIL:  (.*)\n", log)
        wanted = (r"Strategy: keyed, by nested loops. Changed rows: 1, keys: 1. Rows written: 0 inserted, 1 updated, 0 deleted; not written, because equal: 0. "
                  r"Waited for other flushes: (\d+)\.\d+ ms.")
        detail = line and re.fullmatch(wanted, line[1])
        report.ok(detail and int(detail[1]) > 100, "a flush is logged, with its wait", line and line[0])
        report.ok(log.count("flush of TVIEW") == 1, "others are not")
        try:
            cluster.sql("CREATE ROLE somebody; SET ROLE somebody; SET pg_tviews.log_min_flush_duration = 0")
            report.ok(False, "only superusers have flushes logged")
        except SqlError as error:
            report.ok("permission denied" in str(error), "only superusers have flushes logged", error)

        cluster.restart()
        report.ok(cluster.sql(FLUSHES) == "3", "a restart keeps them", cluster.sql(FLUSHES))
        cluster.sql("UPDATE a SET v = 3")
        report.ok(cluster.sql(FLUSHES) == "4", "and counts on", cluster.sql(FLUSHES))
        cluster.crash()
        cluster.start()
        deadline = time.time() + 30
        while cluster.sql(FLUSHES) != "1" and time.time() < deadline:
            time.sleep(0.05)
        report.ok(cluster.sql(FLUSHES) == "1", "a crash starts again from zero, and counts the recovery", cluster.sql(FLUSHES))

        cluster.stop()
        conf = cluster.data / "postgresql.auto.conf"
        conf.write_text("".join(line for line in conf.read_text().splitlines(True) if not line.startswith("shared_preload")))
        cluster.start()
        health = cluster.sql("LOAD 'pg_tviews'; SELECT \"check\", status FROM tviews.health() WHERE \"check\" IN ('preload', 'statistics') ORDER BY 1")
        report.ok(health == "preload|error\nstatistics|warning", "health() says that the library is not preloaded", health)
        own = cluster.sql(f"LOAD 'pg_tviews'; UPDATE a SET v = 4; {FLUSHES}").splitlines()
        report.ok(own == ["1"], "such a session counts its own flushes", own)
        report.ok(cluster.sql(FLUSHES) == "0", "and nobody else's", cluster.sql(FLUSHES))
        try:
            cluster.sql("CREATE MATERIALIZED VIEW c USING tview AS SELECT * FROM a")
            report.ok(False, "and cannot create a TVIEW")
        except SqlError as error:
            report.ok("not preloaded" in str(error), "and cannot create a TVIEW", error)
    report.done()


if __name__ == "__main__":
    main()
