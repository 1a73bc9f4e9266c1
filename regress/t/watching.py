"""Views and functions about all TVIEWs, while others define, populate and drop TVIEWs and the tables of these.

Invariant tested: what monitors does not fail because something is dropped while it looks, and does not wait for a lock that somebody holds until the end
of a transaction; what it cannot look at it leaves out, or says NULL. verify_all() and what shows definitions may wait, and do not fail.
Called by `make check`; alone: PG_CONFIG=… regress/t/watching.py
"""

import subprocess
import sys
import threading
import time

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, country int NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, customer int NOT NULL, amount int NOT NULL);
CREATE INDEX sale_customer ON sale (customer);
INSERT INTO customer SELECT i, i % 7 FROM generate_series(1, 50) i;
INSERT INTO sale SELECT i, 1 + i % 50, i FROM generate_series(1, 500) i;
CREATE VIEW seen AS SELECT id, customer, amount FROM sale WHERE amount > 10;
CREATE TVIEW line AS SELECT s.id, s.amount, c.country FROM seen s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW staged AS SELECT c.id, t.n FROM customer c JOIN (SELECT customer, count(*) AS n FROM sale GROUP BY customer HAVING count(*) > 3) t ON t.customer = c.id;
CREATE TVIEW above WITH (notify) AS SELECT country, sum(amount) AS amount FROM line GROUP BY country;
CREATE TVIEW later WITH (refresh = deferred, schedule = '1s') AS SELECT country, count(*) AS n FROM customer GROUP BY country;
CREATE TVIEW by_hand WITH (refresh = manual) AS SELECT customer, max(amount) AS most FROM sale GROUP BY customer;
INSERT INTO sale SELECT i, 1 + i % 50, i FROM generate_series(501, 520) i;
"""

# What must not wait.
MONITORS = [
    "SELECT count(t.*) FROM tviews.tviews t",
    "SELECT count(t.*) FROM tviews.stat t",
    "SELECT count(t.*) FROM tviews.staleness t",
    "SELECT count(t.*) FROM tviews.capture t",
    "SELECT count(t.*) FROM tviews.refresh_history t",
    "SELECT count(t.*) FROM tviews.progress t",
    "SELECT count(t.*) FROM tviews.progress_concurrently t",
    "SELECT count(t.*) FROM tviews.locks t",
    "SELECT count(t.*) FROM tviews.pending() t",
    "SELECT count(t.*) FROM tviews.changes() t",
    "SELECT count(t.*) FROM tviews.health() t",
    "SELECT length(tviews.graph()) > 0",
    "SELECT length(tviews.graph('dot')) > 0",
    "SELECT length(tviews.graph('json')) > 0",
    "SELECT count(t.*) FROM pg_tviews_health_check() t",
    "SELECT pg_tviews_install_stmt_triggers() IS NOT NULL",
    "SELECT count(t.*) FROM pg_tview_meta_audit t",
    "SELECT count(t.*) FROM pg_tview_queue t",
    "SELECT count(t.*) FROM pg_tviews_queue_realtime t",
    "SELECT count(t.*) FROM pg_tviews_cache_stats t",
    "SELECT count(t.*) FROM pg_tviews_performance_summary t",
    "SELECT pg_tviews_queue_stats() IS NOT NULL",
    "SELECT pg_tviews_debug_queue() IS NOT NULL",
    "SELECT sum(tviews.size_of(oid)) > 0 FROM pg_class",
]
# What waits for the tables of one TVIEW after the other, and holds none meanwhile.
VERIFIED = ["SELECT count(*) FILTER (WHERE message IS NOT NULL) FROM tviews.verify_all()"]
# What may: it shows definitions, as pg_matviews does.
PATIENT = [
    "SELECT count(t.tview_oid) FROM pg_tview_meta t",
    "SELECT count(t.*) FROM pg_tviews_performance_stats() t",
]
# Held until the end of a transaction, and the TVIEW that monitors say less of meanwhile.
HOLDERS = {
    "DROP TVIEW above": "above",
    "DROP TVIEW later": "later",
    "DROP TVIEW staged": "staged",
    "ALTER TVIEW line SET (mode = full)": None,
    "ALTER TVIEW later SET (refresh = commit)": None,
    "ALTER TVIEW by_hand SET (refresh = deferred, schedule = '1h')": None,
    "ALTER TVIEW above RENAME TO renamed": None,
    "ALTER MATERIALIZED VIEW staged SET ACCESS METHOD heap": None,
    "CREATE OR REPLACE TVIEW staged AS SELECT id, n FROM (SELECT c.id, count(*) AS n FROM customer c GROUP BY c.id HAVING count(*) > 0) x": "staged",
    "REFRESH MATERIALIZED VIEW above WITH NO DATA": "above",
    "SELECT tviews.rebuild('line')": None,
    "CREATE TVIEW new AS SELECT id FROM sale": None,
    "CREATE OR REPLACE VIEW seen AS SELECT id, customer, amount FROM sale WHERE amount > 20": None,
    "LOCK TABLE sale, customer": "by_hand",
    "TRUNCATE sale": "by_hand",
    "ALTER TABLE sale ADD COLUMN more int": "by_hand",
    "REINDEX TABLE sale": "by_hand",
    "REINDEX TABLE above": "above",
    "CLUSTER sale USING sale_pkey": "by_hand",
    "DROP TABLE sale CASCADE": "by_hand",
}
# One after the other, again and again, in another schema.
DEFINITIONS = """
SET client_min_messages = error;
CREATE SCHEMA x{n}; SET search_path = x{n}, public;
CREATE TABLE t (id int PRIMARY KEY, g int NOT NULL);
INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 40) i;
CREATE VIEW v AS SELECT id, g FROM t WHERE id > 3;
CREATE TVIEW one AS SELECT id, g FROM v;
CREATE TVIEW groups AS SELECT g, count(*) AS n FROM one GROUP BY g;
CREATE TVIEW parts AS SELECT t.id, x.n FROM t JOIN (SELECT g, count(DISTINCT id) AS n FROM t GROUP BY g) x ON x.g = t.g;
CREATE TVIEW ranks AS SELECT id, rank() OVER (PARTITION BY g ORDER BY id) AS r FROM t;
CREATE TVIEW later WITH (refresh = deferred, schedule = '1s') AS SELECT g, count(*) AS n FROM t GROUP BY g;
UPDATE t SET g = g + 1 WHERE id < 9;
REFRESH TVIEW later;
REFRESH MATERIALIZED VIEW groups WITH NO DATA; REFRESH MATERIALIZED VIEW groups;
CREATE OR REPLACE TVIEW one AS SELECT id, g + 0 AS g FROM v;
ALTER TVIEW later SET (refresh = commit); ALTER TVIEW later SET (refresh = manual);
ALTER TABLE t ADD COLUMN more int;
DROP TVIEW parts; DROP VIEW v CASCADE;
DROP SCHEMA x{n} CASCADE;
"""


class Holder:
    """A session with an open transaction."""

    def __init__(self, cluster, statement):
        self.process = subprocess.Popen(cluster.psql("-A", "-t"), env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.process.stdin.write(f"SET client_min_messages = error; SET lock_timeout = '30s'; BEGIN; {statement};\nSELECT 'held';\n")
        self.process.stdin.flush()
        self.said = ""
        while not self.said.endswith("held\n") and (line := self.process.stdout.readline()):
            self.said += line

    def roll_back(self):
        self.process.communicate("ROLLBACK;\n")


def answers(cluster, statement):
    try:
        return cluster.sql("SET lock_timeout = '300ms'; SET statement_timeout = '20s'; " + statement), None
    except SqlError as error:
        return None, f"{statement}: {error}"


def beside_locks(cluster, report):
    said = "SELECT (strategies IS NULL)::int + (size IS NULL)::int * 10 + (base_tables = '{}')::int * 100 FROM tviews.tviews WHERE name = "
    for statement, tview in HOLDERS.items():
        holder = Holder(cluster, statement)
        report.ok(holder.said.endswith("held\n"), f"{statement[:60]}: is done", holder.said)
        waited = [error for sql in MONITORS if (error := answers(cluster, sql)[1])]
        report.ok(not waited, f"{statement[:60]}: nothing waits for its end, and nothing fails", "\n".join(waited))
        if tview:
            shown = answers(cluster, said + f"'{tview}'")
            report.ok(shown[0] == "1", "a TVIEW that is locked has its tables and its size, and no strategies", shown)
            said_so = answers(cluster, f"SELECT detail ~ 'locked by other sessions, and not looked at: .*{tview}' FROM tviews.health() WHERE \"check\" = 'contents'")
            report.ok(said_so[0] == "t", "health() says that it has not looked at it", said_so)
        holder.roll_back()
    report.ok(cluster.sql("SELECT count(*) FROM tviews.health() WHERE detail ~ 'not looked at'") == "0", "afterwards health() has looked at all")
    report.ok(cluster.sql("SELECT count(*) FROM tviews.tviews WHERE strategies IS NULL") == "0", "afterwards all have strategies")
    report.ok(cluster.sql("SELECT count(*) FROM tviews.tviews WHERE size <> pg_total_relation_size(format('%I.%I', schema, name)::regclass)") == "0", "sizes are those of the server")


def beside_definitions(cluster, report, statements, seconds, allowed=None):
    over, errors, rounds = threading.Event(), [], {"define": 0, "watch": 0}

    def session(script):
        return subprocess.run(cluster.psql("-A", "-t", "-v", "ON_ERROR_STOP=0", "-f", "-"), input=script, capture_output=True, text=True, env=cluster.env).stderr

    def define(n):
        while not over.is_set():
            said = session(DEFINITIONS.format(n=n))
            if allowed and allowed in said:
                session(f"DROP SCHEMA IF EXISTS x{n} CASCADE")
            elif said:
                errors.append(f"definitions: {said}")
                return
            rounds["define"] += 1

    def watch(statements):
        while not over.is_set():
            said = session("SET statement_timeout = '60s';\n" + ";\n".join(statements) + ";\n")
            if said and not (allowed and allowed in said):
                errors.append(said)
            rounds["watch"] += 1

    # Definitions come one after the other: two that change one table exclude each other as DDL does.
    threads = [threading.Thread(target=define, args=(1,)), *(threading.Thread(target=watch, args=(s,)) for s in (statements, statements[::-1]))]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    report.ok(not errors, f"in {rounds['watch']} rounds of monitors beside {rounds['define']} of definitions nothing fails", "".join(errors[:5]))
    report.ok(rounds["define"] > 2 and rounds["watch"] > 5, "both have worked", rounds)


def main():
    report = Report()
    seconds = float((sys.argv[1:] or ["20"])[0])
    with Cluster() as cluster:
        cluster.sql(SCHEMA)
        beside_locks(cluster, report)
        beside_definitions(cluster, report, MONITORS, seconds)
        beside_definitions(cluster, report, VERIFIED, seconds / 2)
        # One statement that reads all TVIEWs has locks on some when it waits for others, as any that reads several tables.
        beside_definitions(cluster, report, PATIENT, seconds / 2, allowed="deadlock detected")
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "every TVIEW equals its query")
    report.done()


if __name__ == "__main__":
    main()
