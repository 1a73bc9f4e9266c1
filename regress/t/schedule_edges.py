"""Schedules when something happens to what they are about: DROP EXTENSION and DROP DATABASE at work, promotion, settings that change, processes that are
ended at any moment, ALTER and DROP of a TVIEW that is being refreshed, tables of the extension that are written anew.

Invariant tested: a statement ends, the processes go where they are not wanted and come where they are, nothing crashes or complains for ever, and every
TVIEW that is there equals its query.
Called by `make check`; alone: PG_CONFIG=… regress/t/schedule_edges.py [SEED]
"""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

from cluster import Cluster, Report, SqlError
from schedule import wait_for

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE FUNCTION slowly(n float8) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(n); RETURN n; END$$;
CREATE TABLE a (id serial PRIMARY KEY, seconds float8 NOT NULL);
CREATE TABLE b (id serial PRIMARY KEY, n int NOT NULL);
CREATE TABLE c (id serial PRIMARY KEY, n int NOT NULL);
CREATE TVIEW long WITH (refresh = deferred, schedule = '1s') AS SELECT id, slowly(seconds) AS seconds FROM a;
CREATE TVIEW short WITH (refresh = deferred, schedule = '1s') AS SELECT n, count(*) AS rows FROM b GROUP BY n;
CREATE TVIEW base WITH (refresh = deferred, schedule = '1s') AS SELECT id, n FROM c;
CREATE TVIEW even WITH (refresh = deferred, schedule = '1s') AS SELECT n, count(*) AS rows FROM base WHERE n % 2 = 0 GROUP BY n;
"""
AGAIN = "SET client_min_messages = error;" + SCHEMA.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS").replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
TVIEWS = ["long", "short", "base", "even"]
OURS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_tviews {}' AND datname = current_database()"
AT = "SELECT count(*) FROM pg_stat_activity WHERE query = 'refreshing TVIEW public.{}' AND state = 'active' AND datname = current_database()"
BEHIND = "SELECT count(*) FROM tviews.staleness WHERE rows_behind > 0"
# What no log may have, whoever is ended.
BAD = re.compile(r"PANIC|XX000|TRAP|terminated by signal|cache lookup failed|could not open relation|does not exist|leak", re.I)


def at_work(cluster, report, seconds, when, database="postgres", tview="long"):
    cluster.sql(f"INSERT INTO a (seconds) VALUES ({seconds})", database)
    return report.ok(wait_for(cluster, AT.format(tview), "1", database=database), f"{when}: a refresh that takes {seconds} s has begun")


def is_exact(cluster, report, when, tviews=TVIEWS, database="postgres"):
    """The query of TVIEW `long` takes as long as its rows say: they are forgotten behind the refresh."""
    wait_for(cluster, BEHIND, "0", database=database)
    cluster.sql("UPDATE a SET seconds = 0 WHERE seconds > 0; INSERT INTO b (n) VALUES (1); INSERT INTO c (n) SELECT i % 5 FROM generate_series(1, 7) i", database)
    report.ok(wait_for(cluster, BEHIND, "0", database=database), f"{when}: all changes are followed", cluster.sql("TABLE tviews.staleness", database))
    differences = {tview: cluster.difference(tview, database) for tview in tviews}
    report.ok(not any(differences.values()), f"{when}: every TVIEW equals its query", differences)


def timed(cluster, sql, database="postgres"):
    """Seconds that a statement takes; its error."""
    since = time.time()
    try:
        cluster.sql("SET client_min_messages = error; SET statement_timeout = '60s'; " + sql, database)
        return time.time() - since, None
    except SqlError as error:
        return time.time() - since, error


def said(cluster, since):
    """Bad lines of the log from a position on."""
    return [line for line in cluster.log.read_text(errors="replace")[since:].splitlines() if BAD.search(line)]


def here(cluster):
    return len(cluster.log.read_text(errors="replace"))


def alterations(cluster, report):
    """ALTER and DROP wait for the refresh of the TVIEW, and what comes after it follows them."""
    since = here(cluster)
    for change, back in [("SET (schedule = '2s')", "SET (schedule = '1s')"), ("SET (mode = full)", "RESET (mode)"), ("SET (refresh = manual)", "SET (refresh = deferred, schedule = '1s')")]:
        at_work(cluster, report, 2, change)
        took, error = timed(cluster, f"ALTER TVIEW long {change}")
        report.ok(not error and took < 20, f"{change}: ALTER while its refresh runs", error or took)
        report.ok(wait_for(cluster, f"SELECT count(*) FROM tviews.refresh_history WHERE tview = 'long'::regclass AND status = 'failed'", "0"), f"{change}: no refresh has failed of it",
                  cluster.sql("SELECT * FROM tviews.refresh_history WHERE status = 'failed'"))
        cluster.sql(f"UPDATE a SET seconds = 0; ALTER TVIEW long {back}")
        is_exact(cluster, report, change)
    at_work(cluster, report, 2, "refresh = commit")
    took, error = timed(cluster, "ALTER TVIEW long SET (refresh = commit)")
    report.ok(not error, "refresh = commit: ALTER while its refresh runs", error)
    cluster.sql("UPDATE a SET seconds = 0")
    report.ok(cluster.difference("long") == 0, "and it is exact at commit from there on")
    cluster.sql("ALTER TVIEW long SET (refresh = deferred, schedule = '1s')")
    is_exact(cluster, report, "after refresh = commit and back")

    cluster.sql("CREATE TABLE d (id serial PRIMARY KEY, seconds float8 NOT NULL); CREATE TVIEW gone WITH (refresh = deferred, schedule = '1s') AS SELECT id, slowly(seconds) AS seconds FROM d")
    for drop in ("DROP TVIEW gone", "DROP TABLE d CASCADE"):
        cluster.sql("INSERT INTO d (seconds) VALUES (2)")
        report.ok(wait_for(cluster, AT.format("gone"), "1"), f"{drop}: its refresh has begun")
        took, error = timed(cluster, drop)
        report.ok(not error and took < 20, f"{drop} while its refresh runs", error or took)
        is_exact(cluster, report, f"after {drop}")
        if drop == "DROP TVIEW gone":
            cluster.sql("CREATE TVIEW gone WITH (refresh = deferred, schedule = '1s') AS SELECT id, slowly(seconds * 0.9) AS seconds FROM d")
    report.ok(cluster.sql("SELECT count(*) FROM tviews.staleness") == "4" and cluster.sql("SELECT count(*) FROM tviews.log WHERE source NOT IN (SELECT oid FROM pg_class)") == "0",
              "nothing is left of what was dropped", cluster.sql("TABLE tviews.log"))
    report.ok(not said(cluster, since), "the log has no complaint", "\n".join(said(cluster, since)))


def settings(cluster, report):
    """pg_tviews.max_workers, changed while refreshes run."""
    cluster.sql("CREATE TABLE e (id serial PRIMARY KEY, seconds float8 NOT NULL); CREATE TVIEW too WITH (refresh = deferred, schedule = '1s') AS SELECT id, slowly(seconds) AS seconds FROM e")
    at_work(cluster, report, 5, "fewer workers")
    cluster.sql("INSERT INTO e (seconds) VALUES (5)")
    report.ok(wait_for(cluster, AT.format("too"), "1"), "fewer workers: two refreshes run")
    cluster.sql("ALTER SYSTEM SET pg_tviews.max_workers = 1")
    cluster.sql("SELECT pg_reload_conf(); INSERT INTO b (n) VALUES (7)")
    time.sleep(1.5)
    report.ok([cluster.sql(AT.format(t)) for t in ("long", "too")] == ["1", "1"], "fewer workers: what runs is not disturbed")
    report.ok(cluster.sql(AT.format("short")) == "0" and wait_for(cluster, BEHIND, "0"), "fewer workers: the rest waits, and comes")
    cluster.sql("UPDATE e SET seconds = 0")
    is_exact(cluster, report, "with fewer workers", [*TVIEWS, "too"])
    cluster.sql("ALTER SYSTEM RESET pg_tviews.max_workers")
    cluster.sql("SELECT pg_reload_conf()")
    time.sleep(1.5)
    at_work(cluster, report, 8, "more workers")
    cluster.sql("INSERT INTO e (seconds) VALUES (8)")
    report.ok(wait_for(cluster, AT.format("too"), "1"), "more workers: two refreshes run")
    cluster.sql("ALTER SYSTEM SET pg_tviews.max_workers = 3")
    cluster.sql("SELECT pg_reload_conf(); INSERT INTO b (n) VALUES (8)")
    report.ok(wait_for(cluster, "SELECT rows_behind FROM tviews.staleness WHERE tview = 'short'::regclass", "0", seconds=4), "more workers: what is due need not wait any longer")
    cluster.sql("ALTER SYSTEM RESET pg_tviews.max_workers")
    cluster.sql("SELECT pg_reload_conf(); UPDATE e SET seconds = 0")
    is_exact(cluster, report, "with more workers", [*TVIEWS, "too"])
    cluster.sql("DROP TABLE e CASCADE")


def endings(cluster, report, dice):
    """Processes that are ended at any moment, with several workers."""
    cluster.sql("ALTER SYSTEM SET pg_tviews.max_workers = 3")
    cluster.sql("ALTER SYSTEM SET pg_tviews.max_refresh_errors = 0; ")
    cluster.sql("SELECT pg_reload_conf()")
    write = "INSERT INTO a (seconds) VALUES (0.15); INSERT INTO b (n) VALUES (1), (2), (3); INSERT INTO c (n) SELECT i % 7 FROM generate_series(1, 20) i; UPDATE c SET n = n + 1 WHERE id % 5 = 0; DELETE FROM b WHERE id % 4 = 0"
    ended = {"scheduler": 0, "worker": 0}
    for number in range(60):
        cluster.sql(write)
        what = "scheduler" if number % 6 == 5 else "worker"
        time.sleep(dice.random() * 0.4)
        ended[what] += int(cluster.sql(f"SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_tviews {what}' ORDER BY random() LIMIT 1) x"))
    report.ok(ended["worker"] > 5 and ended["scheduler"] > 1, "workers and schedulers were ended", ended)
    is_exact(cluster, report, "after endings at any moment")
    for number in range(2):
        cluster.sql(write)
        report.ok(wait_for(cluster, "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'pg_tviews worker'", "t"), "a worker is there")
        pid = int(cluster.sql("SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'pg_tviews worker'"))
        if pid:
            os.kill(pid, signal.SIGKILL)
        deadline = time.time() + 60
        time.sleep(0.5)
        while not cluster._ready() and time.time() < deadline:
            time.sleep(0.1)
        is_exact(cluster, report, "after a worker was killed, and the server with it")
    cluster.sql("ALTER SYSTEM RESET ALL")
    cluster.sql("SELECT pg_reload_conf()")


def own_tables(cluster, report):
    """The extension's tables and logs, written anew and indexed anew beside writers and refreshes."""
    over, errors = threading.Event(), []

    def write():
        while not over.is_set():
            script = "INSERT INTO b (n) VALUES (1); UPDATE c SET n = n + 1 WHERE id % 7 = 1; DELETE FROM b WHERE id % 5 = 0; INSERT INTO c (n) VALUES (4);" * 10
            if said := subprocess.run(cluster.psql("-f", "-"), input=script, capture_output=True, text=True, env=cluster.env).stderr:
                errors.append(said)

    tables = cluster.sql("SELECT oid::regclass FROM pg_class WHERE relnamespace = 'tviews'::regnamespace AND relkind IN ('m', 'r') ORDER BY 1").splitlines()
    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    done = 0
    try:
        deadline = time.time() + 25
        while time.time() < deadline:
            logs = cluster.sql("SELECT first::regclass FROM tviews.log UNION ALL SELECT second::regclass FROM tviews.log").splitlines()
            for table in [*tables, *logs]:
                for statement in (f"VACUUM FULL {table}", f"REINDEX TABLE {table}", f"REINDEX TABLE CONCURRENTLY {table}", f"VACUUM (FREEZE, ANALYZE) {table}"):
                    took, error = timed(cluster, f"SET lock_timeout = '20s'; {statement}")
                    # A log that has been dropped or emptied by another storage since.
                    if error and not (table in logs and "does not exist" in str(error)):
                        errors.append(f"{statement}: {error}")
                    done += 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
    report.ok(not errors and done > 40, f"{done} statements on tables of the extension beside writers", "\n".join(errors[:5]))
    report.ok(cluster.sql("SELECT count(*) FROM tviews.refresh_history WHERE status = 'failed' AND started > now() - interval '40 s' AND error NOT LIKE 'the process%'") == "0", "no refresh has failed of it",
              cluster.sql("SELECT * FROM tviews.refresh_history WHERE status = 'failed' ORDER BY started DESC LIMIT 5"))
    is_exact(cluster, report, "after its tables were written anew")


