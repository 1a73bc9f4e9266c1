"""TVIEWs behind PgBouncer: many clients take turns on few sessions, whose caches live on. Called with the directories of psycopg and of PgBouncer.

Invariant tested: nothing of a client's transaction, or of its session after DISCARD ALL, reaches the next client of the same server session: pending changes,
suspension, settings, plans of another definition. At the end every TVIEW equals its query.
"""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from cluster import Cluster, Report

sys.path.insert(0, sys.argv[1])
import psycopg  # noqa: E402

SETUP = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, country int NOT NULL, name text NOT NULL);
CREATE TABLE sale (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount int NOT NULL);
CREATE INDEX ON sale (customer);
INSERT INTO customer SELECT i, i % 5, 'customer ' || i FROM generate_series(1, 40) i;
INSERT INTO sale (customer, amount) SELECT i % 40 + 1, i FROM generate_series(1, 400) i;
CREATE TVIEW document AS SELECT s.id, s.customer, jsonb_build_object('amount', s.amount, 'name', c.name) AS data FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW total AS SELECT country, count(*) AS n, sum(amount) AS amount FROM sale s JOIN customer c ON c.id = s.customer GROUP BY country;
CREATE TVIEW later WITH (refresh = deferred, schedule = '1s') AS SELECT customer, count(*) AS n, max(amount) AS most FROM sale GROUP BY customer;
CREATE TVIEW by_hand WITH (refresh = manual, logged) AS SELECT amount, count(*) AS n FROM sale GROUP BY amount;
"""
TVIEWS = ["document", "total", "later", "by_hand"]

TRANSACTIONS = [
    ["INSERT INTO sale (customer, amount) VALUES (1 + (random() * 39)::int, (random() * 100)::int)"],
    ["UPDATE customer SET name = name || '.' WHERE id = 1 + (random() * 39)::int"],
    ["UPDATE customer SET country = (random() * 4)::int WHERE id = 1 + (random() * 39)::int", "SELECT count(*) FROM total"],
    ["UPDATE sale SET amount = amount + 1 WHERE id % 41 = (random() * 40)::int", "SAVEPOINT a", "DELETE FROM sale WHERE id % 7 = 1", "ROLLBACK TO a"],
    ["DELETE FROM sale WHERE id % 97 = (random() * 96)::int", "SELECT sum(n) FROM total"],
    ["SELECT pg_tviews_suspend_triggers()", "INSERT INTO sale (customer, amount) SELECT 1 + i, i FROM generate_series(1, 5) i"],
    ["SET LOCAL pg_tviews.nested_loops = off", "UPDATE sale SET customer = 1 + id % 40 WHERE id % 53 = (random() * 52)::int"],
    ["REFRESH TVIEW by_hand"],
]


class Pool:
    """PgBouncer before a cluster."""

    def __init__(self, cluster, programs, mode, reset):
        self.cluster, self.directory = cluster, cluster.directory / f"pool-{mode}"
        self.directory.mkdir()
        (self.directory / "users.txt").write_text('"postgres" ""\n')
        config = self.directory / "pgbouncer.ini"
        config.write_text(f"""[databases]
