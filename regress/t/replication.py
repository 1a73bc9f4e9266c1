"""Logical replication: what a subscription applies reaches the TVIEWs of the subscriber.

Invariant tested: whenever the subscriber has caught up, each of its TVIEWs equals its defining query, whichever way the rows came: first copy, apply,
transactions streamed while they run, prepared transactions, triggers of users that fire for replicas; and no row is captured twice.
Called by `make check`; alone: PG_CONFIG=… regress/t/replication.py
"""

import time

from cluster import Cluster, Report

TABLES = """
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, town text);
CREATE TABLE sale (id int PRIMARY KEY, customer int, amount int NOT NULL, note text);
CREATE TABLE visit (customer int, page text);
ALTER TABLE visit REPLICA IDENTITY FULL;
CREATE TABLE reading (id int, day int, value int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE reading_1 PARTITION OF reading FOR VALUES FROM (0) TO (10);
CREATE TABLE reading_2 PARTITION OF reading FOR VALUES FROM (10) TO (20);
CREATE TABLE late (id int PRIMARY KEY, amount int);
CREATE TABLE other (id int PRIMARY KEY);
"""

# Only the subscriber has these. Its `sale` has its columns in another order and one more, its readings other partitions.
SUBSCRIBER = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (town text, id int PRIMARY KEY, seen bool DEFAULT true, name text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, customer int, amount int NOT NULL, note text);
CREATE TABLE visit (customer int, page text);
CREATE TABLE reading (id int, day int, value int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE reading_a PARTITION OF reading FOR VALUES FROM (0) TO (5);
CREATE TABLE reading_b (value int, id int, day int, PRIMARY KEY (id, day));
ALTER TABLE reading ATTACH PARTITION reading_b FOR VALUES FROM (5) TO (20);
CREATE TABLE late (id int PRIMARY KEY, amount int);
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE journal (id int GENERATED ALWAYS AS IDENTITY, sale int, amount int);
CREATE TABLE best (customer int PRIMARY KEY, amount int);

CREATE FUNCTION write_journal() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    INSERT INTO journal (sale, amount) VALUES (new.id, new.amount);
    INSERT INTO best VALUES (coalesce(new.customer, 0), new.amount)
        ON CONFLICT (customer) DO UPDATE SET amount = greatest(best.amount, excluded.amount);
    UPDATE customer SET town = upper(town) WHERE id = new.customer AND town <> upper(town);
    RETURN NULL;
END $$;
CREATE TRIGGER write_journal AFTER INSERT OR UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION write_journal();
ALTER TABLE sale ENABLE ALWAYS TRIGGER write_journal;

CREATE TVIEW sales AS SELECT customer, count(*) AS n, sum(amount) AS amount, max(amount) AS most FROM sale GROUP BY customer;
CREATE TVIEW document AS
    SELECT s.id, jsonb_build_object('amount', s.amount, 'note', s.note, 'name', c.name, 'town', c.town) AS data
      FROM sale s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW visits AS SELECT page, customer FROM visit WHERE customer > 0;
CREATE TVIEW readings AS SELECT id, sum(value) AS value FROM reading GROUP BY id;
CREATE TVIEW readings_b AS SELECT id, day, value FROM reading_b;
CREATE TVIEW where_read AS SELECT tableoid AS place, count(*) AS n FROM reading GROUP BY tableoid;
CREATE TVIEW journal_total AS SELECT sale, count(*) AS n, sum(amount) AS amount FROM journal GROUP BY sale;
CREATE TVIEW bests AS SELECT amount, count(*) AS n FROM best GROUP BY amount;
"""

TVIEWS = ["sales", "document", "visits", "readings", "readings_b", "where_read", "journal_total", "bests"]

ROWS = """
INSERT INTO customer SELECT i, 'customer ' || i, 'town ' || i % 7 FROM generate_series(1, 40) i;
INSERT INTO sale SELECT i, 1 + i % 50, i % 97, repeat('n', i % 40) FROM generate_series(1, 500) i;
INSERT INTO visit SELECT i % 20, 'page ' || i % 5 FROM generate_series(0, 200) i;
INSERT INTO reading SELECT i % 30, i % 20, i FROM generate_series(0, 59) i;
INSERT INTO late SELECT i, i FROM generate_series(1, 20) i;
"""

CHANGES = {
    "rows are inserted": "INSERT INTO sale VALUES (1001, 3, 500, NULL), (1002, 77, 501, repeat(md5('long'), 400)), (1003, NULL, 1, 'x')",
    "rows are updated": "UPDATE sale SET amount = amount + 1000, customer = customer + 1 WHERE id % 10 = 3",
    "a value stored elsewhere stays": "UPDATE sale SET amount = 7 WHERE id = 1002",
    "rows are deleted": "DELETE FROM sale WHERE id % 7 = 1",
    "keys change": "UPDATE sale SET id = id + 5000 WHERE id % 11 = 2",
    "both sides of a join change": """BEGIN; UPDATE customer SET name = 'renamed ' || id WHERE id < 20; UPDATE sale SET customer = 5 WHERE id % 13 = 1;
        DELETE FROM customer WHERE id = 5; INSERT INTO customer VALUES (77, 'new', 'town'); COMMIT""",
    "one of several duplicates goes": "DELETE FROM visit WHERE ctid IN (SELECT min(ctid) FROM visit GROUP BY customer, page)",
    "rows without key are updated": "UPDATE visit SET customer = customer - 3 WHERE page = 'page 2'",
    "rows move between partitions": "UPDATE reading SET day = (day + 7) % 20 WHERE id % 3 = 0",
    "partitions are written": "INSERT INTO reading_1 VALUES (100, 4, 5); DELETE FROM reading_2 WHERE id % 5 = 0; UPDATE reading SET value = value + 1",
    "a transaction with a savepoint": """BEGIN; INSERT INTO sale VALUES (2001, 1, 1, 'kept'); SAVEPOINT s; DELETE FROM sale WHERE customer = 9;
        ROLLBACK TO s; UPDATE sale SET note = 'after' WHERE customer = 9; COMMIT""",
    "a table is truncated": "TRUNCATE visit; INSERT INTO visit VALUES (1, 'first'), (1, 'first')",
    "a partitioned table is truncated": "BEGIN; TRUNCATE reading; INSERT INTO reading SELECT i % 30, i % 20, i FROM generate_series(0, 59) i; COMMIT",
    "a large transaction is streamed": """BEGIN; INSERT INTO sale SELECT i, i % 60, i % 13, md5(i::text) FROM generate_series(10001, 14000) i;
        SAVEPOINT s; DELETE FROM sale WHERE id < 12000; ROLLBACK TO s; UPDATE sale SET amount = amount + 1 WHERE id > 13000; COMMIT""",
    "a large transaction is rolled back": "BEGIN; UPDATE sale SET amount = amount + 1, note = md5(note); ROLLBACK",
    "a transaction is prepared": "BEGIN; UPDATE sale SET amount = 3 WHERE customer = 12; PREPARE TRANSACTION 'one'",
    "and committed": "COMMIT PREPARED 'one'",
    "another one is rolled back": "BEGIN; DELETE FROM sale WHERE customer = 13; PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two'",
}

ROW_TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '$tviews_apply%'"


def wait(cluster, query, what, seconds=60):
    deadline = time.time() + seconds
    while cluster.sql(query) != "t":
        if time.time() > deadline:
            raise RuntimeError(f"{what}:\n{cluster.log_tail()}")
        time.sleep(0.05)


class Pair:
    """A publisher and its subscriber."""

    def __init__(self, publisher, subscriber):
        self.publisher, self.subscriber = publisher, subscriber

    def caught_up(self):
        wait(self.subscriber, "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", "the first copy does not end")
        here = self.publisher.sql("SELECT pg_current_wal_lsn()")
        query = f"SELECT coalesce(bool_and(replay_lsn >= '{here}' AND state = 'streaming'), false) FROM pg_stat_replication WHERE application_name IN ('shop', 'other')"
        try:
            wait(self.publisher, query, "changes are not applied")
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.subscriber.log_tail()}") from None

    def exact(self, tviews=TVIEWS):
        """No TVIEW differs from its query, and something is there to differ."""
        self.caught_up()
        different = [t for t in tviews if self.subscriber.difference(t)]
        if different:
            raise RuntimeError(f"different: {', '.join(different)}")
        return True

    def change(self, sql):
        self.publisher.sql(sql)
        return self.exact()

    def same_rows(self, table, columns):
        self.caught_up()
        query = f"SELECT md5(string_agg(r::text, '' ORDER BY r::text)) FROM (SELECT {columns} FROM {table}) r"
        return self.publisher.sql(query) == self.subscriber.sql(query)


def main():
    report = Report()
    settings = {"logical_decoding_work_mem": "64kB", "max_worker_processes": "20", "max_logical_replication_workers": "10"}
    with Cluster(**settings) as publisher, Cluster(**settings) as subscriber:
        pair = Pair(publisher, subscriber)
        version = int(subscriber.sql("SHOW server_version_num")) // 10000
        publisher.sql(TABLES + ROWS + "CREATE PUBLICATION shop FOR TABLE customer, sale, visit, reading WITH (publish_via_partition_root)")
        subscriber.sql(SUBSCRIBER)
        report.ok(subscriber.sql(ROW_TRIGGERS) == "0", "no row trigger without a subscription")

        streaming = "parallel" if version >= 16 else "on"
        subscribe = f"CREATE SUBSCRIPTION shop CONNECTION '{publisher.dsn()}' PUBLICATION shop WITH (streaming = {streaming}, two_phase = true)"
        report.attempt("CREATE SUBSCRIPTION", lambda: subscriber.sql(subscribe) == "")
        where = subscriber.sql(ROW_TRIGGERS.replace("count(*)", "string_agg(tgrelid::regclass::text, ' ' ORDER BY tgrelid::regclass::text)"))
        report.ok(where == "customer reading reading_a reading_b sale visit", "row triggers where it writes, in whole trees", where)
        report.attempt("first copy", pair.exact)
        report.ok(pair.same_rows("sale", "id, customer, amount, note"), "it copied something")
        for name, sql in CHANGES.items():
            report.attempt(name, lambda: pair.change(sql))
        report.ok(pair.same_rows("sale", "id, customer, amount, note") and pair.same_rows("reading", "id, day, value"), "all of it was applied")
        full = "SELECT coalesce(sum(full_recomputes), 0) FROM tviews.stat WHERE tview = 'document'::regclass"
        before = subscriber.sql(full)
        report.attempt("small changes again", lambda: pair.change("UPDATE sale SET note = 'small' WHERE id = 10001"))
        report.ok(subscriber.sql(full) == before, "apply is incremental")

        def local(sql):
            subscriber.sql(sql)
            return pair.exact()

        report.attempt("writes of the subscriber itself", lambda: local("UPDATE sale SET amount = amount + 1 WHERE id % 3 = 0; DELETE FROM visit"))
        replica = "SET session_replication_role = replica; UPDATE sale SET amount = amount + 1 WHERE id % 3 = 0; INSERT INTO visit VALUES (4, 'replica')"
        report.attempt("writes under session_replication_role = replica", lambda: local(replica))
        report.attempt("a partition is added", lambda: local("CREATE TABLE reading_c PARTITION OF reading FOR VALUES FROM (20) TO (30)"))
        publisher.sql("CREATE TABLE reading_3 PARTITION OF reading FOR VALUES FROM (20) TO (30)")
        report.attempt("and written", lambda: pair.change("INSERT INTO reading VALUES (7, 25, 1000)"))
        report.attempt("triggers are switched off and on",
                       lambda: local("ALTER TABLE sale DISABLE TRIGGER ALL; ALTER TABLE sale ENABLE TRIGGER ALL; ALTER TABLE sale ENABLE ALWAYS TRIGGER write_journal"))
        report.attempt("changes after that", lambda: pair.change("UPDATE sale SET amount = amount + 5 WHERE id % 2 = 0"))

        subscriber.sql("CREATE TVIEW late_total AS SELECT amount % 3 AS k, count(*) AS n, sum(amount) AS amount FROM late GROUP BY amount % 3")
        publisher.sql("CREATE PUBLICATION other FOR TABLE other")
        subscriber.sql(f"CREATE SUBSCRIPTION other CONNECTION '{publisher.dsn()}' PUBLICATION other")
        publisher.sql("ALTER PUBLICATION other ADD TABLE late")
        report.attempt("REFRESH PUBLICATION", lambda: subscriber.sql("ALTER SUBSCRIPTION other REFRESH PUBLICATION") == "")
        report.attempt("a table that was added", lambda: pair.exact(["late_total"]) and subscriber.sql("SELECT sum(n) FROM late_total") == "20")
        publisher.sql("UPDATE late SET amount = amount + 1; DELETE FROM late WHERE id > 15")
        report.attempt("and changed", lambda: pair.exact(["late_total"]))
        subscriber.sql("CREATE TVIEW late_copy AS SELECT id, amount FROM late")
        publisher.sql("UPDATE late SET amount = amount + 1")
        report.attempt("a TVIEW over a table that has a subscription", lambda: pair.exact(["late_total", "late_copy"]))
        health = subscriber.sql("SELECT check_name || ': ' || detail FROM tviews.health() AS h (check_name, status, detail, hint) WHERE status <> 'ok'")
        report.ok(health == "", "tviews.health() has no complaint", health)

        subscriber.sql("DROP TVIEW late_copy; DROP TVIEW late_total")
        report.ok(subscriber.sql(f"{ROW_TRIGGERS} AND tgrelid = 'late'::regclass") == "0", "the last TVIEW takes the row trigger with it")
        report.attempt("DROP SUBSCRIPTION", lambda: subscriber.sql("DROP SUBSCRIPTION shop; DROP SUBSCRIPTION other") == "")
        report.attempt("writes after that", lambda: local_only(subscriber))
        report.attempt("FOR ALL TABLES, to a subscriber without the extension", lambda: all_tables(publisher, subscriber))
    report.done()


def all_tables(publisher, subscriber):
    """The first TVIEW of a publisher does not stop its subscribers, which have none of the extension's tables."""
    for cluster in (publisher, subscriber):
        cluster.sql("CREATE DATABASE everything")
        cluster.sql("CREATE TABLE item (id int PRIMARY KEY, g int, a int)", "everything")
    publisher.sql("CREATE PUBLICATION everything FOR ALL TABLES; INSERT INTO item VALUES (1, 1, 1)", "everything")
    connection = publisher.dsn("everything")
    subscriber.sql(f"CREATE SUBSCRIPTION everything CONNECTION '{connection}' PUBLICATION everything", "everything")
    publisher.sql("CREATE EXTENSION pg_tviews; CREATE TVIEW total AS SELECT g, sum(a) AS s FROM item GROUP BY g HAVING count(*) > 0", "everything")
    publisher.sql("CREATE LOGGED TVIEW logged AS SELECT id, a FROM item; INSERT INTO item VALUES (2, 1, 1)", "everything")
    deadline = time.time() + 30
    while (count := subscriber.sql("SELECT count(*) FROM item", "everything")) != "2" and time.time() < deadline:
        time.sleep(0.2)
    subscriber.sql("ALTER SUBSCRIPTION everything REFRESH PUBLICATION", "everything")
    tables = subscriber.sql("SELECT count(*) FROM pg_subscription_rel", "everything")
    subscriber.sql("DROP SUBSCRIPTION everything", "everything")
    return (count, tables) == ("2", "1")


def local_only(subscriber):
    subscriber.sql("UPDATE sale SET amount = amount + 1; DELETE FROM customer WHERE id % 2 = 0; UPDATE reading SET day = (day + 3) % 30")
    return not any(subscriber.difference(t) for t in TVIEWS)


if __name__ == "__main__":
    main()
