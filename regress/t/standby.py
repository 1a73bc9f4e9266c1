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
"""

LOGGED, UNLOGGED = ["total", "document", "large"], ["fleeting", "over_fleeting"]

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
            for sql in ("REFRESH MATERIALIZED VIEW total", "REFRESH TVIEW fleeting", "ALTER TVIEW total SET (logged = false)", "SELECT tviews.rebuild('total')",
                        "CREATE OR REPLACE TVIEW total AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY customer"):
                report.attempt(f"refused: {sql[:30]}", lambda: refused(standby, sql, "read-only transaction"))
            report.attempt("verify() reads", lambda: standby.sql("SELECT ok FROM tviews.verify('large')") == "t")
            answer = standby.sql("SELECT tview, ok, message FROM tviews.verify_all() ORDER BY NOT ok, 1")
            report.ok([line.split("|")[1] for line in answer.splitlines()] == ["t"] * 3 + ["f"] * 2 and answer.count("during recovery") == 2,
                      "verify_all() reads the logged ones, and says why not the others", answer)
            report.attempt("the views of tviews can be read", lambda: standby.sql("SELECT count(*) FROM tviews.tviews") == "5")
            health = "SELECT detail FROM tviews.health() WHERE \"check\" = 'contents' AND status = 'ok'"
            report.attempt("health() knows", lambda: standby.sql(health) == "5 TVIEWs are populated, 2 of them are unlogged and cannot be read on a standby")
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
