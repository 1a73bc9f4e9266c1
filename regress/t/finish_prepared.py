"""pg_tviews_commit_prepared(): a wait that is cancelled, a server without workers, a crash in between."""

import time

from cluster import Cluster, Report, SqlError

GIDS = "SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_tviews_recover_prepared_transactions()"
PREPARE = "BEGIN; INSERT INTO t VALUES ({n}); PREPARE TRANSACTION 'p{n}'"


def failure(cluster, sql):
    try:
        cluster.sql(sql)
    except SqlError as error:
        return str(error)
    return "no error"


def until(cluster, sql, wanted):
    deadline = time.time() + 20
    while cluster.sql(sql) != wanted and time.time() < deadline:
        time.sleep(0.05)
    return cluster.sql(sql)


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql("CREATE EXTENSION pg_tviews; CREATE TABLE t (id int PRIMARY KEY); CREATE TVIEW v WITH (logged) AS SELECT id FROM t")
        for n in (1, 2, 3, 4):
            cluster.sql(PREPARE.format(n=n))
        cluster.crash()
        cluster.start()
        report.ok(cluster.sql(GIDS) == "p1 p2 p3 p4", "prepared transactions are listed after a crash", cluster.sql(GIDS))
        cluster.sql("SELECT pg_tviews_commit_prepared('p1'); SELECT pg_tviews_rollback_prepared('p2')")
        report.ok(cluster.sql("SELECT string_agg(id::text, ' ') FROM v") == "1", "and can be finished", cluster.sql("TABLE v"))

        # COMMIT PREPARED waits for a standby that is not there
        cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()")
        until(cluster, "SHOW synchronous_standby_names", "nobody")
        started = time.time()
        error = failure(cluster, "SET statement_timeout = '700ms'; SELECT pg_tviews_commit_prepared('p3')")
        report.ok("statement timeout" in error and time.time() - started < 10, "the wait can be cancelled", error)
        cluster.sql("SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()")
        report.ok(until(cluster, GIDS, "p4") == "p4", "the worker finishes the transaction all the same", cluster.sql(GIDS))
        report.ok(cluster.sql("SELECT count(*) FROM v") == "2", "and the TVIEW has its rows")

        # the launchers of pg_tviews and of logical replication take the workers that there are
        cluster.sql("ALTER SYSTEM SET max_worker_processes = 2")
        cluster.restart()
        error = failure(cluster, "SELECT pg_tviews_commit_prepared('p4')")
        report.ok("could not start a background worker" in error and "max_worker_processes" in error, "without a free worker it fails", error)
        report.ok(cluster.sql(GIDS) == "p4", "and changes nothing", cluster.sql(GIDS))
        cluster.sql("ALTER SYSTEM RESET max_worker_processes")
        cluster.restart()
        cluster.sql("SELECT pg_tviews_commit_prepared('p4')")
        report.ok(cluster.sql("SELECT count(*) FROM v") == "3", "with one it works")
    report.done()


if __name__ == "__main__":
    main()
