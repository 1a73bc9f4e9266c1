"""Capture from WAL: writers beside refreshes, prepared transactions, kills, switches in both directions, slots that go, tables that cannot, databases.

Invariant tested: whatever happens to processes, slots, servers, tables and the setting, a deferred TVIEW that was refreshed equals its query for the
refresh's snapshot; and no slot is left behind. Called by `make check`; alone: PG_CONFIG=… regress/t/wal.py
"""

import os
import random
import shutil
import subprocess
import threading
import time

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, country int NOT NULL, about text);
CREATE TABLE sale (id bigserial PRIMARY KEY, customer int NOT NULL, amount int NOT NULL, unused text, note text, half int GENERATED ALWAYS AS (amount / 2) STORED);
CREATE TABLE event (id bigserial, kind int NOT NULL, size int NOT NULL) PARTITION BY LIST (kind);
CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);
CREATE TABLE event_2 (size int NOT NULL, junk text, kind int NOT NULL, id bigserial);
ALTER TABLE event_2 DROP COLUMN junk;
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES IN (2);
CREATE TABLE event_rest PARTITION OF event DEFAULT;
CREATE INDEX ON sale (customer);
ALTER TABLE customer REPLICA IDENTITY FULL;
ALTER TABLE sale REPLICA IDENTITY FULL;
ALTER TABLE event_1 REPLICA IDENTITY FULL;
ALTER TABLE event_2 REPLICA IDENTITY FULL;
ALTER TABLE event_rest REPLICA IDENTITY FULL;
ALTER TABLE sale ALTER note SET STORAGE EXTERNAL;
INSERT INTO customer SELECT i, i % 5, repeat('about ' || i, 2000) FROM generate_series(1, 50) i;
CREATE TVIEW line WITH (refresh = deferred, schedule = '1s') AS SELECT s.id, s.amount, s.half, s.note, c.country FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW total WITH (refresh = manual, logged) AS SELECT country, count(*) AS n, sum(amount) AS amount, max(length(note)) AS most FROM line GROUP BY country;
CREATE TVIEW pages WITH (refresh = manual) AS SELECT id, about FROM customer;
CREATE TVIEW sizes WITH (refresh = manual, logged) AS SELECT kind, count(*) AS n, sum(size) AS size FROM event GROUP BY kind;
CREATE TVIEW ones WITH (refresh = manual) AS SELECT id, size FROM event_1 WHERE size > 5;
"""
TVIEWS = ["line", "total", "pages", "sizes", "ones"]
WRITES = [
    "INSERT INTO sale (customer, amount, note) SELECT 1 + (random() * 49)::int, (random() * 100)::int, repeat('note', (random() * 2000)::int) FROM generate_series(1, 3)",
    "UPDATE sale SET amount = amount + 1 WHERE id % 17 = (random() * 16)::int",
    "UPDATE sale SET unused = 'x' || id WHERE id % 7 = (random() * 6)::int",
    "UPDATE sale SET note = upper(note) WHERE id % 11 = (random() * 10)::int",
    "UPDATE customer SET country = (random() * 4)::int WHERE id = 1 + (random() * 49)::int",
    "UPDATE customer SET about = about || '!' WHERE id = 1 + (random() * 49)::int",
    "DELETE FROM sale WHERE id % 31 = (random() * 30)::int",
    "BEGIN; INSERT INTO sale (customer, amount) VALUES (1, 1); SAVEPOINT a; DELETE FROM sale WHERE id % 13 = 1; ROLLBACK TO a; SAVEPOINT b; UPDATE sale SET customer = 2 WHERE id % 29 = 3; RELEASE b; COMMIT",
    "BEGIN; UPDATE sale SET amount = 0; ROLLBACK",
    "BEGIN; DELETE FROM customer WHERE id = 7; SELECT pg_sleep(0.2); INSERT INTO customer VALUES (7, 3, 'seven'); COMMIT",
    "INSERT INTO event (kind, size) SELECT (random() * 4)::int, (random() * 10)::int FROM generate_series(1, 5)",
    "UPDATE event SET kind = (random() * 4)::int WHERE id % 9 = (random() * 8)::int",
    "UPDATE event_1 SET size = size + 1; DELETE FROM event_rest WHERE size = 3",
    "TRUNCATE event_2",
    "DO $$ BEGIN INSERT INTO event (kind, size) VALUES (1, 9); INSERT INTO event (kind, size) VALUES (2, 1 / 0); EXCEPTION WHEN division_by_zero THEN INSERT INTO event (kind, size) VALUES (2, 8); END $$",
    "BEGIN; INSERT INTO sale (customer, amount) VALUES (3, 5); UPDATE event SET size = 4 WHERE id % 5 = 0; PREPARE TRANSACTION 'p{n}'; COMMIT PREPARED 'p{n}'",
    "BEGIN; DELETE FROM sale; PREPARE TRANSACTION 'p{n}'; ROLLBACK PREPARED 'p{n}'",
    "BEGIN; INSERT INTO event (kind, size) VALUES (1, 7); PREPARE TRANSACTION 'p{n}'; SELECT pg_sleep(0.3); COMMIT PREPARED 'p{n}'",
    "BEGIN; INSERT INTO event (kind, size) VALUES (1, 3); REFRESH TVIEW ones; DELETE FROM event WHERE id % 23 = 0; COMMIT",
]
# These lead to recomputing, which would hide what following changes does wrong.
SELDOM = {"TRUNCATE event_2", WRITES[-1]}
READER = "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'pg_tviews reader' AND datname = current_database()"
CAPTURED = "SELECT count(*) FROM tviews.wal WHERE ends IS NULL"
SLOTS = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'pg\\_tviews%'"
TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '$tviews%'"


def wait_for(cluster, sql, expected, seconds=60, database="postgres"):
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            if cluster.sql(sql, database) == expected:
                return True
        except SqlError:
            pass
        time.sleep(0.1)
    return False


class Sessions:
    """Sessions that write, and one that refreshes and compares, all the while; errors of a server that goes down are theirs to expect."""

    def __init__(self, cluster, count, verifies=True):
        self.cluster, self.over, self.rounds, self.verified, self.wrong = cluster, False, 0, 0, []
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(count)]
        if verifies:
            self.threads.append(threading.Thread(target=self.verify))
        for thread in self.threads:
            thread.start()

    def write(self, number):
        dice, done = random.Random(number), 0
        while not self.over:
            script = ""
            for _ in range(12):
                done += 1
                script += dice.choices(WRITES, [1 if write in SELDOM else 20 for write in WRITES])[0].replace("{n}", f"{number}_{done}_{time.time()}") + ";\n"
            # Deadlocks of the writers' own, and servers that go down.
            result = subprocess.run([*self.cluster.psql("-f", "-"), "-v", "ON_ERROR_STOP=0"], input=script, capture_output=True, text=True, env=self.cluster.env)
            self.rounds += result.returncode == 0
            if result.returncode:
                time.sleep(0.2)

    def verify(self):
        """verify() brings a deferred TVIEW up to date and compares it with its query for the same snapshot."""
        while not self.over:
            for tview in TVIEWS:
                try:
                    seen = self.cluster.sql(f"SELECT missing, extra, ok FROM tviews.verify('{tview}')")
                except SqlError as error:
                    if "verify" in str(error) and "does not exist" in str(error):
                        raise
                    time.sleep(0.2)
                    continue
                self.verified += 1
                if not seen.endswith("|t"):
                    self.wrong.append(f"{tview}: {seen}")

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join()


def settle_prepared(cluster):
    for gid in cluster.sql("SELECT gid FROM pg_prepared_xacts").split():
        cluster.sql(f"COMMIT PREPARED '{gid}'")


def is_exact(cluster, report, when, sessions=None):
    if sessions:
        if os.environ.get("LOG"):
            print(f"# {sessions.rounds} rounds of writers, {sessions.verified} comparisons", reasons(cluster), sep="\n")
        report.ok(not sessions.wrong and sessions.verified > 0 and sessions.rounds > 0, f"{when}: exact for every snapshot", f"{sessions.rounds} rounds, {sessions.verified} verified, {sessions.wrong[:5]}")
    settle_prepared(cluster)
    for tview in TVIEWS:
        cluster.sql(f"REFRESH TVIEW {tview}")
    differences = {tview: cluster.difference(tview) for tview in TVIEWS}
    report.ok(not any(differences.values()), f"{when}: every TVIEW equals its query", differences)


def reasons(cluster):
    return cluster.sql("SELECT action, reason, count(*) FROM tviews.refresh_history GROUP BY 1, 2 ORDER BY 3 DESC")


def set_mode(cluster, mode):
    cluster.sql(f"ALTER SYSTEM SET pg_tviews.cdc_mode = {mode}")
    cluster.sql("SELECT pg_reload_conf()")


def alone(cluster, report):
    """What one session sees."""
    report.ok(wait_for(cluster, CAPTURED, "4"), "tables of deferred TVIEWs are captured from WAL", cluster.sql("TABLE tviews.wal"))
    report.ok(cluster.sql(TRIGGERS) == "0", "they have no triggers then", cluster.sql(TRIGGERS))
    cluster.sql(";\n".join(w.replace("{n}", str(n)) for n, w in enumerate(WRITES)))
    is_exact(cluster, report, "after some writes")
    cluster.sql("DELETE FROM sale")
    cluster.sql("REFRESH TVIEW line; REFRESH TVIEW total")
    before = cluster.sql("SELECT count(*) FROM tviews.refresh_history WHERE action = 'full'")
    for _ in range(5):
        cluster.sql(WRITES[0])
        cluster.sql("UPDATE sale SET amount = amount + 1; REFRESH TVIEW total")
    after = cluster.sql("SELECT count(*) FROM tviews.refresh_history WHERE action = 'full'")
    report.ok(before == after, "refreshes are incremental", reasons(cluster))
    rows = "SELECT changed_rows FROM tviews.refresh_history WHERE tview = 'pages'::regclass ORDER BY started DESC LIMIT 1"
    cluster.sql("REFRESH TVIEW pages; UPDATE customer SET country = country; UPDATE customer SET about = about || '?' WHERE id = 3; REFRESH TVIEW pages")
    report.ok(cluster.sql(rows) == "2", "rows whose used columns stay are not logged", cluster.sql(rows))
    # more than the reader keeps in memory
    cluster.sql("INSERT INTO sale (customer, amount, note) SELECT 1 + i % 50, i % 100, repeat('much ' || i, 100) FROM generate_series(1, 60000) i; UPDATE sale SET amount = amount + 1, note = note || '.'; REFRESH TVIEW total")
    is_exact(cluster, report, "after a large transaction")
    cluster.sql("DELETE FROM sale WHERE id % 50 <> 0; REFRESH TVIEW total")
    # what a transaction has done itself
    own = "BEGIN; INSERT INTO sale (customer, amount) VALUES (5, 5); REFRESH TVIEW total; SELECT tviews.verify('line'); INSERT INTO sale (customer, amount) VALUES (6, 6); COMMIT"
    report.ok(cluster.sql(own).endswith(",t)"), "a refresh inside of a transaction that has written sees what it wrote", cluster.sql(own))
    is_exact(cluster, report, "after it")
    cluster.sql("BEGIN; SAVEPOINT s; INSERT INTO sale (customer, amount) VALUES (5, 5); ROLLBACK TO s; REFRESH TVIEW total; COMMIT")
    is_exact(cluster, report, "after a transaction that has taken its writes back")
    # a TVIEW made in a transaction that writes before and after
    cluster.sql("BEGIN; INSERT INTO sale (customer, amount, unused) VALUES (8, 8, 'u'); CREATE TVIEW mine WITH (refresh = manual) AS SELECT id, unused FROM sale; CREATE TVIEW mine_too WITH (refresh = manual) AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY customer; "
                "INSERT INTO sale (customer, amount, unused) VALUES (9, 9, 'v'); UPDATE sale SET unused = 'w' WHERE customer = 8; COMMIT")
    cluster.sql("REFRESH TVIEW mine")
    report.ok(cluster.difference("mine") == 0, "a TVIEW that is made by a transaction that writes before and after")
    cluster.sql("REFRESH TVIEW mine_too")
    report.ok(cluster.difference("mine_too") == 0, "one that adds up, too")
    cluster.sql("BEGIN; DELETE FROM sale WHERE customer = 8; ALTER TVIEW mine_too SET (refresh = commit); ALTER TVIEW mine_too SET (refresh = manual); INSERT INTO sale (customer, amount) VALUES (8, 1), (9, 2); COMMIT; REFRESH TVIEW mine_too")
    report.ok(cluster.difference("mine_too") == 0, "there and back in one transaction that writes")
    cluster.sql("UPDATE sale SET unused = 'z' WHERE customer = 8; REFRESH TVIEW mine")
    report.ok(cluster.difference("mine") == 0, "it follows columns that nobody used before")
    cluster.sql("BEGIN; UPDATE sale SET unused = 'before'; ALTER TVIEW mine SET (refresh = commit); UPDATE sale SET unused = 'at commit'; COMMIT")
    report.ok(cluster.difference("mine") == 0, "it becomes exact at commit")
    cluster.sql("INSERT INTO sale (customer, amount, unused) VALUES (8, 8, 'more')")
    report.ok(cluster.difference("mine") == 0, "and stays so, with triggers")
    is_exact(cluster, report, "tables with readers of both kinds")
    cluster.sql("BEGIN; UPDATE sale SET unused = 'again'; ALTER TVIEW mine SET (refresh = manual); UPDATE sale SET unused = 'and again' WHERE id % 2 = 0; COMMIT; REFRESH TVIEW mine")
    report.ok(cluster.difference("mine") == 0, "and back")
    cluster.sql("CREATE TVIEW online AS SELECT id, customer FROM sale WITH NO DATA; REFRESH TVIEW CONCURRENTLY online; UPDATE sale SET customer = 4 WHERE id % 3 = 0")
    report.ok(cluster.difference("online") == 0, "one that is populated concurrently follows at commit", cluster.difference("online"))
    cluster.sql("DROP TVIEW online, mine, mine_too")
    report.ok(wait_for(cluster, TRIGGERS, "0"), "triggers go with those that need them", cluster.sql(TRIGGERS))


def tables(cluster, report):
    """What tables can become."""
    cluster.sql("CREATE TABLE event_5 PARTITION OF event FOR VALUES IN (5); INSERT INTO event (kind, size) VALUES (5, 1), (5, 2)")
    is_exact(cluster, report, "a new partition")
    cluster.sql("UPDATE event SET size = size + 1 WHERE kind = 5")
    is_exact(cluster, report, "rows changed that WAL does not have whole")
    event = "SELECT count(*) FROM tviews.wal WHERE source = 'event'::regclass"
    report.ok(wait_for(cluster, event, "0"), "a tree that does not fit any more gets triggers again")
    cluster.sql("UPDATE event SET size = size + 1 WHERE kind = 5; DELETE FROM event_1 WHERE size = 4")
    is_exact(cluster, report, "with triggers again")
    cluster.sql("ALTER TABLE event_5 REPLICA IDENTITY FULL")
    report.ok(wait_for(cluster, event, "1"), "and comes back when it fits")
    cluster.sql("UPDATE event SET size = size + 1 WHERE kind = 5")
    is_exact(cluster, report, "from WAL again")
    cluster.sql("BEGIN; UPDATE event SET size = 1 WHERE kind = 5; ALTER TABLE event DETACH PARTITION event_5; UPDATE event_5 SET size = 2; UPDATE event SET size = 3 WHERE id % 4 = 0; COMMIT")
    is_exact(cluster, report, "a partition that has gone")
    cluster.sql("BEGIN; INSERT INTO event_5 (kind, size) VALUES (5, 7); ALTER TABLE event ATTACH PARTITION event_5 FOR VALUES IN (5); UPDATE event_5 SET size = 8; COMMIT; DROP TABLE event_5")
    is_exact(cluster, report, "that has come back and was dropped")
    cluster.sql("BEGIN; INSERT INTO sale (customer, amount) VALUES (1, 11); ALTER TABLE sale SET UNLOGGED; INSERT INTO sale (customer, amount) VALUES (2, 12); COMMIT; INSERT INTO sale (customer, amount) VALUES (3, 13)")
    is_exact(cluster, report, "an unlogged table")
    cluster.sql("INSERT INTO sale (customer, amount) VALUES (4, 14); ALTER TABLE sale SET LOGGED; INSERT INTO sale (customer, amount) VALUES (5, 15)")
    is_exact(cluster, report, "logged again")
    report.ok(wait_for(cluster, CAPTURED, "4"), "it comes back to WAL", cluster.sql("TABLE tviews.wal"))
    cluster.sql("CREATE UNLOGGED TABLE event_6 PARTITION OF event FOR VALUES IN (6); INSERT INTO event (kind, size) VALUES (6, 1), (1, 17); UPDATE event SET size = size + 1")
    is_exact(cluster, report, "an unlogged partition")
    cluster.sql("DROP TABLE event_6")
    cluster.sql("BEGIN; UPDATE sale SET amount = amount + 1 WHERE id % 3 = 0; ALTER TABLE sale ADD COLUMN more int DEFAULT 5, ALTER unused TYPE bytea USING unused::bytea; UPDATE sale SET amount = amount + 1 WHERE id % 2 = 0; COMMIT; UPDATE sale SET amount = amount + 1 WHERE id % 5 = 0")
    is_exact(cluster, report, "columns added and rewritten")
    cluster.sql("CREATE TVIEW where_from WITH (refresh = manual) AS SELECT tableoid::regclass AS place, id FROM event; UPDATE event SET kind = 1 + kind % 2 WHERE kind < 3; REFRESH TVIEW where_from")
    report.ok(cluster.difference("where_from") == 0, "a TVIEW that reads tableoid")
    cluster.sql("DROP TVIEW where_from")
    cluster.sql("UPDATE sale SET amount = 3 WHERE id % 3 = 0; DROP TVIEW ones; CREATE TVIEW ones WITH (refresh = manual) AS SELECT id, size FROM event_1 WHERE size > 5; UPDATE event SET size = size + 1")
    is_exact(cluster, report, "a TVIEW dropped and made again")
    report.ok(wait_for(cluster, CAPTURED, "4"), "all are captured from WAL at the end", cluster.sql("TABLE tviews.wal"))


def switches(cluster, report):
    sessions = Sessions(cluster, 3)
    try:
        for number in range(4):
            set_mode(cluster, ["trigger", "auto"][number % 2])
            time.sleep(4)
    finally:
        sessions.stop()
    report.ok(wait_for(cluster, CAPTURED, "4"), "tables that are written all the while are switched", cluster.sql("TABLE tviews.wal"))
    is_exact(cluster, report, "after switches there and back", sessions)


def kills(cluster, report):
    sessions = Sessions(cluster, 3)
    try:
        for number in range(12):
            pid = cluster.sql(READER)
            if pid != "0":
                subprocess.run(["kill", "-TERM", pid], check=False)
            time.sleep(0.3 + number * 0.11)
    finally:
        sessions.stop()
    report.ok(wait_for(cluster, READER.replace("coalesce(max(pid), 0)", "count(*)"), "1"), "a reader that was ended comes back")
    is_exact(cluster, report, "after kills of the reader", sessions)
    for round in range(4):
        sessions = Sessions(cluster, 3)
        try:
            time.sleep(1 + round * 0.37)
            if round % 2:
                pid = cluster.sql(READER)
                subprocess.run(["kill", "-KILL", pid], check=False)
                time.sleep(1)
                wait_for(cluster, "SELECT 1", "1")
            else:
                cluster.crash()
                cluster.start()
            time.sleep(2)
        finally:
            sessions.stop()
        is_exact(cluster, report, f"after crash {round + 1} of the server", sessions)
    cluster.restart()
    is_exact(cluster, report, "after a restart")


def behind(cluster, report):
    """A slot that knows less than the table, as after a kill between the log and the slot, at any distance."""
    state = cluster.data / "pg_replslot"
    cluster.sql("CHECKPOINT")
    cluster.crash()
    kept = cluster.directory / "replslot"
    shutil.copytree(state, kept)
    cluster.start()
    sessions = Sessions(cluster, 3)
    time.sleep(5)
    sessions.stop()
    is_exact(cluster, report, "before a slot is put back", sessions)
    wait_for(cluster, "SELECT bool_and(rows_behind = 0) FROM tviews.staleness", "t")
    cluster.crash()
    shutil.rmtree(state)
    shutil.copytree(kept, state)
    cluster._give(state)
    cluster.start()
    is_exact(cluster, report, "after a slot was put back")
    report.ok(cluster.sql(CAPTURED) == "4", "nothing was given up for that")
    again = "SELECT coalesce(sum(changed_rows), 0), count(*) FILTER (WHERE action = 'full') FROM tviews.refresh_history WHERE tview = 'sizes'::regclass AND started > pg_postmaster_start_time()"
    report.ok(cluster.sql(again) == "0|0", "nothing is followed twice, nor computed anew", cluster.sql(again))
    shutil.rmtree(kept)


def subscription(cluster, report):
    """Changes that a subscription applies."""
    cluster.sql("CREATE DATABASE publisher")
    cluster.sql("CREATE TABLE applied (id int PRIMARY KEY, n int); INSERT INTO applied VALUES (1, 1); CREATE PUBLICATION p FOR TABLE applied; SELECT pg_create_logical_replication_slot('sub', 'pgoutput')", "publisher")
    cluster.sql("CREATE TABLE applied (id int PRIMARY KEY, n int); ALTER TABLE applied REPLICA IDENTITY FULL; CREATE TVIEW of_applied WITH (refresh = manual) AS SELECT n, count(*) AS c FROM applied GROUP BY n")
    captured = "SELECT captured_by FROM tviews.capture WHERE base_table = 'applied'::regclass"
    report.ok(wait_for(cluster, captured, "wal"), "a table of a subscription is captured from WAL")
    cluster.sql(f"CREATE SUBSCRIPTION sub CONNECTION '{cluster.dsn('publisher')}' PUBLICATION p WITH (create_slot = false, slot_name = sub)")
    wait_for(cluster, "SELECT count(*) FROM applied", "1")
    cluster.sql("INSERT INTO applied SELECT i, i % 3 FROM generate_series(2, 50) i; UPDATE applied SET n = n + 1 WHERE id % 2 = 0; DELETE FROM applied WHERE id % 7 = 0", "publisher")
    report.ok(wait_for(cluster, "SELECT count(*), sum(n) FROM applied", cluster.sql("SELECT count(*), sum(n) FROM applied", "publisher")), "changes have been applied")
    cluster.sql("REFRESH TVIEW of_applied")
    report.ok(cluster.difference("of_applied") == 0, "a TVIEW follows what was applied")
    report.ok(cluster.sql(captured) == "wal", "still from WAL")
    cluster.sql("DROP SUBSCRIPTION sub")
    cluster.sql("DROP TABLE applied CASCADE")
    cluster.sql("DROP DATABASE publisher")


def losses(cluster, report):
    """Slots that go, or that others have moved."""
    full = "SELECT count(*) FROM tviews.refresh_history WHERE action = 'full'"
    for what, sql in {"dropped": "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
                      "advanced by others": "SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots"}.items():
        report.ok(wait_for(cluster, CAPTURED, "4"), f"before a slot is {what}: from WAL")
        cluster.sql("REFRESH TVIEW total")
        sessions = Sessions(cluster, 2)
        try:
            time.sleep(1)
            deadline, done = time.time() + 30, False
            while not done and time.time() < deadline:
                subprocess.run(["kill", "-TERM", cluster.sql(READER)], check=False, capture_output=True)
                try:
                    cluster.sql("INSERT INTO sale (customer, amount) VALUES (1, 77); " + sql)
                    done = True
                except SqlError:
                    time.sleep(0.05)
            report.ok(done, f"a slot is {what}")
            time.sleep(3)
        finally:
            sessions.stop()
        is_exact(cluster, report, f"after a slot was {what}", sessions)
    report.ok(wait_for(cluster, CAPTURED, "4"), "a slot is made again")
    # more WAL than is to be kept, behind a transaction that is long
    long = subprocess.Popen(cluster.psql("-c", "BEGIN; INSERT INTO customer VALUES (99, 1, 'long'); SELECT pg_sleep(12); COMMIT"), env=cluster.env)
    time.sleep(1)
    cluster.sql("ALTER SYSTEM SET pg_tviews.max_slot_retained = '3MB'")
    cluster.sql("SELECT pg_reload_conf(); CREATE TABLE ballast AS SELECT repeat('ballast', 100) FROM generate_series(1, 20000)")
    report.ok(wait_for(cluster, SLOTS, "0", 8), "a slot that keeps too much is dropped")
    long.wait()
    report.ok(wait_for(cluster, CAPTURED, "0"), "its tables get triggers again")
    cluster.sql("INSERT INTO sale (customer, amount) VALUES (1, 78)")
    is_exact(cluster, report, "after a slot was given up")
    report.ok("max_slot_retained" in cluster.log.read_text(), "the log says so")
    cluster.sql("ALTER SYSTEM RESET pg_tviews.max_slot_retained")
    cluster.restart()
    report.ok(wait_for(cluster, CAPTURED, "4"), "after a restart it is tried again", cluster.sql("TABLE tviews.wal"))


def refusals(cluster, report):
    def refused(sql, words):
        try:
            cluster.sql(sql)
            return False
        except SqlError as error:
            return words in str(error)

    report.ok(refused("SELECT pg_create_logical_replication_slot('theirs', 'pg_tviews')", "is used by the background worker"), "others cannot use the plugin")
    report.ok(refused("SELECT pg_logical_slot_get_changes(slot_name, NULL, NULL) FROM pg_replication_slots", "active"), "nor our slot")
    set_mode(cluster, "wal")
    time.sleep(0.5)
    cluster.sql("CREATE TABLE keyed (id int PRIMARY KEY, n int)")
    if "output_plugin_libraries" in cluster.settings:
        cluster.sql("ALTER SYSTEM SET output_plugin_libraries = pgoutput")
        cluster.sql("SELECT pg_reload_conf()")
        time.sleep(0.5)
        report.ok(refused("CREATE TVIEW k WITH (refresh = manual) AS SELECT id, n FROM keyed", "output_plugin_libraries"), "and servers that do not name the plugin")
        cluster.sql("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, pg_tviews")
        cluster.sql("SELECT pg_reload_conf()")
        time.sleep(0.5)
    report.ok(refused("CREATE TVIEW k WITH (refresh = manual) AS SELECT id, n FROM keyed", "REPLICA IDENTITY FULL"), "mode wal refuses tables that do not fit")
    cluster.sql("CREATE TVIEW k AS SELECT id, n FROM keyed; INSERT INTO keyed VALUES (1, 1)")
    report.ok(refused("ALTER TVIEW k SET (refresh = manual)", "REPLICA IDENTITY FULL"), "by ALTER TVIEW, too")
    report.ok(cluster.difference("k") == 0, "a TVIEW that is exact at commit needs nothing of that")
    cluster.sql("DROP TABLE keyed CASCADE")
    set_mode(cluster, "auto")


def databases(cluster, report):
    """No slot is left behind, and none is needed."""
    one = "CREATE EXTENSION pg_tviews; CREATE TABLE t (a int); ALTER TABLE t REPLICA IDENTITY FULL; CREATE TVIEW v WITH (refresh = deferred, schedule = '1s', logged) AS SELECT a, count(*) FROM t GROUP BY a; INSERT INTO t VALUES (1)"
    cluster.sql("CREATE DATABASE other")
    cluster.sql(one, "other")
    report.ok(wait_for(cluster, CAPTURED, "1", database="other"), "each database has a slot of its own")
    cluster.sql("INSERT INTO t VALUES (2)", "other")
    report.attempt("a database with a slot can be copied", lambda: cluster.sql("CREATE DATABASE third TEMPLATE other") == "")
    cluster.sql("INSERT INTO t VALUES (3)", "third")
    report.ok(wait_for(cluster, "SELECT count(*) FROM v", "3", database="third", seconds=30), "the copy's TVIEWs are followed", cluster.sql("TABLE v", "third"))
    report.ok(wait_for(cluster, "SELECT count(*) FROM v", "2", database="other", seconds=90), "those of the database that was copied, too", cluster.sql("TABLE v", "other"))
    report.ok(wait_for(cluster, CAPTURED, "1", database="third", seconds=90), "the copy has a slot of its own in the end")
    try:
        cluster.sql("ALTER DATABASE other RENAME TO fourth; DROP DATABASE third; DROP DATABASE fourth")
        report.ok(True, "databases can be renamed and dropped")
    except SqlError as error:
        report.ok(False, "databases can be renamed and dropped", error)
    report.ok(cluster.sql(SLOTS) == "1", "their slots go with them", cluster.sql("SELECT slot_name FROM pg_replication_slots"))
    cluster.sql("CREATE DATABASE fifth")
    cluster.sql(one, "fifth")
    wait_for(cluster, CAPTURED, "1", database="fifth")
    cluster.sql("DROP TVIEW v", "fifth")
    report.ok(wait_for(cluster, SLOTS, "1"), "a slot goes with the last TVIEW that needs it")
    cluster.sql("CREATE TVIEW v WITH (refresh = manual) AS SELECT a FROM t", "fifth")
    report.ok(wait_for(cluster, SLOTS, "2"), "and comes with the first")
    cluster.sql("DROP EXTENSION pg_tviews CASCADE", "fifth")
    report.ok(wait_for(cluster, SLOTS, "1"), "a slot goes with the extension")
    cluster.sql("DROP DATABASE fifth")
    set_mode(cluster, "trigger")
    report.ok(wait_for(cluster, SLOTS, "0"), "the last slot goes with the setting")
    is_exact(cluster, report, "at the end")


def promotion(cluster, report):
    set_mode(cluster, "auto")
    report.ok(wait_for(cluster, CAPTURED, "4"), "from WAL once more")
    cluster.sql("INSERT INTO sale (customer, amount) VALUES (1, 1); REFRESH TVIEW total; REFRESH TVIEW sizes")
    copy = cluster.directory / "copy"
    cluster.tool("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
    (copy / "standby.signal").touch()
    settings = dict(cluster.settings, hot_standby="on", primary_conninfo=cluster.dsn())
    with Cluster(template=copy, **settings) as standby:
        cluster.sql("INSERT INTO sale (customer, amount) VALUES (2, 2); UPDATE event SET size = size + 1")
        lsn = cluster.sql("SELECT pg_current_wal_lsn()")
        report.ok(wait_for(standby, f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'", "t"), "a standby has all")
        report.ok(standby.sql(SLOTS) == "0", "it has no slot")
        standby.sql("SELECT pg_promote()")
        standby.sql("INSERT INTO sale (customer, amount) VALUES (3, 3); DELETE FROM event_1")
        for tview in TVIEWS:
            report.ok(standby.sql(f"SELECT ok FROM tviews.verify('{tview}')") == "t", f"after promotion {tview} is exact")
        sessions = Sessions(standby, 2)
        time.sleep(4)
        sessions.stop()
        report.ok(wait_for(standby, CAPTURED, "4"), "it has a slot of its own in the end", standby.sql("TABLE tviews.wal"))
        is_exact(standby, report, "after promotion", sessions)


PARTS = [alone, tables, switches, kills, behind, subscription, losses, refusals, databases, promotion]


def knows_libraries(pg_config):
    """Whether the server has the setting that names output plugins."""
    bindir = subprocess.check_output([pg_config, "--bindir"], text=True).strip()
    return b"output_plugin_libraries" in open(f"{bindir}/postgres", "rb").read() if os.path.exists(f"{bindir}/postgres") else False


def settings():
    found = {"pg_tviews.cdc_mode": "auto", "max_replication_slots": "10", "max_worker_processes": "24"}
    if knows_libraries(os.environ["PG_CONFIG"]):
        found["output_plugin_libraries"] = "pgoutput, test_decoding, pg_tviews"
    return found


def main():
    report = Report()
    chosen = os.environ.get("PARTS", "").split()
    with Cluster(**settings()) as cluster:
        cluster.sql(SCHEMA)
        wait_for(cluster, CAPTURED, "4")
        for part in PARTS:
            if not chosen or part.__name__ in chosen:
                part(cluster, report)
        if os.environ.get("LOG"):
            print(cluster.log.read_text())
    report.done()


if __name__ == "__main__":
    main()
