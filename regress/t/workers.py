"""TVIEWs refreshed by several processes of a database: a long refresh does not delay a short schedule; workers that are cancelled, ended, or not to be
had; a scheduler that ends; DROP DATABASE.

Invariant tested: what belongs together is refreshed by one process at a time, whatever is killed each change is followed once, and every TVIEW
equals its query at the end.
Called by `make check`; alone: PG_CONFIG=… regress/t/workers.py
"""

import time

from cluster import Cluster, Report
from schedule import wait_for

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE FUNCTION slowly(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(n); RETURN n; END$$;
CREATE TABLE a (id serial PRIMARY KEY, seconds int NOT NULL);
CREATE TABLE b (id serial PRIMARY KEY, n int NOT NULL);
CREATE TABLE c (id serial PRIMARY KEY, n int NOT NULL);
CREATE TVIEW long WITH (refresh = deferred, schedule = '1s') AS SELECT id, slowly(seconds) AS seconds FROM a;
CREATE TVIEW short WITH (refresh = deferred, schedule = '1s') AS SELECT n, count(*) AS rows FROM b GROUP BY n;
CREATE TVIEW base WITH (refresh = deferred, schedule = '1s') AS SELECT id, n FROM c;
CREATE TVIEW even WITH (refresh = deferred, schedule = '1s') AS SELECT n, count(*) AS rows FROM base WHERE n % 2 = 0 GROUP BY n;
CREATE TVIEW odd WITH (refresh = deferred, schedule = '1s') AS SELECT n, count(*) AS rows FROM base WHERE n % 2 = 1 GROUP BY n;
CREATE TVIEW both_sides WITH (refresh = deferred, schedule = '1s') AS SELECT e.rows AS even, o.rows AS odd FROM even e JOIN odd o ON o.n = e.n + 1;
"""
TVIEWS = ["long", "short", "base", "even", "odd", "both_sides"]
LONG = "SELECT count(*) FROM pg_stat_activity WHERE query = 'refreshing TVIEW public.long' AND state = 'active'"
PID = "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE query = 'refreshing TVIEW public.long' AND state = 'active'"
BEHIND = "SELECT count(*) FROM tviews.staleness WHERE rows_behind > 0"
BY_TYPE = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_tviews {}' AND datname = current_database()"


def delay(cluster):
    """Seconds until TVIEW `short` has followed a new row."""
    since = time.time()
    cluster.sql("INSERT INTO b (n) VALUES (1)")
    wait_for(cluster, "SELECT rows_behind FROM tviews.staleness WHERE tview = 'short'::regclass", "0")
    return time.time() - since


def is_exact(cluster, report, when):
    """The query of TVIEW `long` takes as long as its rows say: they are forgotten behind the refresh."""
    wait_for(cluster, BEHIND, "0")
    cluster.sql("UPDATE a SET seconds = 0 WHERE seconds > 0")
    report.ok(wait_for(cluster, BEHIND, "0"), f"{when}: all changes are followed", cluster.sql("TABLE tviews.staleness"))
    differences = {tview: cluster.difference(tview) for tview in TVIEWS}
    report.ok(not any(differences.values()), f"{when}: every TVIEW equals its query", differences)


def begin_long(cluster, report, seconds, when):
    cluster.sql(f"INSERT INTO a (seconds) VALUES ({seconds})")
    report.ok(wait_for(cluster, LONG, "1"), f"{when}: a long refresh has begun")


def beside_a_long_refresh(cluster, report):
    begin_long(cluster, report, 12, "two workers")
    worker = cluster.sql("SELECT string_agg(DISTINCT backend_type, ', ') FROM pg_stat_activity WHERE query LIKE 'refreshing TVIEW public.long'")
    report.ok(worker == "pg_tviews worker", "pg_stat_activity says who refreshes what", worker)
    delays = [delay(cluster) for _ in range(3)]
    report.ok(cluster.sql(LONG) == "1" and max(delays) < 3, "a short schedule is met beside a long refresh", delays)
    cluster.sql("INSERT INTO c (n) SELECT i % 10 FROM generate_series(1, 100) i")
    report.ok(wait_for(cluster, "SELECT count(*) > 0 FROM both_sides", "t") and cluster.sql(LONG) == "1", "and so is that of TVIEWs that read each other")
    health = cluster.sql("SELECT detail FROM tviews.health() WHERE \"check\" = 'schedules'")
    report.ok("refreshes public.long" in health, "health() says who is at work", health)
    is_exact(cluster, report, "after a long refresh")


def one_at_a_time(cluster, report):
    cluster.sql("ALTER SYSTEM SET pg_tviews.max_workers = 1")
    cluster.sql("SELECT pg_reload_conf()")
    time.sleep(1.5)
    begin_long(cluster, report, 6, "one worker")
    worker = cluster.sql("SELECT string_agg(DISTINCT backend_type, ', ') FROM pg_stat_activity WHERE query LIKE 'refreshing TVIEW public.long' AND state = 'active'")
    report.ok(worker == "pg_tviews scheduler", "with one, the scheduler does everything", worker)
    late = delay(cluster)
    report.ok(late > 3, "and what is short waits", late)
    is_exact(cluster, report, "with one worker")
    cluster.sql("ALTER SYSTEM RESET pg_tviews.max_workers")
    cluster.sql("SELECT pg_reload_conf()")
    time.sleep(1.5)


def together(cluster, report):
    """TVIEWs that read each other: whatever is due, one process."""
    cluster.sql("CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.1); RETURN n; END$$")
    cluster.sql("CREATE TVIEW slower WITH (refresh = deferred, schedule = '1s') AS SELECT id, slow(n) AS n FROM base WITH NO DATA; INSERT INTO a (seconds) VALUES (1)")
    cluster.sql("REFRESH TVIEW slower")
    most = 0
    for number in range(40):
        cluster.sql(f"INSERT INTO c (n) VALUES ({number}), ({number + 1})")
        sample = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'refreshing TVIEW public.(base|even|odd|both_sides|slower)'"
        most = max(most, int(cluster.sql(sample)))
        time.sleep(0.05)
    report.ok(most == 1, "TVIEWs that read each other are refreshed by one process at a time", most)
    is_exact(cluster, report, "TVIEWs that read each other")
    cluster.sql("DROP TVIEW slower")


def endings(cluster, report):
    failures = "SELECT string_agg(error, '; ' ORDER BY started) FROM tviews.refresh_history WHERE tview = 'long'::regclass AND status = 'failed'"
    begin_long(cluster, report, 5, "a worker that is ended")
    cluster.sql(f"SELECT pg_terminate_backend(({PID}))")
    report.ok(wait_for(cluster, failures, "the process that refreshed it has ended"), "a worker that was ended at work has failed", cluster.sql(failures))
    is_exact(cluster, report, "after a worker was ended")
    begin_long(cluster, report, 5, "a worker that is cancelled")
    cluster.sql(f"SELECT pg_cancel_backend(({PID}))")
    expected = "the process that refreshed it has ended; canceling statement due to user request"
    report.ok(wait_for(cluster, failures, expected), "a refresh that was cancelled has failed", cluster.sql(failures))
    is_exact(cluster, report, "after a refresh was cancelled")

    done = "SELECT count(*) FROM tviews.refresh_history WHERE tview = 'long'::regclass AND changed_rows > 0 AND duration > '10 s'"
    known = int(cluster.sql(done))
    begin_long(cluster, report, 12, "a scheduler that is ended")
    before = cluster.sql(PID)
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_tviews scheduler'")
    most = 0
    report.ok(wait_for(cluster, BY_TYPE.format("scheduler"), "1"), "a scheduler comes again")
    delays = [delay(cluster)]
    while cluster.sql(PID) == before:
        most = max(most, int(cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE query = 'refreshing TVIEW public.long' AND state = 'active'")))
        time.sleep(0.2)
    report.ok(most == 1 and delays[0] < 8, "what the old one has begun is finished, and not begun twice", (most, delays))
    is_exact(cluster, report, "after the scheduler was ended")
    report.ok(int(cluster.sql(done)) == known + 1, "and it was done once", cluster.sql("TABLE tviews.refresh_history"))


def databases(cluster, report):
    cluster.sql("CREATE DATABASE other")
    cluster.sql(SCHEMA, "other")
    cluster.sql("INSERT INTO a (seconds) VALUES (60); INSERT INTO b (n) VALUES (1)", "other")
    report.ok(wait_for(cluster, LONG, "1"), "a long refresh in another database has begun")
    since = time.time()
    report.attempt("a database whose workers are at work can be dropped", lambda: cluster.sql("DROP DATABASE other") == "")
    report.ok(time.time() - since < 10, "at once", time.time() - since)
    begin_long(cluster, report, 60, "shutdown")
    since = time.time()
    cluster.restart()
    report.ok(time.time() - since < 15, "a server with workers at work stops", time.time() - since)
    cluster.sql("UPDATE a SET seconds = 0")
    is_exact(cluster, report, "after a restart")


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SCHEMA)
        report.ok(wait_for(cluster, BY_TYPE.format("scheduler"), "1"), "a scheduler comes")
        beside_a_long_refresh(cluster, report)
        one_at_a_time(cluster, report)
        together(cluster, report)
        endings(cluster, report)
        databases(cluster, report)
    # The launcher, that of logical replication, and the scheduler: no process is left for a worker.
    with Cluster(max_worker_processes="3") as cluster:
        cluster.sql(SCHEMA)
        report.ok(wait_for(cluster, BY_TYPE.format("scheduler"), "1"), "no free slots: a scheduler comes")
        cluster.sql("INSERT INTO a (seconds) VALUES (1); INSERT INTO b (n) VALUES (1); INSERT INTO c (n) VALUES (1), (2)")
        is_exact(cluster, report, "without a free slot")
        report.ok(cluster.sql(BY_TYPE.format("worker")) == "0", "without a free slot the scheduler does everything")
    report.done()


if __name__ == "__main__":
    main()