def databases(cluster, report):
    cluster.sql("CREATE ROLE guest LOGIN")
    for force in ("", " WITH (FORCE)"):
        since = here(cluster)
        cluster.sql("CREATE DATABASE other")
        cluster.sql(SCHEMA, "other")
        at_work(cluster, report, 60, f"DROP DATABASE{force}", "other")
        done = subprocess.run(cluster.psql("-U", "guest", "-c", f"DROP DATABASE other{force}"), capture_output=True, text=True, env=cluster.env)
        report.ok("must be owner" in done.stderr and cluster.sql(AT.format("long"), "other") == "1", f"DROP DATABASE{force} by who may not disturbs nobody", done.stderr)
        session = subprocess.Popen(cluster.psql(database="other"), env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        report.ok(wait_for(cluster, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'other' AND backend_type = 'client backend'", "t"), f"DROP DATABASE{force}: a session is there")
        if not force:
            took, error = timed(cluster, "DROP DATABASE other")
            report.ok("being accessed by other users" in str(error), "DROP DATABASE with a session is refused", error)
            report.ok(wait_for(cluster, OURS.format("scheduler"), "1", seconds=15, database="other"), "and the processes come back")
            cluster.sql("UPDATE a SET seconds = 0", "other")
            is_exact(cluster, report, "after DROP DATABASE was refused", database="other")
            at_work(cluster, report, 60, "DROP DATABASE", "other")
            session.communicate("\\q\n")
        took, error = timed(cluster, f"DROP DATABASE other{force}")
        report.ok(not error and took < 15, f"DROP DATABASE{force} ends the processes at work", error or took)
        session.kill()
        session.wait()
        time.sleep(3)
        fatal = [line for line in cluster.log.read_text(errors="replace")[since:].splitlines() if "FATAL" in line and "terminating" not in line]
        report.ok(not fatal, "nobody looks for the database any more", "\n".join(fatal))
    cluster.sql("CREATE DATABASE other")
    cluster.sql(SCHEMA, "other")
    cluster.sql("INSERT INTO b (n) VALUES (3)", "other")
    is_exact(cluster, report, "in another database of the name", database="other")
    copies = []
    for number in range(12):
        took, error = timed(cluster, "CREATE DATABASE copy TEMPLATE other")
        copies.append(error)
        if not error:
            copies.append(timed(cluster, "ALTER DATABASE copy RENAME TO renamed; DROP DATABASE renamed")[1])
        time.sleep(number % 4 * 0.4)
    report.ok(not any(copies), "a database with schedules is copied again and again, its processes come and go", "\n".join(map(str, filter(None, copies))))
    is_exact(cluster, report, "in a database that was copied", database="other")
    cluster.sql("DROP DATABASE other")


def extension(cluster, report):
    since = here(cluster)
    for number in range(4):
        at_work(cluster, report, 2, f"DROP EXTENSION {number}")
        took, error = timed(cluster, "DROP EXTENSION pg_tviews CASCADE")
        report.ok(not error and took < 20, f"DROP EXTENSION {number} while a worker works", error or took)
        if number < 3:
            cluster.sql("UPDATE a SET seconds = 0")
            cluster.sql(AGAIN)
            is_exact(cluster, report, f"after DROP EXTENSION {number} and CREATE EXTENSION")
    report.ok(cluster.sql("SELECT count(*) FROM pg_class WHERE relname IN ('long', 'short', 'base', 'even')") == "0", "its TVIEWs have gone")
    cluster.sql("UPDATE a SET seconds = 0; INSERT INTO b (n) VALUES (1); DELETE FROM c WHERE n = 1")
    time.sleep(3)
    report.ok(not said(cluster, since), "the processes do not complain", "\n".join(said(cluster, since)))
    cluster.sql(AGAIN)
    is_exact(cluster, report, "after the extension was made again")
    report.ok(wait_for(cluster, OURS.format("scheduler"), "1"), "one scheduler is at work")


def extension_with_others(cluster, report):
    """The extension dropped by CASCADE from its schema, and with all that its owner has."""
    since = here(cluster)
    cluster.sql("SET client_min_messages = error; DROP EXTENSION pg_tviews CASCADE; CREATE ROLE keeper SUPERUSER")
    ways = [("CREATE SCHEMA ext; CREATE EXTENSION pg_tviews SCHEMA ext;", "DROP SCHEMA ext CASCADE"),
            ("SET ROLE keeper; CREATE EXTENSION pg_tviews; RESET ROLE;", "DROP OWNED BY keeper CASCADE"),
            ("SET ROLE keeper; CREATE EXTENSION pg_tviews; RESET ROLE;", "DROP OWNED BY keeper")]
    for make, drop in ways:
        cluster.sql("UPDATE a SET seconds = 0;" + AGAIN.replace("CREATE EXTENSION pg_tviews;", make))
        at_work(cluster, report, 3, drop)
        took, error = timed(cluster, drop)
        refused = drop.startswith("DROP OWNED") and "CASCADE" not in drop
        report.ok(("cannot drop" in str(error) if refused else not error) and took < 20, f"{drop} while a worker works", error or took)
        if refused:
            is_exact(cluster, report, f"after {drop} was refused")
        else:
            left = "SELECT count(*) FROM pg_class WHERE relname IN ('long', 'short', 'base', 'even')"
            report.ok(cluster.sql(left) == "0", f"{drop}: its TVIEWs have gone", cluster.sql(left))
    log = cluster.log.read_text(errors="replace")[since:]
    report.ok("deadlock" not in log, "no deadlock", "\n".join(line for line in log.splitlines() if "deadlock" in line))
    report.ok(not said(cluster, since), "the processes do not complain", "\n".join(said(cluster, since)))


def promotion(report):
    with Cluster() as primary:
        primary.sql(SCHEMA.replace("schedule = '1s'", "schedule = '1s', logged"))
        primary.sql("INSERT INTO b (n) VALUES (1), (2); INSERT INTO c (n) VALUES (1), (2)")
        wait_for(primary, BEHIND, "0")
        copy = primary.directory / "copy"
        primary.tool("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
        (copy / "standby.signal").touch()
        with Cluster(template=copy, hot_standby="on", primary_conninfo=primary.dsn()) as standby:
            primary.sql("SELECT tviews.pause('short'); INSERT INTO b (n) VALUES (3); CHECKPOINT")
            position = primary.sql("SELECT pg_current_wal_lsn()")
            report.ok(wait_for(standby, f"SELECT pg_last_wal_replay_lsn() >= '{position}'", "t"), "promotion: the standby has followed")
            report.ok(standby.sql("SELECT rows_behind > 0 FROM tviews.staleness WHERE tview = 'short'::regclass") == "t", "promotion: a TVIEW is behind there")
            ours = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_tviews%'"
            seen = []
            for _ in range(8):
                seen.append(standby.sql(ours))
                time.sleep(0.5)
            report.ok(set(seen) == {"0"}, "before promotion there is no process of ours", seen)
            primary.sql("SELECT tviews.resume('short')")
            primary.stop(signal.SIGQUIT)
            standby.sql("SELECT pg_promote()")
            report.ok(wait_for(standby, OURS.format("scheduler"), "1", seconds=30), "after promotion a scheduler comes, before anybody writes")
            standby.sql("SELECT tviews.resume('short')")
            is_exact(standby, report, "after promotion")
            report.ok(standby.sql("SELECT count(*) FROM tviews.refresh_history WHERE tview = 'short'::regclass AND status = 'ok' AND initiator = 'schedule'") != "0", "by schedule")
            report.ok(not said(standby, 0), "the log has no complaint", "\n".join(said(standby, 0)))


def promotion_at_work(report):
    """The primary dies in the middle of refreshes by several workers; on the standby contents are lost, and several are computed anew at the same time."""
    more = "CREATE TVIEW kept WITH (refresh = deferred, schedule = '1s', logged) AS SELECT n, count(*) AS rows FROM b GROUP BY n; CREATE TVIEW always AS SELECT n, count(*) AS rows FROM c GROUP BY n;"
    tviews = [*TVIEWS, "kept", "always"]
    with Cluster() as primary:
        primary.sql(SCHEMA + more)
        primary.sql("INSERT INTO a (seconds) VALUES (0.3), (0.3); INSERT INTO b (n) VALUES (1), (2); INSERT INTO c (n) VALUES (1), (2)")
        wait_for(primary, BEHIND, "0")
        copy = primary.directory / "copy"
        primary.tool("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
        (copy / "standby.signal").touch()
        with Cluster(template=copy, hot_standby="on", primary_conninfo=primary.dsn(), **{"pg_tviews.max_workers": "3"}) as standby:
            at_work(primary, report, 2, "promotion at work")
            primary.sql("INSERT INTO b (n) VALUES (5); INSERT INTO c (n) VALUES (6)")
            position = primary.sql("SELECT pg_current_wal_lsn()")
            report.ok(wait_for(standby, f"SELECT pg_last_wal_replay_lsn() >= '{position}'", "t"), "promotion at work: the standby has followed")
            primary.crash()
            standby.sql("SELECT pg_promote()")
            over, errors = threading.Event(), []

            def write(n):
                while not over.is_set():
                    try:
                        standby.sql(f"INSERT INTO b (n) VALUES ({n}); UPDATE c SET n = n + 1 WHERE id % 3 = {n}; INSERT INTO c (n) VALUES ({n})")
                    except SqlError as error:
                        errors.append(str(error))

            threads = [threading.Thread(target=write, args=(n,)) for n in (1, 2)]
            for thread in threads:
                thread.start()
            report.ok(wait_for(standby, OURS.format("worker").replace("count(*)", "count(*) > 1"), "t", seconds=30), "promotion at work: several workers come, while sessions write")
            time.sleep(4)
            over.set()
            for thread in threads:
                thread.join()
            report.ok(not errors, "promotion at work: writers see no error", "\n".join(errors[:3]))
            is_exact(standby, report, "promotion at work", tviews)
            failed = "SELECT tview, error FROM tviews.refresh_history WHERE status = 'failed'"
            report.ok(standby.sql(failed) == "", "promotion at work: no refresh has failed", standby.sql(failed))
            report.ok(not said(standby, 0), "promotion at work: the log has no complaint", "\n".join(said(standby, 0)))


def main():
    report = Report()
    seed = int((sys.argv[1:] or ["7"])[0])
    with Cluster() as cluster:
        cluster.sql(SCHEMA)
        alterations(cluster, report)
        settings(cluster, report)
        endings(cluster, report, random.Random(seed))
        own_tables(cluster, report)
        databases(cluster, report)
        extension(cluster, report)
        extension_with_others(cluster, report)
    promotion(report)
    promotion_at_work(report)
    report.done()


if __name__ == "__main__":
    main()