postgres = host={cluster.directory} port=5432
[pgbouncer]
listen_port = 6432
unix_socket_dir = {self.directory}
auth_type = trust
auth_file = {self.directory}/users.txt
pool_mode = {mode}
default_pool_size = 3
max_client_conn = 100
server_reset_query = {reset}
""")
        if cluster.owner:
            for path in [self.directory, *self.directory.iterdir()]:
                os.chown(path, cluster.owner.pw_uid, cluster.owner.pw_gid)
        program = next(Path(programs).glob("usr/sbin/pgbouncer"))
        # where the user of the server can run it
        copy = self.directory / "pgbouncer"
        copy.write_bytes(program.read_bytes())
        copy.chmod(0o755)
        for path in Path(programs).glob("usr/lib/*-linux-gnu*/*.so*"):
            (self.directory / path.name).write_bytes(path.read_bytes())
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen([copy, config], env=dict(os.environ, LD_LIBRARY_PATH=str(self.directory)), stdout=self.log, stderr=self.log, cwd=self.directory, **cluster.as_server())

    def connect(self, seconds=30, **options):
        deadline = time.time() + seconds
        while True:
            try:
                return psycopg.connect(f"host={self.directory} port=6432 user=postgres dbname=postgres", prepare_threshold=None, **options)
            except psycopg.OperationalError:
                if time.time() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.directory / "log").read_text(errors="replace")) from None
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def write(pool, seed, rounds, failures):
    """Transactions of one client, some of which end in an error or are rolled back. A connection of its own now and then."""
    dice = random.Random(seed)
    connection = pool.connect()
    for _ in range(rounds):
        try:
            for statement in dice.choice(TRANSACTIONS):
                connection.execute(statement)
            connection.rollback() if dice.random() < 0.1 else connection.commit()
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            connection.rollback()
        except psycopg.Error as error:
            failures.append(str(error))
            connection.rollback()
        if dice.random() < 0.1:
            connection.close()
            connection = pool.connect()
    connection.close()


def clients(pool, count, rounds):
    failures = []
    threads = [threading.Thread(target=write, args=(pool, seed, rounds, failures)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def is_exact(cluster, report, when):
    cluster.sql("REFRESH TVIEW by_hand; REFRESH TVIEW later")
    differences = {tview: cluster.difference(tview) for tview in TVIEWS}
    report.ok(not any(differences.values()), f"{when}: every TVIEW equals its query", differences)


def sessions(cluster):
    return int(cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"))


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SETUP)
        with Pool(cluster, sys.argv[2], "transaction", "") as pool:
            failures = clients(pool, 12, 40)
            report.ok(not failures, "12 clients share few sessions, transaction by transaction", "\n".join(failures[:5]))
            report.ok(0 < sessions(cluster) <= 3, "the sessions are three", sessions(cluster))
            is_exact(cluster, report, "transaction pooling")

            # one client suspends and leaves without an end; the next one on the session is not suspended
            with pool.connect() as connection:
                connection.execute("SELECT pg_tviews_suspend_triggers()")
                connection.execute("INSERT INTO sale (customer, amount) VALUES (1, 7)")
                connection.commit()
            for _ in range(3):
                with pool.connect(autocommit=True) as connection:
                    suspended = connection.execute("SELECT pg_tviews_is_suspended()").fetchone()[0]
                    report.ok(suspended is False, "suspension ends with its transaction", suspended)
            is_exact(cluster, report, "after a suspension")

            # a client that goes away in the middle of its transaction
            connection = pool.connect()
            connection.execute("DELETE FROM sale WHERE id % 2 = 0")
            connection.execute("SELECT * FROM total")
            connection.close()
            is_exact(cluster, report, "after a client that vanished")

            # another definition, by a session that is not in the pool
            cluster.sql("CREATE OR REPLACE TVIEW total AS SELECT country, count(*) AS n, sum(amount) AS amount, min(amount) AS least FROM sale s JOIN customer c ON c.id = s.customer GROUP BY country")
            cluster.sql("ALTER TVIEW later SET (refresh = commit); ALTER TABLE sale ADD COLUMN note text; ALTER TVIEW by_hand SET (refresh = deferred, schedule = '1h')")
            failures = clients(pool, 6, 20)
            report.ok(not failures, "sessions with plans of the old definition go on", "\n".join(failures[:5]))
            is_exact(cluster, report, "after other definitions")

        with Pool(cluster, sys.argv[2], "session", "DISCARD ALL") as pool:
            for _ in range(2):
                with pool.connect(autocommit=True) as connection:
                    connection.execute("SET pg_tviews.nested_loops = off")
                    connection.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
                    connection.execute("INSERT INTO sale (customer, amount) VALUES (2, 2)")
                with pool.connect(autocommit=True) as connection:
                    shown = connection.execute("SHOW pg_tviews.nested_loops").fetchone()[0]
                    report.ok(shown == "on", "DISCARD ALL takes settings back", shown)
            failures = clients(pool, 3, 40)
            report.ok(not failures, "clients in turn, with DISCARD ALL between them", "\n".join(failures[:5]))
            is_exact(cluster, report, "session pooling")
    report.done()


if __name__ == "__main__":
    main()
