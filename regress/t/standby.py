"""Physical replication: TVIEWs on a standby, and after its promotion.

Invariant tested: on the standby a logged TVIEW has what the commits that have arrived made of it, an unlogged one refuses to be read instead of showing
nothing; the promoted standby shows both as their queries, to whatever comes first, and maintains them.
Called by `make check`; alone: PG_CONFIG=… regress/t/standby.py
"""

import signal
import time

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, customer int REFERENCES customer, amount int NOT NULL);
INSERT INTO customer SELECT i, 'customer ' || i FROM generate_series(1, 50) i;
INSERT INTO sale SELECT i, 1 + i % 50, i % 97 FROM generate_series(1, 2000) i;
CREATE TVIEW total WITH (logged) AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY customer;
CREATE TVIEW document WITH (logged) AS SELECT s.id, s.amount, c.name FROM sale s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW large WITH (logged) AS SELECT c.id, c.name, t.n FROM customer c JOIN (SELECT customer, count(*) AS n FROM sale GROUP BY customer HAVING sum(amount) > 1900) t ON t.customer = c.id;
CREATE TVIEW fleeting AS SELECT customer, count(*) AS n, max(amount) AS most FROM sale GROUP BY customer;
CREATE TVIEW over_fleeting AS SELECT most, count(*) AS n FROM fleeting GROUP BY most;
CREATE TVIEW by_hand WITH (refresh = manual, logged) AS SELECT amount, count(*) AS n FROM sale GROUP BY amount;
CREATE TVIEW scheduled WITH (refresh = deferred, schedule = '1s', logged) AS SELECT s.id, c.name FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW fleeting_later WITH (refresh = manual) AS SELECT customer, min(amount) AS least FROM sale GROUP BY customer;
"""

LOGGED, UNLOGGED = ["total", "document", "large"], ["fleeting", "over_fleeting"]
FRONTIER = "SELECT snapshot FROM tviews.staleness WHERE tview = 'by_hand'::regclass"

WRITES = [
    "INSERT INTO sale SELECT i, 1 + i % 50, i % 89 FROM generate_series(2001, 2100) i",
    "UPDATE sale SET amount = amount + 100 WHERE id % 10 = 0",
    "BEGIN; UPDATE customer SET name = upper(name) WHERE id < 9; SAVEPOINT s; DELETE FROM sale; ROLLBACK TO s; DELETE FROM sale WHERE customer = 3; COMMIT",
    "BEGIN; UPDATE sale SET amount = 1; ROLLBACK",
]


def main():
    report = Report()
    with Cluster() as primary:
        primary.sql(SCHEMA)
        copy = primary.directory / "copy"
        primary.tool("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
        (copy / "standby.signal").touch()
        with Cluster(template=copy, hot_standby="on", primary_conninfo=primary.dsn(), max_standby_streaming_delay="-1") as standby:
            for number, sql in enumerate(WRITES, 1):
                primary.sql(sql)
                arrived(primary, standby)
                for tview in LOGGED:
                    report.attempt(f"writes {number}: {tview} on the standby", lambda: standby.difference(tview) == 0 and same(primary, standby, tview))
            for tview in UNLOGGED:
                report.attempt(f"{tview} cannot be read there", lambda: refused(standby, f"SELECT * FROM {tview}", "during recovery"))
            primary.sql("REFRESH TVIEW by_hand")
            arrived(primary, standby)
            report.attempt("a deferred TVIEW on the standby is as of its last refresh",
                           lambda: standby.difference("by_hand") == 0 and primary.sql(FRONTIER) == standby.sql(FRONTIER))
            primary.sql("UPDATE sale SET amount = 5000 WHERE id < 20")
            arrived(primary, standby)
            report.attempt("and stays so", lambda: standby.difference("by_hand") > 0 and same(primary, standby, "by_hand"))
            report.attempt("how far it is behind is known there", lambda: standby.sql("SELECT rows_behind > 0 FROM tviews.staleness WHERE tview = 'by_hand'::regclass") == "t")
            report.attempt("no worker is at work there", lambda: standby.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_tviews scheduler'") == "0")
            for sql in ("REFRESH MATERIALIZED VIEW total", "REFRESH TVIEW fleeting", "REFRESH TVIEW by_hand", "SELECT tviews.pause('scheduled')", "ALTER TVIEW total SET (logged = false)", "SELECT tviews.rebuild('total')",
                        "CREATE OR REPLACE TVIEW total AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY customer"):
                report.attempt(f"refused: {sql[:30]}", lambda: refused(standby, sql, "read-only transaction"))
            report.attempt("verify() reads", lambda: standby.sql("SELECT ok FROM tviews.verify('large')") == "t")
            answer = standby.sql("SELECT tview, ok, message FROM tviews.verify_all() ORDER BY NOT ok, 1")
            report.ok([line.split("|")[1] for line in answer.splitlines()] == ["t"] * 3 + ["f"] * 5 and (answer.count("during recovery"), answer.count("read-only")) == (2, 3),
                      "verify_all() reads the logged ones, and says why not the others", answer)
            report.attempt("the views of tviews can be read", lambda: standby.sql("SELECT count(*) FROM tviews.tviews") == "8")
            health = "SELECT detail FROM tviews.health() WHERE \"check\" = 'contents' AND status = 'ok'"
            report.attempt("health() knows", lambda: standby.sql(health) == "8 TVIEWs are populated, 3 of them are unlogged and cannot be read on a standby")
            report.attempt("explain()", lambda: "stage" in standby.sql("SELECT * FROM tviews.explain('large')"))

            primary.stop(signal.SIGQUIT)
            standby.sql("SELECT pg_promote()")
            deadline = time.time() + 30
            computed = f"SELECT count(*) FROM tviews.stat WHERE full_recomputes > 0 AND tview::text = ANY ('{{{','.join(UNLOGGED)}}}')"
            while standby.sql(computed) != str(len(UNLOGGED)) and time.time() < deadline:
                time.sleep(0.05)
            report.ok(standby.sql(computed) == str(len(UNLOGGED)), "promoted: computed without a reader", standby.sql("TABLE tviews.stat"))
            report.attempt("promoted: the first write", lambda: standby.sql("UPDATE sale SET amount = amount + 1 WHERE customer = 7") == "")
            for tview in UNLOGGED[::-1] + LOGGED:
                report.attempt(f"promoted: {tview} is exact", lambda: standby.difference(tview) == 0 and standby.sql(f"SELECT count(*) > 0 FROM {tview}") == "t")
            schedule = "SELECT rows_behind = 0 FROM tviews.staleness WHERE tview = 'scheduled'::regclass"
            while standby.sql(schedule) != "t" and time.time() < deadline:
                time.sleep(0.1)
            report.attempt("promoted: schedules go on, with what was logged before", lambda: standby.difference("scheduled") == 0)
            for tview in ("by_hand", "fleeting_later"):
                standby.sql(f"REFRESH TVIEW {tview}")
                report.attempt(f"promoted: {tview} is refreshed", lambda: standby.difference(tview) == 0)
            standby.sql("DELETE FROM customer WHERE id > 50; UPDATE sale SET customer = 8 WHERE id % 7 = 0")
            for tview in UNLOGGED + LOGGED:
                report.attempt(f"promoted and written: {tview} is exact", lambda: standby.difference(tview) == 0)
    report.done()


def arrived(primary, standby, seconds=60):
    here, deadline = primary.sql("SELECT pg_current_wal_lsn()"), time.time() + seconds
    while standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{here}'") != "t":
        if time.time() > deadline:
            raise RuntimeError(f"WAL does not arrive:\n{standby.log_tail()}")
        time.sleep(0.05)


def same(one, other, tview):
    query = f"SELECT md5(string_agg(v::text, ';' ORDER BY v::text)) FROM {tview} v"
    return one.sql(query) == other.sql(query)


def refused(cluster, sql, why):
    try:
        cluster.sql(sql)
    except SqlError as error:
        return why in str(error)
    return False


if __name__ == "__main__":
    main()
