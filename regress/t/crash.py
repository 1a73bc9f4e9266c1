"""kill -9 under load: after the restart the first query of each TVIEW gives exactly what its defining query gives.

Invariant tested: an unlogged TVIEW, which the crash emptied, and a logged one, which it did not, are both exact before anything is read.
Called by `make check`; alone: PG_CONFIG=… regress/t/crash.py
"""

import subprocess
import time

from cluster import Cluster, Report, SqlError

ROUNDS = 4

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE sale (id bigserial PRIMARY KEY, customer int REFERENCES customer, amount int NOT NULL, note text);
INSERT INTO customer SELECT i, 'customer ' || i FROM generate_series(1, 50) i;
INSERT INTO sale (customer, amount, note) SELECT 1 + i % 50, i % 997, repeat('n', i % 40) FROM generate_series(1, 5000) i;

CREATE TVIEW total_unlogged AS
    SELECT c.id, c.name, count(*) AS sales, sum(s.amount) AS amount FROM customer c JOIN sale s ON s.customer = c.id GROUP BY c.id, c.name;
CREATE TVIEW total_logged WITH (logged = true) AS
    SELECT c.id, c.name, count(*) AS sales, sum(s.amount) AS amount FROM customer c JOIN sale s ON s.customer = c.id GROUP BY c.id, c.name;
CREATE TVIEW document_unlogged AS
    SELECT s.id, jsonb_build_object('amount', s.amount, 'note', s.note, 'customer', jsonb_build_object('name', c.name)) AS data
    FROM sale s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW document_logged WITH (logged = true) AS SELECT s.id, s.amount, c.name FROM sale s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW grand_total AS SELECT sum(sales) AS sales, sum(amount) AS amount FROM total_unlogged;
CREATE TVIEW constants AS SELECT n FROM (VALUES (1), (2)) v (n);
CREATE TVIEW of_constants AS SELECT sum(n) AS n FROM constants;
"""

TVIEWS = ["total_unlogged", "total_logged", "document_unlogged", "document_logged", "grand_total", "of_constants", "constants"]

WRITES = """
\\set c random(1, 50)
\\set a random(1, 1000)
BEGIN;
INSERT INTO sale (customer, amount, note) VALUES (:c, :a, 'written');
UPDATE sale SET amount = :a WHERE id = (SELECT max(id) - :a FROM sale);
UPDATE customer SET name = 'renamed ' || :a WHERE id = :c;
DELETE FROM sale WHERE id IN (SELECT id FROM sale WHERE customer = :c ORDER BY id LIMIT 1);
END;
"""


def load(cluster, script):
    """Writers that go on until the server dies. Serialisation failures and deadlocks are retried, as an application would."""
    command = [str(cluster.bindir / "pgbench"), "-n", "-c", "4", "-j", "2", "-T", "300", "--max-tries=10", "-f", str(script), "postgres"]
    return subprocess.Popen(command, env=cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main():
    report = Report()
    with Cluster(wal_level="replica") as c:
        if not report.attempt("create logged and unlogged TVIEWs", lambda: c.sql(SCHEMA) is not None):
            report.done()
        script = c.directory / "writes.sql"
        script.write_text(WRITES)
        for crash in range(1, ROUNDS + 1):
            before = int(c.sql("SELECT last_value FROM sale_id_seq"))
            writers = load(c, script)
            time.sleep(1 + 0.7 * crash)
            if crash % 2:
                c.sql("CHECKPOINT")
            c.crash()
            output = writers.communicate()[0]
            c.start()
            for tview in TVIEWS[crash % len(TVIEWS) :] + TVIEWS[: crash % len(TVIEWS)]:
                report.attempt(f"crash {crash}: {tview} is exact", lambda: c.difference(tview) == 0)
            written = int(c.sql("SELECT last_value FROM sale_id_seq")) - before
            report.ok(written > 0, f"crash {crash}: there were writes before it", output[-2000:])
        # the first statement after a crash may be a write
        c.crash()
        c.start()
        c.sql("UPDATE sale SET amount = amount + 1 WHERE id % 100 = 0")
        for tview in TVIEWS:
            report.attempt(f"write after a crash: {tview} is exact", lambda: c.difference(tview) == 0)
        c.restart()
        for tview in TVIEWS:
            report.attempt(f"clean restart: {tview} is exact", lambda: c.difference(tview) == 0)
        try:
            c.sql("UPDATE customer SET name = 'last' WHERE id = 7")
            report.ok(c.sql("SELECT name FROM total_unlogged WHERE id = 7") == "last", "writes go on")
        except SqlError as error:
            report.ok(False, "writes go on", error)
    report.done()


if __name__ == "__main__":
    main()
